"""Turns that failed for good: found again, tried anew, or dropped by whoever looks after the store.

Each is noted as a small session of a tenant that belongs to the real one, so that every backend can list and expire
them. The note is written before the failure is committed, and checked against the stored outcome when it is read: no
failure is missing, and a note without one is not shown.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.backends.records import BeginRequest, Busy, Granted, Replay, Running, SessionKey, StoredOutcome
from holdfast.errors import TurnBusy, TurnError, TurnNotFound
from holdfast.sessions.store import SessionStore
from holdfast.turns.accepting import fingerprint
from holdfast.turns.outcome import Outcome, from_stored
from holdfast.turns.tenants import FAILED, belonging
from holdfast.turns.turn import Turn

if TYPE_CHECKING:
    from holdfast.turns.store import TurnStore

FailureText = Callable[[Turn], str]
"""The message for the user of a turn that failed for good; gets the turn as its next attempt would."""

_USER: Final = "failed"
_PAGE: Final = 50


def no_text(turn: Turn) -> str:
    """Tells the user nothing."""
    return ""


class Failure(msgspec.Struct, frozen=True):
    """One turn that failed for good. ``at``: seconds since the epoch. ``handler``: "" where it had no name."""

    session_id: str
    turn_id: str
    handler: str
    error: str
    attempts: int
    at: float


class Failures:
    """Those of one tenant. They are kept as long as outcomes are (``outcome_age``)."""

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        settings = msgspec.structs.replace(
            store.settings, tenant=belonging(store.settings.tenant, FAILED), cache_bytes=0
        )
        self._notes = SessionStore(store.backend, settings)

    async def note(self, key: SessionKey, turn_id: str, handler: str, attempts: int) -> None:
        """Before a failure is committed."""
        # what went wrong may quote the conversation: it is in the outcome, with its user's key
        state = {"session": key.id, "turn": turn_id, "handler": handler, "attempts": attempts}
        await self._notes.set(
            _note_id(key.id, turn_id), state, ttl=self._store.settings.outcome_age_ms / 1000, user=_USER
        )

    async def list(self) -> AsyncIterator[Failure]:
        """The last one first. Raises the store's errors."""
        cursor = ""
        while True:
            page = await self._notes.by_user(_USER, cursor=cursor, limit=_PAGE)
            for note_id in page.ids:
                failure = await self._read(note_id)
                if failure is None:
                    continue
                if (outcome := await self._outcome(failure.session_id, failure.turn_id)) is not None:
                    yield msgspec.structs.replace(failure, error=outcome.error)
            if not (cursor := page.cursor):
                return

    async def retry(self, session_id: str, turn_id: str) -> str:
        """Accepts the input of a failed turn anew, under another turn id, which is returned: whoever recovers turns of its
        handler runs it. May be repeated.

        Raises `TurnNotFound` where no failed turn of this id is known, `TurnError` where it had no registered handler.
        """
        store, key = self._store, self._store.key(session_id)
        note = await self._read(_note_id(session_id, turn_id))
        outcome = await self._outcome(session_id, turn_id)
        if note is None or outcome is None:
            raise TurnNotFound(f"session {session_id!r} has no failed turn {turn_id!r} (any more)")
        if not note.handler:
            raise TurnError(f"turn {turn_id!r} had no registered handler: only its sender can send it again")
        first = outcome.messages[0] if len(outcome.messages) else None
        message = first if first is not None and first.metadata.get("failed") is not True else None
        again, codec = _next_id(turn_id), store.message_codec
        request = BeginRequest(
            turn_id=again,
            token=os.urandom(8),
            fingerprint=fingerprint(message, codec),
            entry=b"" if message is None else codec.encode(message, again),
            handler=note.handler,
            birth=store.birth(),
            lease_ms=store.settings.lease_ms,
            place_ms=store.settings.place_ms,
            tail=0,
        )
        await store.backend.begin(key, request)
        await store.backend.release(key, again, token=request.token, withdraw=False)
        await self._notes.delete(_note_id(session_id, turn_id))
        return again

    async def discard(self, session_id: str, turn_id: str) -> str:
        """Drops a failed turn's note, or an accepted turn that nobody runs, with its input and its journal. Returns which it
        was: ``failed`` or ``pending``.

        Raises `TurnBusy` while the session runs a turn, `TurnNotFound`, and `TurnError` for a turn that is completed.
        """
        store, key = self._store, self._store.key(session_id)
        request = BeginRequest(
            turn_id=turn_id,
            token=os.urandom(8),
            fingerprint=b"",
            entry=b"",
            handler="",
            birth=store.birth(),
            lease_ms=store.settings.lease_ms,
            place_ms=0,
            tail=0,
        )
        match await store.backend.begin(key, request):
            case Granted():
                await store.backend.release(key, turn_id, token=request.token, withdraw=True)
                return "pending"
            case Running() | Busy():
                raise TurnBusy(f"session {session_id!r} runs a turn now; discard {turn_id!r} when that has ended")
            case Replay():
                if await self._outcome(session_id, turn_id) is None:
                    raise TurnError(f"turn {turn_id!r} is completed; there is nothing to discard")
                await self._notes.delete(_note_id(session_id, turn_id))
                return "failed"
        raise TurnNotFound(f"session {session_id!r} knows no turn {turn_id!r} (any more)")

    async def drop(self, sessions: Collection[str]) -> int:
        """Drops the notes of these sessions, which are gone; returns how many. Raises the store's errors."""
        dropped, cursor = 0, ""
        while sessions:
            page = await self._notes.by_user(_USER, cursor=cursor, limit=_PAGE)
            for note_id in page.ids:
                failure = await self._read(note_id)
                if failure is not None and failure.session_id in sessions:
                    dropped += await self._notes.delete(note_id)
            if not (cursor := page.cursor):
                break
        return dropped

    async def _read(self, note_id: str) -> Failure | None:
        found = await self._notes.load(note_id, tail=0)
        if found is None:
            return None
        state = found.state
        return Failure(
            state["session"], state["turn"], state["handler"], "", state["attempts"], found.created_at or 0.0
        )

    async def _outcome(self, session_id: str, turn_id: str) -> Outcome | None:
        """The stored outcome, if it is a failure. With fence 0, `resolve` only looks."""
        store, key = self._store, self._store.key(session_id)
        stored = await store.backend.resolve(key, turn_id, fence=0)
        if not isinstance(stored, StoredOutcome):
            return None
        outcome = from_stored(key, turn_id, stored, store.codec, store.message_codec, replayed=True)
        return outcome if outcome.status == "failed" else None


def _note_id(session_id: str, turn_id: str) -> str:
    return hashlib.blake2b(f"{len(session_id)}:{session_id}{turn_id}".encode(), digest_size=24).hexdigest()


def _next_id(turn_id: str) -> str:
    """The same each time it is asked for, so that a retry may be repeated."""
    stem, mark, number = turn_id.rpartition("~")
    if mark and number.isdigit():
        return f"{stem}~{int(number) + 1}"
    return f"{turn_id[:240]}~2"
