"""Who runs next on a node that is full: its slots are shared fairly among tenants."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

_IN_ALL: Final = 16
"""So many full lines of single tenants may wait together."""


class Overfull(Exception):
    """There was no slot. ``why``: the ``wait`` was over, or the ``queue`` had no place."""

    def __init__(self, why: Literal["wait", "queue"]) -> None:
        super().__init__(f"no slot: {why}")
        self.why = why


class FairAdmission:
    """A number of slots, and a line for each tenant where none is free.

    A free slot goes to the waiting tenant that holds the fewest slots for its weight; among equals they take turns. So a tenant
    may use all slots while nobody else waits, and has only its share as soon as others do: what it holds beyond that it gives
    back as its turns end, none is cut short. Slots and not starts are counted, because a tenant of long turns would otherwise get
    more of the node than one of short turns.

    Args:
        slots: how many run at once.
        line: how many of one tenant may wait; sixteen times as many may in all, and then the longest line loses its last one to
            another tenant.
        weight: of a tenant: one of weight 2 gets twice the slots of one of weight 1.
        clock: seconds, for the time that was waited.
    """

    def __init__(
        self,
        slots: int,
        *,
        line: int = 256,
        weight: Callable[[str], float] = lambda tenant: 1.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.slots = slots
        self.running = 0
        self.waiting = 0
        self._line = line
        self._most = line * _IN_ALL
        self._weight = weight
        self._clock = clock
        self._held: dict[str, int] = {}
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # in the order in which they take turns

    def held(self, tenant: str) -> int:
        """Slots that a tenant has."""
        return self._held.get(tenant, 0)

    def waiting_of(self, tenant: str) -> int:
        """How many of a tenant wait."""
        return len(self._lines.get(tenant, ()))

    def take(self, tenant: str) -> bool:
        """A slot at once, or none. Nobody is overtaken: while others wait none is free."""
        if self.running >= self.slots:
            return False
        self._grant(tenant)
        return True

    async def enter(self, tenant: str, wait: float) -> float:
        """A slot, at once or when it is this tenant's turn; returns the seconds that it took. Each one is given back by `leave`.

        Raises `Overfull`: after ``wait`` seconds, or at once where too many wait.
        """
        if self.take(tenant):
            return 0.0
        if wait <= 0:
            raise Overfull("wait")
        since = self._clock()
        place = self._join(tenant)
        try:
            async with asyncio.timeout(wait):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave(tenant)  # it came just when nobody waited for it any more
            else:
                self._quit(tenant, place)
            if isinstance(error, TimeoutError):
                raise Overfull("wait") from None
            raise
        return self._clock() - since

    def leave(self, tenant: str) -> None:
        """Gives a slot back, to whoever is next."""
        self.running -= 1
        left = self._held[tenant] - 1
        if left:
            self._held[tenant] = left
        else:
            del self._held[tenant]
        while self.running < self.slots and self._lines:
            self._call(min(self._lines, key=self._share))

    # --- lines ---

    def _share(self, tenant: str) -> float:
        return self._held.get(tenant, 0) / self._weight(tenant)

    def _grant(self, tenant: str) -> None:
        self.running += 1
        self._held[tenant] = self._held.get(tenant, 0) + 1

    def _call(self, tenant: str) -> None:
        """The first of this tenant's line gets a slot; the tenant goes behind the others."""
        line = self._lines.pop(tenant)
        place = line.popleft()
        self.waiting -= 1
        if line:
            self._lines[tenant] = line
        if not place.done():  # cancelled, and its waiter has not run since
            self._grant(tenant)
            place.set_result(None)

    def _join(self, tenant: str) -> asyncio.Future[None]:
        mine = self.waiting_of(tenant)
        if mine >= self._line:
            raise Overfull("queue")
        if self.waiting >= self._most:
            longest = max(self._lines, key=self.waiting_of)
            if self.waiting_of(longest) <= mine + 1:
                raise Overfull("queue")
            last = self._lines[longest][-1]
            self._quit(longest, last)
            last.set_exception(Overfull("queue"))
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(place)
        self.waiting += 1
        return place

    def _quit(self, tenant: str, place: asyncio.Future[None]) -> None:
        line = self._lines.get(tenant)
        if line is None or place not in line:
            return
        line.remove(place)
        self.waiting -= 1
        if not line:
            del self._lines[tenant]
