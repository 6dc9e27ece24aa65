"""What all parts of the contract suite share: what the backend under test can do, and how time passes."""

from __future__ import annotations

import asyncio
from typing import Final
from unittest import SkipTest

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits
from holdfast.testing.clock import FakeClock

_SLACK_S: Final = 0.05
"""By how much a real wait outlasts what it waits for."""


class ContractBase:
    """The settings of a suite; a subclass or its ``backend`` fixture sets them.

    Attributes:
        clock: the clock that the backend was given. None where time is the server's: tests then wait for real, a
            few tenths of a second each, and those that would take minutes are skipped.
        outcomes: the limits that the backend was given. Small ones make the suite faster.
        short_real_ms: the lease, place and ttl that a test lets run out where time is real. Raise it on slow machines.
    """

    clock: FakeClock | None = None
    outcomes: OutcomeLimits = OutcomeLimits()
    short_real_ms: int = 500

    async def second(self, backend: Backend) -> Backend:
        """Another client of the same store, as on another node; the suite closes it. By default the same one again."""
        return backend

    @property
    def short_ms(self) -> int:
        """A duration that the test will let run out."""
        return 10_000 if self.clock is not None else self.short_real_ms

    async def pass_ms(self, ms: int) -> None:
        """Lets ``ms`` milliseconds pass by the store's clock (where time is real, slightly more)."""
        if self.clock is not None:
            self.clock.advance_ms(ms)
        else:
            await asyncio.sleep(ms / 1000 + _SLACK_S)

    async def tick(self) -> None:
        """Lets a little time pass, so that what follows is later."""
        if self.clock is not None:
            self.clock.advance_ms(5)
        else:
            await asyncio.sleep(0.005)

    def need_clock(self) -> FakeClock:
        """The injected clock; skips the test where there is none."""
        if self.clock is None:
            raise SkipTest("needs a backend with an injected clock: this would take minutes")
        return self.clock
