"""P5: durability as named: at ``replicated`` no acknowledged turn, update or step is lost over failovers and partitions.

Broken on purpose: the primary of a Sentinel set is killed, frozen, replaced by hand, and cut off in several ways for 8 s, while
clients in processes of their own write turns with steps, and updates. Afterwards everything that they were told is looked for
on the surviving primary. A client at ``memory`` writes to the same servers at the same time, and shows what it loses; one at
``replicated&replicas=1``, whose writes a majority of the data nodes has, shows that a majority is not enough.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import cycle, islice
from typing import Any, Final

import pytest
from durability import Verdict, Writers

from holdfast import Store, open_store
from holdfast.errors import OutcomeUnknown
from holdfast.testing import PartitionedSentinelSet, SentinelSet, why_no_namespaces
from redis_servers import skip_or_fail
from store_nodes import Figures

pytestmark = pytest.mark.alone

PARTITION_S: Final = 8.0
FAILOVER_TIMEOUT_MS: Final = 2000
"""After a failover the Sentinels begin no other for twice as long."""
FAULTS: Final = ["kill", "by hand", "freeze", "kill"]
PARTITIONS: Final = ["primary and client", "a replica with them"]
MORE_PARTITIONS: Final = [*PARTITIONS, "acknowledgements", "primary alone", "Sentinels cannot hear the primary"]


async def killed(servers: SentinelSet, go_on: Callable[[], Awaitable[None]]) -> None:
    old = servers.primary()
    await old.kill()
    await servers.wait_for_primary(other_than=old)
    await go_on()
    await old.start()


async def frozen(servers: SentinelSet, go_on: Callable[[], Awaitable[None]]) -> None:
    old = servers.primary()
    old.freeze()
    await servers.wait_for_primary(other_than=old)
    await go_on()
    old.thaw()


async def by_hand(servers: SentinelSet, go_on: Callable[[], Awaitable[None]]) -> None:
    await servers.failover()
    await go_on()


BREAK: Final = {"kill": killed, "freeze": frozen, "by hand": by_hand}


async def test_no_acknowledged_turn_is_lost_over_failovers(
    new_sentinel_set: type[SentinelSet], scale: Callable[[int], int], rng: random.Random, figures: Figures
) -> None:
    faults, more = list(FAULTS), scale(1)
    if more > 1:  # 30 kills at the usual factor of 20
        faults = [*["kill"] * (3 * more // 2), *["freeze", "by hand"] * (more // 4)]
        rng.shuffle(faults)
    async with new_sentinel_set(failover_timeout_ms=FAILOVER_TIMEOUT_MS) as servers, AsyncExitStack() as stack:
        safe, unsafe = await writers_at(stack, servers.url, "replicated", "memory")
        for fault in faults:
            await safe.go_on()
            await BREAK[fault](servers, safe.go_on)
            await servers.wait_until_synced(within=60)
        await asyncio.gather(safe.end(), unsafe.end())
        verdicts = [await writers.verdict() for writers in (safe, unsafe)]
    tell(figures, verdicts, failovers=len(faults))
    verdicts[0].assert_nothing_lost()


async def test_no_acknowledged_turn_is_lost_over_partitions(scale: Callable[[int], int], figures: Figures) -> None:
    if why := why_no_namespaces():
        skip_or_fail(f"PARTITIONS NOT TESTED: {why}")
    partitions, more = list(PARTITIONS), scale(1)
    if more > 1:  # 10 at the usual factor of 20
        partitions = list(islice(cycle(MORE_PARTITIONS), more // 2))
    servers = PartitionedSentinelSet(sentinels_apart=True, failover_timeout_ms=FAILOVER_TIMEOUT_MS)
    async with servers, AsyncExitStack() as stack:
        levels = ("replicated", "memory", "replicated&replicas=1")
        safe, *others = await writers_at(stack, servers.url, *levels, start=servers.python)
        for name in partitions:
            await safe.go_on()
            old = servers.primary()
            await asyncio.to_thread(cut, servers, name)
            cut_at = asyncio.get_running_loop().time()
            await servers.wait_for_primary(other_than=old)
            await asyncio.sleep(max(0.0, cut_at + PARTITION_S - asyncio.get_running_loop().time()))
            await asyncio.to_thread(servers.heal)
            await servers.wait_until_synced(within=60)
        await asyncio.gather(*[writers.end() for writers in (safe, *others)])

        def judge() -> list[Verdict]:
            async def all_of_them() -> list[Verdict]:
                return [await writers.verdict() for writers in (safe, *others)]

            return asyncio.run(all_of_them())

        verdicts = await asyncio.to_thread(servers.call, judge)
    tell(figures, verdicts, partitions=len(partitions))
    verdicts[0].assert_nothing_lost()
    assert verdicts[1].lost, "at memory nothing was lost: the partitions were not felt"
    assert verdicts[2].lost, "a majority that leaves out the promoted replica lost nothing: the check cannot fail"


async def test_a_replica_that_is_down_counts_again_where_no_sentinel_says_so(
    new_sentinel_set: type[SentinelSet], figures: Figures
) -> None:
    """Cut off from the Sentinels nobody knows whether they promote it: writes that it lacks must not be acknowledged."""
    async with (
        new_sentinel_set() as servers,
        open_store(f"{servers.url}?durability=replicated", timeout=2, settle=1) as store,
    ):
        down = servers.replicas()[0]
        down.freeze()
        await until_written(store)
        for sentinel in servers.sentinels:
            sentinel.freeze()
        async with asyncio.timeout(30):
            with pytest.raises(OutcomeUnknown):
                while True:
                    await store.update("s", {"a": 1})
                    await asyncio.sleep(0.05)
        for server in (*servers.sentinels, down):
            server.thaw()
        await until_written(store)
    figures("P5", "redis replicated", replicas_forgotten_by_a_client_without_sentinels=0)


async def until_written(store: Store, within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while True:
            try:
                await store.update("s", {"a": 0})
                return
            except OutcomeUnknown:
                await asyncio.sleep(0.05)


def cut(servers: PartitionedSentinelSet, name: str) -> None:
    """Cuts the network so that the Sentinels promote a replica."""
    hosts = set(servers.network.hosts)
    primary = servers.host_of(servers.primary())
    first, *_ = replicas = sorted(servers.host_of(replica) for replica in servers.replicas())
    side = {
        "primary and client": {primary, f"s{primary}", "client"},
        "a replica with them": {primary, first, "client"},
        "primary alone": {primary},
    }.get(name)
    if side is not None:
        servers.cut(side, hosts - side)
    elif name == "acknowledgements":  # the replicas get the writes, and the primary never hears of it
        servers.cut([*replicas, "sa", "sb", "sc"], [primary], one_way=True)
    else:  # it goes on serving, with its replicas, until one is promoted
        servers.cut([primary], ["sa", "sb", "sc"], one_way=True)


async def writers_at(stack: AsyncExitStack, url: str, *levels: str, **options: Any) -> list[Writers]:
    return [await stack.enter_async_context(Writers(url, level, **options)) for level in levels]


def tell(figures: Figures, verdicts: list[Verdict], **faults: int) -> None:
    over = next(iter(faults))
    for verdict in verdicts:
        counts = {f"{name}_over_{over}": count for name, count in verdict.counts().items()}
        figures("P5", f"redis {verdict._writers.level}", **faults, **counts)
