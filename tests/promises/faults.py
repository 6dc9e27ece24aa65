"""Seeded faults between a node and its backend: replies lost before or after the call was applied, and delays."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from holdfast import Store
from holdfast.errors import OutcomeUnknown, StoreTimeout, StoreUnavailable
from store_nodes import Interposed, Nodes

WRITES: Final = (
    *("begin", "commit", "record", "renew", "release", "resolve", "delete"),
    *("signal", "park", "append_events"),
)
READS: Final = ("load", "read_log", "read_events")


class Unreliable:
    """Makes one node's calls fail by dice: lost before they were sent, applied and not answered, or late."""

    def __init__(self, between: Interposed, rng: random.Random, *, lost: float = 0.1, late: float = 0.2) -> None:
        self._rng = rng
        self._lost = lost
        self._late = late
        self.counted: Counter[str] = Counter()
        for name in WRITES + READS:
            between.before[name] = lambda name=name: self._before(name)  # type: ignore[misc]
            between.after[name] = lambda name=name: self._after(name)  # type: ignore[misc]

    async def _before(self, name: str) -> None:
        dice = self._rng.random()
        if dice < self._late:
            await asyncio.sleep(self._rng.random() * 0.01)
        elif dice < self._late + self._lost / 2:
            self.counted["refused"] += 1
            if name in READS:
                raise StoreTimeout("no answer, on purpose")
            raise (StoreUnavailable if self._rng.random() < 0.5 else OutcomeUnknown)("never sent, on purpose")

    async def _after(self, name: str) -> None:
        if self._rng.random() < self._lost:
            self.counted["reply lost"] += 1
            raise (StoreTimeout if name in READS else OutcomeUnknown)("applied and not answered, on purpose")


@asynccontextmanager
async def unreliable_nodes(
    nodes: Nodes, count: int, rng: random.Random, **options: Any
) -> AsyncIterator[tuple[list[Store], Counter[str]]]:
    """``count`` nodes with faults. Over Redis the faults happen on the wire, in a proxy, else between node and backend."""
    faults: Counter[str] = Counter()
    if nodes.name != "redis":
        stores = []
        for _ in range(count):
            store, between = await nodes.interposed(**options)
            Unreliable(between, rng).counted = faults
            stores.append(store)
        yield stores, faults
        return
    from holdfast.testing.fault_proxy import FaultProxy, Faults

    host, _, port = nodes.url.removeprefix("redis://").partition("/")[0].partition(":")
    async with FaultProxy(host, int(port), seed=rng.randrange(2**32)) as proxy:
        through = Nodes("redis", f"redis://127.0.0.1:{proxy.port}/0")
        through.tenant = nodes.tenant
        stores = [await through.open(**{"timeout": 0.5, **options}) for _ in range(count)]
        proxy.faults = Faults(delay=0.1, delay_s=(0.001, 0.01), lose_request=0.03, lose_reply=0.05, cut_reply=0.03)
        try:
            yield stores, faults
        finally:
            proxy.faults = Faults()
            faults.update(proxy.traffic.faults)
            await through.close()
