"""Numbers that are counted on a turn's way: plain integers, which Prometheus' classes are made from when it asks.

One event loop counts, any thread may read. A labelled prometheus_client histogram costs some 2 us an observation, this 0.2.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Timings:
    """How often something took how long.

    Args:
        bounds: upper bounds of the buckets, seconds, rising.
    """

    __slots__ = ("bounds", "buckets", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.buckets = [0] * (len(self.bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Counts one that took this long."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus has them: (upper bound, how many were at most that long), the last one "+Inf"."""
        found: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), list(self.buckets), strict=True):
            total += count
            found.append((bound, total))
        return found
