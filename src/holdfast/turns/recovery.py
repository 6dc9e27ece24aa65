"""Takes over turns that nobody holds any more: their node died, froze, or gave them back."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Final, Self, TypedDict

from holdfast.backends.records import Overdue
from holdfast.errors import ConfigError, StoreError, TurnAbandoned, TurnFailed, TurnParked
from holdfast.turns.tenants import DELIVERIES, belonging

if TYPE_CHECKING:  # the store makes loops, a loop works on its store
    from holdfast.turns.store import TurnStore

Take = Callable[[Overdue], Awaitable[bool]]
"""Takes one turn over and runs it to its end; False where another node has it."""

EVERY_S: Final = 2.0
PARALLEL: Final = 32
REST_S: Final = 2.0
DRAIN_S: Final = 30.0
_LONGEST_SILENCE_S: Final = 30.0
_PAGE: Final = 100
_LARGEST_PAGE: Final = 6_400

_log: Final = logging.getLogger("holdfast.recovery")


class RecoveryOptions(TypedDict, total=False):
    """Keyword arguments of `RecoveryLoop`."""

    every: float
    parallel: int
    rest: float
    drain: float
    all_tenants: bool
    take: Take | None


class RecoveryLoop:
    """Looks for overdue turns and runs those whose handler is registered, until it is stopped. Used as ``async with``.

    One look (`Backend.overdue`) a period at most, longer apart while the store cannot be reached. Turns of one session are taken
    one after the other, the one that ran first.

    Args:
        every: seconds between two looks, give or take a quarter, so that nodes do not look at the same time.
        parallel: how many turns it runs at the same time.
        rest: seconds for which a turn whose handler raised here is left alone after its first attempt; twice as long after
            each further one.
        drain: seconds that running turns get at the end; then they are given back.
        all_tenants: also turns of other tenants than the store's. Only where one program serves them all: another
            deployment on the same server may have another handler of that name.
        take: runs one turn; `TurnStore.take_over` if None.
    """

    def __init__(
        self,
        store: TurnStore,
        *,
        every: float = EVERY_S,
        parallel: int = PARALLEL,
        rest: float = REST_S,
        drain: float = DRAIN_S,
        all_tenants: bool = False,
        take: Take | None = None,
    ) -> None:
        if every <= 0 or parallel < 1:
            raise ConfigError(f"recovery needs every > 0 and parallel >= 1, not {every=}, {parallel=}")
        self._store = store
        self._every = every
        self._parallel = parallel
        self._rest = rest
        self._drain = drain
        self._all_tenants = all_tenants
        self._tenants = (store.settings.tenant, belonging(store.settings.tenant, DELIVERIES))
        self._take = take or store.take_over
        self._page = _PAGE
        self._waiting: deque[list[Overdue]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._sessions: set[object] = set()
        self._unknown: set[str] = set()
        self._stopping = False
        self._soon = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.taken = 0

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Begins to look. Once."""
        self._store.loops.add(self)
        self._looking = asyncio.get_running_loop().create_task(self._look_on(), name="holdfast-recovery")

    async def stop(self) -> None:
        """Takes no further turns, and waits for those that run: for ``drain`` seconds, then they are given back."""
        self._stopping = True
        self._store.loops.discard(self)
        self._waiting.clear()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=self._drain)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def look_soon(self) -> None:
        """Looks now instead of after the pause: a turn of this node's has just become due."""
        self._soon.set()

    async def once(self) -> int:
        """One look, and all that it found run to its end. Returns how many turns were taken. Raises the store's errors."""
        before = self.taken
        await self._look()
        while self._running:
            await asyncio.wait(set(self._running))
        return self.taken - before

    # --- looking ---

    async def _look_on(self) -> None:
        pause = self._every
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    pause * (0.75 + random.random() / 2)
                ):  # wait_for may swallow the cancellation
                    await self._soon.wait()
            self._soon.clear()
            try:
                await self._look()
            except StoreError as error:
                if pause == self._every:
                    _log.warning("cannot look for turns to take over: %s: %s", type(error).__name__, error)
                pause = min(pause * 2, max(_LONGEST_SILENCE_S, self._every))
            else:
                pause = self._every

    async def _look(self) -> None:
        found = await self._store.backend.overdue(limit=self._page)
        wanted = [turn for turn in found if self._wanted(turn)]
        # turns that are not for this node must not hide those behind them
        full = len(found) >= self._page and not wanted
        self._page = min(self._page * 4, _LARGEST_PAGE) if full else _PAGE
        by_session = sorted(wanted, key=lambda turn: (turn.key, turn.attempt == 0, turn.since_ms))
        groups = [list(turns) for _, turns in groupby(by_session, key=lambda turn: turn.key)]
        random.shuffle(groups)  # other nodes have found the same
        self._waiting = deque(groups)
        self._fill()

    def _wanted(self, turn: Overdue) -> bool:
        store = self._store
        if turn.key in self._sessions or (turn.key.tenant not in self._tenants and not self._all_tenants):
            return False
        if not store.handlers.knows(turn.handler):
            if turn.handler not in self._unknown and len(self._unknown) < _PAGE:
                self._unknown.add(turn.handler)
                _log.warning("left alone: turns of handler %r, which is not registered here", turn.handler)
            return False
        return not store.setbacks.resting(turn.key, turn.turn_id, self._rest)

    # --- running ---

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._parallel and not self._stopping:
            turns = self._waiting.popleft()
            self._sessions.add(turns[0].key)
            task = asyncio.get_running_loop().create_task(self._run(turns))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._fill()

    async def _run(self, turns: list[Overdue]) -> None:
        """Turns of one session, in order."""
        try:
            for turn in turns:
                if self._stopping:
                    return
                await self._take_one(turn)
        finally:
            self._sessions.discard(turns[0].key)

    async def _take_one(self, turn: Overdue) -> None:
        try:
            taken = await self._take(turn)
            self.taken += taken
        except TurnParked:
            self.taken += 1
        except (TurnFailed, TurnAbandoned):
            self.taken += 1
            _log.error("turn %r of handler %r has failed for good", turn.turn_id, turn.handler)
        except StoreError as error:
            _log.warning("turn %r could not be taken over: %s", turn.turn_id, type(error).__name__)
        except Exception as error:  # noqa: BLE001  (a handler's own; its text may hold what a user said)
            self.taken += 1
            _log.warning(
                "turn %r of handler %r raised %s when it was taken over",
                turn.turn_id,
                turn.handler,
                type(error).__name__,
            )
