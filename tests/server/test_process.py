"""A real server: callers that leave, signals, and kill -9 in the middle of an answer."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_process import Process, process
from server_kit import Event, events_of, said

CANARY = "13912345678"


async def _begun(node: Process, session_id: str, text: str, turn_id: str) -> None:
    """Streams a turn, and leaves after its first words."""
    async with aclosing(node.stream(session_id, text, turn_id)) as events:
        async for event in events:
            if event.kind == "token":
                return


async def test_a_client_that_leaves_mid_stream_does_not_stop_the_turn(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        session_id = await node.session()
        await _begun(node, session_id, "slow 8 0.1", "t-1")
        body = (await node.http.get(f"/v1/sessions/{session_id}")).json()
        assert (body["running"], body["messages"]) == (["t-1"], 0)
        deadline = time.monotonic() + 10
        while (await node.http.get(f"/v1/sessions/{session_id}")).json()["messages"] != 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        outcome = (await node.turn(session_id, "slow 8 0.1", "t-1")).json()
        assert (outcome["replayed"], outcome["attempts"]) == (True, 1)
        assert outcome["reply"] == "".join(f"w{number} " for number in range(8))


async def test_a_stream_arrives_as_it_is_made(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        session_id = await node.session()
        times = []
        events = []
        async for event in node.stream(session_id, "slow 5 0.1", "t-1"):
            events.append(event)
            if event.kind == "token":
                times.append(time.monotonic())
        assert times[-1] - times[0] > 0.2
        assert said(events) == events[-1].data["reply"]


async def test_sigterm_lets_running_turns_end(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        session_id = await node.session()
        events = []
        signalled = 0.0
        async for event in node.stream(session_id, "slow 10 0.1", "t-1"):
            events.append(event)
            if event.kind == "token" and not signalled:
                node.signal(signal.SIGTERM)
                signalled = time.monotonic()
                await asyncio.sleep(0.1)
                ready = await node.http.get("/readyz")
                assert (ready.status_code, ready.json()["type"]) == (503, "/problems/draining")
                refused = await node.turn(session_id, "more", "t-2")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert events[-1].kind == "done"
        assert said(events) == events[-1].data["reply"]
        assert await node.ended(5) == 0
        assert time.monotonic() - signalled < 5
        with pytest.raises(httpx.ConnectError):
            await node.http.get("/livez")
    async with process(tmp_path, node="node-1") as other:
        outcome = (await other.turn(session_id, "slow 10 0.1", "t-1")).json()
        assert (outcome["replayed"], outcome["reply"]) == (True, events[-1].data["reply"])


async def test_an_idle_server_ends_at_once(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        await node.http.get("/livez")  # a connection that stays open
        started = time.monotonic()
        node.signal(signal.SIGTERM)
        assert await node.ended(5) == 0
        assert time.monotonic() - started < 4  # keep-alive alone would hold it for 5


async def test_a_turn_that_outlasts_the_drain_is_given_back(tmp_path: Path) -> None:
    async with process(tmp_path, drain="300ms") as node:
        session_id = await node.session()
        events: list[Event] = []
        async for event in node.stream(session_id, "slow 200 0.05", "t-1"):
            if event.kind == "token" and events[-1].kind != "token":
                node.signal(signal.SIGTERM)
            events.append(event)
        last = events[-1]
        assert (last.kind, last.data["status"]) == ("error", 503)
        assert await node.ended(8) == 0


async def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    async with process(tmp_path, drain="60s") as node:
        session_id = await node.session()
        await _begun(node, session_id, "slow 200 0.05", "t-1")
        node.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert node.process.returncode is None
        node.signal(signal.SIGTERM)
        assert await node.ended(10) == -signal.SIGTERM  # far from 60 s


async def test_a_turn_goes_on_after_kill_9(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        session_id = await node.session()
        assert (await node.turn(session_id, "hello", "t-0")).json()["reply"] == "echo: hello"
        await _begun(node, session_id, "slow 10 0.1", "t-1")
        node.signal(signal.SIGKILL)
        await node.ended(5)
    async with process(tmp_path, node="node-1") as other:
        async with aclosing(other.stream(session_id, "slow 10 0.1", "t-1")) as stream:
            events = [event async for event in stream]
        outcome = events[-1].data
        assert (outcome["attempts"], outcome["replayed"], outcome["node"]) == (2, False, "node-1")
        assert said(events) == outcome["reply"] == "".join(f"w{number} " for number in range(10))
        body = (await other.http.get(f"/v1/sessions/{session_id}/messages")).json()
        assert [one["turn_id"] for one in body["messages"]] == ["t-0", "t-0", "t-1", "t-1"]


async def _messages(node: Process, session_id: str, count: int) -> list[dict[str, Any]]:
    """Waits until the session has so many."""
    async with asyncio.timeout(30):
        while True:
            messages = (await node.http.get(f"/v1/sessions/{session_id}/messages")).json()["messages"]
            if len(messages) >= count:
                return list(messages)
            await asyncio.sleep(0.05)


async def test_an_answer_is_finished_elsewhere_after_kill_9_though_nobody_asks_again(tmp_path: Path) -> None:
    async with process(tmp_path) as node, process(tmp_path, node="node-1") as other:
        session_id = await node.session()
        await _begun(node, session_id, "slow 10 0.05", "t-1")
        node.signal(signal.SIGKILL)
        await node.ended(5)
        messages = await _messages(other, session_id, 2)
        assert [one["content"] for one in messages] == ["slow 10 0.05", "".join(f"w{n} " for n in range(10))]
        outcome = (await other.turn(session_id, "slow 10 0.05", "t-1")).json()
        assert (outcome["attempts"], outcome["replayed"]) == (2, True)
        assert "holdfast_turn_takeovers_total 1.0" in (await other.http.get("/metrics")).text


async def test_a_turn_that_is_taken_over_can_be_followed_where_it_runs(tmp_path: Path) -> None:
    async with process(tmp_path) as node, process(tmp_path, node="node-1") as other:
        session_id = await node.session()
        await _begun(node, session_id, "slow 30 0.1", "t-1")
        node.signal(signal.SIGKILL)
        await node.ended(5)
        async with asyncio.timeout(30):
            while True:
                if (await other.http.get(f"/v1/sessions/{session_id}")).json()["running"] == ["t-1"]:
                    break
                await asyncio.sleep(0.05)
        events = events_of((await other.http.get(f"/v1/sessions/{session_id}/turns/t-1/events")).text)
        assert len([event for event in events if event.kind == "token"]) == 30, "word by word, not at its end"
        assert (events[-1].kind, events[-1].data["replayed"]) == ("done", False)


async def test_without_recovery_a_turn_waits_for_its_sender(tmp_path: Path) -> None:
    off = {"HOLDFAST_SERVER__RECOVERY_EVERY": "0"}
    async with process(tmp_path, **off) as node, process(tmp_path, node="node-1", **off) as other:
        session_id = await node.session()
        await _begun(node, session_id, "slow 10 0.05", "t-1")
        node.signal(signal.SIGKILL)
        await node.ended(5)
        await asyncio.sleep(5)  # the lease, and two looks of a node that recovers
        assert (await other.http.get(f"/v1/sessions/{session_id}")).json()["messages"] == 0


async def test_the_user_is_told_of_a_turn_that_failed_for_good(tmp_path: Path) -> None:
    async with process(tmp_path, HOLDFAST_STORE__MAX_ATTEMPTS="2") as node:
        session_id = await node.session()
        assert (await node.turn(session_id, "fail please", "t-1")).status_code == 500
        messages = await _messages(node, session_id, 2)
        assert (messages[0]["content"], messages[1]["role"]) == ("fail please", "assistant")
        assert messages[1]["content"].startswith("Sorry, this could not be answered")
        assert messages[1]["metadata"] == {"failed": True}
        reply = await node.turn(session_id, "fail please", "t-1")
        assert (reply.status_code, reply.json()["type"]) == (500, "/problems/turn-failed")
        assert reply.json()["detail"] == messages[1]["content"]


async def test_whoever_follows_a_turn_sees_it_end_though_its_node_is_killed(tmp_path: Path) -> None:
    """The follower knows the turn's id only; the node that it asks takes the turn over."""
    async with process(tmp_path) as node, process(tmp_path, node="node-1") as other:
        session_id = await node.session()
        await _begun(node, session_id, "slow 20 0.1", "t-1")
        path = f"/v1/sessions/{session_id}/turns/t-1/events"
        follower = asyncio.create_task(other.http.get(path))
        await asyncio.sleep(0.3)
        node.signal(signal.SIGKILL)
        events = events_of((await follower).text)
        outcome = events[-1].data
        assert (outcome["attempts"], outcome["replayed"], outcome["node"]) == (2, False, "node-1")
        assert said(events) == outcome["reply"] == "".join(f"w{number} " for number in range(20))
        messages = (await other.http.get(f"/v1/sessions/{session_id}/messages")).json()["messages"]
        assert [one["content"] for one in messages] == ["slow 20 0.1", outcome["reply"]]
        assert (await other.turn(session_id, "slow 20 0.1", "t-1")).json()["replayed"] is True


