"""Older messages in pages: nobody who reads, replays or commits sees a difference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast.backends.contract import Backend
from holdfast.backends.records import CommitReply, Committed, Delta, OutcomeLimits, SessionKey
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.testing.contract import BackendContract
from holdfast.testing.servers import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class PacksAtOnce(RedisBackend):
    """Packs after every commit all but the newest entry."""

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        reply = await super().commit(key, delta)
        if isinstance(reply, Committed):
            await self.pack(key)
        return reply


async def packing_at_once(url: str, outcomes: OutcomeLimits) -> RedisBackend:
    backend = await open_redis(url, outcomes=outcomes, page_messages=2, keep=1)
    backend.__class__ = PacksAtOnce
    return backend


class TestRedisPages(BackendContract):
    """The whole suite, with all but the newest entry of every log in pages of two."""

    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[RedisBackend]:
        server.command("FLUSHALL")
        self.url = server.url
        backend = await packing_at_once(server.url, self.outcomes)
        yield backend
        await backend.close()

    async def second(self, backend: Backend) -> Backend:
        return await packing_at_once(self.url, self.outcomes)
