"""The three verbs: a class of a user's own is a store, and what it cannot promise is named."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast.sessions.durations import Duration
from holdfast.sync import InMemorySessionStore, SessionStore, SqliteSessionStore, promises


class Mine(SessionStore):
    """A dict, as many applications begin."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[str, Any]] = {}

    def get(self, session_id: str) -> dict[str, Any]:
        return copy.deepcopy(self._sessions.get(session_id, {}))

    def set(self, session_id: str, data: Mapping[str, Any], ttl: Duration | None = None) -> None:
        self._sessions[session_id] = copy.deepcopy(dict(data))

    def delete(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)


def remember(store: SessionStore, session_id: str, **values: Any) -> dict[str, Any]:
    """An application's function that takes whatever store it is given."""
    with store:
        store.set(session_id, {**store.get(session_id), **values}, ttl=60)
        state = store.get(session_id)
        store.delete(session_id)
        assert store.get(session_id) == {}
        return state


def test_exactly_three_methods_are_abstract() -> None:
    assert SessionStore.__abstractmethods__ == {"get", "set", "delete"}
    with pytest.raises(TypeError, match="abstract"):
        SessionStore()  # type: ignore[abstract]


def test_an_own_class_goes_wherever_a_store_goes(tmp_path: Path) -> None:
    for store in (Mine(), InMemorySessionStore(), SqliteSessionStore(tmp_path / "s.db")):
        assert remember(store, "s-1", n=1) == {"n": 1}


def test_its_weaker_promises_are_named() -> None:
    for asked in (Mine(), Mine):
        findings = promises(asked)
        assert "Mine" in findings[0].text
        assert {"lost updates", "turns", "unknown outcomes"} <= {finding.subject for finding in findings}
        assert all(finding.mend for finding in findings[1:])


def test_a_store_of_holdfast_asks_its_backend() -> None:
    with InMemorySessionStore() as store:
        assert promises(store) == store.check()
        assert "lost updates" not in {finding.subject for finding in promises(store)}
