"""Rates as the function reads them (functions/rates.lua), in whole microseconds, and its reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.backends.rates import Bucket, Taken
from holdfast.backends.redis.wire import Arg

_US: Final = 1_000_000


def rate_args(buckets: Sequence[Bucket]) -> list[Arg]:
    """Name, what is put in and what it holds, for each bucket."""
    args: list[Arg] = []
    for name, rate, cost in buckets:
        args += (name, round(cost * rate.step * _US), rate.period * _US)
    return args


def read_taken(reply: Sequence[int]) -> Taken:
    """Whether all took it, and the loads."""
    granted, *loads = reply
    return Taken(bool(granted), tuple(load / _US for load in loads))
