"""One turn's way through the store: accepted, run, committed, and what to do when a step of that fails."""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from holdfast.backends.records import (
    BeginRequest,
    Birth,
    CommitReply,
    Committed,
    Conflict,
    Delta,
    Fenced,
    Gone,
    Granted,
    Queued,
    Record,
    Replay,
    Running,
    Seen,
    SessionKey,
    Unchanged,
    WrongUserFound,
)
from holdfast.errors import (
    OutcomeUnknown,
    QueueTimeout,
    SessionGone,
    StoreClosed,
    StoreError,
    StoreUnavailable,
    TurnConflict,
    TurnFailed,
    TurnOvertaken,
    WrongUser,
)
from holdfast.sessions.message import Message
from holdfast.sessions.near_cache import advanced
from holdfast.turns.accepting import Accepting, fingerprint
from holdfast.turns.leases import Held
from holdfast.turns.outcome import Outcome, from_stored, kept_bytes
from holdfast.turns.turn import Emit, Handler, Turn

if TYPE_CHECKING:  # the store makes runs, a run works on its store: one concept in two files
    from holdfast.turns.store import TurnStore

Policy = Literal["queue", "reject"]


class TurnRun:
    """The runner's side of one turn id. `attempt` may be called again after it returned None."""

    __slots__ = (
        "_emit",
        "_fenced",
        "_spare_id",
        "_strict",
        "_withdraws",
        "accepting",
        "key",
        "message",
        "request",
        "store",
    )

    def __init__(
        self,
        store: TurnStore,
        key: SessionKey,
        turn_id: str,
        message: Message | None,
        *,
        handler: str,
        birth: Birth,
        policy: Policy,
        wait_ms: int,
        tail: int,
        strict: bool,
        withdraws: bool,
        emit: Emit | None = None,
    ) -> None:
        self.store = store
        self._emit = emit
        self._fenced = False
        self.key = key
        self.message = message
        self._strict = strict
        self._withdraws = withdraws
        settings = store.settings
        entry = (
            b"" if message is None else store.message_codec.encode(message, turn_id)
        )  # refuses what cannot be stored
        random_bytes = os.urandom(24)  # one system call for the token and the first commit's id
        self._spare_id = random_bytes[8:]
        self.request = BeginRequest(
            turn_id=turn_id,
            token=random_bytes[:8],
            fingerprint=fingerprint(message, store.message_codec),
            entry=entry,
            handler=handler,
            birth=birth,
            lease_ms=settings.lease_ms,
            place_ms=settings.place_ms if policy == "queue" else 0,
            tail=tail,
        )
        self.accepting = Accepting(store, key, self.request, wait_ms=wait_ms, withdraws=withdraws)

    @property
    def named(self) -> str:
        """Session and turn, as errors name them."""
        return f"session {self.key.id!r}: turn {self.request.turn_id!r}"

    # --- begin ---

    async def begin(self) -> Granted | Outcome:
        """The right to run, or the outcome where the turn is finished (here, before, or elsewhere while this waited).

        Raises `TurnBusy`, `QueueTimeout`, `TurnMismatch`, `WrongUser`, and the store's errors.
        """
        waiting = False
        try:
            reply = await self.accepting.ask()
            if waiting := isinstance(reply, Queued | Running):
                reply = await self.accepting.wait()
        except BaseException as error:
            # a lease or a place is given back; a run elsewhere does not know this token
            if waiting or not isinstance(error, StoreUnavailable):
                giving_back = self.store.background(self.release())
                if isinstance(error, QueueTimeout):
                    await asyncio.shield(giving_back)
            raise
        if isinstance(reply, Granted):
            return reply
        if isinstance(reply, Replay):
            return self.outcome(Seen(reply.stored), replayed=True)
        raise self.accepting.refused(reply)

    async def claim(self) -> Granted | None:
        """The right to run, if nobody else has it and the turn is not finished; does not wait. Raises the store's errors."""
        try:
            reply = await self.accepting.ask()
        except BaseException as error:
            if not isinstance(error, StoreUnavailable):
                self.store.background(self.release())
            raise
        return reply if isinstance(reply, Granted) else None

    # --- run ---

    async def attempt(self, granted: Granted, handler: Handler) -> Outcome | None:
        """Runs the handler and commits. None where another holder was faster: begin again to learn what became of it.

        Raises what the handler raises, `TurnConflict`, `TurnFailed`, `SessionGone`, and the store's errors.
        """
        if granted.attempt > self.store.settings.max_attempts:
            return await self._fail(
                granted, f"given up after {granted.attempt - 1} attempts that ended without a reply"
            )
        observer = self.store.observer
        if observer is not None and (granted.attempt > 1 or not self.request.fingerprint):
            observer.taken_over()
        held = self.hold(granted)
        self._fenced = False
        try:
            reply, turn = await self._until_committed(granted, handler, held)
        except asyncio.CancelledError:
            if await uncancelled(held):
                self._overtaken()
                return None
            self.store.background(self.release())
            raise
        except Exception as error:
            if await uncancelled(held) or (self._fenced and isinstance(error, TurnOvertaken)):
                self._overtaken()
                return None
            self.store.leases.drop(held)
            await asyncio.shield(self.store.background(self._failed_attempt(granted, error)))
            raise
        finally:
            self.store.leases.drop(held)
        if isinstance(reply, Fenced):
            self._overtaken()
            return None
        return self.outcome(reply, granted=granted, turn=turn)

    async def _until_committed(self, granted: Granted, handler: Handler, held: Held) -> tuple[CommitReply, Turn]:
        """Runs the handler, again where its commit met another writer of the same keys."""
        if not self.request.fingerprint:
            self._adopt(granted)
        retries = self.store.settings.conflict_retries
        record = granted.record
        steps = dict(granted.steps)
        names: tuple[str, ...] = ()
        for tries in range(retries + 1):
            turn = self.turn(granted, record, steps)
            result = handler(turn)
            if inspect.isawaitable(result):
                await result
            held.committing = True
            # what was loaded after the grant may be lost in a failover that the grant outlives; what came with it cannot
            reply = await self.commit(granted, turn, rooted=tries > 0)
            if not isinstance(reply, Conflict):
                return reply, turn
            held.committing = False
            names = reply.names
            if self.store.observer is not None:
                self.store.observer.rerun()
            record = await self.accepting.reload(record if isinstance(record, Record) else None)
        raise TurnConflict(
            f"session {self.key.id!r}: turn {self.request.turn_id!r} met other writers of "
            f"{', '.join(names) or 'the session'} {retries + 1} times",
            names,
        )

    def _adopt(self, granted: Granted) -> None:
        """A takeover runs on the input that was accepted."""
        self.request.entry = granted.entry
        self.message = self.store.message_codec.decode(granted.entry) if granted.entry else None

    def _overtaken(self) -> None:
        """Begin again, as a takeover: a session that was deleted meanwhile is not brought back to life by that."""
        self.store.cache.doubt(self.key)
        self.request.fingerprint = b""

    def hold(self, granted: Granted) -> Held:
        """Has the lease renewed from now on, and this task cancelled when it is lost."""
        task = asyncio.current_task()
        assert task is not None
        return self.store.leases.hold(self.key, self.request.turn_id, granted.fence, task.cancel, self.release)

    def turn(self, granted: Granted, record: Record | Unchanged | None, steps: dict[str, bytes]) -> Turn:
        store = self.store
        session = store.session(self.key, record if isinstance(record, Record) else None, self.request.tail)
        session.incarnation = granted.incarnation
        if not session.user:
            session.user = self.request.birth.user

        async def journal(name: str, value: bytes) -> None:
            await self._record(granted.fence, name, value)
            steps[name] = value

        turn = Turn(
            self.key,
            self.request.turn_id,
            session,
            self.message,
            attempt=granted.attempt,
            codec=store.codec,
            message_codec=store.message_codec,
            journal=steps,
            record=journal,
            emit=self._emit,
        )
        if store.observer is not None:
            turn.on_replayed_step = store.observer.step_replayed
        return turn

    async def _record(self, fence: int, name: str, value: bytes) -> None:
        for last in (False, True):
            try:
                fenced = await self.store.backend.record(
                    self.key,
                    self.request.turn_id,
                    fence=fence,
                    name=name,
                    value=value,
                    lease_ms=self.request.lease_ms,
                )
            except OutcomeUnknown:
                if last:
                    raise
                continue  # recording the same step again is harmless
            if fenced is not None:
                self._fenced = True
                raise TurnOvertaken(
                    f"session {self.key.id!r}: another holder has turn {self.request.turn_id!r} (or the session was deleted); "
                    "nothing of this attempt is written"
                )
            return

    # --- commit ---

    async def commit(self, granted: Granted, turn: Turn, *, rooted: bool = False) -> CommitReply:
        """One commit, settled if its reply is lost; `SessionGone` and `WrongUser` are raised. ``rooted`` as in `Delta`."""
        commit_id, self._spare_id = self._spare_id or os.urandom(16), b""
        delta = Delta(
            commit_id,
            self.request.turn_id,
            granted.fence,
            granted.incarnation,
            turn.session.version,
            self._strict,
            turn.state.changes(),
            turn.entries,
            kept_bytes(self.store.codec, attempts=granted.attempt),
            rooted=rooted and not self._strict,
        )
        reply = await self._send(delta)
        base = self.store.cache.get(self.key, 0)
        if (
            isinstance(reply, Committed)
            and base is not None
            and base.version == delta.base
            and (known := advanced(base, delta, self._entries(granted, turn.entries), reply, self.request.tail))
        ):
            self.store.cache.put(self.key, known)
        else:
            self.store.cache.doubt(self.key)
        return reply

    async def _send(self, delta: Delta) -> CommitReply:
        started = time.monotonic()
        while True:
            try:
                reply = await self.store.backend.commit(self.key, delta)
            except OutcomeUnknown:
                self.store.cache.doubt(self.key)
                reply = await self.store.settle(self.key, delta.turn_id, started, delta.fence)
            except StoreClosed:
                raise
            except (
                StoreUnavailable
            ):  # nothing was applied: an answer that was already made is worth waiting for the store
                if time.monotonic() - started > self.store.settings.settle_ms / 1000:
                    raise
                await asyncio.sleep(0.05 + random.random() * 0.1)
                continue
            break
        match reply:
            case Gone():
                self.store.cache.drop(self.key)
                raise SessionGone(
                    f"session {self.key.id!r} was deleted or expired while turn {delta.turn_id!r} ran; nothing was written"
                )
            case WrongUserFound():
                raise WrongUser(f"session {self.key.id!r} belongs to another user")
        return reply

    async def _fail(self, granted: Granted, error: str) -> Outcome | None:
        """Ends the turn for good, as a failure that keeps its input; the user's message comes after it."""
        if not self.request.fingerprint:
            self._adopt(granted)
        error = error[:500]
        turn = self.turn(granted, granted.record, {})
        if text := self.store.failure_text(turn):
            turn.reply(text, failed=True)
        await self.store.failures.note(self.key, self.request.turn_id, self.request.handler, error, granted.attempt)
        kept = kept_bytes(self.store.codec, error=error, attempts=granted.attempt)
        delta = Delta(
            os.urandom(16), self.request.turn_id, granted.fence, granted.incarnation, appends=turn.entries, outcome=kept
        )
        reply = await self._send(delta)
        self.store.cache.doubt(self.key)
        if isinstance(reply, Fenced | Conflict):
            return None
        return self.outcome(reply, granted=granted, turn=turn, error=error)

    async def _failed_attempt(self, granted: Granted, error: Exception) -> None:
        """After an attempt that raised: given up for good if it was the last one, else free for the next."""
        self.store.setbacks.note(self.key, self.request.turn_id, granted.attempt)
        try:
            if granted.attempt < self.store.settings.max_attempts or isinstance(error, StoreError | TurnOvertaken):
                await self.release()
            else:
                await self._fail(granted, f"{type(error).__name__}: {error}")
        except (StoreError, SessionGone, TurnFailed):
            pass  # the caller hears of the first error; the lease runs out by itself

    async def release(self) -> None:
        """Lets go of the lease or the place, as far as the store can be reached. A turn whose id the caller does not know
        cannot be asked for again, and is withdrawn."""
        with suppress(StoreError):
            await self.store.backend.release(
                self.key, self.request.turn_id, token=self.request.token, withdraw=self._withdraws
            )

    # --- outcomes ---

    def _entries(self, granted: Granted, appended: list[bytes]) -> list[bytes]:
        """What the commit wrote: the input as it was accepted, perhaps from an earlier sender, and this attempt's messages."""
        entry = granted.entry or (self.request.entry if self.request.fingerprint else b"")
        return [entry, *appended] if entry else appended

    def outcome(
        self,
        reply: CommitReply,
        *,
        granted: Granted | None = None,
        turn: Turn | None = None,
        error: str = "",
        replayed: bool = False,
    ) -> Outcome:
        """The outcome of an applied commit. Raises `TurnFailed` for one that is a failure."""
        store, turn_id = self.store, self.request.turn_id
        if isinstance(reply, Seen):
            outcome = from_stored(self.key, turn_id, reply.stored, store.codec, store.message_codec, replayed=replayed)
        else:
            assert isinstance(reply, Committed)
            assert granted is not None
            outcome = Outcome(
                self.key.id,
                turn_id,
                reply.version,
                reply.start,
                store.messages_of(self._entries(granted, turn.entries if turn is not None else [])),
                status="failed" if error else "completed",
                error=error,
                attempts=granted.attempt,
            )
        if outcome.status == "failed":
            raise TurnFailed(f"session {self.key.id!r}: turn {turn_id!r} failed for good: {outcome.error}", outcome)
        return outcome


async def uncancelled(held: Held) -> bool:
    """Takes back the cancellation that a lost lease caused; False where somebody else wants this task cancelled."""
    task = asyncio.current_task()
    if not held.lost or task is None:
        return False
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # one that was asked for and not delivered yet comes now (before Python 3.13)
    return task.cancelling() == 0 or task.uncancel() == 0
