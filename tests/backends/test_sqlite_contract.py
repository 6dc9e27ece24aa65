"""The contract suite over SQLite: a file, a file with another process's view of it, and memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits
from holdfast.backends.sqlite import open_sqlite
from holdfast.testing.clock import FakeClock
from holdfast.testing.contract import BackendContract


class TestFile(BackendContract):
    outcomes = OutcomeLimits(turns=8, updates=4)

    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[Backend]:
        self.path = str(tmp_path / "sessions.db")
        self.clock = FakeClock()
        backend = await open_sqlite(self.path, clock=self.clock, outcomes=self.outcomes)
        yield backend
        await backend.close()

    async def second(self, backend: Backend) -> Backend:
        return await open_sqlite(self.path, clock=self.clock, outcomes=self.outcomes)


class TestMemory(BackendContract):
    outcomes = OutcomeLimits(turns=8, updates=4)

    @pytest.fixture
    async def backend(self) -> AsyncIterator[Backend]:
        self.clock = FakeClock()
        backend = await open_sqlite(":memory:", clock=self.clock, outcomes=self.outcomes)
        yield backend
        await backend.close()


class TestItsOwnClock(BackendContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[Backend]:
        backend = await open_sqlite(str(tmp_path / "sessions.db"))
        yield backend
        await backend.close()
