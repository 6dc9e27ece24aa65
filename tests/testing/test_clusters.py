"""A Cluster comes up whole, fails over, and moves slots with their keys while it serves."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from holdfast.testing import ClusterNode, RedisCluster
from holdfast.testing.clusters import SLOTS


def test_three_primaries_serve_all_slots_with_a_replica_each(redis_cluster: RedisCluster) -> None:
    primaries = redis_cluster.primaries()
    assert len(primaries) == 3 and len(redis_cluster.replicas()) == 3
    assert all(len(redis_cluster.replicas_of(primary)) == 1 for primary in primaries)
    assert sum(len(primary.view().slots) for primary in primaries) == SLOTS
    assert redis_cluster.node_of(0) is not redis_cluster.node_of(SLOTS - 1)
    assert redis_cluster.url == f"redis+cluster://{','.join(node.where for node in redis_cluster.nodes)}"


def test_a_key_of_another_node_is_answered_with_its_address(redis_cluster: RedisCluster) -> None:
    slot = redis_cluster.slot_of("a")
    owner = redis_cluster.node_of(slot)
    owner.command("SET", "a", "1")
    for other in redis_cluster.primaries():
        if other is not owner:
            with pytest.raises(RuntimeError, match=f"MOVED {slot} {owner.where}"):
                other.command("GET", "a")


async def test_a_half_migrated_slot_says_ask_and_a_finished_one_moved(redis_cluster: RedisCluster) -> None:
    keys = [f"{{a}}{n}" for n in range(20)]
    slot = redis_cluster.slot_of("{a}")
    source = redis_cluster.node_of(slot)
    target = next(node for node in redis_cluster.primaries() if node is not source)
    for key in keys:
        source.command("SET", key, key)
    redis_cluster.begin_migration(slot, target)
    assert source.command("GET", keys[0]) == keys[0]
    assert redis_cluster.move_keys(slot, target, 12) == 12
    away = [key for key in keys if _error(source, key) == f"ASK {slot} {target.where}"]
    assert len(away) == 12
    assert all(_error(target, key).startswith("MOVED") for key in away)  # until the client says ASKING
    with target.connect() as connection:
        connection.command("ASKING")
        assert connection.command("GET", away[0]) == away[0]
    redis_cluster.finish_migration(slot, target)
    await redis_cluster.wait_ok()
    assert redis_cluster.node_of(slot) is target
    assert [target.command("GET", key) for key in keys] == keys
    assert _error(source, keys[0]) == f"MOVED {slot} {target.where}"
    assert await redis_cluster.reshard([slot], target, source) >= len(keys)


def _error(node: ClusterNode, key: str) -> str:
    try:
        node.command("GET", key)
    except RuntimeError as error:
        return str(error)
    return ""


async def test_slots_move_to_a_new_primary_and_a_killed_primary_is_replaced(
    new_redis_cluster: type[RedisCluster],
) -> None:
    async with new_redis_cluster() as running:
        new = await running.add_primary()
        assert len(running.primaries()) == 4 and new.view().slots == frozenset()
        source = running.node_of(0)
        with source.connect() as asked:
            slots_of = {key: cast(int, asked.command("CLUSTER", "KEYSLOT", key)) for key in map(str, range(1000))}
            own = source.view().slots
            slots_of = {key: slot for key, slot in slots_of.items() if slot in own}
            for key in slots_of:
                asked.command("SET", key, key)
        *going, staying = sorted(set(slots_of.values()))
        moved = await running.reshard(going, source, new)
        await running.wait_ok()
        assert new.view().slots == set(going) and staying in source.view().slots
        assert moved == new.command("DBSIZE") == len(slots_of) - 1 > 100
        for key, slot in slots_of.items():
            assert (source if slot == staying else new).command("GET", key) == key

        (heir,) = running.replicas_of(source)
        await source.kill()
        assert await running.wait_for_primary(staying, other_than=source) is heir
        await source.start()
        await running.wait_ok()
        assert source in running.replicas_of(heir)
        assert [key for key, slot in slots_of.items() if slot == staying] == heir.command("KEYS", "*")


async def test_reshard_leaves_the_callers_loop_free(redis_cluster: RedisCluster) -> None:
    source, target, _ = redis_cluster.primaries()
    slots = sorted(source.view().slots)[:20]
    moving = asyncio.create_task(redis_cluster.reshard(slots, source, target))
    turns = 0
    while not moving.done():
        await asyncio.sleep(0.001)
        turns += 1
    await redis_cluster.reshard(slots, target, source)
    await redis_cluster.wait_ok()
    assert turns > 1 and set(slots) <= source.view().slots
