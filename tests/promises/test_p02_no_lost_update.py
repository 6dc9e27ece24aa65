"""P2: no lost update, no silent fork.

Broken on purpose: several nodes run turns and updates on the same sessions at once while replies are lost, requests dropped,
connections cut and delayed. What every caller was told is compared with what the store holds in the end by
`holdfast.testing.history`: a lost, doubled, phantom or torn turn, one made on a stale base, a fork, or a reply that differs
is an anomaly. Without base check, or with updates that overwrite, the counter falls behind the log; the mutants show it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from faults import unreliable_nodes

from holdfast import Store, Turn
from holdfast.errors import HoldfastError, OutcomeUnknown, StoreUnavailable, TurnConflict, TurnOvertaken
from holdfast.testing.history import Anomaly, History
from holdfast.testing.mutants import MUTANTS
from store_nodes import Figures, Nodes
from workload import KEEP_ALL, lines, log_of, node_process

REJECTED = (TurnConflict, TurnOvertaken)


class Client:
    """Sends turns to one node and notes what it was told."""

    def __init__(self, store: Store, session: str, history: History, name: str) -> None:
        self.store, self.session, self.history, self.name = store, session, history, name
        self.updates, self.unsure = 0, 0

    async def turn(self, number: int) -> None:
        turn_id = f"{self.name}-{number}"
        bases: list[int] = []

        async def handler(turn: Turn) -> None:
            bases.append(turn.state.get("n", 0))
            self.history.add(turn_id, bases[-1], "unknown")
            await asyncio.sleep(0)
            turn.state["n"] = bases[-1] + 1
            turn.reply(f"{bases[-1] + 1}")

        self.history.add(turn_id, None, "unknown")
        for _ in range(20):  # a sender repeats until it is answered
            try:
                outcome = await self.store.run_turn(self.session, handler, input=turn_id, turn_id=turn_id)
            except HoldfastError:
                continue
            base = None if outcome.replayed else bases[-1]
            told = "replayed" if outcome.replayed else "committed"
            self.history.add(turn_id, base, told, outcome.reply.encode())  # type: ignore[arg-type]
            return

    async def update(self) -> None:
        def add(state: Any) -> None:
            state["u"] = state.get("u", 0) + 1

        try:
            await self.store.update(self.session, add)
        except (StoreUnavailable, TurnConflict):
            return  # not applied, and never will be
        except OutcomeUnknown:
            self.unsure += 1
        except HoldfastError:
            return  # the read before it got no answer
        else:
            self.updates += 1


async def workload(stores: list[Store], sessions: list[str], turns: int) -> tuple[dict[str, History], list[Client]]:
    histories = {session: History() for session in sessions}
    clients = [
        Client(store, session, histories[session], f"{session}-n{number}")
        for session in sessions
        for number, store in enumerate(stores)
    ]

    async def run(client: Client) -> None:
        for number in range(turns):
            await asyncio.gather(client.turn(number), client.update())

    await asyncio.gather(*[run(client) for client in clients])
    return histories, clients


async def anomalies(reader: Store, histories: dict[str, History], clients: list[Client]) -> tuple[list[Anomaly], int]:
    """What is wrong, and how many turns are in the logs."""
    found: list[Anomaly] = []
    logged = 0
    for session, history in histories.items():
        log = lines(await log_of(reader, session))
        logged += len(log) // 2
        state = await reader.get(session)
        found += history.check(log, state.get("n", 0))
        mine = [client for client in clients if client.session == session]
        sure, unsure = sum(client.updates for client in mine), sum(client.unsure for client in mine)
        if not sure <= state.get("u", 0) <= sure + unsure:
            found.append(
                Anomaly("lost-count", "", f"{sure} updates (+{unsure} unknown), the state counts {state.get('u', 0)}")
            )
    return found, logged


async def test_turns_and_updates_under_faults(
    nodes: Nodes, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    reader = await nodes.open()
    options = {"lease": 1, "poll": 0.05, "settle": 5, "wait": 20, "max_attempts": 1000, "outcomes": KEEP_ALL}
    async with unreliable_nodes(nodes, 3, rng, **options) as (stores, faults):
        histories, clients = await workload(stores, ["a", "b"], scale(12))
    found, logged = await anomalies(reader, histories, clients)
    assert found == []
    assert logged == len(clients) * scale(12)
    assert faults.total() > 10, "no faults happened: this showed nothing"
    updates = sum(client.updates for client in clients)
    figures("P2", nodes.name, turns=logged, updates=updates, faults=faults.total(), anomalies=0)


@pytest.mark.parametrize("backend_name", ["sqlite", "redis"], indirect=False)
async def test_turns_and_updates_of_several_processes(
    nodes: Nodes, scale: Callable[[int], int], figures: Figures
) -> None:
    store = await nodes.open(poll=0.1, outcomes=KEEP_ALL)
    rounds = scale(25)
    options = {"poll": 0.1, "outcomes": KEEP_ALL}
    start: Any = {"sessions": ["s"], "rounds": rounds, "lanes": 2, "options": options}
    async with (
        node_process(nodes.url, nodes.tenant, "turns", name="p0", **start) as first,
        node_process(nodes.url, nodes.tenant, "turns", name="p1", **start) as second,
        node_process(nodes.url, nodes.tenant, "updates", session="s", rounds=rounds, options=options) as third,
    ):
        assert [await process.ended(90) for process in (first, second, third)] == [0, 0, 0]
        acks = first.of("ack") + second.of("ack")
    assert len(acks) == 4 * rounds
    log = await log_of(store, "s")
    assert {m.turn_id: m.content for m in log if m.role == "assistant"} == {
        turn_id: reply for _, turn_id, reply in acks
    }
    assert [m.content for m in log[1::2]] == [str(n + 1) for n in range(4 * rounds)]
    assert await store.get("s") == {"n": 4 * rounds, "u": rounds}
    figures("P2", nodes.name, processes=3, turns_of_processes=4 * rounds, updates_of_processes=rounds, lost=0)


@pytest.mark.parametrize("mutant", ["no-base-check", "no-field-counter", "stamp-kept", "merge-drops-appends"])
async def test_a_backend_that_loses_updates_is_caught(memory_nodes: Nodes, rng: random.Random, mutant: str) -> None:
    reader = await memory_nodes.open()
    options = {"lease": 1, "poll": 0.05, "settle": 1, "wait": 5, "max_attempts": 1000, "cache_bytes": 0}
    for number in range(8):  # it shows where two writers meet, which may take a second walk
        with MUTANTS[mutant].apply():
            async with unreliable_nodes(memory_nodes, 3, rng, **options) as (stores, _):
                try:
                    async with asyncio.timeout(10):
                        found, _ = await anomalies(reader, *(await workload(stores, [f"a-{number}"], 12)))
                except (TimeoutError, HoldfastError, AssertionError) as error:
                    found = [Anomaly("lost", "", repr(error))]
        if found:
            return
    raise AssertionError("this check would not notice")
