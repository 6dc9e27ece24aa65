"""Keeps the leases of a node's running turns, with one task for all of them, and hears what is signalled to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import msgspec

from holdfast.backends.contract import Backend
from holdfast.backends.records import Fenced, SessionKey, Signalled
from holdfast.errors import StoreError

Steps = list[tuple[str, bytes]]

_LISTEN_AFTER_S: Final = 0.25
"""A turn that has run so long is listened for; a shorter one hears of nothing before its end."""
_SILENCE_S: Final = 60.0


class Held(msgspec.Struct, eq=False):
    """One running turn's lease.

    ``on_loss`` is called once, when another holder has overtaken it; ``on_signal`` with the turn's journal, perhaps more than once,
    after something was put into it from outside; ``give_back`` lets go of the lease.

    Not while it is ``committing``: the commit itself says whether it was in time, and a renewal that arrives after it finds no
    lease any more.
    """

    key: SessionKey
    turn_id: str
    fence: int
    since: float
    renewed: float
    on_loss: Callable[[], object]
    on_signal: Callable[[Steps], object]
    give_back: Callable[[], Coroutine[Any, Any, None]]
    lost: bool = False
    committing: bool = False
    listening: asyncio.Task[None] | None = None


class LeaseKeeper:
    """Renews every lease that is older than a third of its length. Short turns never cost a renewal."""

    def __init__(self, backend: Backend, lease_ms: int) -> None:
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
        on_signal: Callable[[Steps], object],
        give_back: Callable[[], Coroutine[Any, Any, None]],
    ) -> Held:
        now = time.monotonic()
        held = Held(key, turn_id, fence, now, now, on_loss, on_signal, give_back)
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
        if held.listening is not None:
            held.listening.cancel()

    async def close(self) -> list[Held]:
        """Renews nothing any more; returns the leases that were still held, for others to go on with their turns."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        left = list(self._held)
        for held in left:
            self.drop(held)
        return left

    async def _run(self) -> None:
        tick = min(self._interval / 4, _LISTEN_AFTER_S)
        idle_since = time.monotonic()
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            if self._held:
                idle_since = now
            elif now - idle_since > self._interval:
                return
            for held in self._held:
                if held.listening is None and now - held.since >= _LISTEN_AFTER_S and not held.committing:
                    held.listening = asyncio.get_running_loop().create_task(self._listen(held), name="holdfast-signals")
            due = [held for held in self._held if now - held.renewed >= self._interval - tick]
            if due:
                await asyncio.gather(*[self.renew(held) for held in due])

    async def _listen(self, held: Held) -> None:
        """Hears of signals at once; where hints are lost, the next renewal tells."""
        with suppress(StoreError):
            async with self.backend.watch(held.key) as watch:
                await self.renew(held)  # what came before
                while True:
                    if await watch.wait(_SILENCE_S) == b"signal":
                        await self.renew(held)

    async def renew(self, held: Held) -> None:
        """Renews the lease now, and hears what was signalled until now."""
        started = time.monotonic()
        try:
            reply = await self.backend.renew(held.key, held.turn_id, fence=held.fence, lease_ms=self._lease_ms)
        except StoreError:
            return  # tried again at the next tick; if it is too late then, the fence decides
        held.renewed = started
        if held not in self._held or held.committing:
            if isinstance(reply, Fenced):
                self._held.discard(held)
        elif isinstance(reply, Signalled):
            held.on_signal(reply.steps)
        elif isinstance(reply, Fenced):
            self._held.discard(held)
            held.lost = True
            held.on_loss()
