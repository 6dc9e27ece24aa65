"""The three verbs that every blocking store has, and what a store with no more than those cannot promise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from holdfast.backends.records import Finding
from holdfast.sessions.durations import Duration


class SessionStore(ABC):
    """Sessions as dicts, by three methods. `holdfast.sync.Store` and its kinds implement it, and so may a class of your own.

    Three methods cannot promise what a `Store` does: `promises` names what is missing, and
    ``holdfast store check module:Class`` shows it and tries the class out.
    """

    @abstractmethod
    def get(self, session_id: str) -> dict[str, Any]:
        """The session's state; ``{}`` where there is none."""

    @abstractmethod
    def set(self, session_id: str, data: Mapping[str, Any], ttl: Duration | None = None) -> object:
        """Makes the state exactly ``data``; it expires ``ttl`` (seconds, or text like "2h") after the last write."""

    @abstractmethod
    def delete(self, session_id: str) -> object:
        """Ends the session; no error where there is none."""

    def check(self) -> list[Finding]:
        """What this store is and what it can promise."""
        return _weaker(type(self))

    def close(self) -> None:  # noqa: B027 -- most classes hold nothing
        """Gives back what the store holds. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def promises(store: SessionStore | type[SessionStore]) -> list[Finding]:
    """What a store can promise and what it cannot, with the way to mend it.

    A `Store` asks its backend. A class (or an object) that has only the three methods gets the list of what those leave open.
    """
    if isinstance(store, SessionStore):
        return store.check()
    return _weaker(store if isinstance(store, type) else type(store))


def _weaker(kind: type) -> list[Finding]:
    name = f"{kind.__module__}.{kind.__qualname__}"
    return [
        Finding("note", "backend", f"{name}: a store of your own, with get, set and delete"),
        *[Finding("note", subject, text, mend) for subject, text, mend in _MISSING],
    ]


_MISSING = (
    (
        "lost updates",
        "two requests that get, change and set one session at the same time: the later set undoes the earlier",
        "keep one writer for each session, or use update() or run_turn() of holdfast.open_store(...)",
    ),
    (
        "turns",
        "no turn ids, so a message that is delivered twice is answered twice; a request that dies half-way is lost",
        "use run_turn() of holdfast.open_store(...)",
    ),
    (
        "messages",
        "no message log: a conversation kept inside the state is written whole at every turn",
        "keep it short, or use a Holdfast store, whose cost follows the change",
    ),
    (
        "unknown outcomes",
        "a set whose reply is lost may or may not have been applied, and nothing can settle it",
        "repeat the set; both must then be harmless",
    ),
    (
        "rebirth",
        "a slow request can bring back a session that was deleted meanwhile",
        "check get() before set(), which narrows the gap but does not close it",
    ),
    (
        "expiry",
        "when a session ends is up to the class; nothing checks clocks",
        "let the server expire it, not the client",
    ),
)
