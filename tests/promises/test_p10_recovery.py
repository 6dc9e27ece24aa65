"""P10: turns are written again within the servers' own failover time + 2 s, and nothing is left open afterwards.

Broken on purpose: the Sentinels' primary is killed and frozen under writers, a single server is killed and started again, 300
callers wait through an outage, and Redis answers 200 ms late. The failover time is what the Sentinels took in the same run, from
the fault to the first ``+switch-master``. A busy machine may hold one recovery up: the best of three counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import pytest
from recovery import Committing, Heartbeat, LeftOpen, Switches, connections, settled_at, switches_of

from holdfast import Store, Turn, open_store
from holdfast.errors import HoldfastError, OutcomeUnknown, StoreOverloaded, StoreTimeout, StoreUnavailable
from holdfast.testing import FaultProxy, Faults, RedisServer, SentinelSet
from holdfast.testing.servers import SAVED_FOR_A_KILL
from store_nodes import Figures, eventually, needs_redis_server

pytestmark = pytest.mark.alone

PROMISED_S: Final = 2.0
TRIES: Final = 3
LEVELS: Final = ("memory", "replicated")
NODE: Final = 4
"""Connections of one store to one server: small calls, large replies, WAIT, hints."""
CALLERS: Final = 300
CALLS_EACH: Final = 4
CROWD: Final = 3000
WAITING: Final = 200
LONG: Final = 30_000
MOST_MEMORY: Final = 40 * 2**20
"""Bytes; the texts of 3000 callers who all wait would be more than twice that."""


# --- a failover ---


async def test_turns_go_on_within_two_seconds_of_the_failover(
    new_sentinel_set: type[SentinelSet], scale: Callable[[int], int], figures: Figures
) -> None:
    faults = list(islice(cycle(["kill", "freeze"]), max(2, scale(1))))
    beyond: dict[str, list[float]] = {"kill": [], "freeze": []}
    took: list[float] = []
    async with new_sentinel_set(failover_timeout_ms=2000) as servers, AsyncExitStack() as stack:
        switches = await stack.enter_async_context(switches_of(servers))
        stores = [
            await stack.enter_async_context(open_store(f"{servers.url}?durability={level}&prefix={level}", lease=2))
            for level in LEVELS
        ]
        writers = [Committing(store, "w", 3) for store in stores]
        for committing in writers:
            await committing.every_one_after(time.monotonic())
        opened = LeftOpen(len(stores))
        for fault in faults:
            for _ in range(TRIES):
                failover, later = await one_recovery(servers, fault, switches, writers)
                took.append(failover)
                beyond[fault].append(later)
                if later <= PROMISED_S:
                    break
            else:
                pytest.fail(f"{beyond[fault][-TRIES:]} s after the failovers, {PROMISED_S} s promised")
        more = await opened.assert_nothing()
        left = await connections_left(servers)
        for committing in writers:
            await committing.end()
    figures(
        "P10",
        "redis",
        failovers=len(took),
        longest_failover_s=round(max(took), 2),
        **{f"longest_beyond_{fault}_s": round(max(all_), 2) for fault, all_ in beyond.items()},
        **more,
        connections_left_elsewhere=left,
    )


async def one_recovery(
    servers: SentinelSet, fault: str, switches: Switches, writers: list[Committing]
) -> tuple[float, float]:
    """The Sentinels' failover time, and how long after it the last of all writers had committed again, in seconds."""
    old = servers.primary()
    broken = time.monotonic()
    if fault == "kill":
        await old.kill()
    else:
        old.freeze()
    await servers.wait_for_primary(other_than=old)
    # what was answered before the fault is read at once; the Sentinels need a second to notice it
    again = [(await committing.every_one_after(broken + 0.5))[-1] for committing in writers]
    failover = switches.first_after(broken) - broken
    if fault == "kill":
        await old.start()
    else:
        old.thaw()
    await servers.wait_until_synced(within=60)
    return failover, max(again) - broken - failover


async def connections_left(servers: SentinelSet) -> int:
    """Connections to servers that are not the primary: there must be none; and few to the others."""
    primary = servers.primary()
    left = sum([await settled_at(server, 0) for server in servers.servers if server is not primary])
    assert left == 0
    assert await settled_at(primary, len(LEVELS) * NODE) <= len(LEVELS) * NODE
    for sentinel in servers.sentinels:  # one listens for each store; another one may be asking
        assert await settled_at(sentinel, len(LEVELS)) <= len(LEVELS)
    return left


async def test_turns_go_on_after_a_single_server_was_started_again(
    scale: Callable[[int], int], figures: Figures
) -> None:
    needs_redis_server()
    rounds, took = scale(2), list[float]()
    async with RedisServer(SAVED_FOR_A_KILL) as server, open_store(server.url, lease=2, timeout=2) as store:
        writers = Committing(store, "w", 4)
        await writers.every_one_after(time.monotonic())
        opened = LeftOpen(1)
        for _ in range(rounds):
            for attempt in range(TRIES):
                await server.kill()
                await server.start()
                up = time.monotonic()
                took.append((await writers.every_one_after(up))[-1] - up)
                if took[-1] <= PROMISED_S:
                    break
                assert attempt < TRIES - 1, f"{took[-TRIES:]} s after the restarts, {PROMISED_S} s promised"
        await writers.end()
        await opened.assert_nothing()
        assert await settled_at(server, NODE) <= NODE
    figures("P10", "redis", restarts_of_one_server=len(took), longest_after_restart_s=round(max(took), 2))


# --- many callers ---


