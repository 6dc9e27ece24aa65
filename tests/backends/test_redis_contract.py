"""The Redis backend keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from lesser_servers import FUNCTIONS, READING_SCRIPTS, without

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits, Unchanged
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.testing.calls import KEY, put, record_of
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


@pytest.fixture(scope="module")
def server_without_functions() -> Iterator[RedisServer]:
    with without(*FUNCTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def server_like_6_2() -> Iterator[RedisServer]:
    with without(*FUNCTIONS, *READING_SCRIPTS) as server:
        yield server


class TestRedisByScripts(TestRedis):
    """The same by EVALSHA, on a server that has no functions."""

    reading = "evalsha_ro"

    @pytest.fixture
    def server(self, server_without_functions: RedisServer) -> RedisServer:
        return server_without_functions

    async def test_it_runs_by_scripts(self, backend: RedisBackend, server: RedisServer) -> None:
        found = {finding.subject: finding for finding in await backend.check()}
        assert "EVALSHA" in found["functions"].text
        server.reset_stats()
        await put(backend, {"a": b"1"})
        version = (await record_of(backend)).version
        assert isinstance(await backend.load(KEY, tail=1, known=version), Unchanged)
        assert {name for name in server.calls() if name.startswith(("eval", "fcall"))} == {"evalsha", self.reading}


class TestRedisByScriptsAlone(TestRedisByScripts):
    """By EVALSHA alone, reads too, as on Redis 6.2."""

    reading = "evalsha"

    @pytest.fixture
    def server(self, server_like_6_2: RedisServer) -> RedisServer:
        return server_like_6_2
