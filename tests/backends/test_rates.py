"""Rates: the same buckets in this process and in Redis, where all nodes share them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from itertools import pairwise
from random import Random

import pytest

from holdfast.backends.rates import Bucket, OwnRates, Rate, Rates, shared_rates
from holdfast.backends.redis import open_redis
from holdfast.errors import StoreError
from holdfast.telemetry.instrumenting import measure
from holdfast.testing import RedisServer
from holdfast.wiring import open_store

MINUTE, HOUR = Rate(60, 60), Rate(100, 3600)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def subject() -> str:
    return hashlib.blake2b(os.urandom(8), digest_size=16).hexdigest()


def bucket(rate: Rate, cost: int = 1, name: str = "") -> Bucket:
    return Bucket(name or f"r{rate.period}", rate, cost)


def key_of(server: RedisServer, prefix: str, who: str) -> str:
    """The one key that names this subject."""
    found = server.command("KEYS", f"{prefix}:*{who}")
    assert isinstance(found, list)
    assert len(found) == 1
    return str(found[0])


def left_ms(server: RedisServer, key: str) -> int:
    left = server.command("PTTL", key)
    assert isinstance(left, int)
    return left


@pytest.fixture(params=["own", "redis"])
async def rates(request: pytest.FixtureRequest) -> AsyncIterator[Rates]:
    if request.param == "own":
        yield OwnRates()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    backend = await open_redis(server.url, prefix=f"r{os.urandom(4).hex()}")
    yield backend
    await backend.close()


async def test_as_many_as_the_amount_fit_at_once(rates: Rates) -> None:
    who, slow = subject(), Rate(10, 3600)
    answers = [(await rates.take_rates(who, [bucket(slow)])).granted for _ in range(13)]
    assert answers == [True] * 10 + [False] * 3


async def test_what_is_left_and_when_the_next_fits(rates: Rates) -> None:
    who, slow = subject(), Rate(4, 3600)
    first = await rates.take_rates(who, [bucket(slow)])
    assert slow.left(first.loads[0]) == 3
    await rates.take_rates(who, [bucket(slow, 3)])
    refused = await rates.take_rates(who, [bucket(slow)])
    assert slow.left(refused.loads[0]) == 0
    assert slow.wait(refused.loads[0], 1) == pytest.approx(900, abs=2)
    assert slow.wait(refused.loads[0], 2) == pytest.approx(1800, abs=2)


async def test_all_buckets_take_it_or_none(rates: Rates) -> None:
    who, few = subject(), Rate(2, 3600)
    for _ in range(2):
        assert (await rates.take_rates(who, [bucket(MINUTE), bucket(few)])).granted
    for _ in range(5):
        assert not (await rates.take_rates(who, [bucket(MINUTE), bucket(few)])).granted
    left = await rates.take_rates(who, [bucket(MINUTE, 0)])
    assert MINUTE.left(left.loads[0]) >= 58


async def test_what_is_given_back_fits_again(rates: Rates) -> None:
    who, few = subject(), Rate(2, 3600)
    await rates.take_rates(who, [bucket(few, 2)])
    assert not (await rates.take_rates(who, [bucket(few)])).granted
    await rates.take_rates(who, [bucket(few, -1)])
    assert (await rates.take_rates(who, [bucket(few)])).granted
    emptied = await rates.take_rates(who, [bucket(few, -50)])
    assert emptied.loads == (0.0,)


async def test_subjects_and_names_are_apart(rates: Rates) -> None:
    one, few = subject(), Rate(1, 3600)
    assert (await rates.take_rates(one, [bucket(few, name="a")])).granted
    assert (await rates.take_rates(one, [bucket(few, name="b")])).granted
    assert (await rates.take_rates(subject(), [bucket(few, name="a")])).granted
    assert not (await rates.take_rates(one, [bucket(few, name="a")])).granted


async def test_many_at_once_get_exactly_the_amount(rates: Rates) -> None:
    who, slow = subject(), Rate(20, 3600)
    answers = await asyncio.gather(*[rates.take_rates(who, [bucket(slow)]) for _ in range(200)])
    assert sum(one.granted for one in answers) == 20


def test_it_drains_evenly_and_never_admits_more_than_it_says() -> None:
    clock, rng = Clock(), Random(7)
    own, granted = OwnRates(clock), list[float]()
    for _ in range(5000):
        clock.now += rng.expovariate(3.0)
        if own.take("x", [bucket(MINUTE)]).granted:
            granted.append(clock.now)
    for at, since in enumerate(granted):
        for window in (1.0, 10.0, 60.0):
            inside = sum(since <= moment < since + window for moment in granted[at : at + 130])
            assert inside <= 60 * (1 + window / 60) + 1
    assert len(granted) == pytest.approx(60 + (clock.now - 1000), rel=0.02)
    assert max(later - earlier for earlier, later in pairwise(granted)) < 5


def test_who_keeps_to_it_evenly_is_never_refused() -> None:
    clock = Clock()
    own = OwnRates(clock)
    for _ in range(500):
        assert own.take("x", [bucket(MINUTE)]).granted
        clock.now += 1.0


def test_when_the_next_fits_is_exact() -> None:
    clock = Clock()
    own = OwnRates(clock)
    own.take("x", [bucket(HOUR, 100)])
    wait = HOUR.wait(own.take("x", [bucket(HOUR)]).loads[0], 1)
    clock.now += wait - 0.01
    assert not own.take("x", [bucket(HOUR)]).granted
    clock.now += 0.02
    assert own.take("x", [bucket(HOUR)]).granted


def test_a_process_remembers_so_many_subjects() -> None:
    own, once = OwnRates(most=3), [bucket(Rate(1, 3600))]
    for who in "abcd":
        assert own.take(who, once).granted
    assert not own.take("d", once).granted
    assert own.take("a", once).granted  # forgotten, as the oldest


async def test_a_load_of_another_clock_is_full_and_not_more(redis_server: RedisServer) -> None:
    """A failover may bring a server whose clock is behind."""
    backend = await open_redis(redis_server.url, prefix="rclock")
    who, few = subject(), Rate(2, 3600)
    await backend.take_rates(who, [bucket(few)])
    key = key_of(redis_server, "rclock", who)
    redis_server.command("HSET", key, "r3600", str(10**17))
    refused = await backend.take_rates(who, [bucket(few)])
    assert refused.loads == (3600.0,)
    await backend.close()


async def test_what_is_drained_leaves_no_key(redis_server: RedisServer) -> None:
    backend = await open_redis(redis_server.url, prefix="rgone")
    who = subject()
    await backend.take_rates(who, [bucket(MINUTE), bucket(HOUR, 10)])
    await backend.take_rates(who, [bucket(MINUTE)])
    key = key_of(redis_server, "rgone", who)
    assert 300_000 < left_ms(redis_server, key) <= 360_002
    await backend.take_rates(who, [bucket(HOUR, -100)])
    assert left_ms(redis_server, key) <= 360_002
    await backend.close()


async def test_a_call_is_one_command_of_a_few_bytes(redis_server: RedisServer) -> None:
    backend = await open_redis(redis_server.url, prefix="rcost")
    who = subject()
    await backend.take_rates(who, [bucket(MINUTE)])
    redis_server.reset_stats()
    for _ in range(100):
        await backend.take_rates(who, [bucket(MINUTE), bucket(HOUR)])
    assert redis_server.calls()["fcall"] == 100
    assert redis_server.bytes_received() < 100 * 250
    await backend.close()


async def test_a_store_that_is_measured_still_shares_them(redis_server: RedisServer) -> None:
    async with open_store(redis_server.url) as store, open_store("memory:") as own:
        measure(store)
        assert shared_rates(store.backend) is not None
        assert shared_rates(own.backend) is None


async def test_a_server_that_is_gone_is_an_error(rates: Rates) -> None:
    if isinstance(rates, OwnRates):
        return
    with RedisServer() as server:
        backend = await open_redis(server.url, timeout=1)
        await backend.take_rates(subject(), [bucket(MINUTE)])
        await server.kill()
        with pytest.raises(StoreError):
            await backend.take_rates(subject(), [bucket(MINUTE)])
        await backend.close()


async def test_the_nodes_of_a_cluster_share_them(redis_cluster: object) -> None:
    url: str = redis_cluster.url  # type: ignore[attr-defined]
    one, other = await open_redis(url, prefix="rc"), await open_redis(url, prefix="rc")
    for who in [subject() for _ in range(20)]:
        few = Rate(3, 3600)
        answers = [await rates.take_rates(who, [bucket(few)]) for rates in (one, other, one, other)]
        assert [answer.granted for answer in answers] == [True, True, True, False]
    await one.close()
    await other.close()
