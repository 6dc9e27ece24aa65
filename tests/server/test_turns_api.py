"""``POST .../turns``: one outcome for one turn id, whoever asks, how often, and where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from server_kit import STREAM, Served, kind, served

from holdfast.server.app import node_of


@pytest.fixture
async def nodes() -> AsyncIterator[list[Served]]:
    async with served(2) as nodes:
        yield nodes


@pytest.fixture
async def node(nodes: list[Served]) -> Served:
    return nodes[0]


async def test_a_turn_answers_with_its_outcome(node: Served) -> None:
    session_id = await node.session()
    reply = await node.turn(session_id, "cite this", "t-1")
    assert reply.headers["idempotency-key"] == "t-1"
    assert reply.headers["x-holdfast-node"] == "node-0"
    body = reply.json()
    citation = body.pop("citations")[0]
    assert body == {
        "session_id": session_id,
        "turn_id": "t-1",
        "status": "completed",
        "reply": "this",
        "metadata": {"mode": "task", "untrusted": "document"},
        "version": 2,
        "start": 0,
        "attempts": 1,
        "replayed": False,
        "node": "node-0",
    }
    passage = (await node.http.get(citation["passage_url"])).json()
    start, end = (citation[name] - passage["start"] for name in ("start", "end"))
    assert passage["text"][start:end] == citation["quote"]


async def test_the_server_names_a_turn_that_has_no_id(node: Served) -> None:
    session_id = await node.session()
    reply = await node.turn(session_id, "say hello")
    turn_id = reply.json()["turn_id"]
    assert reply.headers["idempotency-key"] == turn_id
    again = await node.turn(session_id, "say hello", turn_id)
    assert again.json()["replayed"] is True
    assert len(node.assistant.calls) == 1


async def test_the_same_turn_again_is_the_same_to_the_byte_on_any_node(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    first = await nodes[0].turn(session_id, "cite 中文 ünï", "t-1")
    for node in nodes:
        again = await node.turn(session_id, "cite 中文 ünï", "t-1")
        told = first.text.replace('"replayed":false', '"replayed":true').replace("node-0", node_of(node.app).name)
        assert again.text == told
    assert (await nodes[0].http.get(f"/v1/sessions/{session_id}")).json()["messages"] == 2
    assert nodes[1].assistant.calls == []


async def test_a_turn_id_with_another_input_is_refused(node: Served) -> None:
    session_id = await node.session()
    await node.turn(session_id, "say one", "t-1")
    assert kind(await node.turn(session_id, "say two", "t-1")) == "turn-mismatch"
    running = asyncio.create_task(node.turn(session_id, "hold a", "t-2"))
    await node.running(session_id, "t-2")
    for headers in ({}, STREAM):
        reply = await node.http.post(
            f"/v1/sessions/{session_id}/turns", json={"input": "hold b"}, headers={"Idempotency-Key": "t-2", **headers}
        )
        assert (reply.status_code, kind(reply)) == (422, "turn-mismatch")
    node.assistant.open("a")
    assert (await running).status_code == 200


@pytest.mark.parametrize("second", [0, 1], ids=["same node", "other node"])
async def test_two_turns_at_once_run_in_order(nodes: list[Served], second: int) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
    await nodes[0].running(session_id, "t-1")
    later = asyncio.create_task(nodes[second].turn(session_id, "say later", "t-2", on_busy="queue"))
    await asyncio.sleep(0.1)
    assert not later.done()
    nodes[0].assistant.open("a")
    assert (await first).json()["start"] == 0
    assert (await later).json()["start"] == 2


@pytest.mark.parametrize("second", [0, 1], ids=["same node", "other node"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_busy_session_can_be_refused(nodes: list[Served], second: int, stream: bool) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
    await nodes[0].running(session_id, "t-1")
    reply = await nodes[second].turn(session_id, "say no", "t-2", on_busy="reject", stream=stream)
    assert (reply.status_code, kind(reply)) == (409, "turn-busy")
    assert int(reply.headers["retry-after"]) >= 1
    nodes[0].assistant.open("a")
    await first
    assert (await nodes[second].turn(session_id, "say no", "t-2", on_busy="reject")).status_code == 200


async def test_one_turn_sent_many_times_at_once_runs_once(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    sent = [asyncio.create_task(nodes[number % 2].turn(session_id, "hold a", "t-1")) for number in range(20)]
    await asyncio.sleep(0.1)
    for node in nodes:
        node.assistant.open("a")
    replies = [reply.json() for reply in await asyncio.gather(*sent)]
    assert {reply["reply"] for reply in replies} == {"hold: a"}
    assert [reply["replayed"] for reply in replies].count(False) == 1
    assert len(nodes[0].assistant.calls) + len(nodes[1].assistant.calls) == 1


async def test_a_turn_that_waits_too_long_says_so() -> None:
    async with served(wait=0.2) as (node,):
        session_id = await node.session()
        first = asyncio.create_task(node.turn(session_id, "hold a", "t-1"))
        await node.running(session_id, "t-1")
        reply = await node.turn(session_id, "say later", "t-2")
        assert (reply.status_code, kind(reply), reply.json()["turn_id"]) == (409, "queue-timeout", "t-2")
        node.assistant.open("a")
        await first
        assert (await node.turn(session_id, "say later", "t-2")).status_code == 200


async def test_a_turn_that_takes_too_long_is_given_up_and_can_be_sent_again() -> None:
    async with served(config={"turn_timeout": 0.2}) as (node,):
        session_id = await node.session()
        reply = await node.turn(session_id, "hold a", "t-1")
        assert (reply.status_code, kind(reply)) == (504, "turn-timeout")
        node.assistant.open("a")
        assert (await node.turn(session_id, "hold a", "t-1")).json()["attempts"] == 2


async def test_an_unknown_session_is_never_created(node: Served) -> None:
    for stream in (False, True):
        reply = await node.turn("nobody", "say hello", "t-1", stream=stream)
        assert (reply.status_code, kind(reply)) == (404, "session-not-found")
    assert kind(await node.follow("nobody", "t-1")) == "turn-not-found"
    assert not await node.store.exists("nobody")
    assert [one async for one in node.store.scan()] == []
    assert await node.store.backend.overdue() == []


async def test_a_session_deleted_elsewhere_is_not_brought_back(nodes: list[Served]) -> None:
    """This node knows the session, and does not ask for it before the turn."""
    session_id = await nodes[0].session()
    await nodes[0].turn(session_id, "say hello")
    await nodes[1].http.delete(f"/v1/sessions/{session_id}")
    assert kind(await nodes[0].turn(session_id, "say again", "t-2")) == "session-not-found"
    assert kind(await nodes[0].turn(session_id, "say again", "t-2")) == "session-not-found"
    assert not await nodes[0].store.exists(session_id)
    assert [one async for one in nodes[0].store.scan()] == []
    assert await nodes[0].store.backend.overdue() == []
    assert nodes[0].assistant.calls == ["say hello"]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_session_deleted_under_the_turn_is_gone(nodes: list[Served], stream: bool) -> None:
    session_id = await nodes[0].session()
    turn = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1", stream=stream))
    await nodes[0].running(session_id, "t-1")
    if stream:
        await asyncio.sleep(0.05)
    await nodes[1].http.delete(f"/v1/sessions/{session_id}")
    nodes[0].assistant.open("a")
    reply = await turn
    if stream:
        assert '"status":410' in reply.text
        assert "event: error" in reply.text
    else:
        assert (reply.status_code, kind(reply)) == (410, "session-gone")
    assert not await nodes[0].store.exists(session_id)


async def test_a_handler_that_raises_is_an_internal_error_without_its_words(
    node: Served, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = await node.session()
    reply = await node.turn(session_id, "raise 13812345678", "t-1")
    assert (reply.status_code, kind(reply)) == (500, "internal")
    assert "13812345678" not in reply.text
    assert "RuntimeError" in caplog.text
    assert "13812345678" not in caplog.text
    assert (await node.http.get(f"/v1/sessions/{session_id}")).json()["messages"] == 0


async def test_a_turn_whose_handler_raised_can_be_sent_again(node: Served) -> None:
    session_id = await node.session()
    assert (await node.turn(session_id, "raise once", "t-1")).status_code == 500
    reply = await node.turn(session_id, "raise once", "t-1")
    assert (reply.json()["reply"], reply.json()["attempts"]) == ("raise: once", 2)


async def test_a_turn_that_failed_for_good_says_so_ever_after() -> None:
    async with served(max_attempts=2) as (node,):
        session_id = await node.session()
        kinds = [kind(await node.turn(session_id, "raise always", "t-1")) for _ in range(4)]
        assert kinds[0] == "internal"
        assert kinds[-2:] == ["turn-failed", "turn-failed"]


async def test_a_node_takes_only_so_many_turns() -> None:
    async with served(2, config={"max_concurrent_turns": 2}) as (node, other):
        sessions = [await node.session() for _ in range(3)]
        running = [asyncio.create_task(node.turn(one, "hold a", "t-1")) for one in sessions[:2]]
        for one in sessions[:2]:
            await node.running(one, "t-1")
        reply = await node.turn(sessions[2], "say more", "t-1")
        assert (reply.status_code, kind(reply), reply.headers["retry-after"]) == (503, "overloaded", "1")
        assert (await other.turn(sessions[2], "say more", "t-1")).status_code == 200
        node.assistant.open("a")
        assert [reply.status_code for reply in await asyncio.gather(*running)] == [200, 200]
        assert (await node.turn(sessions[2], "say yes", "t-2")).status_code == 200


async def test_a_caller_that_leaves_does_not_stop_the_turn(node: Served) -> None:
    session_id = await node.session()
    caller = asyncio.create_task(node.turn(session_id, "hold a", "t-1"))
    await node.running(session_id, "t-1")
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    node.assistant.open("a")
    reply = await node.turn(session_id, "hold a", "t-1")
    assert (reply.json()["reply"], reply.json()["attempts"]) == ("hold: a", 1)
