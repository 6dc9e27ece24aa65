"""The store that most users hold: sessions, and turns over them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar, Unpack

import msgspec

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    Conflict,
    Fenced,
    Granted,
    Overdue,
    Parked,
    Queued,
    Record,
    Replay,
    Running,
    SessionKey,
)
from holdfast.errors import (
    ConfigError,
    Erased,
    OutcomeUnknown,
    StoreError,
    TurnConflict,
    TurnFinished,
    TurnNotFound,
    TurnOvertaken,
    UnreadableRecord,
)
from holdfast.sessions.durations import Duration, milliseconds
from holdfast.sessions.ids import checked_id, checked_name, checked_text
from holdfast.sessions.message import Message, as_message
from holdfast.sessions.near_cache import NearCache
from holdfast.sessions.session import Messages
from holdfast.sessions.settings import StoreSettings
from holdfast.sessions.store import SessionStore
from holdfast.turns import marks
from holdfast.turns.accepting import Policy
from holdfast.turns.ending import end_cancelled
from holdfast.turns.events import Emit
from holdfast.turns.failures import Failures, FailureText, no_text
from holdfast.turns.leases import Held, LeaseKeeper
from holdfast.turns.observing import Observed, TurnObserver, observed
from holdfast.turns.outcome import Outcome
from holdfast.turns.recovery import RecoveryLoop, RecoveryOptions
from holdfast.turns.run import TurnRun, uncancelled
from holdfast.turns.setbacks import Setbacks
from holdfast.turns.takeover import JoinOptions, Takeover
from holdfast.turns.tenants import DELIVERIES, belonging
from holdfast.turns.traces import Traces, TurnTrace
from holdfast.turns.turn import Handler, Handlers, Turn

H = TypeVar("H", bound=Handler)


class TurnStore(SessionStore):
    """Sessions of one tenant, and their turns."""

    def __init__(self, backend: Backend, settings: StoreSettings, cache: NearCache | None = None) -> None:
        super().__init__(backend, settings, cache)
        self.leases = LeaseKeeper(backend, settings.lease_ms)
        self.handlers = Handlers()
        self._background: set[asyncio.Task[None]] = set()
        self.observer: TurnObserver | None = None
        self.setbacks = Setbacks()
        self._traces: Traces | None = None
        self.loops: set[RecoveryLoop] = set()
        """Those that run on this node."""
        self.failure_text: FailureText = no_text
        """What the user is told of a turn that failed for good; it enters the log after the input. "" tells nothing."""

    def for_kept(self, tenant: str) -> Self:
        other = super().for_kept(tenant)
        other.leases, other.handlers, other._background = self.leases, self.handlers, self._background
        other.loops = self.loops
        other.observer, other.setbacks, other.failure_text = self.observer, self.setbacks, self.failure_text
        return other

    def beside(self, mark: str) -> SessionStore:
        """The sessions of the tenant of this kind that belongs to this one (see `turns.tenants`): without expiry, uncached."""
        tenant = belonging(self.settings.tenant, mark)
        settings = msgspec.structs.replace(self.settings, tenant=tenant, cache_bytes=0, ttl_ms=0, max_age_ms=0)
        return SessionStore(self.backend, settings)

    @property
    def traces(self) -> Traces:
        """What this tenant's turns noted."""
        if self._traces is None:
            self._traces = Traces(self)
        return self._traces

    async def read_trace(self, session_id: str, turn_id: str) -> TurnTrace | None:
        """What the attempts of a turn noted (`Turn.trace`); None where nothing is kept of it (any more), or its session is gone.
        Raises the store's errors."""
        return await self.traces.read(session_id, checked_id("turn", turn_id))

    async def delete(self, session_id: str) -> bool:
        """As `SessionStore.delete`; what turns noted goes with their session."""
        key = self.key(session_id)
        known = self.cache.witness(key)
        user = known.user if known is not None else await self._user_of(key)
        deleted = await super().delete(session_id)
        if deleted:
            await self.traces.delete(session_id, user)
        return deleted

    async def _user_of(self, key: SessionKey) -> str:
        """Whose session this is, as far as it can be read: one that cannot may be deleted too."""
        with suppress(UnreadableRecord, Erased):
            found = await self.backend.load(key, tail=0)
            if isinstance(found, Record):
                return found.user
        return ""

    def wrap_backend(self, wrap: Callable[[Backend], Backend]) -> None:
        """Puts a wrapper around the backend, for all that is done from now on (metrics). Stores that `for_tenant` made before
        keep theirs."""
        self.backend = self.leases.backend = wrap(self.backend)
        self._traces = None

    def handler(self, name: str) -> Callable[[H], H]:
        """Decorator: registers a handler by name, so that another node can take its turns over."""

        def register(function: H) -> H:
            self.handlers.register(name, function)
            return function

        return register

    async def run_turn(
        self,
        session_id: str,
        handler: str | Handler,
        *,
        input: str | Message | None = None,
        turn_id: str | None = None,
        user: str = "",
        on_busy: Policy = "queue",
        wait: Duration | None = None,
        tail: int | None = None,
        strict: bool = False,
        on_event: Emit | None = None,
        stream: bool = False,
    ) -> Outcome:
        """Runs one turn exactly once, whatever is sent twice, dies or is lost in between.

        The input is accepted durably; the handler gets a `Turn`, and what it did is committed in one atomic step. A turn id
        that is finished returns its stored outcome without calling the handler; one that runs elsewhere is joined. The
        handler is called again, with its journal, when another writer changed the same state keys, or when this node lost
        the turn and nobody else finished it.

        Args:
            handler: a function, or the name of a registered one.
            turn_id: the caller's name for the turn (a webhook's message id); a new one if None, which nobody can repeat.
            on_busy: ``queue`` waits in order of arrival, also across nodes; ``reject`` raises `TurnBusy`; ``interrupt`` has the
                turns before it cancelled, which end with what they had said.
            wait: how long to wait for the session (default: the store's setting).
            strict: any change since the turn began is a conflict, not only one of the same keys.
            on_event: gets what the handler emits while it runs here; an event ``attempt`` begins each start of the handler.
            stream: the events are kept in the store for a while, so that others can follow the turn; and ``on_event`` gets them
                too while the turn runs on another node.

        A turn that was cancelled returns an outcome of that status. Raises `TurnParked` for one that waits for a signal (send it
        again with the same turn id, or `join_turn`), `TurnBusy`, `QueueTimeout`, `TurnMismatch`, `TurnFailed`, `TurnConflict`,
        `WrongUser`, `SessionGone`, `OutcomeUnknown` and the store's errors; what the handler raises passes through after its
        attempt was given back.
        """
        name, function = self.handlers.find(handler)
        run = self._run(session_id, input, turn_id, name, user, on_busy, wait, tail, strict, on_event, stream)
        work = self._to_its_end(run, function)
        return await (work if self.observer is None else observed(work, self.observer))

    async def _to_its_end(self, run: TurnRun, function: Handler) -> Outcome:
        while True:
            begun = await run.begin()
            if isinstance(begun, Outcome):
                return begun
            outcome = await run.attempt(begun, function)
            if outcome is not None:
                return outcome

    # --- turns of which only the id is known ---

    async def join_turn(
        self,
        session_id: str,
        turn_id: str,
        handler: str | Handler,
        *,
        wait: Duration | None = None,
        on_event: Emit | None = None,
        stream: bool = False,
    ) -> Outcome:
        """The outcome of a turn that was accepted before, here or elsewhere, whatever its input: waited for while somebody
        runs it or it is parked, and run here, with ``handler``, where nobody does (any more). With ``stream``, ``on_event`` gets
        what is told of it from its last start on, wherever it runs.

        Raises `TurnNotFound` where nothing is known of it; else as `run_turn`.
        """
        return await self._join(session_id, turn_id, handler, wait, on_event=on_event, stream=stream)

    async def _join(
        self,
        session_id: str,
        turn_id: str,
        handler: str | Handler,
        wait: Duration | None,
        **options: Unpack[JoinOptions],
    ) -> Outcome:
        wait_ms = self.settings.wait_ms if wait is None else milliseconds("wait", wait)
        turn_id = checked_id("turn", turn_id)
        work = Takeover(
            self, self.key(session_id), turn_id, handler, policy="queue", wait_ms=wait_ms, **options
        ).finish()
        return await (work if self.observer is None else observed(work, self.observer))

    def takeover(self, found: Overdue, *, on_event: Emit | None = None) -> Takeover:
        """The way to run a turn that ``overdue`` named, with its registered handler. It waits for nobody."""
        store = self if found.key.tenant == self.settings.tenant else self.for_kept(found.key.tenant)
        return Takeover(
            store,
            found.key,
            found.turn_id,
            found.handler,
            policy="reject",
            wait_ms=self.settings.wait_ms,
            on_event=on_event,
        )

    async def take_over(self, found: Overdue) -> bool:
        """Runs a turn that ``overdue`` named to its end; False where another node has it. Raises as `run_turn`."""
        takeover = self.takeover(found)
        if not await takeover.claim():
            return False
        await (takeover.attempt() if self.observer is None else observed(takeover.attempt(), self.observer))
        return True

    async def accept_turn(
        self,
        session_id: str,
        handler: str,
        *,
        input: str | Message | None = None,
        turn_id: str,
        user: str = "",
        ttl: Duration | None = None,
    ) -> bool:
        """Accepts a turn and leaves it to whoever recovers turns of this handler (`recovering`; where that is done here, at once).
        Once this returns, the input is durable and the turn will be run. False where it is finished, waits, or is run now. It
        may be repeated as often as one likes, and takes none of the turn's attempts.

        ``ttl``: of the session, where this turn makes it.
        Raises `TurnMismatch`, `WrongUser`, `OutcomeUnknown` and the store's errors.
        """
        name, _ = self.handlers.find(handler)
        run = self._run(session_id, input, turn_id, name, user, "queue", None, 0, False)
        run.request.birth = self.birth(user, ttl)
        reply = await run.accepting.ask()
        if isinstance(reply, Running | Parked | Replay):
            return False
        if not isinstance(reply, Granted | Queued):
            raise run.accepting.refused(reply)
        if isinstance(reply, Granted):
            with suppress(StoreError):  # else its lease runs out
                await self.backend.park(run.key, run.request.turn_id, fence=reply.fence, name=marks.ACCEPTED, for_ms=0)
        else:
            await run.release()
        self.look_soon()
        return True

    def look_soon(self) -> None:
        """Has recovery look now, where it runs on this node, instead of after its pause."""
        for loop in self.loops:
            loop.look_soon()

    async def cancel_turn(
        self, session_id: str, turn_id: str, handler: str | Handler, *, wait: Duration = 5
    ) -> Outcome:
        """Has a turn end with what it has said until now, wherever it runs, waits or is parked; returns its outcome, which is
        another than "cancelled" where it was finished by then. ``handler`` as in `join_turn`.

        Raises `TurnNotFound`, `QueueTimeout` where it has not ended within ``wait`` (it will), and the store's errors.
        """
        await self._signal(self.key(session_id), marks.CANCEL, b"", checked_id("turn", turn_id))
        return await self._join(session_id, turn_id, handler, wait, cancels=True)

    async def signal(self, session_id: str, name: str, value: Any = None, *, turn_id: str = "") -> str:
        """Tells a turn what it waits for (`Turn.wait_for`): the one of this id, or the one that has waited for ``name`` the
        longest, or the one that runs now. Returns its id. The first signal of a name stays; a repeated one is harmless.

        A parked turn is gone on with by whoever recovers turns (`recovering`, on any node), or asks for it (`join_turn`).
        Raises `TurnNotFound` where there is no such turn, `InvalidInput`, and the store's errors.
        """
        encoded = self.codec.encode(value, f"signal {name!r}")
        named = marks.signal(checked_text("signal name", name))
        reached = await self._signal(self.key(session_id), named, encoded, checked_name("turn", turn_id))
        if not reached:
            which = f"no turn {turn_id!r}" if turn_id else "no turn"
            raise TurnNotFound(f"session {session_id!r} has {which} that could take the signal {name!r}")
        self.look_soon()
        return reached[0]

    async def _signal(self, key: SessionKey, name: str, value: bytes, turn_id: str) -> tuple[str, ...]:
        try:
            return await self.backend.signal(key, name, value, turn_id=turn_id)
        except OutcomeUnknown:
            if not turn_id:
                raise  # a second one might reach the next turn that waits for this name
            return await self.backend.signal(key, name, value, turn_id=turn_id)

    async def recover(self, *, all_tenants: bool = False) -> int:
        """Takes over the turns that nobody holds now and whose handler is registered, and runs them to their end; returns how many.
        One pass; see `recovering`. Raises the store's errors."""
        return await RecoveryLoop(self, rest=0, all_tenants=all_tenants).once()

    def recovering(self, **options: Unpack[RecoveryOptions]) -> RecoveryLoop:
        """``async with store.recovering():`` takes over turns of nodes that died, for the length of the context. The options are
        those of `RecoveryLoop`; `holdfast serve` does this by itself."""
        return RecoveryLoop(self, **options)

    @property
    def failures(self) -> Failures:
        """Turns that failed for good, for whoever looks after the store."""
        return Failures(self)

    @property
    def deliveries(self) -> Self:
        """The same store for turns that bring replies to where their messages came from; recovered along with this one's."""
        return self.for_kept(belonging(self.settings.tenant, DELIVERIES))

    def turn(
        self,
        session_id: str,
        *,
        input: str | Message | None = None,
        turn_id: str | None = None,
        user: str = "",
        on_busy: Policy = "queue",
        wait: Duration | None = None,
        tail: int | None = None,
        strict: bool = False,
    ) -> TurnContext | Observed:
        """The short form for scripts: ``async with store.turn("s-1", input="hello") as turn:``. It commits at the end.

        An exception in the body gives the turn back and writes nothing. A body that runs cannot be cancelled from outside.
        Beside the errors of `run_turn`: `TurnFinished` (with the outcome) where the id is finished; `TurnConflict` and
        `TurnOvertaken`, because a body cannot be run again.
        """
        context = TurnContext(self._run(session_id, input, turn_id, "", user, on_busy, wait, tail, strict))
        return context if self.observer is None else Observed(context, self.observer)

    async def close(self) -> None:
        """Gives back the leases of turns that still run, so that others go on at once; closes the backend. Safe to call twice."""
        for held in await self.leases.close():
            self.background(held.give_back())
        if self._background:
            await asyncio.wait(self._background, timeout=1)
        await super().close()

    # --- for runs ---

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Finishes ``work`` even though its caller was cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def messages_of(self, entries: list[bytes]) -> Messages:
        return Messages(self.message_codec, entries)

    def _run(
        self,
        session_id: str,
        input: str | Message | None,
        turn_id: str | None,
        handler: str,
        user: str,
        on_busy: Policy,
        wait: Duration | None,
        tail: int | None,
        strict: bool,
        emit: Emit | None = None,
        stream: bool = False,
    ) -> TurnRun:
        if on_busy not in ("queue", "reject", "interrupt"):
            raise ConfigError(f"on_busy={on_busy!r} is not a policy; there are 'queue', 'reject' and 'interrupt'")
        return TurnRun(
            self,
            self.key(session_id),
            os.urandom(16).hex() if turn_id is None else checked_id("turn", turn_id),
            None if input is None else as_message(input),
            handler=handler,
            birth=self.birth(user),
            policy=on_busy,
            wait_ms=self.settings.wait_ms if wait is None else milliseconds("wait", wait),
            tail=self.checked_tail(tail),
            strict=strict,
            withdraws=turn_id is None,
            emit=emit,
            stream=stream,
        )


