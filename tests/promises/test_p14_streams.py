"""P14: a node is killed mid-answer, and the user sees the answer finish, on the same stream.

Three nodes behind a round-robin proxy, 50 conversations, answers of about 5 s. Every few seconds a node is killed (SIGKILL),
or frozen past its lease (SIGSTOP, which is P6 too), or Redis fails over under it. Each conversation follows its turn with
`Last-Event-ID`, on whichever node comes next. Nothing may be lost, answered twice, or left standing: every stream ends with
``done``, and what stands on the page is what stands in the log. A step that was recorded is not run again.

Broken on purpose: a journal that is ignored runs recorded steps again; a stream that does not say ``restarted`` leaves the dead
attempt's words on the page; commits without a fence give a frozen node's turn two replies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from conversing import Conversing, Seen

from holdfast import Store, open_store
from holdfast.demo.nodes import Node
from holdfast.demo.proxy import RoundRobinProxy
from holdfast.testing.sentinels import SentinelSet
from store_nodes import Figures, Nodes
from workload import log_of

LEASE_S = 2.0
EVERY_S = 4.0
"""From one fault to the next."""
CONFIG = """
[store]
url = "memory:"
lease = {lease}
poll = 0.25
max_attempts = 1000
[server]
recovery_every = 0.5
[knowledge]
index = ""
[assistant]
policy = "streaming_stage:make"
"""

pytestmark = [pytest.mark.alone, pytest.mark.timeout(3600)]

Fault = Callable[["Nodes3", int], Coroutine[Any, Any, None]]


class Nodes3:
    """Three nodes, and what was done to them."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.hit: list[tuple[float, str, str]] = []
        """When which node was hit, and how."""

    async def kill(self, number: int) -> None:
        node = self.nodes[number % 3]
        self.hit.append((time.monotonic(), node.name, "kill"))
        await node.kill()
        await node.start()

    async def freeze(self, number: int) -> None:
        """Past its lease, so that others go on, and it wakes up among them."""
        node = self.nodes[number % 3]
        self.hit.append((time.monotonic(), node.name, "freeze"))
        os.kill(node.pid, signal.SIGSTOP)
        await asyncio.sleep(LEASE_S * 1.75)
        os.kill(node.pid, signal.SIGCONT)


