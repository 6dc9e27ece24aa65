"""The circuit breaker: only silence opens it, calls are refused early while it is open, the first answer closes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.breaker import GRACE_S, RETRY_AFTER_S, Breaker
from holdfast.errors import OutcomeUnknown, StoreError, StoreOverloaded, StoreTimeout, StoreUnavailable
from holdfast.testing import RedisServer
from holdfast.testing.calls import KEY, put, record_of
from redis_servers import needs

TIMEOUT_S = 2.0


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """A server that the test may freeze."""
    needs("redis-server")
    async with RedisServer() as running:
        yield running


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    opened = await open_redis(server.url, timeout=TIMEOUT_S, max_waiting=40)
    await put(opened, {"a": b"1"})
    yield opened
    await opened.close()


def breaker_of(backend: RedisBackend) -> Breaker:
    (node,) = backend._calls.topology.primaries()
    return node.breaker


async def load(backend: RedisBackend) -> tuple[StoreError | None, float]:
    """What a read was told, and after how many seconds."""
    started = time.monotonic()
    told = None
    try:
        await backend.load(KEY, tail=1)
    except StoreError as error:
        told = error
    return told, time.monotonic() - started


def states(breaker: Breaker, *events: str) -> list[str]:
    """The states after each event."""
    found: list[str] = []
    for event in events:
        match event:
            case "silence":
                breaker.silence()
            case "answer":
                breaker.answer()
            case _:
                breaker.probing(int(event))
        found.append(breaker.state)
    return found


def test_silence_opens_it_and_an_answer_closes_it() -> None:
    breaker = Breaker()
    assert breaker.state == "closed"
    assert states(breaker, "silence", "silence", "1", "-1") == ["open", "open", "half_open", "open"]
    assert (breaker.is_open, breaker.opened) == (True, 1)
    assert states(breaker, "1", "answer", "-1") == ["half_open", "closed", "closed"]
    assert states(breaker, "silence") == ["open"]
    assert breaker.opened == 2


async def test_the_first_calls_take_their_deadline_and_later_ones_are_refused_early(
    server: RedisServer, backend: RedisBackend
) -> None:
    server.freeze()
    first = await asyncio.gather(*[load(backend) for _ in range(5)])
    assert {type(told) for told, _ in first} == {StoreTimeout}
    assert all(took > TIMEOUT_S * 0.9 for _, took in first)
    assert breaker_of(backend).state != "closed"
    later = [await load(backend) for _ in range(4)]
    for told, _ in later:
        assert isinstance(told, StoreUnavailable)
        assert told.retry_after == RETRY_AFTER_S
    assert min(took for _, took in later) < 2 * GRACE_S < TIMEOUT_S
    assert breaker_of(backend).refused > 0
    server.thaw()
    assert (await record_of(backend)).fields["a"].value == b"1"
    assert breaker_of(backend).state == "closed"


async def test_refused_writes_were_not_sent(server: RedisServer, backend: RedisBackend) -> None:
    server.freeze()
    with pytest.raises(OutcomeUnknown):
        await put(backend, {"sent": b"1"})
    with pytest.raises(StoreUnavailable):
        await put(backend, {"refused": b"1"})
    server.thaw()
    assert "refused" not in (await record_of(backend)).fields


async def test_it_stays_open_while_nothing_answers(server: RedisServer, backend: RedisBackend) -> None:
    server.freeze()
    await load(backend)
    for _ in range(3):
        told, _ = await load(backend)
        assert isinstance(told, StoreUnavailable)
        assert breaker_of(backend).is_open
    assert breaker_of(backend).opened == 1
    server.thaw()


async def test_one_probe_at_a_time_goes_on(server: RedisServer, backend: RedisBackend) -> None:
    server.freeze()
    await load(backend)
    before = sum(task.get_name() == "holdfast-redis-connect" for task in asyncio.all_tasks())
    calls = [asyncio.create_task(load(backend)) for _ in range(10)]
    await asyncio.sleep(0.1)
    probes = sum(task.get_name() == "holdfast-redis-connect" for task in asyncio.all_tasks())
    assert (before, probes) == (0, 1)
    assert breaker_of(backend).state == "half_open"
    await asyncio.gather(*calls)
    server.thaw()


async def test_too_many_that_wait_for_it_are_refused_at_once(server: RedisServer, backend: RedisBackend) -> None:
    server.freeze()
    await load(backend)
    results = await asyncio.gather(*[load(backend) for _ in range(100)])
    refused = [took for told, took in results if isinstance(told, StoreOverloaded)]
    assert len(refused) == 60
    assert all(isinstance(told, StoreUnavailable) and told.retry_after > 0 for told, _ in results)
    assert max(refused) < min(took for told, took in results if not isinstance(told, StoreOverloaded))
    server.thaw()


async def test_a_server_that_refuses_connections_does_not_open_it(server: RedisServer, backend: RedisBackend) -> None:
    await server.kill()
    for _ in range(3):
        told, _ = await load(backend)
        assert isinstance(told, StoreUnavailable)
    assert (breaker_of(backend).state, breaker_of(backend).opened) == ("closed", 0)
    await server.start()
    assert (await load(backend))[0] is None


async def test_a_cancelled_caller_leaves_no_probe_counted(server: RedisServer, backend: RedisBackend) -> None:
    server.freeze()
    await load(backend)
    call = asyncio.create_task(load(backend))
    await asyncio.sleep(0.05)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    server.thaw()
    assert (await load(backend))[0] is None
    assert breaker_of(backend).state == "closed"
