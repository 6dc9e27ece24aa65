"""One turn's way through the store: accepted, run, committed, and what to do when a step of that fails."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.backends.records import (
    BeginRequest,
    Birth,
    CommitReply,
    Conflict,
    Fenced,
    Granted,
    Record,
    Replay,
    Seen,
    SessionKey,
    Unchanged,
)
from holdfast.errors import (
    OutcomeUnknown,
    QueueTimeout,
    SessionGone,
    StoreError,
    StoreUnavailable,
    TurnAbandoned,
    TurnConflict,
    TurnFailed,
    TurnOvertaken,
    TurnParked,
)
from holdfast.sessions.message import Message
from holdfast.turns import marks
from holdfast.turns.accepting import Accepting, Policy, fingerprint
from holdfast.turns.committing import Committing
from holdfast.turns.ending import end_cancelled, end_failed
from holdfast.turns.events import Emit, EventTail, said_before
from holdfast.turns.leases import Held, Steps
from holdfast.turns.outcome import Outcome
from holdfast.turns.telling import Telling
from holdfast.turns.turn import Handler, Parking, Turn

if TYPE_CHECKING:  # the store makes runs, a run works on its store: one concept in two files
    from holdfast.turns.store import TurnStore


class TurnRun:
    """The runner's side of one turn id. `attempt` may be called again after it returned None."""

    __slots__ = (
        "_cancelled",
        "_fenced",
        "_granted_at",
        "_telling",
        "_withdraws",
        "accepting",
        "committing",
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
        stream: bool = False,
    ) -> None:
        self.store = store
        self._telling = Telling(store, key, turn_id, emit, stream=stream)
        self._cancelled = False
        self._fenced = False
        self._granted_at = 0.0
        self.key = key
        self.message = message
        self._withdraws = withdraws
        settings = store.settings
        entry = (
            b"" if message is None else store.message_codec.encode(message, turn_id)
        )  # refuses what cannot be stored
        random_bytes = os.urandom(24)  # one system call for the token and the first commit's id
        self.request = BeginRequest(
            turn_id=turn_id,
            token=random_bytes[:8],
            fingerprint=fingerprint(message, store.message_codec),
            entry=entry,
            handler=handler,
            birth=birth,
            lease_ms=settings.lease_ms,
            place_ms=0 if policy == "reject" else settings.place_ms,
            tail=tail,
        )
        self.committing = Committing(store, key, self.request, strict=strict, first_id=random_bytes[8:])
        self.accepting = Accepting(
            store, key, self.request, wait_ms=wait_ms, withdraws=withdraws, interrupts=policy == "interrupt"
        )
        if stream and emit is not None:
            self.accepting.tail = EventTail(store, key, turn_id, emit)

    @property
    def named(self) -> str:
        """Session and turn, as errors name them."""
        return f"session {self.key.id!r}: turn {self.request.turn_id!r}"

    # --- begin ---

    async def begin(self) -> Granted | Outcome:
        """The right to run, or the outcome where the turn is finished (here, before, or elsewhere while this waited).

        Raises `TurnBusy`, `TurnParked`, `QueueTimeout`, `TurnMismatch`, `WrongUser`, and the store's errors.
        """
        waiting = False
        try:
            reply = await self.accepting.ask()
            if waiting := self.accepting.must_wait(reply):
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
            if self.accepting.tail is not None:
                await self.accepting.tail.read()  # the last ones, or all, while they are kept
            return self.committing.outcome(Seen(reply.stored), replayed=True)
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

        Raises what the handler raises, `TurnParked`, `TurnConflict`, `TurnFailed`, `SessionGone`, and the store's errors.
        """
        if not self.request.fingerprint:
            self._adopt(granted)
        if marks.has(granted.steps, marks.CANCEL):
            return await self._ending(self._end_cancelled_before(granted))
        if granted.attempt > self.store.settings.max_attempts:
            error = f"given up after {granted.attempt - 1} attempts that ended without a reply"
            return await self._ending(end_failed(self, granted, error))
        observer = self.store.observer
        if observer is not None and (granted.attempt > 1 or not self.request.fingerprint):
            observer.taken_over()
        held = self.hold(granted)
        self._fenced = self._cancelled = False
        self._telling.begin(granted.fence, followed=marks.has(granted.steps, marks.FOLLOWED))
        try:
            reply, turn = await self._until_committed(granted, handler, held)
        except Parking as parking:
            raise self._parked(parking) from None
        except asyncio.CancelledError:
            if not await uncancelled(held.lost + self._cancelled):
                self.store.background(self.release())
                raise
            return None if held.lost else await self._end_cancelled(granted, held)
        except Exception as error:
            ours = await uncancelled(held.lost + self._cancelled)
            if held.lost or (self._fenced and isinstance(error, TurnOvertaken)):
                return None
            if ours:
                return await self._end_cancelled(granted, held)
            self.store.leases.drop(held)
            await asyncio.shield(self.store.background(self._failed_attempt(granted, error)))
            raise
        finally:
            self.store.leases.drop(held)
            self._telling.drop()
            if held.lost or self._fenced:
                self._overtaken()
        if isinstance(reply, Fenced):
            self._overtaken()
            return None
        return self.committing.outcome(reply, granted=granted, turn=turn)

    async def _end_cancelled(self, granted: Granted, held: Held) -> Outcome | None:
        """With what this attempt had said."""
        held.committing = True
        outcome = await self._ending(end_cancelled(self, granted, self._telling.said()))
        if outcome is None:
            self._overtaken()
        return outcome

    async def _end_cancelled_before(self, granted: Granted) -> Outcome | None:
        """With what the attempt before this one had said."""
        return await end_cancelled(self, granted, await said_before(self.store, self.key, self.request.turn_id))

    async def _ending(self, work: Awaitable[Outcome | None]) -> Outcome | None:
        """An end without the handler's commit. Where this call is cancelled meanwhile, the session is free at once."""
        try:
            return await work
        except asyncio.CancelledError:
            self.store.background(self.release())
            raise

    def _parked(self, parking: Parking) -> TurnParked:
        left = parking.left_ms / 1000
        return TurnParked(
            f"{self.named} waits for {parking.name!r}, for {left:g} s at the longest",
            self.request.turn_id,
            parking.name,
            left,
        )

    async def _until_committed(self, granted: Granted, handler: Handler, held: Held) -> tuple[CommitReply, Turn]:
        """Runs the handler, again where its commit met another writer of the same keys."""
        retries = self.store.settings.conflict_retries
        record = granted.record
        steps = dict(granted.steps)
        names: tuple[str, ...] = ()
        for tries in range(retries + 1):
            turn = self.turn(granted, record, steps, held)
            self._telling.start(turn.attempt)
            try:
                result = handler(turn)
                if inspect.isawaitable(result):
                    await result
            except BaseException as error:
                if turn.parking is None or isinstance(error, asyncio.CancelledError):
                    self.store.traces.keep(turn, error)
                    raise
            self.store.traces.keep(turn)
            if turn.parking is not None:  # whatever became of it in the handler
                raise turn.parking from None
            if self._cancelled:
                raise asyncio.CancelledError  # the handler has swallowed it
            held.committing = True
            if self._telling.written:
                await self._telling.finish()
            # what was loaded after the grant may be lost in a failover that the grant outlives; what came with it cannot
            reply = await self.committing.commit(granted, turn, rooted=tries > 0)
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

    def hold(self, granted: Granted, *, interruptible: bool = True) -> Held:
        """Has the lease renewed from now on, and this task cancelled when it is lost, or the turn cancelled."""
        task = asyncio.current_task()
        assert task is not None
        self._granted_at = time.monotonic()

        def heard(steps: Steps) -> None:
            for name, _ in steps:
                if name == marks.FOLLOWED:
                    self._telling.follow()
                elif name == marks.CANCEL and interruptible and not self._cancelled:
                    self._cancelled = True
                    task.cancel()

        return self.store.leases.hold(self.key, self.request.turn_id, granted.fence, task.cancel, heard, self.release)

    def turn(
        self, granted: Granted, record: Record | Unchanged | None, steps: dict[str, bytes], held: Held | None = None
    ) -> Turn:
        """The turn for its handler. Without ``held`` it cannot be parked."""
        store = self.store
        session = store.session(self.key, record if isinstance(record, Record) else None, self.request.tail)
        session.incarnation = granted.incarnation
        if not session.user:
            session.user = self.request.birth.user

        async def journal(name: str, value: bytes) -> None:
            await self._record(granted.fence, name, value)
            steps[name] = value

        async def park(name: str, for_ms: int) -> bytes | None:
            assert held is not None
            value = await self._park(granted.fence, held, name, for_ms)
            if value is not None:
                steps[name] = value
            return value

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
            emit=self._telling.tell,
            park=None if held is None else park,
            now_ms=lambda: granted.now_ms + int((time.monotonic() - self._granted_at) * 1000),
            beside=store.beside,
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

    async def _park(self, fence: int, held: Held, name: str, for_ms: int) -> bytes | None:
        """Lets go of the turn until ``name`` is signalled; the signal where it has come already."""
        await self._telling.finish()
        await self.store.leases.renew(held)  # a cancelled turn that nobody holds any more would end when its time is up
        if self._cancelled or held.lost:
            await asyncio.sleep(0)  # the cancellation comes here
            raise asyncio.CancelledError  # in a task of the handler's own, or it was swallowed before
        held.committing = True  # the lease ends here, which is no loss
        for again in (False, True):
            try:
                reply = await self.store.backend.park(
                    self.key, self.request.turn_id, fence=fence, name=name, for_ms=for_ms
                )
            except StoreError as error:
                if again or not isinstance(error, OutcomeUnknown):
                    held.committing = False  # if it is parked after all, the next renewal tells
                    raise
                continue
            break
        if isinstance(reply, Fenced) and not again:  # else it was parked the first time, as far as anybody knows
            self._fenced = True
            raise TurnOvertaken(f"{self.named} was overtaken by another holder; nothing of this attempt is written")
        held.committing = isinstance(reply, Fenced) or reply is None
        return None if isinstance(reply, Fenced) else reply

    # --- giving up ---

    async def _failed_attempt(self, granted: Granted, error: Exception) -> None:
        """After an attempt that raised: given up for good if it was the last one or says so, else free for the next."""
        self.store.setbacks.note(self.key, self.request.turn_id, granted.attempt)
        last = granted.attempt >= self.store.settings.max_attempts or isinstance(error, TurnAbandoned)
        try:
            if not last or isinstance(error, StoreError | TurnOvertaken):
                await self.release()
            else:
                await end_failed(self, granted, f"{type(error).__name__}: {error}")
        except (StoreError, SessionGone, TurnFailed):
            pass  # the caller hears of the first error; the lease runs out by itself

    async def release(self) -> None:
        """Lets go of the lease or the place, as far as the store can be reached. A turn whose id the caller does not know
        cannot be asked for again, and is withdrawn."""
        with suppress(StoreError):
            await self.store.backend.release(
                self.key, self.request.turn_id, token=self.request.token, withdraw=self._withdraws
            )


async def uncancelled(ours: int) -> bool:
    """Takes back cancellations of this task that its own run has asked for, for a lost lease or a cancelled turn; False where there
    is none, or somebody else wants this task cancelled too."""
    task = asyncio.current_task()
    if not ours or task is None:
        return False
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # one that was asked for and not delivered yet comes now (before Python 3.13)
    for _ in range(min(ours, task.cancelling())):
        task.uncancel()
    return task.cancelling() == 0
