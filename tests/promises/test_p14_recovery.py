"""P14: a turn in flight outlives its node.

Broken on purpose: the node that runs a turn is killed (SIGKILL) or frozen (SIGSTOP) between its two steps, and nobody sends
the turn again. Another node's recovery takes it over when its lease has run out: the recorded step is not run again,
the other one is, and there is one reply. A recovery that ignored the journal would run the first step twice; one that took
living leases would start a turn that is running.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from holdfast import Store
from store_nodes import Figures, Nodes
from workload import Node, log_of, node_process

LEASE_S = 1.0
EVERY_S = 0.3
OPTIONS = {"lease": LEASE_S, "poll": 0.1}
SESSIONS = [f"s-{number}" for number in range(4)]

pytestmark = [pytest.mark.alone, pytest.mark.parametrize("backend_name", ["sqlite", "redis"], indirect=False)]


async def three(stack: AsyncExitStack, nodes: Nodes, effects: Path, first_seconds: float) -> list[Node]:
    """The first node runs the turns; the others only recover."""
    started = []
    for name in ("first", "second", "third"):
        config: dict[str, Any] = {
            "sessions": SESSIONS if name == "first" else [],
            "seconds": first_seconds if name == "first" else 0.05,
        }
        started.append(
            await stack.enter_async_context(
                node_process(
                    nodes.url,
                    nodes.tenant,
                    "recovering",
                    name=name,
                    effects=str(effects),
                    options=OPTIONS,
                    recovery={"every": EVERY_S},
                    **config,
                )
            )
        )
        await started[-1].until("ready")
    return started


async def answered(store: Store, session: str) -> float:
    """Waits until the session has two messages; when."""
    async with asyncio.timeout(40):
        while True:
            if len(await log_of(store, session)) >= 2:
                return time.monotonic()
            await asyncio.sleep(0.02)


def effects_of(file: Path) -> Counter[str]:
    return Counter(file.read_text().splitlines())


async def test_turns_of_a_killed_node_are_finished_by_others(nodes: Nodes, tmp_path: Path, figures: Figures) -> None:
    effects = tmp_path / "effects"
    store = await nodes.open(**OPTIONS)
    async with AsyncExitStack() as stack:
        first, *others = await three(stack, nodes, effects, 600)
        await first.until("recorded", len(SESSIONS))
        await first.kill()
        killed = time.monotonic()
        seconds = sorted([await answered(store, session) - killed for session in SESSIONS])
        assert sum(len(node.of("holding")) for node in others) == len(SESSIONS), "each is started once"
    for session in SESSIONS:
        log = await log_of(store, session)
        assert [message.role for message in log] == ["user", "assistant"]
        assert log[0].content == f"input of {session}"
        before, after = log[1].content.split()
        assert (before, after in ("second", "third")) == ("first", True), "the first step's result is the journal's"
    assert effects_of(effects) == Counter([f"{s} {step}" for s in SESSIONS for step in ("first", "second")])
    figures("P14", nodes.name, taken_over=len(seconds), slowest_ms=round(seconds[-1] * 1000))


async def test_a_frozen_node_that_wakes_up_adds_nothing(nodes: Nodes, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    store = await nodes.open(**OPTIONS)
    async with AsyncExitStack() as stack:
        first, *_ = await three(stack, nodes, effects, 4)
        await first.until("recorded", len(SESSIONS))
        first.signal(signal.SIGSTOP)
        early = {session for session in SESSIONS if await log_of(store, session)}
        assert len(early) < len(SESSIONS), "all were through before it was frozen"
        for session in SESSIONS:
            await answered(store, session)
        first.signal(signal.SIGCONT)
        await first.until("outcome", len(SESSIONS))
        assert first.of("error") == []
        for session, reply, attempts in first.of("outcome"):
            log = await log_of(store, session)
            assert [message.role for message in log] == ["user", "assistant"], "one reply"
            wanted = 1 if session in early else 2
            assert (log[1].content, attempts) == (reply, wanted), "it learns what its turn became"
    assert {count for effect, count in effects_of(effects).items() if effect.endswith("first")} == {1}


async def test_a_turn_that_is_running_is_left_alone(nodes: Nodes, tmp_path: Path) -> None:
    """Longer than its lease, which is renewed."""
    effects = tmp_path / "effects"
    async with AsyncExitStack() as stack:
        first, *others = await three(stack, nodes, effects, LEASE_S * 3)
        await first.until("outcome", len(SESSIONS))
        assert [node.of("holding") for node in others] == [[], []]
        assert {tuple(outcome[1:]) for outcome in first.of("outcome")} == {("first first", 1)}
