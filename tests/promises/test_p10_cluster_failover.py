"""P10 on a Cluster: writes again within the failover time + 2 s, no leaked connection. P5: nothing acknowledged is lost.

Broken on purpose: under turns from two nodes a primary is killed (SIGKILL) or frozen (SIGSTOP); its replica is elected. A frozen
one refuses nothing and closes nothing: a client that waits for its own time-outs, or that looks for the new primary only after an
error, is late here. Connections are counted before the fault and after the recovery. At ``replicated`` (WAIT) the killed primary
comes back as the replica that the new one needs, and every turn that was acknowledged is in the log.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from cluster_load import Load, slot_of

from holdfast import open_store
from store_nodes import Figures, eventually
from workload import KEEP_ALL

pytestmark = pytest.mark.alone

if TYPE_CHECKING:
    from holdfast.testing import RedisCluster

SESSIONS = [f"s-{number}" for number in range(12)]
OPTIONS: dict[str, Any] = {"tenant": "t", "outcomes": KEEP_ALL, "timeout": 5, "lease": 5}
NODE_TIMEOUT_S = 1.5
FAILOVER_S = 2 * NODE_TIMEOUT_S
GRACE_S = 2.0


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_primary_that_is_lost_under_load(
    new_redis_cluster: type[RedisCluster], fault: str, figures: Figures
) -> None:
    async with (
        new_redis_cluster(node_timeout_ms=int(NODE_TIMEOUT_S * 1000)) as cluster,
        open_store(cluster.url, **OPTIONS) as one,
        open_store(cluster.url, **OPTIONS) as two,
    ):
        load = Load([one, two], SESSIONS)
        await load.more(500)
        victim = cluster.node_of(slot_of("t", SESSIONS[0]))
        hit = [session for session in SESSIONS if cluster.node_of(slot_of("t", session)) is victim]
        files, tasks, since = open_files(), len(asyncio.all_tasks()), monotonic()
        if fault == "killed":
            await victim.kill()
        else:
            victim.freeze()
        took = await load.recovered(hit, since)
        if fault == "killed":
            await victim.start()
        else:
            victim.thaw()
        await cluster.wait_ok()
        await load.more(500)
        assert took <= FAILOVER_S + GRACE_S, f"{took:.2f} s"
        # the same connections as before: those to the new primary in place of those to the old one
        await eventually(lambda: open_files() <= files and len(asyncio.all_tasks()) <= tasks, within=20)
        await eventually(lambda: "name=holdfast" not in str(victim.command("CLIENT", "LIST")), within=20)
        await load.stop()
    figures(
        "P10",
        "redis",
        **{
            f"cluster_primary_{fault}_writes_again_s": round(took, 2),
            f"errors_shown_{fault}": len(load.errors),
            f"connections_leaked_{fault}": 0,
        },
    )


@pytest.mark.timeout(180)
async def test_no_acknowledged_turn_is_lost_with_a_primary(
    new_redis_cluster: type[RedisCluster], figures: Figures
) -> None:
    kills = 2
    async with (
        new_redis_cluster(node_timeout_ms=int(NODE_TIMEOUT_S * 1000)) as cluster,
        open_store(f"{cluster.url}?durability=replicated", **OPTIONS) as one,
        open_store(f"{cluster.url}?durability=replicated", **OPTIONS) as two,
    ):
        load = Load([one, two], SESSIONS)
        for _ in range(kills):
            await load.more(500)
            slot = slot_of("t", SESSIONS[0])
            victim = cluster.node_of(slot)
            hit = [session for session in SESSIONS if cluster.node_of(slot_of("t", session)) is victim]
            await victim.kill()
            await cluster.wait_for_primary(slot, other_than=victim)
            await victim.start()  # alone the new primary has nobody to wait for
            await cluster.wait_ok()
            await load.recovered(hit, monotonic())
        await load.stop()
        assert await load.anomalies(one) == []
    figures(
        "P5",
        "redis",
        cluster_primaries_killed=kills,
        turns_over_cluster_kills=len(load.acks),
        acknowledged_turns_lost=0,
    )
