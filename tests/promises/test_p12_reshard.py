"""P12: a Cluster reshard under load shows no error to users.

Broken on purpose: while two nodes run turns without a pause, slots with their sessions are moved key by key to a primary that has
just joined and has none of our functions, and back again; some stop half-way for a while. No turn may fail, and what the callers
were told is compared with what the store holds in the end. A client that follows ASK at once, or functions that do not refuse
half of a slot, lose turns here or show errors (tests/backends/test_redis_cluster_slots.py has that as a mutant).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from cluster_load import Load, slot_of

from holdfast import open_store
from holdfast.backends.redis.slots import tags_by_slot
from store_nodes import Figures
from workload import KEEP_ALL

pytestmark = pytest.mark.alone

if TYPE_CHECKING:
    from holdfast.testing import RedisCluster

SESSIONS = [f"s-{number}" for number in range(24)]
OPTIONS: dict[str, Any] = {"tenant": "t", "outcomes": KEEP_ALL, "timeout": 10, "lease": 20}


@pytest.mark.timeout(240)
async def test_slots_that_move_under_load(
    new_redis_cluster: type[RedisCluster], scale: Callable[[int], int], figures: Figures
) -> None:
    async with (
        new_redis_cluster(replicas=0, options={"appendonly": "no"}) as cluster,
        open_store(cluster.url, **OPTIONS) as one,
        open_store(cluster.url, **OPTIONS) as two,
    ):
        load = Load([one, two], SESSIONS)
        await load.more(200)
        sources, new = cluster.primaries(), await cluster.add_primary()
        busy = {slot_of("t", session) for session in SESSIONS}
        keys, slots, began, before = 0, 0, monotonic(), len(load.acks)
        for round_ in range(scale(1)):
            for source in sources:
                # all slots that hold sessions, and as many others as make it some hundred
                owned = sorted(source.view().slots, key=lambda slot: (slot not in busy, slot not in tags_by_slot()))[
                    :120
                ]
                keys += await cluster.reshard(owned, source, new)
                keys += await cluster.reshard(owned[:60], new, source)
                slots += len(owned) + 60
            for slot in sorted(busy)[:: max(1, len(busy) // 3)]:
                source = cluster.node_of(slot)
                target = sources[round_ % len(sources)] if source is new else new
                cluster.begin_migration(slot, target)
                cluster.move_keys(slot, target, 2)
                await load.more(50)  # the others go on meanwhile
                cluster.finish_migration(slot, target)
                slots += 1
        took, turns = monotonic() - began, len(load.acks) - before
        await load.more(200)
        slowest = max(ack.answered - ack.sent for ack in load.acks)
        await load.stop()
        found = await load.anomalies(one)
        total = len(load.acks)
    assert load.errors == []
    assert found == []
    assert turns > slots / 4, "hardly any load: this showed nothing"
    figures(
        "P12",
        "redis",
        slots_moved=slots,
        keys_moved=keys,
        turns=total,
        turns_a_second_meanwhile=round(turns / took),
        slowest_turn_ms=round(slowest * 1000),
        errors=0,
        anomalies=0,
    )


async def test_a_load_that_was_told_wrongly_is_caught() -> None:
    async with open_store("memory:", tenant="t") as store:
        load = Load([store], ["s"])
        await load.more(5)
        await load.stop()
        assert await load.anomalies(store) == []
        await store.update("s", {"n": 1})
        assert [anomaly.kind for anomaly in await load.anomalies(store)] == ["lost-count"]
