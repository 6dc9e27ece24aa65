"""Streams of a turn: what is streamed is what is committed, from whichever node and event on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from server_kit import Served, events_of, kind, said, served

from holdfast.server import replies
from holdfast.server.app import node_of
from holdfast.server.running import RunningTurn


@pytest.fixture
async def nodes() -> AsyncIterator[list[Served]]:
    async with served(2) as nodes:
        yield nodes


@pytest.fixture
async def node(nodes: list[Served]) -> Served:
    return nodes[0]


async def test_a_stream_ends_with_the_outcome_that_its_tokens_make(node: Served) -> None:
    session_id = await node.session()
    reply = await node.turn(session_id, "cite 一 two three", "t-1", stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["idempotency-key"] == "t-1"
    events = events_of(reply.text)
    assert [event.kind for event in events] == ["status", "token", "token", "token", "citations", "done"]
    outcome = events[-1].data
    assert said(events) == outcome["reply"] == "一 two three"
    assert events[-2].data["citations"] == outcome["citations"]
    assert len({event.id for event in events}) == len(events)
    assert outcome == {**(await node.turn(session_id, "cite 一 two three", "t-1")).json(), "replayed": False}


async def test_a_reply_that_was_streamed_otherwise_is_put_right(node: Served) -> None:
    session_id = await node.session()
    events = events_of((await node.turn(session_id, "other", stream=True)).text)
    assert [event.kind for event in events] == ["status", "token", "restarted", "token", "done"]
    assert said(events) == "the truth"


async def test_a_second_attempt_starts_the_reply_anew(node: Served) -> None:
    """Another writer changes the key that the turn changes: the handler runs twice."""
    session_id = await node.session()
    await node.store.update(session_id, {"phone": "1"})
    turn = asyncio.create_task(node.turn(session_id, "phone 13812345678", "t-1", stream=True))
    for _ in range(200):
        if node.assistant.calls:
            break
        await asyncio.sleep(0)
    await node.store.update(session_id, {"phone": "2"})
    events = events_of((await turn).text)
    assert len(node.assistant.calls) == 2
    assert [event.kind for event in events] == ["status", "token", "restarted", "status", "token", "done"]
    assert said(events) == events[-1].data["reply"] == "138****5678"


async def test_a_finished_turn_can_be_followed_on_any_node(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    done = (await nodes[0].turn(session_id, "cite this", "id/with=odd+chars", stream=False)).json()
    for node in nodes:
        events = events_of((await node.follow(session_id, "id/with=odd+chars")).text)
        assert [event.kind for event in events] == ["restarted", "token", "citations", "done"]
        assert said(events) == done["reply"]
        assert events[-1].data == {**done, "replayed": True, "node": events[-1].data["node"]}


async def test_a_finished_turn_posted_again_is_streamed(node: Served) -> None:
    session_id = await node.session()
    await node.turn(session_id, "cite this", "t-1")
    events = events_of((await node.turn(session_id, "cite this", "t-1", stream=True)).text)
    assert [event.kind for event in events] == ["restarted", "token", "citations", "done"]


async def test_a_running_turn_can_be_followed_from_any_event(node: Served) -> None:
    session_id = await node.session()
    first = asyncio.create_task(node.turn(session_id, "hold a", "t-1", stream=True))
    await node.running(session_id, "t-1")
    followers = [asyncio.create_task(node.follow(session_id, "t-1")) for _ in range(3)]
    await asyncio.sleep(0.02)
    node.assistant.open("a")
    whole = events_of((await first).text)
    for follower in followers:
        assert events_of((await follower).text) == whole


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(node: Served) -> None:
    session_id = await node.session()
    first = asyncio.create_task(node.turn(session_id, "hold a", "t-1", stream=True))
    await node.running(session_id, "t-1")
    turn = node_of(node.app).desk.find(session_id, "t-1")
    assert turn is not None
    ids = [f"{event.run}.{event.number}" for event in turn.events]
    followers = [asyncio.create_task(node.follow(session_id, "t-1", seen)) for seen in ids]
    stranger = asyncio.create_task(node.follow(session_id, "t-1", "0a0a0a0a.7"))
    await asyncio.sleep(0.02)
    node.assistant.open("a")
    whole = events_of((await first).text)
    for seen, follower in enumerate(followers, 1):
        assert events_of((await follower).text) == whole[seen:]
    other = events_of((await stranger).text)
    assert len(ids) == 2
    assert [event.kind for event in other] == ["restarted", *(event.kind for event in whole)]
    assert said(other) == "hold: a"
    assert (await node.follow(session_id, "t-1", whole[-1].id)).status_code == 204


async def test_a_turn_of_another_node_is_waited_for(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
    await nodes[0].running(session_id, "t-1")
    follower = asyncio.create_task(nodes[1].follow(session_id, "t-1"))
    await nodes[1].running(session_id, "t-1")
    assert not follower.done()
    nodes[0].assistant.open("a")
    events = events_of((await follower).text)
    assert [event.kind for event in events] == ["status", "token", "token", "done"]
    assert said(events) == events[-1].data["reply"] == (await first).json()["reply"]
    assert nodes[1].assistant.calls == []


async def test_a_turn_whose_node_died_is_taken_over_by_the_one_that_is_asked() -> None:
    async with served(2, lease=0.6) as nodes:
        session_id = await nodes[0].session()
        await nodes[0].turn(session_id, "say before", "t-0")
        dead = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
        await nodes[0].running(session_id, "t-1")
        await nodes[0].store.leases.close()  # it renews no more
        nodes[1].assistant.open("a")
        events = events_of((await nodes[1].follow(session_id, "t-1")).text)
        outcome = events[-1].data
        assert (outcome["reply"], outcome["attempts"], outcome["node"]) == ("hold: a", 2, "node-1")
        assert said(events) == "hold: a"
        messages = (await nodes[1].http.get(f"/v1/sessions/{session_id}/messages")).json()["messages"]
        assert [one["content"] for one in messages] == ["say before", "before", "hold a", "hold: a"]
        assert [one["turn_id"] for one in messages] == ["t-0", "t-0", "t-1", "t-1"]
        nodes[0].assistant.open("a")
        assert (await dead).json()["reply"] == "hold: a"  # it was overtaken, and tells what was committed


async def test_a_turn_that_never_began_is_run_by_whoever_follows_it(nodes: list[Served]) -> None:
    """It waited in the queue of a node that stopped. What this node remembers afterwards is what is stored."""
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
    await nodes[0].running(session_id, "t-1")
    waiting = asyncio.create_task(nodes[1].turn(session_id, "say later", "t-2"))
    await asyncio.sleep(0.1)
    await node_of(nodes[1].app).desk.drain(0)
    assert kind(await waiting) == "draining"
    nodes[0].assistant.open("a")
    await first
    outcome = events_of((await nodes[0].follow(session_id, "t-2")).text)[-1].data
    assert (outcome["reply"], outcome["attempts"], outcome["start"]) == ("later", 1, 2)
    session = await nodes[0].store.load(session_id)
    assert session is not None
    assert [message.content for message in session.messages] == ["hold a", "hold: a", "say later", "later"]


async def test_nobody_knows_this_turn(node: Served) -> None:
    session_id = await node.session()
    reply = await node.follow(session_id, "t-404")
    assert (reply.status_code, kind(reply)) == (404, "turn-not-found")
    assert kind(await node.follow(session_id, "中")) == "invalid-request"


async def test_a_handler_that_raises_ends_the_stream_without_its_words(node: Served) -> None:
    session_id = await node.session()
    last = events_of((await node.turn(session_id, "raise 13812345678", stream=True)).text)[-1]
    assert (last.kind, last.data["status"]) == ("error", 500)
    assert "13812345678" not in str(last.data)


async def test_an_error_after_the_stream_began_is_its_last_event(node: Served) -> None:
    session_id = await node.session()
    turn = asyncio.create_task(node.turn(session_id, "hold a", "t-1", stream=True))
    await node.running(session_id, "t-1")
    await asyncio.sleep(0.02)
    await node.store.delete(session_id)
    node.assistant.open("a")
    last = events_of((await turn).text)[-1]
    assert (last.kind, last.data["status"], last.data["turn_id"]) == ("error", 410, "t-1")


async def test_a_waiting_turn_says_that_it_waits(node: Served) -> None:
    session_id = await node.session()
    first = asyncio.create_task(node.turn(session_id, "hold a", "t-1"))
    await node.running(session_id, "t-1")
    second = asyncio.create_task(node.turn(session_id, "say b", "t-2", stream=True))
    await asyncio.sleep(1.2)
    node.assistant.open("a")
    await first
    events = events_of((await second).text)
    assert events[0].data == {"stage": "waiting"}
    assert said(events) == "b"


async def test_a_handler_that_emits_nothing_streams_its_reply(node: Served) -> None:
    session_id = await node.session()
    turn = asyncio.create_task(node.turn(session_id, "silent a", "t-1", stream=True))
    await asyncio.sleep(0.1)
    node.assistant.open("a")
    assert said(events_of((await turn).text)) == "quiet"


async def test_a_silent_stream_has_heartbeats() -> None:
    turn = RunningTurn("s", "t", "x")
    response = replies.event_stream(turn, "", heartbeat=0.01)
    lines = aiter(response.body_iterator)  # type: ignore[attr-defined]  # a StreamingResponse
    assert [await anext(lines), await anext(lines), await anext(lines)] == [
        b"retry: 1000\n\n",
        b": still here\n\n",
        b": still here\n\n",
    ]
    turn.emit("status", {"stage": "x"})
    assert b"event: status" in await anext(lines)


async def test_an_event_that_only_the_server_may_send_is_dropped() -> None:
    turn = RunningTurn("s", "t", "x")
    for kind_ in ("done", "error", "restarted", "message", "two\nlines", ""):
        turn.emit(kind_, {})
    assert turn.events == []
    turn.emit("step", {"name": "mine"})
    assert [event.kind for event in turn.events] == ["step"]


async def test_a_stream_goes_on_on_another_node_with_the_same_ids(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1", stream=True))
    await nodes[0].running(session_id, "t-1")
    turn = node_of(nodes[0].app).desk.find(session_id, "t-1")
    assert turn is not None
    seen = f"{turn.events[-1].run}.{turn.events[-1].number}"
    again = [
        asyncio.create_task(nodes[1].follow(session_id, "t-1", seen)),
        asyncio.create_task(nodes[1].follow(session_id, "t-1")),
    ]
    await nodes[1].running(session_id, "t-1")
    nodes[0].assistant.open("a")
    whole = events_of((await first).text)
    rest, all_of_it = [events_of((await stream).text) for stream in again]
    ids = [(event.kind, event.id) for event in whole]
    assert [(event.kind, event.id) for event in rest] == ids[2:]
    assert [(event.kind, event.id) for event in all_of_it] == ids
    after = events_of((await nodes[1].follow(session_id, "t-1", seen)).text)
    assert [(event.kind, event.id) for event in after] == ids[2:]


async def test_the_same_turn_posted_to_another_node_streams_there_too(nodes: list[Served]) -> None:
    session_id = await nodes[0].session()
    first = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1"))
    await nodes[0].running(session_id, "t-1")
    second = asyncio.create_task(nodes[1].turn(session_id, "hold a", "t-1", stream=True))
    await nodes[1].running(session_id, "t-1")
    nodes[0].assistant.open("a")
    events = events_of((await second).text)
    assert [event.kind for event in events] == ["status", "token", "token", "done"]
    assert said(events) == (await first).json()["reply"]
    assert nodes[1].assistant.calls == []


async def test_a_takeover_restarts_the_stream_for_whoever_saw_the_first_attempt() -> None:
    async with served(2, lease=0.6) as nodes:
        session_id = await nodes[0].session()
        dead = asyncio.create_task(nodes[0].turn(session_id, "hold a", "t-1", stream=True))
        await nodes[0].running(session_id, "t-1")
        turn = node_of(nodes[0].app).desk.find(session_id, "t-1")
        assert turn is not None
        seen = f"{turn.events[-1].run}.{turn.events[-1].number}"
        await nodes[0].store.leases.close()  # it renews no more
        nodes[1].assistant.open("a")
        events = events_of((await nodes[1].follow(session_id, "t-1", seen)).text)
        assert [event.kind for event in events] == ["restarted", "status", "token", "token", "done"]
        assert said(events) == events[-1].data["reply"] == "hold: a"
        nodes[0].assistant.open("a")
        await dead


async def lines_after(turn: RunningTurn, seen: str) -> str:
    """What of a turn that runs is streamed to whoever saw this event last."""
    lines = aiter(replies.event_stream(turn, seen).body_iterator)  # type: ignore[attr-defined]  # a StreamingResponse
    told = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while True:
                told += await anext(lines)
    return told.decode()


async def test_an_attempt_that_is_not_known_here_yet_is_streamed_whole() -> None:
    """Its reader comes from a node that was ahead, while this one still shows the attempt before."""
    turn = RunningTurn("s", "t", None)
    turn.emit("attempt", {"fence": 1})
    turn.emit("token", {"text": "old"})
    reading = asyncio.create_task(lines_after(turn, "2.4"))
    await asyncio.sleep(0.01)
    turn.emit("attempt", {"fence": 2})
    for word in "abcdef":
        turn.emit("token", {"text": word})
    assert said(events_of(await reading)) == "abcdef"


async def test_a_reader_who_comes_back_hears_at_once_that_the_turn_waits() -> None:
    turn = RunningTurn("s", "t", None)
    turn.emit("parked", {"left": 60.0})
    told = await lines_after(turn, "2.4")
    assert "event: parked" in told
    assert "id:" not in told  # what was seen before stays seen
    turn.emit("attempt", {"fence": 2})
    for word in "abcdef":
        turn.emit("token", {"text": word})
    turn.emit("parked", {"left": 60.0})
    assert said(events_of(await lines_after(turn, "2.4"))) == "def"
    assert "event: parked" in await lines_after(turn, "2.7")


async def test_an_event_that_json_cannot_say_is_left_out() -> None:
    turn = RunningTurn("s", "t", "x")
    turn.emit("odd", {"value": object()})
    turn.emit("status", {"stage": "x"})
    lines = aiter(replies.event_stream(turn, "", heartbeat=0.01).body_iterator)  # type: ignore[attr-defined]  # a StreamingResponse
    assert await anext(lines) == b"retry: 1000\n\n"
    assert [event.kind for event in events_of((await anext(lines)).decode())] == ["status"]
