"""The one write that ends a turn, and the outcome that it makes."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING

from holdfast.backends.records import (
    BeginRequest,
    CommitReply,
    Committed,
    Delta,
    Gone,
    Granted,
    Seen,
    SessionKey,
    WrongUserFound,
)
from holdfast.errors import OutcomeUnknown, SessionGone, StoreClosed, StoreUnavailable, TurnFailed, WrongUser
from holdfast.sessions.near_cache import advanced
from holdfast.turns.outcome import Outcome, Status, from_stored, kept_bytes
from holdfast.turns.turn import Turn

if TYPE_CHECKING:  # the store makes runs, a run commits to its store
    from holdfast.turns.store import TurnStore


class Committing:
    """Commits of one turn id."""

    __slots__ = ("_key", "_request", "_spare_id", "_store", "_strict")

    def __init__(
        self, store: TurnStore, key: SessionKey, request: BeginRequest, *, strict: bool, first_id: bytes
    ) -> None:
        self._store = store
        self._key = key
        self._request = request
        self._strict = strict
        self._spare_id = first_id

    async def commit(self, granted: Granted, turn: Turn, *, rooted: bool = False) -> CommitReply:
        """One commit, settled if its reply is lost; `SessionGone` and `WrongUser` are raised. ``rooted`` as in `Delta`."""
        commit_id, self._spare_id = self._spare_id or os.urandom(16), b""
        delta = Delta(
            commit_id,
            self._request.turn_id,
            granted.fence,
            granted.incarnation,
            turn.session.version,
            self._strict,
            turn.state.changes(),
            turn.entries,
            kept_bytes(self._store.codec, attempts=granted.attempt),
            rooted=rooted and not self._strict,
        )
        reply = await self.send(delta)
        base = self._store.cache.get(self._key, 0)
        if (
            isinstance(reply, Committed)
            and base is not None
            and base.version == delta.base
            and (known := advanced(base, delta, self._entries(granted, turn.entries), reply, self._request.tail))
        ):
            self._store.cache.put(self._key, known)
        else:
            self._store.cache.doubt(self._key)
        return reply

    async def send(self, delta: Delta) -> CommitReply:
        """The reply of a commit, settled if it is lost. Raises `SessionGone`, `WrongUser`, and the store's errors."""
        started = time.monotonic()
        while True:
            try:
                reply = await self._store.backend.commit(self._key, delta)
            except OutcomeUnknown:
                self._store.cache.doubt(self._key)
                reply = await self._store.settle(self._key, delta.turn_id, started, delta.fence)
            except StoreClosed:
                raise
            except StoreUnavailable:
                # nothing was applied: an answer that was already made is worth waiting for the store
                if time.monotonic() - started > self._store.settings.settle_ms / 1000:
                    raise
                await asyncio.sleep(0.05 + random.random() * 0.1)
                continue
            break
        match reply:
            case Gone():
                self._store.cache.drop(self._key)
                raise SessionGone(
                    f"session {self._key.id!r} was deleted or expired while turn {delta.turn_id!r} ran; nothing was written"
                )
            case WrongUserFound():
                raise WrongUser(f"session {self._key.id!r} belongs to another user")
        return reply

    def outcome(
        self,
        reply: CommitReply,
        *,
        granted: Granted | None = None,
        turn: Turn | None = None,
        status: Status = "completed",
        error: str = "",
        replayed: bool = False,
    ) -> Outcome:
        """The outcome of an applied commit. Raises `TurnFailed` for one that is a failure."""
        store, turn_id = self._store, self._request.turn_id
        if isinstance(reply, Seen):
            outcome = from_stored(self._key, turn_id, reply.stored, store.codec, store.message_codec, replayed=replayed)
        else:
            assert isinstance(reply, Committed)
            assert granted is not None
            outcome = Outcome(
                self._key.id,
                turn_id,
                reply.version,
                reply.start,
                store.messages_of(self._entries(granted, turn.entries if turn is not None else [])),
                status=status,
                error=error,
                attempts=granted.attempt,
            )
        if outcome.status == "failed":
            raise TurnFailed(f"session {self._key.id!r}: turn {turn_id!r} failed for good: {outcome.error}", outcome)
        return outcome

    def _entries(self, granted: Granted, appended: list[bytes]) -> list[bytes]:
        """What the commit wrote: the input as it was accepted, perhaps from an earlier sender, and this attempt's messages."""
        entry = granted.entry or (self._request.entry if self._request.fingerprint else b"")
        return [entry, *appended] if entry else appended
