"""P1: a turn is all or nothing.

Broken on purpose: the writing process and redis-server get SIGKILL at random points while turns are under way. Then every
session is read back: input and reply of each turn together, the state's counter equal to the number of turns in the log, an
outcome stored for each, and every acknowledged turn there. A commit in two writes (log first, then state; or outcome last)
leaves a half turn sooner or later, which `check_whole` names; mutants show it below.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from holdfast.testing.mutants import MUTANTS
from store_nodes import Figures, Nodes, eventually, needs_redis_server
from workload import KEEP_ALL, check_whole, count, node_process, sent_until_answered

SESSIONS = ["s-0", "s-1", "s-2"]


@pytest.fixture(params=["sqlite", "redis"])
def backend_name(request: pytest.FixtureRequest) -> str:
    """Memory does not outlive its process."""
    return str(request.param)


async def test_a_writer_killed_at_random_points(
    nodes: Nodes, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    store = await nodes.open(outcomes=KEEP_ALL, lease=0.5, poll=0.1)
    options = {"outcomes": KEEP_ALL, "lease": 0.5, "poll": 0.1}
    kills, acked = scale(5), dict[str, set[str]]()
    for round_ in range(kills):
        sessions = [f"{session}-{round_}" for session in SESSIONS]
        acked |= {session: set() for session in sessions}
        async with node_process(
            nodes.url, nodes.tenant, "turns", name=f"w{round_}", sessions=sessions, options=options
        ) as writer:
            await writer.until("ack", rng.randint(1, 60))
            await asyncio.sleep(rng.random() * 0.05)
            await writer.kill()
        for session, turn_id, _ in writer.of("ack"):
            acked[session].add(turn_id)
    found = 0
    for session, told in acked.items():
        ids = await check_whole(store, session)
        assert told <= set(ids), "an acknowledged turn is not there"
        found += len(ids)
    after = [store.run_turn(session, lambda turn: turn.reply("goes on"), input="after the kill") for session in acked]
    assert {outcome.reply for outcome in await asyncio.gather(*after)} == {"goes on"}
    figures("P1", nodes.name, writers_killed=kills, turns=found, half_turns=0, acknowledged_lost=0)


async def test_a_server_killed_at_random_points(
    rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    needs_redis_server()
    from holdfast.testing.servers import RedisServer

    async with RedisServer({"appendonly": "yes", "appendfsync": "always"}) as server:
        nodes = Nodes("redis", server.url)
        stores = [await nodes.open(outcomes=KEEP_ALL, lease=1, poll=0.1, timeout=1, settle=2) for _ in range(2)]
        kills, answered, ending = scale(4), [0], asyncio.Event()
        replies: dict[str, dict[str, str]] = {session: {} for session in SESSIONS}

        async def client(number: int) -> None:
            session, sent = SESSIONS[number % len(SESSIONS)], 0
            while not ending.is_set():
                turn_id = f"c{number}-{sent}"
                sent += 1
                replies[session][turn_id] = await sent_until_answered(stores[number % 2], session, turn_id, turn_id)
                answered[0] += 1

        clients = [asyncio.create_task(client(number)) for number in range(6)]
        for _ in range(kills):
            goal = answered[0] + rng.randint(5, 60)
            await eventually(lambda goal=goal: answered[0] >= goal, within=30)  # type: ignore[misc]
            await asyncio.sleep(rng.random() * 0.01)
            await server.kill()
            await server.start()
        ending.set()
        await asyncio.gather(*clients)
        total = 0
        for session in SESSIONS:
            ids = await check_whole(stores[0], session)
            assert set(ids) == set(replies[session])
            for place, id_ in enumerate(ids):
                assert replies[session][id_] == str(place + 1), "the caller was told another reply than the log holds"
            total += len(ids)
        await nodes.close()
    figures("P1", "redis", servers_killed=kills, turns_over_kills=total)


@pytest.mark.parametrize("mutant", ["half-commit", "input-lost"])
async def test_a_backend_that_commits_by_halves_is_caught(memory_nodes: Nodes, mutant: str) -> None:
    store = await memory_nodes.open(outcomes=KEEP_ALL)
    with MUTANTS[mutant].apply(), pytest.raises(AssertionError):
        for number in range(3):
            await store.run_turn("s", count, input=str(number))
        await check_whole(store, "s")
