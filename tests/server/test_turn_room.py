"""A full node: turns wait their turn, tenants get their share, and whoever waits is told what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from access_kit import Site, bearer, site
from server_kit import Scripted, Served, kind, served
from test_metrics import value

from holdfast.backends.records import Overdue
from holdfast.server.app import node_of
from holdfast.server.desk import HANDLER

SLOTS = {"server": {"max_concurrent_turns": 2}}


def assistant_of(node: Site) -> Scripted:
    found = node_of(node.app).assistant
    assert isinstance(found, Scripted)
    return found


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.005)


async def begun(node: Site, headers: dict[str, str]) -> str:
    return str((await node.http.post("/v1/sessions", json={}, headers=headers)).json()["id"])


async def posted(node: Site, headers: dict[str, str], text: str) -> httpx.Response:
    session_id = await begun(node, headers)
    return await node.http.post(f"/v1/sessions/{session_id}/turns", json={"input": text}, headers=headers)


def waiting(node: Site | Served) -> int:
    return node_of(node.app).desk._room.waiting


async def test_a_noisy_tenant_starves_nobody_on_a_node() -> None:
    limits = {"admission_wait": "30s"}
    async with site(limits=limits, **SLOTS) as node:
        assistant, noisy, quiet = assistant_of(node), bearer("application"), bearer("user", "bank")
        many = [asyncio.ensure_future(posted(node, noisy, f"hold n{number}")) for number in range(20)]
        await until(lambda: len(assistant.calls) == 2 and waiting(node) == 18)
        one = asyncio.ensure_future(posted(node, quiet, "say hello"))
        await until(lambda: waiting(node) == 19)
        assistant.open(assistant.calls[0].removeprefix("hold "))
        reply = await one
        assert (reply.status_code, reply.json()["reply"]) == (200, "hello")
        assert assistant.calls[2] == "say hello"  # eighteen others came before
        for number in range(20):
            assistant.open(f"n{number}")
        assert {reply.status_code for reply in await asyncio.gather(*many)} == {200}
        text = (await node.http.get("/metrics", headers=bearer("operator"))).text
        assert value(text, "holdfast_admission_waiting") == 0
        assert value(text, 'holdfast_admission_wait_seconds_count{result="granted"}') == 19


async def test_a_turn_waits_for_room_and_then_is_told_to_come_back() -> None:
    async with site(limits={"admission_wait": "50ms"}, **SLOTS) as node:
        assistant, headers = assistant_of(node), bearer("application")
        two = [asyncio.ensure_future(posted(node, headers, f"hold n{number}")) for number in range(2)]
        await until(lambda: len(assistant.calls) == 2)
        reply = await posted(node, headers, "say late")
        assert (reply.status_code, kind(reply), reply.headers["Retry-After"]) == (503, "overloaded", "1")
        assistant.open("n0")
        await asyncio.wait(two, return_when="FIRST_COMPLETED")
        assert (await posted(node, headers, "say now")).status_code == 200
        assistant.open("n1")
        await asyncio.gather(*two)
        assert "say late" not in assistant.calls
        text = (await node.http.get("/metrics", headers=bearer("operator"))).text
        assert value(text, 'holdfast_limit_refusals_total{limit="admission-wait",tenant=""}') == 1
        assert value(text, 'holdfast_turns_total{outcome="refused"}') == 1


async def test_a_line_has_an_end() -> None:
    async with site(limits={"admission_wait": "30s", "admission_line": 1}, **SLOTS) as node:
        assistant, headers = assistant_of(node), bearer("application")
        three = [asyncio.ensure_future(posted(node, headers, f"hold n{number}")) for number in range(3)]
        await until(lambda: waiting(node) == 1)
        assert kind(await posted(node, headers, "say x")) == "overloaded"
        other = asyncio.ensure_future(posted(node, bearer("user", "bank"), "say y"))
        await until(lambda: waiting(node) == 2)
        for number in range(3):
            assistant.open(f"n{number}")
        assert {reply.status_code for reply in await asyncio.gather(*three, other)} == {200}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_node_that_stops_sends_those_away_that_wait_for_room(streams: bool) -> None:
    async with served(config={"max_concurrent_turns": 1}) as (node,):
        running = asyncio.ensure_future(node.turn(await node.session(), "hold a"))
        await until(lambda: node.assistant.calls)
        late = asyncio.ensure_future(node.turn(await node.session(), "say late", "t-1", stream=streams))
        await until(lambda: waiting(node) == 1)
        draining = asyncio.ensure_future(node_of(node.app).desk.drain(5))
        reply = await late
        assert (reply.status_code, kind(reply)) == (503, "draining")
        node.assistant.open("a")
        await draining
        assert (await running).status_code == 200
        assert node.assistant.calls == ["hold a"]


async def test_a_turn_that_waits_for_room_can_be_cancelled() -> None:
    async with served(config={"max_concurrent_turns": 1}) as (node,):
        running = asyncio.ensure_future(node.turn(await node.session(), "hold a"))
        await until(lambda: node.assistant.calls)
        session_id = await node.session()
        late = asyncio.ensure_future(node.turn(session_id, "say late", "t-1"))
        await until(lambda: waiting(node) == 1)
        cancelled = await node.http.delete(f"/v1/sessions/{session_id}/turns/t-1")
        assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelling")
        assert kind(await late) == "withdrawn"
        node.assistant.open("a")
        await running
        assert (await node.turn(session_id, "say late", "t-1")).json()["reply"] == "late"


async def test_one_session_does_not_take_the_whole_node() -> None:
    async with site(limits={"session_line": 2}) as node:
        assistant, headers = assistant_of(node), bearer("application")
        session_id = await begun(node, headers)
        path = f"/v1/sessions/{session_id}/turns"

        async def turn(text: str) -> httpx.Response:
            return await node.http.post(path, json={"input": text}, headers=headers)

        two = [asyncio.ensure_future(turn(text)) for text in ("hold a", "say b")]
        await until(lambda: len(node_of(node.app).desk.ids(session_id)) == 2)
        assert kind(await turn("say c")) == "overloaded"
        assert (await posted(node, headers, "say other")).status_code == 200
        assistant.open("a")
        await asyncio.gather(*two)
        assert (await turn("say d")).status_code == 200


async def test_a_turn_that_was_left_behind_waits_for_room_like_any_other() -> None:
    async with served(2, config={"max_concurrent_turns": 1}, lease=0.3) as (node, dead):
        session_id = await dead.session()
        left = asyncio.ensure_future(dead.turn(session_id, "hold x", "t-1"))
        await until(lambda: dead.assistant.calls)
        await dead.store.leases.close()
        left.cancel()
        busy = asyncio.ensure_future(node.turn(await node.session(), "hold a"))
        await until(lambda: node.assistant.calls)
        async with node.store.recovering(every=0.05, drain=0, take=node_of(node.app).desk.take_over):
            await until(lambda: waiting(node) == 1)
            assert node.assistant.calls == ["hold a"]
            node.assistant.open("x")
            node.assistant.open("a")
            await until(lambda: "hold x" in node.assistant.calls)
            assert (await node.turn(session_id, "hold x", "t-1")).json()["reply"].endswith("x")
        await busy
        assert (waiting(node), node_of(node.app).desk._room._slots.running) == (0, 0)


async def test_nothing_of_a_crowd_is_left_behind() -> None:
    limits = {"admission_wait": "20ms", "admission_line": 10}
    async with site(limits=limits, **SLOTS) as node:
        replies = await asyncio.gather(*[posted(node, bearer("application"), f"say {number}") for number in range(60)])
        assert {reply.status_code for reply in replies} <= {200, 503}
        desk = node_of(node.app).desk
        assert (desk._room._slots.running, desk._room.waiting, desk._turns, desk._posted) == (0, 0, {}, set())
        assert not desk._in_session


async def test_a_turn_that_another_node_has_takes_no_room() -> None:
    async with served(2, config={"max_concurrent_turns": 1}) as (node, other):
        session_id = await other.session()
        running = asyncio.ensure_future(other.turn(session_id, "hold a", "t-1"))
        await until(lambda: other.assistant.calls)
        key = other.store.key(session_id)
        for _ in range(3):
            assert not await node_of(node.app).desk.take_over(Overdue(key, "t-1", HANDLER, 1, 0))
        assert (await node.turn(await node.session(), "say x")).status_code == 200
        other.assistant.open("a")
        await running
