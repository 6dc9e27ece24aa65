"""The clock of stores that run inside this machine (memory, SQLite); Redis and others bring their own."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns milliseconds since the Unix epoch."""


def steady_clock() -> Clock:
    """A clock that starts at the wall clock's time and then never jumps with it."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset) // 1_000_000
