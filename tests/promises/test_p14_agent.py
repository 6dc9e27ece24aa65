"""P14: an agent goes on where its node was killed, in the middle of its loop.

In each conversation the model is asked, a tool called, the model asked again, the user asked whether to pay, and on "yes" (which
another node may get) the second tool called and the model asked a last time. Three nodes take the turns over and run them; one
after the other is killed with SIGKILL, soon after it has started, until all are through. What was recorded is never done
again: of the five stages none comes after a later one, and each tool has one key.

Broken on purpose: an agent that does not journal its rounds shows stages that come again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Store
from store_nodes import Figures, Nodes
from workload import log_of, node_process

OPTIONS = {"lease": 0.8, "poll": 0.1, "max_attempts": 1000}
WORDS = ("book {}, please", "yes")
STAGES = ["1-model", "2-find", "3-model", "4-pay", "5-model"]

pytestmark = pytest.mark.timeout(600)


async def short_lives(nodes: Nodes, effects: Path, rng: random.Random, done: asyncio.Event) -> int:
    """One node after the other, each killed soon after it began to look for turns; how many were killed."""
    killed = 0
    while not done.is_set():
        async with node_process(
            nodes.url,
            nodes.tenant,
            "agent",
            env={"AGENT_EFFECTS": str(effects)},
            options=OPTIONS,
            recovery={"every": 0.1, "parallel": 16},
        ) as node:
            await node.until("looking", within=60)
            await asyncio.sleep(rng.uniform(0.4, 1.5))
        killed += 1
    return killed


def never(turn: object) -> None:
    raise AssertionError("a finished turn was run again")


async def finished(store: Store, session: str, turn_id: str) -> None:
    """Returns once the log has the turn's reply."""
    while True:
        log = await log_of(store, session)
        if any(message.turn_id == turn_id and message.role == "assistant" for message in log):
            return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("backend_name", ["redis", "sqlite"], indirect=False)
async def test_an_agent_goes_on_over_random_kills(
    own_nodes: Nodes, tmp_path: Path, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    nodes, effects = own_nodes, tmp_path / "effects"
    effects.touch()
    places = [f"P{number:03}" for number in range(scale(30))]
    store = await nodes.open(**OPTIONS)
    store.handlers.register("assistant", never)

    async def conversation(place: str) -> None:
        for number, words in enumerate(WORDS):
            turn_id = f"{place}-{number}"
            await store.accept_turn(place, "assistant", input=words.format(place), turn_id=turn_id)
            await finished(store, place, turn_id)

    done = asyncio.Event()
    lives = [asyncio.create_task(short_lives(nodes, effects, rng, done)) for _ in range(3)]
    async with asyncio.timeout(400):
        await asyncio.gather(*[conversation(place) for place in places])
        done.set()
        kills = sum(await asyncio.gather(*lives))
    taken_over = 0
    lines = [line.split() for line in effects.read_text().splitlines()]
    for place in places:
        said = [message for message in await log_of(store, place) if message.role != "tool"]
        assert [message.turn_id for message in said] == [f"{place}-0", f"{place}-0", f"{place}-1", f"{place}-1"]
        assert said[1].content.endswith("Shall I go ahead?")
        assert said[3].content == "All of it is booked, as you wanted."
        for turn_id in (f"{place}-0", f"{place}-1"):
            taken_over += (await store.join_turn(place, turn_id, never)).attempts > 1
        mine = [(what, key) for what, which, key in lines if which == place]
        stages = [what for what, _ in mine]
        assert stages == sorted(stages), "what was recorded was done again"
        assert sorted(set(stages)) == STAGES
        assert len(set(mine)) == len(STAGES), "a key changed between calls"
    assert kills >= 3
    figures(
        "P14",
        nodes.name,
        agent_conversations=len(places),
        nodes_killed_at_random=kills,
        turns_that_took_several_attempts=taken_over,
        calls_of_tools=sum(key != "-" for _, _, key in lines),
        questions_to_the_model=sum(key == "-" for _, _, key in lines),
        stages_done_again_after_their_record=0,
    )
