"""Cancelling, interrupting and signalling over HTTP, from any node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from server_kit import Served, events_of, kind, said, served

from holdfast import Turn
from holdfast.server.app import node_of
from holdfast.server.desk import HANDLER


@pytest.fixture
async def nodes() -> AsyncIterator[list[Served]]:
    async with served(2) as nodes:
        yield nodes


async def test_a_running_turn_is_cancelled_from_another_node(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1", stream=True))
    await nodes[0].running(session_id, "t-1")
    reply = await nodes[1].http.delete(f"/v1/sessions/{session_id}/turns/t-1")
    assert reply.status_code == 200
    outcome = reply.json()
    assert (outcome["status"], outcome["reply"], outcome["metadata"]) == ("cancelled", "hold: ", {"cancelled": True})
    events = events_of((await first).text)
    assert [event.kind for event in events] == ["status", "token", "done"]
    assert events[-1].data["status"] == "cancelled"
    assert said(events) == "hold: "
    again = await nodes[1].http.delete(f"/v1/sessions/{session_id}/turns/t-1")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert kind(await nodes[0].http.delete(f"/v1/sessions/{session_id}/turns/t-404")) == "turn-not-found"


async def test_a_finished_turn_cannot_be_cancelled_any_more(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    await nodes[0].turn(session_id, "say it", "t-1")
    reply = await nodes[1].http.delete(f"/v1/sessions/{session_id}/turns/t-1")
    assert (reply.status_code, reply.json()["status"], reply.json()["reply"]) == (200, "completed", "it")


async def test_a_newer_input_interrupts_if_it_asks_for_that(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
    await nodes[0].running(session_id, "t-1")
    second = await nodes[1].turn(session_id, "say b", "t-2", on_busy="interrupt")
    assert second.json()["reply"] == "b"
    assert (await first).json()["status"] == "cancelled"
    messages = (await nodes[0].http.get(f"/v1/sessions/{session_id}/messages")).json()["messages"]
    assert [one["content"] for one in messages] == ["hold a", "hold: ", "say b", "b"]


async def test_interrupting_may_be_the_rule() -> None:
    async with served(1, config={"on_busy": "interrupt"}) as [node]:
        session_id = await node.session()
        first = asyncio.create_task(node.turn(session_id, "hold a", "t-1"))
        await node.running(session_id, "t-1")
        assert (await node.turn(session_id, "say b")).json()["reply"] == "b"
        assert (await first).json()["status"] == "cancelled"


async def asking(turn: Turn) -> None:
    """In the assistant's place: asks a person before it answers."""
    turn.emit("token", text="One moment. ")
    approved = await turn.wait_for("approval", timeout=60)
    turn.reply(f"One moment. {'Done' if approved['yes'] else 'Not done'}")


@pytest.fixture
async def asking_nodes(nodes: list[Served]) -> list[Served]:
    for node in nodes:
        node.store.handlers._by_name[HANDLER] = asking
    return nodes


async def test_a_turn_that_waits_is_answered_with_202_and_goes_on_anywhere(asking_nodes: list[Served]) -> None:
    first, second = asking_nodes
    session_id = await first.session()
    reply = await first.turn(session_id, "may I?", "t-1")
    assert reply.status_code == 202
    body = reply.json()
    assert (body["status"], body["waiting_for"], body["turn_id"]) == ("parked", "approval", "t-1")
    assert 50 < body["left"] <= 60
    assert (await second.turn(session_id, "may I?", "t-1")).status_code == 202
    following = asyncio.create_task(second.follow(session_id, "t-1"))
    await asyncio.sleep(0.1)
    told = await first.http.post(f"/v1/sessions/{session_id}/signals/approval", json={"value": {"yes": True}})
    assert (told.status_code, told.json()["turn_id"]) == (202, "t-1")
    events = events_of((await following).text)
    assert events[0].kind == "parked"
    assert events[-1].kind == "done"
    assert said(events) == events[-1].data["reply"] == "One moment. Done"
    assert (await first.turn(session_id, "may I?", "t-1")).json()["reply"] == "One moment. Done"
    late = await first.http.post(f"/v1/sessions/{session_id}/signals/approval", json={"value": 1})
    assert kind(late) == "turn-not-found"


async def test_the_stream_of_a_turn_that_waits_ends_with_that(asking_nodes: list[Served]) -> None:
    node, other = asking_nodes
    session_id = await node.session()
    events = events_of((await node.turn(session_id, "may I?", "t-1", stream=True)).text)
    assert [event.kind for event in events] == ["token", "parked"]
    assert events[-1].data["waiting_for"] == "approval"
    assert node_of(node.app).desk.find(session_id, "t-1") is None
    reply = await other.http.delete(f"/v1/sessions/{session_id}/turns/t-1")
    assert reply.json()["status"] == "cancelled"


async def test_a_signal_that_does_not_fit(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    path = f"/v1/sessions/{session_id}/signals/approval"
    assert kind(await nodes[0].http.post(path)) == "turn-not-found"
    assert kind(await nodes[0].http.post(path, json={"values": 1})) == "invalid-request"
    assert kind(await nodes[0].http.post(path, content=b"{]", headers={"content-type": "application/json"})) == (
        "malformed"
    )
    assert kind(await nodes[0].http.post(f"{path}{'x' * 300}", json={})) == "invalid-request"


async def test_a_stream_that_outlasts_its_node_s_patience_ends_with_that_the_turn_waits() -> None:
    async with served(2, config={"turn_timeout": 0.3}, wait=0.3) as nodes:
        for node in nodes:
            node.store.handlers._by_name[HANDLER] = asking
        session_id = await nodes[0].session()
        assert (await nodes[0].turn(session_id, "may I?", "t-1")).status_code == 202
        events = events_of((await nodes[1].follow(session_id, "t-1")).text)
        assert [event.kind for event in events] == ["parked"]
