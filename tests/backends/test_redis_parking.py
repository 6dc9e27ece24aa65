"""What signals, parked turns and events leave on a Redis server, and what damage does to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast.backends.records import EventChunks, Parked, Signalled
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.acks import Majority
from holdfast.backends.redis.keys import Keys, partition_of
from holdfast.errors import CorruptRecord, OutcomeUnknown
from holdfast.testing.calls import KEY, LONG_MS, begin, finish, got, granted, missing, put, record_of, run_turn
from holdfast.testing.servers import RedisServer

NAMES = Keys("hf")
SESSION, JOURNAL, EVENTS = NAMES.session(KEY), NAMES.sibling(KEY, "j") + ":t1", NAMES.sibling(KEY, "e")
PENDING = NAMES.pending(partition_of(*KEY))
OF_ANN = NAMES.user(KEY.tenant, "ann")
HOUR_MS = 3_600_000


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    redis_server.command("FLUSHALL")
    yield redis_server


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    backend = await open_redis(server.url, timeout=1.0)
    yield backend
    await backend.close()


def count(server: RedisServer, *command: str) -> int:
    found = server.command(*command)
    assert isinstance(found, int)
    return found


# --- signals, parking ---


@pytest.mark.parametrize("running", [True, False])
async def test_a_signals_journal_lives_as_long_as_its_session(
    server: RedisServer, backend: RedisBackend, running: bool
) -> None:
    grant = await granted(backend, "t1" if running else "t0", ttl_ms=HOUR_MS)
    if not running:
        await begin(backend, "t1")
    server.command("RPUSH", JOURNAL, "left behind")
    assert await backend.signal(KEY, "ok", b"yes", turn_id="t1") == ("t1",)
    assert count(server, "LLEN", JOURNAL) == 1
    assert count(server, "PEXPIRETIME", JOURNAL) == count(server, "PEXPIRETIME", SESSION) > 0
    await put(backend, {}, ttl_ms=48 * HOUR_MS)
    assert count(server, "PEXPIRETIME", JOURNAL) == count(server, "PEXPIRETIME", SESSION)
    if not running:
        await finish(backend, "t0", grant)
        grant = await granted(backend, "t1")
    await finish(backend, "t1", grant)
    assert count(server, "EXISTS", JOURNAL) == 0


async def test_a_parked_turns_keys_live_as_long_as_it_may_wait(server: RedisServer, backend: RedisBackend) -> None:
    grant = await granted(backend, "t1", ttl_ms=1_000, user="ann")
    await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=1_000)
    await put(backend, {"a": b"1"}, appends=[b"x"])
    before = count(server, "PTTL", OF_ANN)
    assert before < HOUR_MS
    assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=10 * HOUR_MS) is None
    for name in (SESSION, JOURNAL, NAMES.sibling(KEY, "l"), OF_ANN):
        assert count(server, "PTTL", name) > 10 * HOUR_MS, name
    due, now = server.command("ZSCORE", PENDING, ":acme:s-1:t1"), count(server, "PEXPIRETIME", SESSION) - 10 * HOUR_MS
    assert now - HOUR_MS < float(str(due)) - 10 * HOUR_MS < now  # else each look for overdue turns would meet it


async def test_a_lost_journal_is_corrupt_and_a_signal_writes_nothing(
    server: RedisServer, backend: RedisBackend
) -> None:
    grant = await granted(backend, "t1")
    await backend.signal(KEY, "ok", b"yes")
    server.command("DEL", JOURNAL)
    before = server.command("DUMP", SESSION)
    for call in (
        backend.signal(KEY, "other", b"yes"),
        backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS),
        backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS),
    ):
        with pytest.raises(CorruptRecord, match="journal"):
            await call
    assert server.command("DUMP", SESSION) == before and count(server, "EXISTS", JOURNAL) == 0


async def test_the_last_value_of_a_step_is_what_parking_finds(backend: RedisBackend) -> None:
    grant = await granted(backend, "t1")
    await backend.signal(KEY, "ok", b"K")
    assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS) == b"K"
    await backend.record(KEY, "t1", fence=grant.fence, name="ok", value=b"F", lease_ms=LONG_MS)
    assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS) == b"F"


async def test_a_turn_that_was_signalled_and_taken_over_is_told_by_its_grant_alone(backend: RedisBackend) -> None:
    first = await granted(backend, "t1", lease_ms=1)
    await backend.signal(KEY, "ok", b"yes")
    got(await backend.renew(KEY, "t1", fence=first.fence, lease_ms=1), Signalled)
    await asyncio.sleep(0.01)
    again = await granted(backend, "t1")
    assert again.steps == [("ok", b"yes")]
    assert await backend.renew(KEY, "t1", fence=again.fence, lease_ms=LONG_MS) is None


async def test_what_a_turn_is_told_survives_a_failover_before_it_acts_on_it(backend: RedisBackend) -> None:
    grant = await granted(backend, "t1")
    backend._calls.timeout = 0.1
    backend._calls._quorum = Majority(1)  # this server has no replica
    assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) is None
    assert await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=1000) is None
    for call in (
        backend.signal(KEY, "ok", b"yes"),
        backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS),
        backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS),
        backend.park(KEY, "t1", fence=grant.fence, name="other", for_ms=LONG_MS),
    ):
        with pytest.raises(OutcomeUnknown, match="replicas"):
            await call
    backend._calls._quorum = None
    got(await begin(backend, "t1"), Parked)


# --- events ---


async def test_events_never_show_in_the_next_life(server: RedisServer, backend: RedisBackend) -> None:
    grant = await granted(backend, "t1")
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=LONG_MS)
    server.command("DEL", SESSION)  # as the expiry of its keys does; the events have one of their own
    assert await backend.read_events(KEY, "t1") == EventChunks()
    again = await granted(backend, "t1")
    assert count(server, "EXISTS", EVENTS) == 1
    assert await backend.read_events(KEY, "t1") == EventChunks()
    await backend.append_events(KEY, "t1", fence=again.fence, chunk=b"y", keep_ms=LONG_MS)
    assert await backend.read_events(KEY, "t1") == EventChunks(again.fence, 0, [b"y"])


async def test_events_alone_are_no_session(server: RedisServer, backend: RedisBackend) -> None:
    grant = await granted(backend, "t1")
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=LONG_MS)
    server.command("DEL", SESSION)
    assert await missing(backend)
    assert not await backend.delete(KEY)
    assert count(server, "EXISTS", EVENTS) == 0


async def test_an_end_of_life_takes_the_events_along(server: RedisServer, backend: RedisBackend) -> None:
    token = bytes(8)
    grant = await granted(backend, "t1", token=token)
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=LONG_MS)
    await backend.release(KEY, "t1", token=token, withdraw=True)
    assert count(server, "EXISTS", EVENTS) == 0


async def test_events_expire_by_themselves(server: RedisServer, backend: RedisBackend) -> None:
    grant = await granted(backend, "t1")
    for keep_ms in (LONG_MS, 2 * LONG_MS, LONG_MS):
        await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=keep_ms)
        assert keep_ms - 10_000 < count(server, "PTTL", EVENTS) <= keep_ms


async def test_a_chunk_is_three_commands_and_a_turn_without_any_pays_nothing(
    server: RedisServer, backend: RedisBackend
) -> None:
    version = (await run_turn(backend, "t0", {"a": b"1"}, ttl_ms=HOUR_MS)).version
    grant = await granted(backend, "t1", known=version)
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=LONG_MS)
    server.reset_stats()
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"y", keep_ms=LONG_MS)
    calls = server.calls()
    inner = {name: calls[name] for name in calls if name not in ("fcall", "info", "config|resetstat")}
    assert inner == {"time": 1, "hget": 1, "lrange": 1, "rpush": 1, "pexpire": 1}
    server.reset_stats()
    await finish(backend, "t1", grant, {"a": b"2"}, base=version)
    assert not server.calls().keys() & {"lrange", "unlink", "pexpire", "publish"}
    assert (await record_of(backend)).total == 4
