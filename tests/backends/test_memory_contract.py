"""The memory backend keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import OutcomeLimits
from holdfast.testing.clock import FakeClock
from holdfast.testing.contract import BackendContract


class TestMemory(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self) -> AsyncIterator[MemoryBackend]:
        self.clock = FakeClock()
        backend = MemoryBackend(clock=self.clock, outcomes=self.outcomes)
        yield backend
        await backend.close()
