"""Info, probes, metrics, passages, and what every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from server_kit import TEXT, Served, events_of, kind, served

from holdfast import __version__
from holdfast.errors import StoreUnavailable
from holdfast.server.app import node_of
from holdfast.server.node import node_name


@pytest.fixture
async def node() -> AsyncIterator[Served]:
    async with served() as (node,):
        yield node


async def test_every_answer_names_its_node(node: Served) -> None:
    for path in ("/livez", "/v1/info", "/v1/sessions/x", "/nothing", "/docs"):
        reply = await node.http.get(path)
        assert reply.headers["x-holdfast-node"] == "node-0"
        assert reply.headers["x-content-type-options"] == "nosniff"
    assert (await node.http.get("/v1/sessions/x")).headers["cache-control"] == "no-store"


def test_a_node_without_a_name_makes_one() -> None:
    assert node_name("web-1") == "web-1"
    assert 3 < len(node_name("")) <= 64


async def test_info(node: Served) -> None:
    assert (await node.http.get("/v1/info")).json() == {
        "name": "holdfast",
        "version": __version__,
        "node": "node-0",
        "languages": ["zh", "en"],
        "model": None,
        "knowledge": True,
        "max_input_chars": 8000,
        "max_body_bytes": 262144,
        "on_busy": "queue",
        "trace": False,
    }


async def test_a_node_is_ready_while_its_store_answers(
    node: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await node.http.get("/readyz")).json() == {"status": "ready"}

    async def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("no route to redis://secret-host")

    monkeypatch.setattr(node.store.backend, "load", down)
    await asyncio.sleep(1.1)  # a good answer counts for a second
    reply = await node.http.get("/readyz")
    assert (reply.status_code, kind(reply)) == (503, "store-unavailable")
    assert "secret-host" not in reply.text
    await node.http.get("/readyz")
    assert caplog.text.count("secret-host") == 1  # the operator reads why, once in a while
    assert (await node.http.get("/livez")).status_code == 200
    session = await node.http.post("/v1/sessions/x/turns", json={"input": "say x"})
    assert (session.status_code, session.headers["retry-after"]) == (503, "2")


async def test_a_draining_node_takes_no_turns_and_ends_those_that_run(node: Served) -> None:
    session_id = await node.session()
    running = asyncio.create_task(node.turn(session_id, "hold a", "t-1", stream=True))
    await node.running(session_id, "t-1")
    draining = asyncio.create_task(node_of(node.app).desk.drain(10))
    await asyncio.sleep(0)
    reply = await node.http.get("/readyz")
    assert (reply.status_code, kind(reply)) == (503, "draining")
    assert (await node.http.get("/livez")).status_code == 200
    for stream in (False, True):
        reply = await node.turn(session_id, "say more", "t-2", stream=stream)
        assert (reply.status_code, kind(reply), reply.headers["retry-after"]) == (503, "draining", "1")
    assert (await node.http.get(f"/v1/sessions/{session_id}")).status_code == 200
    assert not draining.done()
    node.assistant.open("a")
    await draining
    assert events_of((await running).text)[-1].kind == "done"


async def test_a_turn_that_does_not_end_in_time_is_given_back() -> None:
    async with served(2, lease=60) as (node, other):
        session_id = await node.session()
        running = asyncio.create_task(node.turn(session_id, "hold a", "t-1", stream=True))
        await node.running(session_id, "t-1")
        await asyncio.sleep(0.02)
        await node_of(node.app).desk.drain(0.1)
        last = events_of((await running).text)[-1]
        assert (last.kind, last.data["type"]) == ("error", "/problems/draining")
        other.assistant.open("a")
        reply = await asyncio.wait_for(other.turn(session_id, "hold a", "t-1"), 15)  # at once, not after the lease
        assert reply.json()["attempts"] == 2


async def test_a_draining_node_lets_go_of_turns_that_run_elsewhere() -> None:
    async with served(2) as (node, other):
        session_id = await node.session()
        running = asyncio.create_task(other.turn(session_id, "hold a", "t-1"))
        await other.running(session_id, "t-1")
        follower = asyncio.create_task(node.follow(session_id, "t-1"))
        await node.running(session_id, "t-1", events=0)
        await asyncio.wait_for(node_of(node.app).desk.drain(60), 15)
        assert kind(await follower) == "draining"
        other.assistant.open("a")
        assert (await running).status_code == 200


async def test_turns_and_requests_are_counted(node: Served) -> None:
    session_id = await node.session()
    await node.turn(session_id, "say hello", "t-1")
    await node.turn(session_id, "say hello", "t-1")
    await node.turn(session_id, "say other", "t-1")
    await node.turn(session_id, "raise it")
    running = asyncio.create_task(node.turn(session_id, "hold a", "t-2"))
    await node.running(session_id, "t-2")
    reply = await node.http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    for line in (
        'holdfast_turns_total{outcome="completed"} 1.0',
        'holdfast_turns_total{outcome="replayed"} 1.0',
        'holdfast_turns_total{outcome="refused"} 1.0',
        'holdfast_turns_total{outcome="error"} 1.0',
        "holdfast_turns_running 1.0",
        "holdfast_turn_seconds_count 1.0",
        'holdfast_http_requests_total{method="POST",path="/v1/sessions/{session_id}/turns",status="200"} 2.0',
    ):
        assert line in reply.text
    assert session_id not in reply.text
    node.assistant.open("a")
    await running
    await node.http.request("BREW", "/pot/of/coffee")
    text = (await node.http.get("/metrics")).text
    assert 'method="OTHER",path="(no route)",status="404"' in text
    assert "coffee" not in text


async def test_a_passage_by_its_id_and_by_its_place(node: Served) -> None:
    body = (await node.http.get("/v1/passages/p1")).json()
    assert (body["id"], body["title"], body["page"], body["text"]) == ("p1", "Returns", 2, TEXT[12:48])
    body = (await node.http.get("/v1/passages?document=returns.md&start=12&end=48")).json()
    assert (body["start"], body["end"], body["text"]) == (0, len(TEXT), TEXT)
    for path in (
        "/v1/passages/p2",
        "/v1/passages?document=returns.md&start=5&end=4",
        f"/v1/passages?document=returns.md&start=0&end={len(TEXT) + 1}",
        "/v1/passages?document=../secret&start=0&end=1",
    ):
        assert kind(await node.http.get(path)) == "passage-not-found"
