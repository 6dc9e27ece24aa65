"""All turns that run on this node: started, found, counted, and finished before the node ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from holdfast.assistant import persons
from holdfast.assistant.persons import Persons, is_persons
from holdfast.assistant.texts import Texts
from holdfast.backends.records import Overdue
from holdfast.config import LimitsSection
from holdfast.errors import (
    HoldfastError,
    OutcomeUnknown,
    QueueTimeout,
    SessionNotFound,
    TurnFailed,
    TurnMismatch,
    TurnParked,
    WrongUser,
)
from holdfast.server import shapes
from holdfast.server.faults import log_fault
from holdfast.server.metrics import Metrics
from holdfast.server.problems import DRAINING, OVERLOADED, TURN_TIMEOUT, WITHDRAWN, Refused, kind_of, problem_of
from holdfast.server.running import RunningTurn
from holdfast.server.tenants import Tenants
from holdfast.server.turn_room import TurnRoom
from holdfast.turns.accepting import Policy
from holdfast.turns.outcome import Outcome
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Handler, Turn

HANDLER: Final = persons.HANDLER
"""The name under which every node registers the assistant, so that one can go on where another stopped."""

_ENDING_S: Final = 5.0
"""How long a request that cancels a turn waits for its end."""

_AFTERWARDS_S: Final = 5.0
"""How long a node that stops waits for what is done after turns."""

_log: Final = logging.getLogger(__name__)


_Work = Callable[[], Awaitable[Outcome]]
"""Runs a turn; called when there is room for it."""


class _Unborn(SessionNotFound):
    """The session was deleted between the look for it and the turn: the turn must not bring it back."""


class TurnDesk:
    """Turns of this node, by tenant, session and turn id. A turn has a task of its own: whoever asked for it may leave.

    Attributes:
        draining: no further turns are taken. tenants: the stores that turns run in.
        on_written: told of each turn whose handler has ended, just before it is committed.

    Where a method takes ``tenant``, "" is the store's own.
    """

    def __init__(
        self,
        store: TurnStore,
        handler: Handler,
        metrics: Metrics,
        *,
        node: str,
        limit: int,
        timeout: float,
        texts: Texts | None = None,
        limits: LimitsSection | None = None,
    ) -> None:
        limits = limits or LimitsSection()
        self.draining = False
        self.tenants = Tenants(store)
        self._own = store
        self._texts = texts or Texts({})
        self._assistant = handler
        self._metrics = metrics
        self._node = node
        self._room = TurnRoom(limit, limits, metrics)
        self._room_to_join = TurnRoom(limit, limits, metrics)
        self._session_line = limits.session_line
        self.on_written: Callable[[Turn], None] = lambda turn: None
        self._timeout = timeout
        self._turns: dict[tuple[str, str, str], RunningTurn] = {}
        self._posted: set[RunningTurn] = set()
        self._joined: set[RunningTurn] = set()
        self._unadmitted: set[RunningTurn] = set()
        self._in_session: Counter[tuple[str, str]] = Counter()
        self._afterwards: set[asyncio.Task[None]] = set()
        store.handlers.register(HANDLER, self._handle)
        metrics.waiting(lambda: self._room.waiting + self._room_to_join.waiting)
        metrics.running(lambda: len(self._posted) + sum(turn.begun for turn in self._joined))

    def ids(self, session_id: str, *, tenant: str = "") -> list[str]:
        """Turns of this session that run here, oldest first."""
        wanted = (tenant or self._own.settings.tenant, session_id)
        return [turn_id for *session, turn_id in self._turns if tuple(session) == wanted]

    def find(self, session_id: str, turn_id: str, *, tenant: str = "") -> RunningTurn | None:
        """The turn of this id, if it runs (or is followed) here."""
        return self._turns.get((tenant or self._own.settings.tenant, session_id, turn_id))

    def persons_of(self, tenant: str = "") -> Persons:
        """What persons do in the tenant's conversations that were handed over."""
        return Persons(self.tenants.of(tenant), self._texts)

    def post(
        self,
        session_id: str,
        turn_id: str,
        text: str,
        on_busy: Policy,
        *,
        streams: bool = False,
        tenant: str = "",
        user: str = "",
    ) -> tuple[RunningTurn, bool]:
        """The turn with this input: started, or (True) the same one that runs here already. ``streams``: somebody reads its events.
        ``user``: whose session it has to be.

        Where the node is full, the turn waits for room, and fails with `Refused` where that takes too long. Raises `Refused` while
        the node stops or has too many turns of the session, and `TurnMismatch`.
        """
        known = self.find(session_id, turn_id, tenant=tenant)
        if known is not None and known.text is not None:
            if known.text != text:
                raise TurnMismatch("this turn runs with another input")
            if known.begun or known.streams or not streams:
                return known, True
        turn = self._turn(tenant, session_id, turn_id, text, streams=streams)
        self._check_open(turn)
        return self._started(turn, lambda: self._run(turn, text, on_busy, user), self._posted, self._room), False

    def follow(self, session_id: str, turn_id: str, *, tenant: str = "") -> RunningTurn:
        """The turn of this id, whatever its input: the one that runs here, or a wait for its outcome. Raises `Refused`."""
        known = self.find(session_id, turn_id, tenant=tenant)
        if known is not None and (known.begun or known.streams):
            return known
        turn, store = self._turn(tenant, session_id, turn_id, None, streams=True), self.tenants.of(tenant)
        self._check_open(turn)
        wait = max(store.settings.wait_ms / 1000, self._timeout)

        def work() -> Awaitable[Outcome]:
            joined = store.join_turn(session_id, turn_id, HANDLER, wait=wait, on_event=turn.emit, stream=True)
            return self._not_reborn(turn, joined)

        return self._started(turn, work, self._joined, self._room_to_join)

    async def cancel(self, session_id: str, turn_id: str, *, tenant: str = "") -> shapes.Outcome | shapes.Pending:
        """Has a turn end, wherever it runs: its outcome, or that it will end. Raises `TurnNotFound`, `TurnFailed`, and the store's
        errors."""
        here = self.find(session_id, turn_id, tenant=tenant)
        if here is not None and here in self._unadmitted and here.text is not None:
            self._stop(here)  # the store does not know it yet
            return shapes.Pending(session_id, turn_id, "cancelling")
        try:
            outcome = await self.tenants.of(tenant).cancel_turn(session_id, turn_id, HANDLER, wait=_ENDING_S)
        except QueueTimeout:
            return shapes.Pending(session_id, turn_id, "cancelling")
        return shapes.outcome_of(outcome, self._node)

    async def signal(
        self, session_id: str, name: str, value: Any, turn_id: str, *, tenant: str = ""
    ) -> shapes.Signalled:
        """Tells a turn what it waits for. Raises `TurnNotFound`, and the store's errors."""
        told = await self.tenants.of(tenant).signal(session_id, name, value, turn_id=turn_id)
        return shapes.Signalled(session_id, told)

    async def take_over(self, found: Overdue) -> bool:
        """Runs a turn that another node left behind to its end, so that it can be followed here. False where it is not to be had,
        or this node has no room for it."""
        if found.handler != HANDLER:
            return not self.draining and await self._own.take_over(found)
        key = (found.key.tenant, found.key.id, found.turn_id)
        if self.draining or key in self._turns:
            return False
        turn = self._turn(*key, None)
        try:
            await self._room.enter(turn.tenant)
        except Refused:
            return False
        started = False
        try:
            if self.draining or key in self._turns:
                return False
            takeover = self.tenants.of(turn.tenant).takeover(found, on_event=turn.emit)
            if not await takeover.claim():
                return False
            if self.draining:
                await takeover.give_back()
                return False
            self._started(
                turn, lambda: self._not_reborn(turn, takeover.finish()), self._posted, self._room, entered=True
            )
            started = True
        finally:
            if not started:
                self._room.leave(turn.tenant)
        await turn.settled()
        return True

    async def drain(self, seconds: float) -> None:
        """Takes no further turns, lets running ones end, and after ``seconds`` gives the rest back for another node."""
        self.draining = True
        for turn in (*self._joined, *self._unadmitted):
            if not turn.begun:
                self._stop(turn)  # it runs elsewhere, to be followed elsewhere; or was accepted by nobody
        tasks = [turn.task for turn in (*self._posted, *self._joined) if turn.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                _log.warning("%d turn(s) did not end within %g s and are given back", len(late), seconds)
                await asyncio.wait(late, timeout=5)
        if self._afterwards:
            _, late_work = await asyncio.wait(self._afterwards, timeout=min(seconds, _AFTERWARDS_S))
            for work in late_work:
                work.cancel()

    # --- one turn ---

    def _check_open(self, turn: RunningTurn) -> None:
        """A session's turns run one after the other, and those behind would hold slots meanwhile: so there are not many here."""
        if self.draining:
            raise Refused(DRAINING)
        if turn.text is not None and self._in_session[turn.tenant, turn.session_id] >= self._session_line:
            self._metrics.limited("session-line", "")
            raise Refused(OVERLOADED, "So many turns of this session wait here already. Send this one again later.")

    def _turn(
        self, tenant: str, session_id: str, turn_id: str, text: str | None, *, streams: bool = False
    ) -> RunningTurn:
        named = tenant or self._own.settings.tenant
        return RunningTurn(session_id, turn_id, text, streams=streams, tenant=named)

    def _started(
        self, turn: RunningTurn, work: _Work, kept: set[RunningTurn], room: TurnRoom, *, entered: bool = False
    ) -> RunningTurn:
        """Runs the work in a task of its own; ``entered``: it has a slot already."""
        self._turns[turn.tenant, turn.session_id, turn.turn_id] = turn
        kept.add(turn)
        self._in_session[turn.tenant, turn.session_id] += turn.text is not None
        turn.slot = entered
        turn.task = asyncio.get_running_loop().create_task(self._live(turn, work, kept, room))
        turn.task.add_done_callback(lambda _: self._ended(turn, kept, room))  # also where it never began
        return turn

    async def _live(self, turn: RunningTurn, work: _Work, kept: set[RunningTurn], room: TurnRoom) -> None:
        try:
            if turn.slot or await self._admitted(turn, room):
                await self._to_its_end(turn, work)
        finally:
            self._ended(turn, kept, room)

    async def _admitted(self, turn: RunningTurn, room: TurnRoom) -> bool:
        since = time.perf_counter()
        self._unadmitted.add(turn)
        try:
            await room.enter(turn.tenant)
        except (Refused, asyncio.CancelledError) as error:
            shown = error if isinstance(error, Refused) else Refused(DRAINING if self.draining else WITHDRAWN)
            self._fail(turn, shown, error)
            self._metrics.turn("refused", since, turn)
            return False
        finally:
            self._unadmitted.discard(turn)
        turn.slot = True
        return True

    def _ended(self, turn: RunningTurn, kept: set[RunningTurn], room: TurnRoom) -> None:
        if turn not in kept:
            return
        kept.discard(turn)
        key, session = (turn.tenant, turn.session_id, turn.turn_id), (turn.tenant, turn.session_id)
        if self._turns.get(key) is turn:
            del self._turns[key]
        self._in_session[session] -= turn.text is not None
        if self._in_session[session] <= 0:
            del self._in_session[session]
        if turn.slot:
            room.leave(turn.tenant)
        if not turn.ended:
            self._fail(turn, Refused(DRAINING), asyncio.CancelledError())

    async def _run(self, turn: RunningTurn, text: str, on_busy: Policy, user: str) -> Outcome:
        store, session_id = self.tenants.of(turn.tenant), turn.session_id
        if store.cache.get(store.key(session_id), 0) is None and not await store.exists(session_id):
            raise SessionNotFound(f"there is no session {session_id!r}")
        work = store.run_turn(
            session_id,
            HANDLER,
            input=text,
            turn_id=turn.turn_id,
            user=user,
            on_busy=on_busy,
            on_event=turn.emit,
            stream=turn.streams,
        )
        try:
            return await self._not_reborn(turn, work)
        except (
            WrongUser
        ):  # since the guard looked, the id was given to another's; it is not to be told from one that is not there
            raise SessionNotFound(f"there is no session {session_id!r}") from None

    async def _not_reborn(self, turn: RunningTurn, work: Awaitable[Outcome]) -> Outcome:
        try:
            return await work
        except _Unborn:
            await self.tenants.of(turn.tenant).delete(turn.session_id)  # the input that was accepted
            raise

    async def _handle(self, turn: Turn) -> Any:
        if turn.session.version is None:
            raise _Unborn(f"there is no session {turn.session.id!r}")
        if (running := self._turns.get((*turn.key, turn.id))) is not None:
            running.begun = True
        if is_persons(turn):
            await self.persons_of(turn.key.tenant).handle(turn)
            return None
        result = await self._assistant(turn)
        self.on_written(turn)
        return result

    async def _to_its_end(self, turn: RunningTurn, work: _Work) -> None:
        started = time.perf_counter()
        limit = asyncio.timeout(self._timeout)
        result = "failed"
        try:
            async with limit:
                outcome = await work()
            turn.done(shapes.outcome_of(outcome, self._node))
            if turn.begun and not outcome.replayed:
                self._do_afterwards(turn)
            result = "replayed" if outcome.replayed else outcome.status
        except TurnParked as parked:
            turn.rest(shapes.parked_of(turn.session_id, turn.turn_id, parked.left, parked.waiting_for))
            result = "parked"
        except asyncio.CancelledError as error:
            self._fail(turn, Refused(DRAINING), error)
            result = "given_back"
        except (HoldfastError, Refused) as error:
            self._fail(turn, error, error)
            result = _result(error)
        except Exception as error:  # noqa: BLE001  (a handler's own: told and counted here)
            if limit.expired() and turn.resting is not None:
                turn.rest(turn.resting)
                result = "parked"
                return
            shown = Refused(TURN_TIMEOUT) if limit.expired() else error
            self._fail(turn, shown, error)
            result = "timeout" if limit.expired() else "error"
        finally:
            self._metrics.turn(result, started, turn)

    def _do_afterwards(self, turn: RunningTurn) -> None:
        """What the assistant does beside the next turns: nobody waits for it, and nothing is lost without it."""
        after = getattr(self._assistant, "after", None)
        if after is None:
            return

        async def work() -> None:
            try:
                await after(self.tenants.of(turn.tenant), turn.session_id)
            except Exception as error:  # noqa: BLE001  (a part's own: told here, the turn is committed)
                log_fault(_log, "what is done after a turn failed", error)

        task = asyncio.get_running_loop().create_task(work())
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    def _fail(self, turn: RunningTurn, shown: BaseException, cause: BaseException) -> None:
        problem = problem_of(shown, turn_id=turn.turn_id)
        turn.failed(problem, shown)
        if problem.status >= 500 and not isinstance(cause, asyncio.CancelledError | Refused):
            log_fault(_log, f"a turn ended with {problem.status} ({problem.title})", cause)

    def _stop(self, turn: RunningTurn) -> None:
        if turn.task is not None:
            turn.task.cancel()


def _result(error: Exception) -> str:
    if isinstance(error, TurnFailed):
        return "failed"
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    return "refused" if kind_of(error).status < 500 else "error"
