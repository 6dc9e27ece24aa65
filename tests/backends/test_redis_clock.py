"""The Redis backend keeps the contract over hours and days: the server's functions run by a clock that the test moves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis import RedisBackend, backend, listings, open_redis
from holdfast.backends.redis.library import SERVER
from holdfast.testing.clock import FakeClock
from holdfast.testing.contract import BackendContract
from holdfast.testing.servers import RedisServer
from holdfast.testing.stateful import play, random_steps

NOW_KEY = "test-now"
REAL_TIME = "local t = redis.call('TIME')\n"
OWN_EXPIRY = "redis.call('PEXPIRE', events, keep_ms)"
"""What ends events is their key's own expiry, by the server's real clock."""
UNTIL = ":test-until"


class ServerClock(FakeClock):
    """A fake clock that the server's functions read. It starts at the real time, so that no key's own expiry is past."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(int(time.time() * 1000))
        self._server = server
        self.advance_ms(0)

    def advance(self, seconds: float) -> None:
        self.advance_ms(round(seconds * 1000))

    def advance_ms(self, ms: int) -> None:
        super().advance_ms(ms)
        self._server.command("SET", NOW_KEY, self())
        names = self._server.command("KEYS", f"*{UNTIL}")
        assert isinstance(names, list)
        for name in names:
            if int(str(self._server.command("GET", name))) <= self():
                self._server.command("DEL", name, name.removesuffix(UNTIL))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        assert REAL_TIME in SERVER.code and OWN_EXPIRY in SERVER.code
        code = SERVER.code.replace(REAL_TIME, f"do return tonumber(redis.call('GET', '{NOW_KEY}')) end\n" + REAL_TIME)
        code = code.replace(OWN_EXPIRY, f"redis.call('SET', events .. '{UNTIL}', now + keep_ms)")
        server.command("FUNCTION", "LOAD", code)
        yield server


@pytest.fixture
async def walked(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RedisBackend, ServerClock]]:
    server.command("FLUSHALL")
    clock = ServerClock(server)
    for module in (backend, listings):
        monkeypatch.setattr(module, "milliseconds", lambda _: clock())
    opened = await open_redis(server.url)
    yield opened, clock
    await opened.close()


@pytest.mark.parametrize("seed", range(12))
async def test_random_walks_in_time_go_as_in_the_model(
    walked: tuple[RedisBackend, ServerClock], seed: int, scale: Callable[[int], int]
) -> None:
    opened, clock = walked
    await play(opened, random_steps(seed=seed, count=scale(200)), clock)


class TestRedisByAFakeClock(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisBackend]:
        server.command("FLUSHALL")
        self.url = server.url
        self.clock = clock = ServerClock(server)
        for module in (backend, listings):
            monkeypatch.setattr(module, "milliseconds", lambda _: clock())
        opened = await open_redis(server.url, outcomes=self.outcomes)
        yield opened
        await opened.close()

    async def second(self, backend: Backend) -> Backend:
        return await open_redis(self.url, outcomes=self.outcomes)
