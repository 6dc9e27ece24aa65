"""The Redis backend on a Cluster: opening, functions on every primary, hints by shard, primaries that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from half_moved import HalfMoved

from holdfast import open_store
from holdfast.backends.records import SessionKey
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.init_server import NewUser, init_servers
from holdfast.backends.redis.library import CLUSTER
from holdfast.errors import ConfigError, ServerUnsuitable, StoreUnavailable
from holdfast.testing import Access, Certificates
from holdfast.testing.calls import KEY, put, record_of, run_turn, scanned
from holdfast.testing.clusters import ClusterNode, RedisCluster
from holdfast.testing.places import free_port
from holdfast.testing.servers import RedisServer
from store_nodes import eventually

NewCluster = type[RedisCluster]
KEYS = [SessionKey("acme", f"s-{number}") for number in range(60)]


@pytest.fixture
async def backend(redis_cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
    for node in redis_cluster.primaries():
        node.command("FLUSHALL")
    backend = await open_redis(redis_cluster.url)
    yield backend
    await backend.close()


def cluster_url(*nodes: str) -> str:
    return f"redis+cluster://{','.join(nodes)}"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def subscribers(node: ClusterNode) -> int:
    return str(node.command("CLIENT", "LIST", "TYPE", "PUBSUB")).count("\n")


# --- opening ---


async def test_one_living_node_among_the_seeds_is_enough(redis_cluster: RedisCluster) -> None:
    dead = f"127.0.0.1:{free_port()}"
    for living in redis_cluster.nodes:  # a replica tells the map as well
        backend = await open_redis(cluster_url(dead, living.where))
        await put(backend, {"a": b"1"})
        await backend.close()


async def test_no_living_seed_is_unavailable_by_the_timeout() -> None:
    dead = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with pytest.raises(StoreUnavailable, match=dead[0]):
        await open_redis(cluster_url(*dead), timeout=0.5)


async def test_a_url_of_the_wrong_kind_says_which_is_right(
    redis_cluster: RedisCluster, redis_server: RedisServer
) -> None:
    with pytest.raises(ServerUnsuitable, match=r"redis\+cluster://"):
        await open_redis(f"redis://{redis_cluster.nodes[0].where}/0")
    with pytest.raises(ServerUnsuitable, match="write redis://"):
        await open_redis(cluster_url(f"127.0.0.1:{redis_server.port}"))
    with pytest.raises(ConfigError, match="database 0"):
        await open_redis(redis_cluster.url + "/1")


async def test_tls_and_a_password_reach_every_node(new_redis_cluster: NewCluster, certificates: Certificates) -> None:
    async with new_redis_cluster(access=Access(password="pw", certificates=certificates), replicas=0) as cluster:
        assert cluster.url.startswith("rediss+cluster://")
        backend = await open_redis(cluster.url)
        for key in KEYS:
            await run_turn(backend, "t1", {"a": b"1"}, key)
        assert len(await scanned(backend)) == len(KEYS)
        await backend.close()
        with pytest.raises(ConfigError, match="password"):
            await open_redis(cluster.url.replace(":pw@", ":wrong@"))


async def test_check_speaks_of_the_cluster_and_of_each_primary(
    redis_cluster: RedisCluster, backend: RedisBackend
) -> None:
    findings = {finding.subject: finding for finding in await backend.check()}
    assert findings["cluster"].level == "ok" and "16384 of 16384" in findings["cluster"].text
    for node in redis_cluster.primaries():
        assert findings[f"{node.where} functions"].level == "ok"
        assert findings[f"{node.where} eviction"].level == "ok"


async def test_each_shard_needs_replicas_for_replicated(
    redis_cluster: RedisCluster, new_redis_cluster: NewCluster
) -> None:
    backend = await open_redis(redis_cluster.url, durability="replicated")
    for key in KEYS:
        await run_turn(backend, "t1", {"a": b"1"}, key)
    await backend.close()
    with pytest.raises(ServerUnsuitable, match="has 1 replicas"):
        await open_redis(redis_cluster.url, durability="replicated", replicas=2)
    async with new_redis_cluster(replicas=0) as bare:
        with pytest.raises(ServerUnsuitable, match="has 0 replicas"):
            await open_redis(bare.url, durability="replicated")


# --- functions ---


async def test_functions_are_on_every_primary_and_come_back_where_they_are_lost(
    redis_cluster: RedisCluster, backend: RedisBackend
) -> None:
    primaries = redis_cluster.primaries()
    for node in primaries:
        assert node.command("FUNCTION", "LIST", "LIBRARYNAME", CLUSTER.name) != []
    for node in primaries[:2]:
        node.command("FUNCTION", "FLUSH")
    await asyncio.gather(*[run_turn(backend, "t1", {"a": b"1"}, key) for key in KEYS])
    for node in primaries:
        assert node.command("FUNCTION", "LIST", "LIBRARYNAME", CLUSTER.name) != []


# --- hints ---


async def test_hints_arrive_over_one_connection_for_each_primary(
    redis_cluster: RedisCluster, backend: RedisBackend
) -> None:
    other = await open_redis(redis_cluster.url)
    heard: list[SessionKey] = []
    ready = asyncio.Semaphore(0)

    async def listen(key: SessionKey) -> None:
        async with backend.watch(key) as watch:
            ready.release()
            if await watch.wait(10) == b"hello":
                heard.append(key)

    listeners = [asyncio.create_task(listen(key)) for key in KEYS]
    for _ in KEYS:
        await ready.acquire()
    assert [subscribers(node) for node in redis_cluster.primaries()] == [1, 1, 1]
    for key in KEYS:
        await other.publish(key, b"hello")
    await asyncio.gather(*listeners)
    assert sorted(heard) == sorted(KEYS)
    async with backend.watch(KEY) as watch:
        await put(other, {"a": b"1"})  # nobody waits for a turn of this session: no hint
        assert await watch.wait(0.05) is None
    await other.close()


async def test_hints_follow_their_slot(new_redis_cluster: NewCluster) -> None:
    async with new_redis_cluster(replicas=0) as cluster:
        backend, other = await open_redis(cluster.url), await open_redis(cluster.url)
        async with backend.watch(KEY) as watch:
            for hint in (b"one", b"two"):
                move = HalfMoved(cluster)
                move.finish()
                await run_turn(other, hint.decode())
                async with asyncio.timeout(20):
                    while True:
                        await other.publish(KEY, hint)
                        if await watch.wait(0.1) == hint:
                            break
                assert subscribers(move.target) == 1
        await backend.close()
        await other.close()


# --- primaries that come and go ---


async def test_a_primary_that_joins_later_serves_what_it_is_given(new_redis_cluster: NewCluster) -> None:
    async with new_redis_cluster(replicas=0) as cluster:
        backend = await open_redis(cluster.url)
        for key in KEYS:
            await run_turn(backend, "t1", {"a": b"1"}, key)
        source, new = cluster.primaries()[0], await cluster.add_primary()
        assert new.command("FUNCTION", "LIST") == []
        await cluster.reshard(sorted(source.view().slots), source, new)
        for key in KEYS:
            await run_turn(backend, "t2", {"a": b"2"}, key)
            assert (await record_of(backend, key)).total == 4
        assert new.command("FUNCTION", "LIST", "LIBRARYNAME", CLUSTER.name) != []
        # the drained one is none of our primaries any more: nothing of ours stays connected to it
        await eventually(lambda: "name=holdfast" not in str(source.command("CLIENT", "LIST")), within=20)
        await backend.close()


async def test_nothing_stays_open_after_close(redis_cluster: RedisCluster) -> None:
    async def once() -> None:
        backend = await open_redis(redis_cluster.url)
        async with backend.watch(KEY):
            await asyncio.gather(*[put(backend, {"a": b"1"}, key) for key in KEYS])
        await backend.close()

    await once()
    before, files = len(asyncio.all_tasks()), open_files()
    for _ in range(3):
        await once()
    assert len(asyncio.all_tasks()) == before
    await eventually(lambda: open_files() <= files)


async def test_a_user_with_the_printed_rights_serves_turns(redis_cluster: RedisCluster) -> None:
    cluster = redis_cluster
    line = (await init_servers(cluster.url, NewUser("node")))[0].line
    servers = [*cluster.primaries(), *cluster.replicas()]
    for server in servers:  # users are not replicated
        server.command(*line.replace("PASSWORD", "s3cret").split())
    hosts = cluster.url.partition("://")[2].partition("?")[0]
    try:
        async with open_store(f"redis+cluster://node:s3cret@{hosts.rpartition('@')[2]}") as store:
            for number in range(20):
                await store.run_turn(f"rights-{number}", lambda turn: turn.reply("ok"), input="x", user="u-1")
            assert len((await store.by_user("u-1")).ids) == 20
            assert {finding.level for finding in await store.check() if finding.subject.endswith("functions")} == {"ok"}
    finally:
        for server in servers:
            server.command("ACL", "DELUSER", "node")
