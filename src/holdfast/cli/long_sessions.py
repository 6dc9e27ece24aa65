"""Writing a session that is too long for one commit: marked while it is half there, each part on the version before it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from holdfast import Store, Version
from holdfast.backends.records import ANY, Birth, Change, Delta, SessionKey
from holdfast.sessions.state import State

HALF: Final = "holdfast:import"
"""The state key that marks a session whose import, in several commits, is not finished."""


def new_commit_id() -> bytes:
    """16 random bytes."""
    return os.urandom(16)


def half_mark(source: str, done: int) -> dict[str, Any]:
    """The mark's value: of which source, and how many messages are there so far."""
    return {"source": source, "done": done}


def first_delta(
    store: Store, state: Mapping[str, Any], entries: list[bytes], birth: Birth, *, commit_id: bytes, half_of: str = ""
) -> Delta:
    """The commit that makes a new session. ``half_of`` names its source where more parts follow."""
    fresh = State(store.codec, max_keys=store.settings.max_keys)
    fresh.update(state)
    if half_of:
        fresh[HALF] = half_mark(half_of, len(entries))
    return Delta(commit_id, changes=fresh.changes(), appends=entries, outcome=b"\x00", existence="new", birth=birth)


async def write_parts(
    store: Store,
    key: SessionKey,
    parts: Iterable[list[bytes]],
    version: Version,
    *,
    source: str,
    done: int,
    total: int,
    commit_id: Callable[[], bytes] = new_commit_id,
) -> None:
    """The rest of a long session, of ``total`` messages in the end; the last part takes the mark away.

    Raises `TurnConflict` or `SessionNotFound` where anybody else wrote in between.
    """
    for part in parts:
        done += len(part)
        half = State(store.codec)
        half[HALF] = half_mark(source, done)
        [mark] = half.changes()
        change = Change(HALF, None if done == total else mark.value, ANY)
        delta = Delta(
            commit_id(), base=version, strict=True, changes=[change], appends=part, outcome=b"\x00", existence="must"
        )
        version = await store.write(key, delta, None, [])
