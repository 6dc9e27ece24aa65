"""What Redis tells of itself, as measures: a real server with a replica, full memory, and a server that tells little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest

from holdfast import open_store
from holdfast.backends.measures import Measure, server_measured
from holdfast.backends.redis.figures import ClientFigures, client_measures_of, server_measures_of
from holdfast.testing.servers import RedisServer
from store_nodes import eventually, needs_redis_server


def values(measures: Iterable[Measure]) -> dict[str, float]:
    """By name, and for replicas by name and replica."""
    return {one.name + "".join(f"|{v}" for name, v in one.labels if name == "replica"): one.value for one in measures}


@pytest.fixture(autouse=True)
def _needs_redis() -> None:
    needs_redis_server()


async def test_a_server_with_a_replica() -> None:
    options = {"maxmemory": "64mb", "appendonly": "yes", "repl-diskless-sync-delay": "0"}
    with RedisServer(options) as server, RedisServer({"replicaof": f"127.0.0.1 {server.port}"}) as replica:
        replicas = f"127.0.0.1:{replica.port}"
        await eventually(lambda: "state=online" in server.info("replication").get("slave0", ""), 30)
        async with open_store(server.url) as store:
            await store.set("s", {"a": 1})
            server.command("WAIT", 1, 10_000)
            probe = server_measured(store.backend)
            assert probe is not None
            found = await probe.server_measures()
            assert all(one.labels[0] == ("server", f"127.0.0.1:{server.port}") for one in found)
            assert all(one.help for one in found)
            now = values(found)
            assert now["redis_max_memory_bytes"] == 64 * 1024 * 1024
            assert 500_000 < now["redis_used_memory_bytes"] < 64 * 1024 * 1024
            assert (now["redis_is_primary"], now["redis_aof_enabled"], now["redis_aof_ok"]) == (1, 1, 1)
            assert (now["redis_connected_replicas"], now["redis_evicted_keys"]) == (1, 0)
            assert now[f"redis_replica_online|{replicas}"] == 1
            replica.freeze()
            try:
                for number in range(200):
                    await store.set("s", {"a": f"{number:04}" * 250})
                frozen = values(await probe.server_measures())
                assert frozen[f"redis_replica_lag_bytes|{replicas}"] > 200 * 1000
                until = time.monotonic() + 30
                while values(await probe.server_measures())[f"redis_replica_lag_seconds|{replicas}"] < 2:
                    assert time.monotonic() < until
                    await asyncio.sleep(0.2)
            finally:
                replica.thaw()
            until = time.monotonic() + 30
            while values(await probe.server_measures())[f"redis_replica_lag_bytes|{replicas}"] > 1000:
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
        of_replica = values(server_measures_of(replica.info(), "r"))
        assert (of_replica["redis_is_primary"], of_replica["redis_connected_replicas"]) == (0, 0)


def test_what_a_server_does_not_tell_is_left_out() -> None:
    assert server_measures_of({}, "x") == []
    facts = {
        "role": "slave",
        "used_memory": "12",
        "maxmemory": "(hidden)",
        "slave0": "ip=::1,port=6379,state=wait_bgsave,offset=,lag=",
        "slave_repl_offset": "3",
        "slavery": "ip=x",
    }
    now = values(server_measures_of(facts, "x"))
    assert now == {"redis_used_memory_bytes": 12, "redis_is_primary": 0, "redis_replica_online|::1:6379": 0}


def test_a_replica_that_is_ahead_of_the_figures_lags_by_nothing() -> None:
    facts = {"master_repl_offset": "10", "slave0": "ip=a,port=1,state=online,offset=14,lag=0"}
    assert values(server_measures_of(facts, "x"))["redis_replica_lag_bytes|a:1"] == 0


def test_a_nodes_own_side() -> None:
    client = ClientFigures("h:1", {"small-0": 3, "large": 1}, calls=7, breaker="open", pages_failed=2)
    found = client_measures_of(client)
    depths = {dict(one.labels)["connection"]: one.value for one in found if one.name == "redis_client_queue_depth"}
    assert depths == {"small-0": 3, "large": 1}
    now = values(found)
    assert (now["redis_client_calls"], now["redis_client_breaker_state"]) == (7, 2)
    pages = {dict(one.labels)["result"]: one.value for one in found if one.name == "redis_client_packed_pages"}
    assert pages == {"done": 0, "failed": 2}
    for name in {one.name for one in found}:
        same = [one for one in found if one.name == name]
        assert len({(one.kind, one.help, tuple(label for label, _ in one.labels)) for one in same}) == 1
