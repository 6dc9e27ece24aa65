"""The Redis backend keeps the contract on a Cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.testing.clusters import RedisCluster
from holdfast.testing.contract import BackendContract


class TestCluster(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, redis_cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
        for node in redis_cluster.primaries():
            node.command("FLUSHALL")
        self.url = redis_cluster.url
        backend = await open_redis(self.url, outcomes=self.outcomes)
        yield backend
        await backend.close()

    async def second(self, backend: Backend) -> Backend:
        return await open_redis(self.url, outcomes=self.outcomes)
