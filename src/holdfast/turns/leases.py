"""Keeps the leases of a node's running turns, with one task for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from holdfast.backends.contract import Turns
from holdfast.backends.records import SessionKey
from holdfast.errors import StoreError


class Held(msgspec.Struct, eq=False):
    """One running turn's lease. ``on_loss`` is called once, when another holder has overtaken it; ``give_back`` lets go of it.

    Not while it is ``committing``: the commit itself says whether it was in time, and a renewal that arrives after it finds no
    lease any more.
    """

    key: SessionKey
    turn_id: str
    fence: int
    renewed: float
    on_loss: Callable[[], object]
    give_back: Callable[[], Coroutine[Any, Any, None]]
    lost: bool = False
    committing: bool = False


class LeaseKeeper:
    """Renews every lease that is older than a third of its length. Short turns never cost a renewal."""

    def __init__(self, backend: Turns, lease_ms: int) -> None:
        self.backend = backend
        self._lease_ms = lease_ms
        self._interval = lease_ms / 3000
        self._held: set[Held] = set()
        self._task: asyncio.Task[None] | None = None

    def hold(
        self,
        key: SessionKey,
        turn_id: str,
        fence: int,
        on_loss: Callable[[], object],
        give_back: Callable[[], Coroutine[Any, Any, None]],
    ) -> Held:
        held = Held(key, turn_id, fence, time.monotonic(), on_loss, give_back)
        self._held.add(held)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast-leases")
        return held

    @property
    def count(self) -> int:
        """How many leases are held now."""
        return len(self._held)

    def drop(self, held: Held) -> None:
        self._held.discard(held)

    async def close(self) -> list[Held]:
        """Renews nothing any more; returns the leases that were still held, for others to go on with their turns."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        left = list(self._held)
        self._held.clear()
        return left

    async def _run(self) -> None:
        tick = self._interval / 4
        idle_since = time.monotonic()
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            if self._held:
                idle_since = now
            elif now - idle_since > self._interval:
                return
            due = [held for held in self._held if now - held.renewed >= self._interval - tick]
            if due:
                await asyncio.gather(*[self._renew(held) for held in due])

    async def _renew(self, held: Held) -> None:
        started = time.monotonic()
        try:
            fenced = await self.backend.renew(held.key, held.turn_id, fence=held.fence, lease_ms=self._lease_ms)
        except StoreError:
            return  # tried again at the next tick; if it is too late then, the fence decides
        held.renewed = started
        if fenced is not None and held in self._held:
            self._held.discard(held)
            if not held.committing:
                held.lost = True
                held.on_loss()
