"""P14: a tool's call is recorded once, over 1000 turns whose nodes are killed at random.

Turns are accepted, and three nodes take them over and run them; one after the other is killed with SIGKILL and started again until
all are through. The tool may be called again where its node died before the record, always with the same key; after that never.

Broken on purpose: a journal that is lost with its node shows calls behind a record.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Turn
from store_nodes import Figures, Nodes
from workload import log_of, node_process

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]

OPTIONS = {"lease": 0.8, "poll": 0.1, "max_attempts": 1000}
"""As many attempts as it takes: five nodes dying under one turn would be its failure, rightly."""
TURNS_A_SESSION = 5


async def short_lives(nodes: Nodes, effects: Path, rng: random.Random, done: asyncio.Event) -> int:
    """One node after the other, each killed soon after it began to look for turns; how many were killed."""
    killed = 0
    while not done.is_set():
        async with node_process(
            nodes.url,
            nodes.tenant,
            "counting",
            effects=str(effects),
            seconds=0.05,
            options=OPTIONS,
            recovery={"every": 0.1, "parallel": 16},
        ) as node:
            await node.until("ready")
            await asyncio.sleep(rng.uniform(0.5, 1.5))
        killed += 1
    return killed


async def the_record(turn: Turn) -> None:
    """What the last node had recorded, and not committed yet."""

    def never() -> None:
        raise AssertionError("a recorded step was run again")

    turn.reply(f"{turn.text}: {await turn.step('tool', never)}")


@pytest.mark.parametrize("backend_name", ["redis", "sqlite"], indirect=False)
async def test_a_tool_is_recorded_once_over_random_kills(
    own_nodes: Nodes,
    tmp_path: Path,
    rng: random.Random,
    scale: Callable[[int], int],
    figures: Figures,
) -> None:
    nodes = own_nodes
    turns = {"redis": scale(1000), "sqlite": scale(300)}[nodes.name]
    effects = tmp_path / "effects"
    effects.touch()
    store = await nodes.open(**OPTIONS)
    store.handlers.register("counted", lambda turn: None)
    sessions = [f"s-{number}" for number in range(turns // TURNS_A_SESSION)]
    ids = {session: [f"{session}-t{n}" for n in range(TURNS_A_SESSION)] for session in sessions}
    for number in range(TURNS_A_SESSION):
        await asyncio.gather(
            *[store.accept_turn(s, "counted", input=ids[s][number], turn_id=ids[s][number]) for s in sessions]
        )
    done = asyncio.Event()
    lives = [asyncio.create_task(short_lives(nodes, effects, rng, done)) for _ in range(3)]
    async with asyncio.timeout(240):
        while await asyncio.to_thread(_unfinished, effects, turns) or await store.backend.overdue(limit=1):  # noqa: ASYNC110 - other processes work
            await asyncio.sleep(0.1)
        done.set()
        kills = sum(await asyncio.gather(*lives))
        for session in sessions:  # what the last ones had not committed yet
            for turn_id in ids[session]:
                await store.join_turn(session, turn_id, the_record, wait=60)
    calls: Counter[str] = Counter()
    keys: dict[str, set[str]] = {}
    made_by: dict[str, set[str]] = {}
    again = 0
    for what, turn_id, value in (line.split() for line in (await asyncio.to_thread(effects.read_text)).splitlines()):
        if what == "call":
            again += turn_id in made_by
            calls[turn_id] += 1
            keys.setdefault(turn_id, set()).add(value)
        else:
            made_by.setdefault(turn_id, set()).add(value)
    for session in sessions:
        log = await log_of(store, session)
        assert [message.turn_id for message in log[::2]] == [message.turn_id for message in log[1::2]]
        assert sorted(message.turn_id for message in log[::2]) == ids[session]
        for reply in log[1::2]:
            assert made_by[reply.turn_id] == {reply.content.rpartition(" ")[2]}, "the reply tells another record"
    assert again == 0
    assert {len(found) for found in keys.values()} == {1}, "a key changed between calls"
    assert kills >= 3
    figures(
        "P14",
        nodes.name,
        tool_turns=turns,
        nodes_killed_at_random=kills,
        calls=calls.total(),
        records=len(made_by),
        calls_after_their_record=again,
        keys_a_turn=1,
    )


def _unfinished(effects: Path, turns: int) -> bool:
    recorded = {line.split()[1] for line in effects.read_text().splitlines() if line.startswith("recorded")}
    return len(recorded) < turns
