"""What a stretch of work costs, measured in turns with what it is compared with."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec

from bench.counters import ServerCounters
from bench.figures import Spread

Measure = Literal["wall_s", "client_s", "server_s", "sent", "received", "wire"]


class Cost(msgspec.Struct, frozen=True):
    """The cost of one unit (a turn, a commit): seconds on the clock, seconds of processor time, bytes."""

    wall_s: float
    client_s: float
    server_s: float = 0.0
    sent: float = 0.0
    received: float = 0.0

    @property
    def wire(self) -> float:
        return self.sent + self.received


Side = Callable[[], Awaitable[Cost]]


async def cost_of(work: Callable[[], Awaitable[object]], units: int, server: ServerCounters | None = None) -> Cost:
    """Runs ``work`` once and divides what it cost by ``units``."""
    gc.collect()
    before = server.read() if server is not None else None
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if server is None or before is None:
        return Cost(wall / units, cpu / units)
    after = server.read()
    return Cost(
        wall / units,
        cpu / units,
        (after.cpu_s - before.cpu_s) / units,
        (after.received - before.received) / units,
        (after.sent - before.sent) / units,
    )


async def interleaved(sides: Mapping[str, Side], rounds: int, say: Callable[[str], None]) -> dict[str, list[Cost]]:
    """Each side once a round, in alternating order, so that the machine's moods meet all of them alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides)[:: -1 if number % 2 else 1]
        for name in names:
            say(f"round {number + 1} of {rounds}: {name}")
            costs[name].append(await sides[name]())
    return costs


def spread_of(values: Sequence[float]) -> Spread:
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(statistics.median(values), low, high)


def ratio(above: Sequence[Cost], below: Sequence[Cost], measure: Measure) -> Spread:
    """The median of the rounds' own ratios: two sides of one round met the same machine."""
    return spread_of([getattr(a, measure) / max(getattr(b, measure), 1e-9) for a, b in zip(above, below, strict=True)])


def median(costs: Sequence[Cost], measure: Measure) -> float:
    return float(statistics.median(getattr(cost, measure) for cost in costs))


def micros(costs: Sequence[Cost], measure: Measure) -> str:
    return f"{median(costs, measure) * 1e6:.0f} us"
