"""A flow goes on where its node was killed: between its turns, and in the middle of one, between two tools.

Three nodes behind a round-robin proxy, conversations that walk through a flow of four turns whose last one calls two tools, and
every second one node killed, while two are left. Each conversation has to reach the flow's end, with each turn once in the log; a
tool that was recorded is not called again (the first one never after the second one), and each has one idempotency key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from holdfast import open_store
from holdfast.demo.nodes import Node
from holdfast.demo.proxy import RoundRobinProxy
from store_nodes import Figures, Nodes
from workload import log_of

CONFIG = """
[store]
url = "memory:"
lease = 1.5
poll = 0.2
max_attempts = 1000
[server]
recovery_every = 0.3
[knowledge]
index = ""
[tools]
functions = ["flow_stage:reserve", "flow_stage:pay"]
[assistant]
flows = ["flows.yaml"]
"""
FLOWS = """
flows:
  trip:
    title: {zh: 出行, en: trip}
    triggers: {zh: [出行], en: [book*trip]}
    slots:
      place: {type: pattern, pattern: 'P\\d{3}', ask: {zh: 哪里？, en: Where to?}}
      people: {type: number, ask: {zh: 几位？, en: How many?}}
    steps:
      - ask: place
      - ask: people
      - confirm: {zh: "{place}？", en: "{people} to {place}?"}
        yes:
          - call: reserve
          - call: pay
            with: {number: number}
          - say: {zh: "好了 {number}", en: "Booked {number}."}
"""
EVERY_S = 1.0

pytestmark = pytest.mark.timeout(600)


async def walk(url: str, number: int) -> tuple[str, list[str], str, int]:
    """A conversation through the flow; its session, its turns' ids, its last reply, and how many turns took several attempts."""
    place = f"P{number:03}"
    limits = httpx.Limits(max_keepalive_connections=0)
    turns: list[str] = []
    reply, again = "", 0
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=httpx.Timeout(5.0, connect=2.0)) as http:
        session = ""
        while not session:
            try:
                session = (await http.post("/v1/sessions", json={})).json()["id"]
            except (httpx.TransportError, KeyError, ValueError):
                await asyncio.sleep(0.1)
        for words in ("book a trip", place, "2", "yes"):
            turns.append(f"{place}-{len(turns)}")
            for _ in count():
                try:
                    answer = await http.post(
                        f"/v1/sessions/{session}/turns", json={"input": words}, headers={"Idempotency-Key": turns[-1]}
                    )
                    if answer.status_code == 200:
                        outcome = answer.json()
                        reply, again = outcome["reply"], again + (outcome["attempts"] > 1)
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
    return session, turns, reply, again


@pytest.mark.parametrize("backend_name", ["redis", "sqlite"], indirect=False)
async def test_flows_go_on_over_killed_nodes(
    own_nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: Callable[[int], int], figures: Figures
) -> None:
    config, effects = tmp_path / "holdfast.toml", tmp_path / "effects"
    config.write_text(CONFIG)
    (tmp_path / "flows.yaml").write_text(FLOWS)
    effects.touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("FLOW_EFFECTS", str(effects))
    conversations, killed = scale(24), 0
    async with AsyncExitStack() as stack:
        nodes = [Node(f"node-{letter}", config, own_nodes.url, tmp_path) for letter in "abc"]
        for node in nodes:
            stack.push_async_callback(node.kill)
        await asyncio.gather(*[node.start() for node in nodes])
        proxy = await stack.enter_async_context(RoundRobinProxy([node.port for node in nodes]))

        async def staggered(number: int) -> tuple[str, list[str], str, int]:
            await asyncio.sleep(number * 0.25)
            return await walk(proxy.url, number)

        walking = [asyncio.create_task(staggered(number)) for number in range(conversations)]
        starting: dict[str, asyncio.Task[None]] = {}
        while not all(task.done() for task in walking):
            await asyncio.sleep(EVERY_S)
            ready = [node for node in nodes if node.name not in starting or starting[node.name].done()]
            if len(ready) > 1:  # one that starts again may take its time
                node = ready[killed % len(ready)]
                await node.kill()
                starting[node.name] = asyncio.create_task(node.start())
                killed += 1
        await asyncio.gather(*starting.values())
        walked = [task.result() for task in walking]
        async with open_store(own_nodes.url) as store:
            for number, (session, turns, reply, _) in enumerate(walked):
                assert reply == f"Booked R-P{number:03}."
                log = await log_of(store, session)
                assert [(message.turn_id, message.role) for message in log] == [
                    (turn, role) for turn in turns for role in ("user", "assistant")
                ]
    calls = [line.split() for line in effects.read_text().splitlines()]
    for number in range(conversations):
        mine = [(what, key) for what, which, key in calls if which.endswith(f"P{number:03}")]
        order = [what for what, _ in mine]
        assert order == sorted(order, reverse=True), "a tool was called again after the next one had been"
        assert len(set(mine)) == 2, "an idempotency key changed between attempts"
    assert killed >= 2
    figures(
        "P14",
        own_nodes.name,
        flow_conversations=conversations,
        flow_nodes_killed=killed,
        flow_turns_taken_over=sum(again for *_, again in walked),
        flow_tool_calls=len(calls),
        flow_tools_called_again_after_their_record=0,
    )
