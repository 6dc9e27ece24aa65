"""An encrypted backend keeps the contract of what it is around: nobody sees a difference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from key_rings import encrypted, ring

from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis import open_redis
from holdfast.backends.sqlite import open_sqlite
from holdfast.encryption.backend import EncryptedBackend
from holdfast.encryption.vault import Vault
from holdfast.testing.clock import FakeClock
from holdfast.testing.contract import BackendContract
from holdfast.testing.servers import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class TestMemory(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self) -> AsyncIterator[EncryptedBackend]:
        self.clock = FakeClock()
        backend = encrypted(MemoryBackend(clock=self.clock, outcomes=self.outcomes))
        yield backend
        await backend.close()


class TestFile(BackendContract):
    outcomes = OutcomeLimits(turns=8, updates=4)

    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[Backend]:
        self.path = str(tmp_path / "sessions.db")
        self.clock = FakeClock()
        self.ring, self.vaults = ring(), MemoryBackend()
        backend = await self.second()
        yield backend
        await backend.close()
        await self.vaults.close()

    async def second(self, backend: Backend | None = None) -> Backend:
        inner = await open_sqlite(self.path, clock=self.clock, outcomes=self.outcomes)
        return encrypted(inner, Vault(self.vaults, self.ring))


class TestRedis(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[Backend]:
        server.command("FLUSHALL")
        self.url = server.url
        self.ring, self.vaults = ring(), MemoryBackend()
        backend = await self.second()
        yield backend
        await backend.close()
        await self.vaults.close()

    async def second(self, backend: Backend | None = None) -> Backend:
        return encrypted(await open_redis(self.url, outcomes=self.outcomes), Vault(self.vaults, self.ring))