async def test_nothing_that_is_said_stands_in_the_log(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        session_id = await node.session()
        reply = await node.turn(session_id, f"my number is {CANARY}", "t-1")
        assert reply.json()["reply"] == "echo: my number is 139****5678"
        await node.http.get(f"/v1/sessions/{session_id}/messages")
        node.signal(signal.SIGTERM)
        await node.ended(5)
        log = node.log.read_text()
    assert "POST /v1/sessions/{session_id}/turns 200" in log
    assert CANARY not in log
    assert session_id not in log


async def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path) -> None:
    for options, said_ in (
        (["--host", "0.0.0.0"], "no access key"),
        (["--config", str(tmp_path / "none.toml")], "no such file"),
        (["--host", "192.0.2.1"], "no access key"),
    ):
        code, text = await _refused(*options, folder=tmp_path)
        assert (code, said_ in text, "Traceback" in text) == (2, True, False), text


async def test_an_address_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    async with process(tmp_path) as node:
        code, text = await _refused("--port", str(node.http.base_url.port), folder=tmp_path)
    assert (code, "cannot listen on 127.0.0.1" in text, "Traceback" in text) == (2, True, False), text


async def _refused(*options: str, folder: Path) -> tuple[int | None, str]:
    import os
    import sys

    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdfast", "serve", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "XDG_DATA_HOME": str(folder)},
    )
    out, _ = await asyncio.wait_for(started.communicate(), 30)
    return started.returncode, out.decode()
