"""The Redis backend's connection under cancellation, frozen, killed and vanished servers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from holdfast.backends.records import SessionKey
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.urls import parse
from holdfast.errors import OutcomeUnknown, StoreClosed, StoreError, StoreTimeout, StoreUnavailable
from holdfast.testing.calls import KEY, missing, put, record_of, run_turn, update, values
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.servers import SAVED_FOR_A_KILL, RedisServer, free_port

TIMEOUT_S = 0.5
SLACK_S = 1.5
"""Of a busy machine. What does not end by its deadline never ends in these tests, or ends after the deadlines of many."""

pytestmark = pytest.mark.alone


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    redis_server.command("FLUSHALL")
    yield redis_server


@asynccontextmanager
async def backend_at(url: str, **options: float) -> AsyncIterator[RedisBackend]:
    backend = await open_redis(url, **{"timeout": TIMEOUT_S, **options})  # type: ignore[arg-type]  # a mapping of options
    try:
        yield backend
    finally:
        await backend.close()


@asynccontextmanager
async def lane_to(server: RedisServer, timeout: float = TIMEOUT_S, max_waiting: int = 10_000) -> AsyncIterator[Lane]:
    lane = Lane(parse(server.url).address, timeout=timeout, max_waiting=max_waiting)
    try:
        yield lane
    finally:
        await lane.close()


async def test_replies_reach_their_callers_when_half_of_all_calls_are_cancelled(
    server: RedisServer, rng: random.Random
) -> None:
    answered = 0
    async with lane_to(server, timeout=5) as lane:
        for _ in range(20):
            tasks = [asyncio.create_task(lane.call(("ECHO", str(n)), write=False)) for n in range(200)]
            doomed = set(rng.sample(range(200), 100))
            for n in doomed:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                tasks[n].cancel()
            replies = await asyncio.gather(*tasks, return_exceptions=True)
            for n, reply in enumerate(replies):
                if isinstance(reply, asyncio.CancelledError):
                    assert n in doomed
                else:
                    answered += 1
                    assert reply == b"%d" % n
    assert answered >= 2000


async def test_cancelled_loads_never_show_another_session(server: RedisServer, rng: random.Random) -> None:
    async with backend_at(server.url, timeout=5) as backend:
        keys = [SessionKey("acme", f"s-{n}") for n in range(50)]
        for key in keys:
            await put(backend, {"mine": key.id.encode()}, key, appends=[key.id.encode()])
        for _ in range(20):
            tasks = {key: asyncio.create_task(backend.load(key, tail=5)) for key in keys}
            for key in rng.sample(keys, 25):
                await asyncio.sleep(0)
                tasks[key].cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            for key, task in tasks.items():
                if not task.cancelled():
                    record = task.result()
                    assert record is not None and record.tail == [key.id.encode()]  # type: ignore[union-attr]  # a Record


async def test_every_call_on_a_frozen_server_ends_by_its_deadline(server: RedisServer) -> None:
    async with backend_at(server.url) as backend:
        await put(backend, {"a": b"1"})
        server.freeze()
        try:
            began = time.monotonic()
            reads = [backend.load(KEY, tail=1) for _ in range(50)]
            writes = [backend.commit(KEY, update({"a": b"2"})) for _ in range(50)]
            ended = await asyncio.gather(*reads, *writes, return_exceptions=True)
            took = time.monotonic() - began
            # Those that come later end too: the connection is given up, and a new one is not answered either.
            with pytest.raises((StoreTimeout, StoreUnavailable)):
                await backend.load(KEY, tail=1)
            late = time.monotonic() - began - took
        finally:
            server.thaw()
        assert all(isinstance(error, StoreTimeout) for error in ended[:50])
        assert all(isinstance(error, OutcomeUnknown) for error in ended[50:])
        assert TIMEOUT_S * 0.9 <= took < TIMEOUT_S + SLACK_S
        assert late < TIMEOUT_S + SLACK_S
        assert await record_of(backend)


async def test_a_call_made_while_others_wait_keeps_to_its_own_deadline(server: RedisServer) -> None:
    async with backend_at(server.url) as backend:
        await put(backend, {"a": b"1"})
        server.freeze()
        try:
            began = time.monotonic()
            tasks = []
            for _ in range(20):
                tasks.append(asyncio.create_task(backend.load(KEY, tail=1)))
                await asyncio.sleep(0.05)
            await asyncio.gather(*tasks, return_exceptions=True)
            assert time.monotonic() - began < 20 * 0.05 + TIMEOUT_S + SLACK_S  # one after the other would be 10 s
        finally:
            server.thaw()


async def test_a_killed_server_leaves_writes_unknown_and_then_unavailable() -> None:
    async with RedisServer(SAVED_FOR_A_KILL) as server, backend_at(server.url) as backend:
        await put(backend, {"a": b"1"})
        server.freeze()  # so that they are under way when it is killed
        writes = [asyncio.create_task(backend.commit(KEY, update({"a": b"2"}))) for _ in range(20)]
        read = asyncio.create_task(backend.load(KEY, tail=1))
        await asyncio.sleep(0.05)
        await server.kill()
        ended = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(error, OutcomeUnknown) for error in ended)
        with pytest.raises(StoreUnavailable):
            await read
        with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{server.port}"):
            await backend.commit(KEY, update({"a": b"3"}))
        await server.restart()
        assert values(await record_of(backend))["a"] == b"1"


async def test_blackholed_connections_end_by_the_deadline(server: RedisServer) -> None:
    async with (
        FaultProxy("127.0.0.1", server.port) as proxy,
        backend_at(f"redis://{proxy.host}:{proxy.port}/0") as backend,
    ):
        await put(backend, {"a": b"1"})
        proxy.blackhole()
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await backend.commit(KEY, update({"a": b"2"}))
        with pytest.raises(StoreError):
            await backend.load(KEY, tail=1)
        assert time.monotonic() - began < 2 * (TIMEOUT_S + SLACK_S)
        proxy.blackhole(False)
        await record_of(backend)


async def test_connections_that_are_accepted_and_never_answered_end_by_the_deadline(server: RedisServer) -> None:
    async with (
        FaultProxy("127.0.0.1", server.port) as proxy,
        backend_at(f"redis://{proxy.host}:{proxy.port}/0") as backend,
    ):
        await put(backend, {"a": b"1"})
        proxy.half_open()
        proxy.cut_all()
        await asyncio.sleep(0.02)
        began = time.monotonic()
        calls = [backend.commit(KEY, update({"a": b"2"})) for _ in range(20)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, StoreUnavailable) for error in ended)
        assert time.monotonic() - began < TIMEOUT_S + SLACK_S
        proxy.half_open(False)
        assert values(await record_of(backend))["a"] == b"1"


async def test_a_lost_reply_is_unknown_and_the_write_applied_once(server: RedisServer) -> None:
    async with (
        FaultProxy("127.0.0.1", server.port) as proxy,
        backend_at(f"redis://{proxy.host}:{proxy.port}/0") as backend,
    ):
        await put(backend, {"a": b"1"}, appends=[b"first"])
        proxy.lose_reply(to=b"FCALL")
        delta = update({"a": b"2"}, appends=[b"second"])
        with pytest.raises(OutcomeUnknown):
            await backend.commit(KEY, delta)
        assert (await record_of(backend)).tail == [b"first", b"second"]


async def test_a_refused_connection_says_where_and_what_to_do() -> None:
    port = free_port()
    with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{port}.*running"):
        await open_redis(f"redis://127.0.0.1:{port}/0", timeout=1)


async def test_more_calls_than_may_wait_are_refused(server: RedisServer) -> None:
    async with lane_to(server, max_waiting=10) as lane:
        assert await lane.call(("PING",), write=False) == b"PONG"
        replies = await asyncio.gather(
            *[lane.call(("ECHO", "x"), write=False) for _ in range(25)], return_exceptions=True
        )
        assert [reply for reply in replies if not isinstance(reply, StoreUnavailable)] == [b"x"] * 10
        assert await lane.call(("PING",), write=False) == b"PONG"


async def test_callers_share_one_attempt_to_connect(server: RedisServer) -> None:
    before = int(server.info("stats")["total_connections_received"])
    async with lane_to(server) as lane:
        await asyncio.gather(*[lane.call(("PING",), write=False) for _ in range(100)])
        # one for the lane; one each for the two questions asked here
        assert int(server.info("stats")["total_connections_received"]) - before == 2


async def test_closing_ends_the_calls_under_way(server: RedisServer) -> None:
    async with backend_at(server.url, timeout=5) as backend:
        await put(backend, {"a": b"1"})
        server.freeze()
        try:
            read = asyncio.create_task(backend.load(KEY, tail=1))
            await asyncio.sleep(0.02)
            await backend.close()
            with pytest.raises(StoreUnavailable):
                await read
        finally:
            server.thaw()
        with pytest.raises(StoreClosed):
            await backend.load(KEY, tail=1)


async def test_a_large_page_does_not_hold_up_small_calls(server: RedisServer) -> None:
    async with backend_at(server.url, timeout=5) as backend:
        big = SessionKey("acme", "big")
        await put(backend, key=big, appends=[b"x" * 100_000] * 200)
        page = asyncio.create_task(backend.read_log(big, start=0, count=200))
        await asyncio.sleep(0)
        assert await missing(backend)
        assert not page.done()
        got = await page
        assert got is not None and len(got.entries) == 200


async def test_several_connections_carry_the_same_session_in_order(server: RedisServer) -> None:
    async with backend_at(server.url, timeout=5, connections=3) as backend:
        keys = [SessionKey("acme", f"s-{n}") for n in range(30)]
        await asyncio.gather(*[run_turn(backend, "t1", {"a": b"1"}, key) for key in keys])
        for key in keys:
            assert (await record_of(backend, key)).total == 2
