"""P3: one turn id, one outcome.

Broken on purpose: each id is sent 1 to 50 times, at once and again later, to several nodes that lose replies. There must be one
log entry for it, the very same reply for every sender, and one result of its journaled step, whatever attempt asks for it.
Without the seen-check a repeat runs again (two entries, two replies); the mutants show it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
from faults import unreliable_nodes

from holdfast import Store, Turn
from holdfast.errors import HoldfastError, TurnFailed
from holdfast.testing.mutants import MUTANTS
from store_nodes import Figures, Nodes
from workload import KEEP_ALL, log_of

OPTIONS = {"lease": 5, "poll": 0.05, "settle": 5, "wait": 20, "max_attempts": 1000, "outcomes": KEEP_ALL}


class Crash(Exception):
    """A handler's own failure."""


class Senders:
    """Sends every id several times over several nodes, and collects every reply."""

    def __init__(self, stores: list[Store], rng: random.Random) -> None:
        self._stores, self._rng = stores, rng
        self.results: dict[str, set[str]] = {}
        self.replies: dict[str, list[bytes]] = {}
        self.sent = 0

    async def handler(self, turn: Turn) -> None:
        number = turn.state.get("n", 0) + 1
        result = await turn.step("effect", lambda: f"{self._rng.getrandbits(64):x}")
        self.results.setdefault(turn.id, set()).add(result)  # it is recorded, or we would not be here
        if turn.attempt == 1 and self._rng.random() < 0.3:
            raise Crash  # after the record, before the commit: the next attempt has to find the journal
        turn.state["n"] = number
        turn.reply(f"{turn.id} was number {number} with {result} 😀")

    async def send(self, turn_id: str) -> None:
        await asyncio.sleep(self._rng.random() * 0.05)
        for _ in range(20):
            store = self._rng.choice(self._stores)
            self.sent += 1
            try:
                outcome = await store.run_turn("s", self.handler, input=turn_id, turn_id=turn_id)
            except (HoldfastError, Crash) as error:
                assert not isinstance(error, TurnFailed)
                continue
            self.replies.setdefault(turn_id, []).append(outcome.reply.encode())
            return
        raise AssertionError(f"{turn_id} was never answered")

    async def all(self, ids: dict[str, int]) -> None:
        await asyncio.gather(*[self.send(turn_id) for turn_id, times in ids.items() for _ in range(times)])


async def check(reader: Store, senders: Senders, ids: dict[str, int]) -> None:
    log = await log_of(reader, "s")
    assert Counter(m.turn_id for m in log) == Counter(dict.fromkeys(ids, 2)), "an id is not in the log exactly once"
    logged = {m.turn_id: m.content.encode() for m in log if m.role == "assistant"}
    for turn_id, times in ids.items():
        assert senders.replies[turn_id] == [logged[turn_id]] * times, "senders of one turn were told different replies"
        assert len(senders.results[turn_id]) == 1, "a recorded step was repeated"
    assert await reader.get("s") == {"n": len(ids)}


async def test_each_id_sent_one_to_fifty_times(
    nodes: Nodes, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    reader = await nodes.open(outcomes=KEEP_ALL)
    counts = [1, 2, 3, 50, *[rng.randint(1, 50) for _ in range(scale(4))]]
    ids = {f"t-{number}": times for number, times in enumerate(counts)}
    async with unreliable_nodes(nodes, 3, rng, **OPTIONS) as (stores, faults):
        senders = Senders(stores, rng)
        for part in range(0, len(counts), 8):
            await senders.all(dict(list(ids.items())[part : part + 8]))
    await check(reader, senders, ids)
    figures(
        "P3", nodes.name, ids=len(ids), times_sent=senders.sent, faults=faults.total(), doubled=0, replies_differing=0
    )


@pytest.mark.parametrize("mutant", ["no-outcome-check", "journal-lost", "input-lost"])
async def test_a_backend_that_runs_a_turn_twice_is_caught(memory_nodes: Nodes, rng: random.Random, mutant: str) -> None:
    reader = await memory_nodes.open()
    ids = {f"t-{number}": 3 for number in range(30)}
    with MUTANTS[mutant].apply():
        async with unreliable_nodes(memory_nodes, 3, rng, **OPTIONS) as (stores, _):
            senders = Senders(stores, rng)
            with pytest.raises((AssertionError, HoldfastError, TimeoutError)):
                async with asyncio.timeout(2):
                    await senders.all(ids)
                await check(reader, senders, ids)
