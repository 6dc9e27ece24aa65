"""What the attempts of a turn noted (`Turn.trace`), kept beside the session for a while: so that it can be read from any node.

Each turn's is a small session of a tenant that belongs to the real one, so that every backend finds and expires it. It is written
while the turn commits, and never awaited there: a turn loses nothing where its trace cannot be kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from holdfast.errors import HoldfastError, StoreError
from holdfast.sessions.ids import filed_under
from holdfast.turns.tenants import TRACES

if TYPE_CHECKING:  # the store keeps traces, traces are kept in the store
    from holdfast.turns.store import TurnStore
    from holdfast.turns.turn import Turn

_MOST: Final = 256
"""Traces on their way into the store at once; further ones are not kept."""
_DELETING_S: Final = 1.0
_PAGE: Final = 100
_BORN: Final = "born"

_log: Final = logging.getLogger(__name__)


class Traced(Protocol):
    """What an attempt notes."""

    @property
    def keep(self) -> float:
        """For how many seconds it is kept, more than 0."""
        ...

    def document(self, error: str) -> dict[str, Any]:
        """The notes, of the codec's types, bounded and fit to be shown. ``error``: what the attempt raised, "" if nothing.
        Called once, when the attempt ends, while it commits."""
        ...


class TurnTrace(msgspec.Struct, frozen=True):
    """What is known of a turn's attempts, the first one first. ``attempts``: the number of each, and what it noted."""

    session_id: str
    turn_id: str
    attempts: list[tuple[int, dict[str, Any]]]


class Traces:
    """Those of one tenant."""

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        self._notes = store.beside(TRACES)
        self._writing: dict[str, asyncio.Task[None]] = {}

    def keep(self, turn: Turn, error: BaseException | None = None) -> None:
        """Has the attempt's notes written, from now on; waits for nothing."""
        trace, turn.trace = turn.trace, None
        if trace is None or len(self._writing) >= _MOST:
            return
        note_id = _note_id(turn.key.id, turn.id)
        before = self._writing.get(note_id)
        said = "" if error is None else f"{type(error).__name__}: {error}"[:500]
        task = self._store.background(self._write(note_id, turn, trace, said, before))
        self._writing[note_id] = task
        task.add_done_callback(lambda done: self._written(note_id, done))

    def _written(self, note_id: str, task: asyncio.Task[None]) -> None:
        if self._writing.get(note_id) is task:
            del self._writing[note_id]

    async def _write(
        self, note_id: str, turn: Turn, trace: Traced, error: str, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            document = trace.document(error)
            changes = {_BORN: turn.session.incarnation, str(turn.attempt): document}
            keep = min(trace.keep, turn.session.ttl or trace.keep)
            filed = filed_under(turn.session.user, turn.key.id)
            await self._notes.update(note_id, changes, user=filed, ttl=keep)
        except HoldfastError as problem:
            _log.info("session %s: the trace of turn %s is not kept: %s", turn.key.id, turn.id, problem)

    async def read(self, session_id: str, turn_id: str) -> TurnTrace | None:
        """None where none is kept (any more), or its session is gone. Raises the store's errors."""
        note_id = _note_id(session_id, turn_id)
        if (task := self._writing.get(note_id)) is not None:
            await asyncio.wait([task])
        session = await self._store.load(session_id, tail=0)
        found = await self._notes.load(note_id, tail=0) if session is not None else None
        if session is None or found is None or found.state.get(_BORN) != session.incarnation:
            return None  # of a former life under the same id
        attempts = [(int(name), document) for name, document in found.state.items() if name.isdecimal()]
        return TurnTrace(session_id, turn_id, sorted(attempts, key=lambda one: one[0]))

    async def of_session(self, session_id: str, user: str) -> AsyncIterator[str]:
        """The ids of the notes of a session of this user. Raises the store's errors."""
        cursor = ""
        while True:
            page = await self._notes.by_user(filed_under(user, session_id), cursor=cursor, limit=_PAGE)
            for note_id in page.ids:
                yield note_id
            if not (cursor := page.cursor):
                return

    async def documents(self, session_id: str, user: str) -> AsyncIterator[dict[str, Any]]:
        """What all turns of a session of this user noted, as it is kept. Raises the store's errors."""
        async for note_id in self.of_session(session_id, user):
            if found := await self._notes.get(note_id):
                yield {name: document for name, document in found.items() if name.isdecimal()}

    async def drop(self, session_id: str, user: str) -> int:
        """Deletes all of a session of this user, and says how many. Raises the store's errors."""
        notes = [note_id async for note_id in self.of_session(session_id, user)]
        await asyncio.gather(*[self._notes.delete(note_id) for note_id in notes])
        return len(notes)

    async def delete(self, session_id: str, user: str) -> None:
        """Those of a session that was deleted just now. Nobody can read what this leaves, and it expires by itself."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_DELETING_S):
                await self.drop(session_id, user)


def _note_id(session_id: str, turn_id: str) -> str:
    return hashlib.blake2b(f"{len(session_id)}:{session_id}{turn_id}".encode(), digest_size=24).hexdigest()
