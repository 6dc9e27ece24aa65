"""A Sentinel set: who the primary is, and going on when it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import Store, open_store
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.init_server import NewUser, init_servers
from holdfast.backends.redis.lane import Lane
from holdfast.errors import ConfigError, ServerUnsuitable, StoreClosed, StoreUnavailable
from holdfast.testing import RedisServer, SentinelSet
from holdfast.testing.access import Access
from holdfast.testing.calls import put, record_of, values
from holdfast.testing.servers import free_port
from redis_servers import needs
from store_nodes import eventually


@pytest.fixture
async def broken_set() -> AsyncIterator[SentinelSet]:
    """A set that the test may break."""
    needs("redis-server")
    async with SentinelSet() as running:
        yield running


def sockets() -> int:
    return sum("socket" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


async def turn(store: Store, number: int, session: str = "s") -> None:
    await store.run_turn(session, lambda turn: turn.reply("ok"), input=f"m{number}", turn_id=f"t{number}")


async def turns_until(store: Store, first: int, change: asyncio.Task[object]) -> int:
    """Runs turns one after another until ``change`` is over, and then ten more; returns the next number."""
    number, after = first, 10
    while after:
        await turn(store, number)
        number += 1
        after -= change.done()
        await asyncio.sleep(0.005)
    await change
    return number


async def test_turns_run_against_the_primary_that_the_sentinels_name(sentinel_set: SentinelSet) -> None:
    async with open_store(f"{sentinel_set.url}?prefix=named") as store:
        await turn(store, 1)
        assert sentinel_set.primary().command("EXISTS", "named:{00}:f") is not None
        texts = [finding.text for finding in await store.check()]
        assert any("2 replicas connected" in text for text in texts)


async def test_wrong_sentinels_give_one_clear_error(sentinel_set: SentinelSet) -> None:
    hosts = sentinel_set.url.partition("://")[2].partition("/")[0]
    with pytest.raises(ConfigError, match="watches no service 'other'"):
        await open_redis(f"redis+sentinel://{hosts}/other", timeout=2)
    with pytest.raises(ConfigError, match="its own as"):
        await open_redis(f"redis+sentinel://{hosts}/mymaster?sentinel_password=wrong", timeout=2)
    with pytest.raises(StoreUnavailable, match=r"no primary found.*cannot be asked"):
        await open_redis(f"redis+sentinel://127.0.0.1:{free_port()}/mymaster", timeout=0.5)


async def test_a_dead_sentinel_among_the_seeds_does_no_harm(sentinel_set: SentinelSet) -> None:
    url = sentinel_set.url.replace("://", f"://127.0.0.1:{free_port()},", 1)
    backend = await open_redis(url, prefix="seeds", timeout=5)
    await put(backend, {"a": b"1"})
    await backend.close()


async def test_the_sentinels_have_a_password_of_their_own() -> None:
    needs("redis-server")
    async with SentinelSet(access=Access(password="data"), sentinel_access=Access(password="watch")) as guarded:
        backend = await open_redis(guarded.url, timeout=5)
        await put(backend, {"a": b"1"})
        await backend.close()
        hosts = guarded.url.rpartition("@")[2].partition("/")[0]
        with pytest.raises(ConfigError, match="sentinel_password"):
            await open_redis(f"redis+sentinel://:data@{hosts}/mymaster", timeout=2)


@pytest.mark.parametrize("how", ["killed", "frozen", "by hand"])
async def test_turns_go_on_over_a_failover_with_nothing_lost(broken_set: SentinelSet, how: str) -> None:
    async with open_store(f"{broken_set.url}?durability=replicated", timeout=5) as store:
        await turn(store, 0)
        opened, old = sockets(), broken_set.primary()

        async def fail_over() -> None:
            await asyncio.sleep(0.3)
            if how == "by hand":
                await broken_set.failover()
                return
            if how == "killed":
                await old.kill()
            else:
                old.freeze()
            await broken_set.wait_for_primary(other_than=old)

        number = await turns_until(store, 1, asyncio.create_task(fail_over()))
        if how == "frozen":
            old.thaw()
        ids = [message.turn_id async for message in store.messages("s") if message.role == "user"]
        assert ids == [f"t{n}" for n in range(number)]
        await eventually(lambda: sockets() <= opened, 10)


async def test_without_a_primary_calls_end_by_their_deadline_and_come_back(broken_set: SentinelSet) -> None:
    async with open_store(broken_set.url, timeout=1, settle=1) as store:
        await turn(store, 0)
        for server in broken_set.servers:
            await server.kill()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.load("s")
        assert time.monotonic() - began < 1 + 1
        for server in broken_set.servers:
            await server.start()
        await broken_set.wait_for_primary()
        ends = time.monotonic() + 20
        while True:
            try:
                await turn(store, 1)
                break
            except StoreUnavailable:
                assert time.monotonic() < ends
                await asyncio.sleep(0.1)


async def test_callers_of_a_retired_primary_are_not_told_that_the_store_is_closed() -> None:
    needs("redis-server")
    async with RedisServer() as server:
        server.freeze()
        lane = Lane(Address("127.0.0.1", server.port), timeout=5, max_waiting=10)
        call = asyncio.create_task(lane.call(("PING",), write=False))
        await asyncio.sleep(0.05)
        await lane.close("is not the primary any more")
        with pytest.raises(StoreUnavailable, match="not the primary any more") as caught:
            await call
        assert not isinstance(caught.value, StoreClosed)
        with pytest.raises(StoreUnavailable, match="not the primary any more"):
            await lane.call(("PING",), write=False)


async def test_hints_arrive_after_a_failover(broken_set: SentinelSet) -> None:
    backend = await open_redis(broken_set.url, timeout=5)
    try:
        await put(backend, {"a": b"1"})
        key = await _key(backend)
        async with backend.watch(key) as watch:
            await broken_set.failover()
            ends = time.monotonic() + 20
            hint = None
            while hint is None and time.monotonic() < ends:
                await backend.publish(key, b"look")
                hint = await watch.wait(0.2)
            assert hint == b"look"
    finally:
        await backend.close()


async def _key(backend: RedisBackend):  # type: ignore[no-untyped-def]  # the suite's usual key
    from holdfast.testing.calls import KEY

    assert values(await record_of(backend))
    return KEY


async def test_a_level_that_the_servers_cannot_give_is_refused(
    sentinel_set: SentinelSet, redis_server: RedisServer
) -> None:
    with pytest.raises(ServerUnsuitable, match=r"0 replicas.*add replicas"):
        await open_redis(redis_server.url, durability="replicated")
    with pytest.raises(ServerUnsuitable, match=r"2 replicas.*replicas=3"):
        await open_redis(f"{sentinel_set.url}?durability=replicated&replicas=3")
    with pytest.raises(ServerUnsuitable, match="appendonly yes"):
        await open_redis(redis_server.url, durability="fsync")
    with pytest.raises(ServerUnsuitable, match="appendfsync no"):
        await open_redis(f"{sentinel_set.url}?durability=fsync")
    async with RedisServer({"appendonly": "yes", "appendfsync": "always"}) as server:
        backend = await open_redis(server.url, durability="fsync")
        await put(backend, {"a": b"1"})
        await backend.close()


async def test_a_wrong_password_of_the_data_servers_is_told_and_closing_does_not_hang() -> None:
    async with SentinelSet(access=Access(password="data")) as guarded:
        hosts = guarded.url.rpartition("@")[2].partition("/")[0]
        for login in ("", ":wrong@"):
            async with asyncio.timeout(10):
                with pytest.raises(ConfigError, match="password"):
                    await open_redis(f"redis+sentinel://{login}{hosts}/mymaster", timeout=2)


async def test_the_nodes_user_works_after_a_failover(broken_set: SentinelSet) -> None:
    await init_servers(broken_set.url, NewUser("node", "s3cret", create=True))
    url = broken_set.url.replace("://", "://node:s3cret@", 1)
    async with open_store(url) as store:
        await turn(store, 0)
        await broken_set.failover()
        await turn(store, 1)