@asynccontextmanager
async def three_nodes(
    store: str, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> AsyncIterator[tuple[Nodes3, str, Path]]:
    """Nodes, the proxy's URL, and the file of effects."""
    config, effects = folder / "holdfast.toml", folder / "effects"
    config.write_text(CONFIG.format(lease=LEASE_S))
    effects.touch()
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("P14_EFFECTS", str(effects))
    monkeypatch.setenv("P14_WORDS", "25")
    monkeypatch.setenv("P14_SECONDS", str(seconds))
    async with AsyncExitStack() as stack:
        nodes = [Node(f"node-{letter}", config, store, folder) for letter in "abc"]
        for node in nodes:
            stack.push_async_callback(node.kill)
        await asyncio.gather(*[node.start() for node in nodes])
        proxy = await stack.enter_async_context(RoundRobinProxy([node.port for node in nodes]))
        yield Nodes3(nodes), proxy.url, effects


async def converse_under(
    faults: Sequence[Fault], nodes: Nodes3, url: str, callers: int
) -> tuple[list[Conversing], dict[str, list[float]]]:
    """The conversations, and seconds from each fault to the next event of each answer that it cut off, by kind of fault."""
    conversations = [Conversing(url, f"c{number}") for number in range(callers)]
    holding = [asyncio.create_task(conversation.hold()) for conversation in conversations]
    started = time.monotonic()
    while not all(c.turns and c.turns[-1].events for c in conversations):
        assert time.monotonic() < started + 60, "the conversations do not start"
        await asyncio.sleep(0.05)
    cut: list[tuple[float, str, Seen]] = []
    for number, fault in enumerate(faults):
        ends = time.monotonic() + EVERY_S
        faulting = asyncio.create_task(fault(nodes, number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if nodes.hit:
            at, name, how = nodes.hit[-1]
            running = [c.turns[-1] for c in conversations if c.turns[-1].ended is None]
            cut += [(at, how, turn) for turn in running if turn.runner == name]
        await faulting
        await asyncio.sleep(max(0.0, ends - time.monotonic()))
    for conversation in conversations:
        conversation.stopping = True
    async with asyncio.timeout(90):
        await asyncio.gather(*holding)
    waits: dict[str, list[float]] = {"kill": [], "freeze": []}
    for at, how, turn in cut:
        next_ = turn.next_after(at + 0.2)
        if next_ is None and turn.ended is not None:
            continue  # its last words were under way already
        assert next_ is not None, "an answer that was cut off never went on"
        waits[how].append(next_ - at)
    return conversations, waits


async def check(store: Store, conversations: list[Conversing], effects: Path) -> dict[str, int]:
    """Every turn once in the log, in order, as its reader saw it; no recorded step run again. The counts."""
    turns = lost = doubled = other = 0
    for conversation in conversations:
        log = await log_of(store, conversation.id)
        places = Counter((message.turn_id, message.role) for message in log)
        replies = {message.turn_id: message.content for message in log if message.role == "assistant"}
        for turn in conversation.turns:
            turns += 1
            assert turn.ended is not None
            lost += places[turn.turn_id, "user"] == 0 or places[turn.turn_id, "assistant"] == 0
            doubled += places[turn.turn_id, "user"] > 1 or places[turn.turn_id, "assistant"] > 1
            other += not turn.text == turn.ended["reply"] == replies.get(turn.turn_id)
        assert [m.turn_id for m in log[::2]] == [turn.turn_id for turn in conversation.turns]
    again, keys, recorded = 0, dict[str, set[str]](), set[str]()
    for what, turn_id, *key in (line.split() for line in (await asyncio.to_thread(effects.read_text)).splitlines()):
        if what == "recorded":
            recorded.add(turn_id)
        else:
            again += turn_id in recorded
            keys.setdefault(turn_id, set()).update(key)
    assert (lost, doubled, other, again) == (0, 0, 0, 0)
    assert all(len(key) == 1 for key in keys.values()), "an idempotency key changed between attempts"
    takeovers = sum(turn.ended["attempts"] > 1 for c in conversations for turn in c.turns if turn.ended is not None)
    return {
        "conversations": len(conversations),
        "streamed_turns": turns,
        "turns_lost": lost,
        "replies_doubled": doubled,
        "texts_other_than_the_log": other,
        "recorded_steps_run_again_streaming": again,
        "takeovers": takeovers,
        "connections": sum(turn.connections for c in conversations for turn in c.turns),
    }


def told(waits: dict[str, list[float]]) -> dict[str, float]:
    """Seconds from a fault to the next event, as figures."""
    found = {}
    for how, seconds in waits.items():
        for part, name in ((0.5, "p50"), (0.99, "p99")):
            if seconds:
                place = min(len(seconds) - 1, int(len(seconds) * part))
                found[f"{how}_to_next_event_{name}_s"] = round(sorted(seconds)[place], 2)
    return found


@pytest.mark.parametrize("backend_name", ["redis", "sqlite"], indirect=False)
async def test_answers_finish_over_nodes_that_are_killed_and_frozen(
    own_nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: Callable[[int], int], figures: Figures
) -> None:
    nodes = own_nodes
    rounds, callers = (scale(5), 50) if nodes.name == "redis" else (scale(2), 20)
    faults = [fault for fault, _ in zip(cycle([Nodes3.kill, Nodes3.freeze]), range(rounds), strict=False)]
    async with three_nodes(nodes.url, tmp_path, monkeypatch, 5.0) as (three, url, effects):
        conversations, waits = await converse_under(faults, three, url, callers)
        async with open_store(nodes.url) as store:
            counts = await check(store, conversations, effects)
    assert counts["takeovers"] >= 1, "nothing was taken over: the faults hit nothing"
    figures(
        "P14",
        nodes.name,
        streams_faults=rounds,
        lease_s=LEASE_S,
        answers_cut_off=sum(map(len, waits.values())),
        **told(waits),
        **counts,
    )


async def test_answers_finish_while_redis_fails_over_under_them(
    new_sentinel_set: type[SentinelSet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scale: Callable[[int], int],
    figures: Figures,
) -> None:
    async with new_sentinel_set(failover_timeout_ms=2000) as servers:
        store_url = f"{servers.url}?durability=replicated"

        async def primary_dies(_: Nodes3, number: int) -> None:
            primary = servers.primary()
            await primary.kill()
            await servers.wait_for_primary(other_than=primary)
            await primary.start()
            await servers.wait_until_synced()

        faults: list[Fault] = []
        for _ in range(scale(1)):
            faults += [primary_dies, Nodes3.kill]
        async with three_nodes(store_url, tmp_path, monkeypatch, 4.0) as (three, url, effects):
            conversations, waits = await converse_under(faults, three, url, 20)
            async with open_store(store_url) as store:
                counts = await check(store, conversations, effects)
    figures(
        "P14",
        "redis failing over",
        failovers=scale(1),
        killed=scale(1),
        **told(waits),
        **counts,
    )