class TurnContext:
    """What `TurnStore.turn` returns; entered once."""

    def __init__(self, run: TurnRun) -> None:
        self._run = run
        self._entered: tuple[Granted, Held, Turn] | None = None

    async def __aenter__(self) -> Turn:
        begun = await self._run.begin()
        if isinstance(begun, Outcome):
            raise TurnFinished(begun)
        if marks.has(begun.steps, marks.CANCEL):
            outcome = await end_cancelled(self._run, begun, "")
            if outcome is None:
                raise TurnOvertaken(f"{self._run.named} was overtaken by another holder; nothing was written")
            raise TurnFinished(outcome)
        held = self._run.hold(begun, interruptible=False)
        turn = self._run.turn(begun, begun.record, dict(begun.steps))
        self._entered = (begun, held, turn)
        return turn

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self._entered is not None
        granted, held, turn = self._entered
        run = self._run
        try:
            if await uncancelled(held.lost):
                raise TurnOvertaken(f"{run.named} was overtaken by another holder; nothing was written") from error
            held.committing = True
            if error is None:
                await self._commit(granted, turn)
                return
        except asyncio.CancelledError:
            run.store.background(run.release())  # cancelled while it committed
            raise
        except Exception:
            await asyncio.shield(run.store.background(run.release()))
            raise
        finally:
            run.store.leases.drop(held)
        giving_back = run.store.background(run.release())
        if not isinstance(error, asyncio.CancelledError):
            await asyncio.shield(giving_back)

    async def _commit(self, granted: Granted, turn: Turn) -> None:
        self._run.store.traces.keep(turn)
        reply = await self._run.committing.commit(granted, turn)
        if isinstance(reply, Conflict):
            raise TurnConflict(
                f"{self._run.named}: another writer changed {', '.join(reply.names) or 'the session'}", reply.names
            )
        if isinstance(reply, Fenced):
            raise TurnOvertaken(f"{self._run.named} was overtaken by another holder; nothing was written")
        turn.outcome = self._run.committing.outcome(reply, granted=granted, turn=turn)
