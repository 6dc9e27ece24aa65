"""Rates that several nodes keep to together: a capability that a backend may have beside the contract.

A rate is a bucket (GCRA, the leaky bucket of ITU-T I.371 as a meter): each unit fills it by ``period / amount`` seconds, and it
drains by a second each second. So ``amount`` may come at once, and then evenly; in any time ``t`` never more than
``amount * (1 + t / period)``. One number is kept for a rate, whatever its amount, and when the next unit fits is exact.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from holdfast.backends.measures import layers

SUBJECTS: Final = 100_000
"""Of so many subjects a process remembers what they took; those that took nothing for the longest time are forgotten first."""


class Rate(NamedTuple):
    """So many units in so many seconds."""

    amount: int
    period: int

    @property
    def step(self) -> float:
        """Seconds by which one unit fills the bucket."""
        return self.period / self.amount

    def left(self, load: float) -> int:
        """Units that fit into a bucket that is filled by ``load`` seconds."""
        return max(0, math.floor((self.period - load) / self.step + 1e-6))

    def wait(self, load: float, cost: int) -> float:
        """Seconds until ``cost`` units fit."""
        return max(0.0, load + cost * self.step - self.period)


class Bucket(NamedTuple):
    """One rate of a subject, and what is put into it. ``name`` tells the subject's buckets apart; ``cost`` below 0 gives back."""

    name: str
    rate: Rate
    cost: int = 1


class Taken(NamedTuple):
    """What became of it. All buckets took their cost, or none did.

    Attributes:
        loads: seconds by which each bucket is filled, in the order in which they were named.
    """

    granted: bool
    loads: tuple[float, ...]


@runtime_checkable
class Rates(Protocol):
    """Whoever keeps the buckets."""

    async def take_rates(self, subject: str, buckets: Sequence[Bucket]) -> Taken:
        """Puts each bucket's cost into it, or, where one of them is too full, nothing into any.

        ``subject`` is made of letters and digits (a digest). Raises the store's errors; then it may have been done.
        """
        ...


def shared_rates(backend: object) -> Rates | None:
    """What keeps rates for all nodes: this backend, or one that it wraps; None where none can."""
    return next((one for one in layers(backend) if isinstance(one, Rates)), None)


def filled(load: float, bucket: Bucket) -> float | None:
    """The load with the bucket's cost in it; None where that does not fit. A load beyond the period is another clock's: it counts
    as full."""
    load = min(max(load, 0.0), float(bucket.rate.period))
    after = max(0.0, load + bucket.cost * bucket.rate.step)
    return None if bucket.cost > 0 and after > bucket.rate.period + 1e-9 else after


class OwnRates:
    """Buckets of this process alone.

    Args:
        clock: seconds that only rise.
        most: subjects that are remembered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = SUBJECTS) -> None:
        self._clock = clock
        self._most = most
        self._empty_at: OrderedDict[str, dict[str, float]] = OrderedDict()

    def take(self, subject: str, buckets: Sequence[Bucket]) -> Taken:
        """As `Rates.take_rates`, at once."""
        now = self._clock()
        kept = self._empty_at.get(subject, {})
        before = [min(max(kept.get(one.name, now) - now, 0.0), float(one.rate.period)) for one in buckets]
        after = [filled(load, one) for load, one in zip(before, buckets, strict=True)]
        fits = [load for load in after if load is not None]
        if len(fits) < len(after):
            return Taken(False, tuple(before))
        kept.update({one.name: now + load for one, load in zip(buckets, fits, strict=True)})
        self._empty_at[subject] = kept
        self._empty_at.move_to_end(subject)
        while len(self._empty_at) > self._most:
            self._empty_at.popitem(last=False)
        return Taken(True, tuple(fits))

    async def take_rates(self, subject: str, buckets: Sequence[Bucket]) -> Taken:
        return self.take(subject, buckets)
