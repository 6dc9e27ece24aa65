"""The Redis backend keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.testing.contract import BackendContract
from holdfast.testing.servers import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class TestRedis(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[RedisBackend]:
        server.command("FLUSHALL")
        self.url = server.url
        backend = await open_redis(server.url, outcomes=self.outcomes)
        yield backend
        await backend.close()

    async def second(self, backend: Backend) -> Backend:
        return await open_redis(self.url, outcomes=self.outcomes)