async def test_callers_that_waited_through_an_outage_do_not_come_as_a_herd(
    new_sentinel_set: type[SentinelSet], figures: Figures
) -> None:
    async with (
        new_sentinel_set() as servers,
        switches_of(servers) as switches,
        open_store(servers.url, timeout=30, settle=30, lease=60, wait=60) as store,
    ):
        commit, begun = asyncio.Event(), 0

        async def waits(turn: Turn) -> None:
            nonlocal begun
            begun += 1
            await commit.wait()
            turn.reply("x")

        callers = [asyncio.create_task(store.run_turn(f"a-{n}", waits, input="m")) for n in range(CALLERS // 2)]
        await eventually(lambda: begun == CALLERS // 2, 30)
        old = servers.primary()
        asked = [accepted(sentinel) for sentinel in servers.sentinels]
        await old.kill()
        cpu, killed = time.thread_time(), time.monotonic()
        commit.set()
        callers += [
            asyncio.create_task(store.run_turn(f"b-{n}", waits, input="m")) for n in range(CALLERS - len(callers))
        ]
        await eventually(lambda: bool(switches.heard), 30)  # asks nobody: what the Sentinels count is the store
        outage, cpu = time.monotonic() - killed, time.thread_time() - cpu
        asked = [accepted(one) - before for one, before in zip(servers.sentinels, asked, strict=True)]
        new = await servers.wait_for_primary(other_than=old)
        async with asyncio.timeout(60):
            await asyncio.wait(callers, return_when=asyncio.FIRST_COMPLETED)
            most = await asyncio.to_thread(connections, new)
            await asyncio.sleep(1)
            calls = await asyncio.to_thread(new.calls)
            outcomes = await asyncio.gather(*callers)
        assert {outcome.reply for outcome in outcomes} == {"x"}
        assert max(most, await asyncio.to_thread(connections, new)) <= NODE
    figures(
        "P10",
        "redis",
        callers_through_an_outage=CALLERS,
        connections_to_the_new_primary=most,
        calls_each_in_the_first_second=round(calls["fcall"] / CALLERS, 2),
        connections_to_each_sentinel_in_the_outage=max(asked),
        outage_s=round(outage, 1),
        cpu_in_the_outage_s=round(cpu, 2),
    )
    assert calls["fcall"] <= CALLS_EACH * CALLERS
    assert max(asked) <= 15 * (outage + 1), "the Sentinels were asked too often"


def accepted(server: Any) -> int:
    """Connections that a server has accepted so far."""
    return int(server.info("stats")["total_connections_received"])


# --- a slow server ---


async def test_a_slow_server_makes_turns_slow_and_nothing_else(figures: Figures) -> None:
    needs_redis_server()
    async with (
        RedisServer() as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
        open_store(f"redis://127.0.0.1:{proxy.port}/0?max_waiting={WAITING}", timeout=20, lease=60) as store,
    ):
        await store.set("s", {"a": 1})
        proxy.faults = Faults(delay=1.0, delay_s=(0.2, 0.2))
        before, ends = rss(), list[str]()

        async def one(number: int) -> None:
            try:
                await store.run_turn(f"s-{number}", lambda turn: turn.reply("x"), input=f"{number}" + "m" * LONG)
                ends.append("done")
            except StoreOverloaded as error:
                assert error.retry_after > 0
                ends.append("refused")

        async with Heartbeat() as heart:
            started = time.monotonic()
            await asyncio.gather(*[one(number) for number in range(150)])
            alone = time.monotonic() - started
            assert ends == ["done"] * 150
            ends.clear()
            proxy.blackhole()  # not one answer comes while they call: who is refused now is refused early
            callers = []
            for number in range(CROWD):  # a few at a time: what each does at once is not what is measured
                callers.append(asyncio.create_task(one(number)))
                if number % 25 == 24:
                    await asyncio.sleep(0)
            await eventually(lambda: len(ends) == CROWD - WAITING, 15)
            refused, grown = ends.count("refused"), rss() - before
            proxy.blackhole(False)
            await asyncio.gather(*callers)
    figures(
        "P10",
        "redis 200 ms late",
        turns_at_once=150,
        took_s=round(alone, 2),
        callers_beyond_max_waiting=CROWD,
        refused_at_once=refused,
        answered=ends.count("done"),
        longest_gap_of_the_loop_s=round(heart.longest_s, 3),
        longest_gap_in_cpu_s=round(heart.longest_cpu_s, 3),
        memory_mib_more=round(grown / 2**20, 1),
    )
    assert alone >= 4 * 0.2, "the delay was not felt"
    assert (refused, ends.count("done")) == (CROWD - WAITING, WAITING)
    assert grown < MOST_MEMORY
    assert heart.longest_cpu_s < 0.5


def rss() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# --- a frozen server ---


async def test_calls_to_a_frozen_server_are_refused_early_until_it_answers(figures: Figures) -> None:
    needs_redis_server()
    async with RedisServer() as server, open_store(server.url, timeout=2, settle=0.1) as store:
        await store.set("s", {"a": 1})
        server.freeze()
        first = await refused(store)
        assert first[1] >= 1.9
        later = [await refused(store) for _ in range(5)]
        server.thaw()
        assert (await store.get("s")) == {"a": 1}
    assert all(isinstance(error, StoreUnavailable) and error.retry_after > 0 for error, _ in later)
    quickest = min(took for _, took in later)
    figures("P10", "redis frozen", first_call_s=round(first[1], 2), later_calls_s=round(quickest, 2))
    assert quickest <= 1.0


async def refused(store: Store) -> tuple[HoldfastError, float]:
    started = time.monotonic()
    with pytest.raises((StoreUnavailable, StoreTimeout, OutcomeUnknown)) as caught:
        await store.load("s")
    return caught.value, time.monotonic() - started
