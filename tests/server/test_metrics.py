"""What the HTTP server adds to the store's metrics."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from served_process import process
from server_kit import Served, kind, served

from holdfast.errors import OutcomeUnknown
from holdfast.server.app import node_of
from holdfast.server.running import RunningTurn


def value(text: str, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    assert found is not None, line
    return float(found[1])


async def scraped(node: Served) -> str:
    return (await node.http.get("/metrics")).text


async def test_the_time_to_the_first_event_and_to_the_first_token() -> None:
    async with served() as (node,):
        session_id = await node.session()
        held = asyncio.create_task(node.turn(session_id, "hold a", "t-1", stream=True))
        await node.running(session_id, "t-1")
        await asyncio.sleep(0.3)
        node.assistant.open("a")
        await held
        await node.turn(session_id, "raise it")
        text = await scraped(node)
        whole = value(text, "holdfast_turn_seconds_sum")
        for event in ("any", "token"):
            assert value(text, f'holdfast_turn_first_event_seconds_count{{event="{event}"}}') == 1
            assert value(text, f'holdfast_turn_first_event_seconds_sum{{event="{event}"}}') <= whole - 0.3


async def test_a_reply_without_tokens_of_its_own_comes_whole_and_last() -> None:
    async with served() as (node,):
        session_id = await node.session()
        quiet = asyncio.create_task(node.turn(session_id, "silent a", "t-1"))
        await node.running(session_id, "t-1", events=0)
        await asyncio.sleep(0.2)
        node.assistant.open("a")
        await quiet
        text = await scraped(node)
        assert value(text, 'holdfast_turn_first_event_seconds_sum{event="token"}') >= 0.2


async def test_each_turn_is_counted_once_by_the_desk_and_its_calls_by_the_store() -> None:
    async with served(2) as (node, other):
        session_id = await node.session()
        for number in range(10):
            await node.turn(session_id, f"say {number}", f"t-{number}")
        await other.turn(session_id, "say 1", "t-1")
        text, elsewhere = await scraped(node), await scraped(other)
        commits = 'holdfast_store_calls_total{backend="memory",op="commit",result="committed"}'
        assert value(text, 'holdfast_turns_total{outcome="completed"}') == 10
        assert value(text, commits) == 11  # and the session's creation
        assert value(elsewhere, commits) == 0
        assert value(elsewhere, 'holdfast_turns_total{outcome="replayed"}') == 1


async def test_a_turn_whose_outcome_nobody_knows() -> None:
    async with served() as (node,):
        session_id = await node.session()

        async def silent(*_: object, **__: object) -> None:
            raise OutcomeUnknown("no reply")

        inner = node.store.backend
        inner.commit = inner.resolve = silent  # type: ignore[method-assign, assignment]  # a store that swallows replies
        reply = await node.turn(session_id, "say x")
        assert kind(reply) == "outcome-unknown"
        assert value(await scraped(node), 'holdfast_turns_total{outcome="unknown"}') == 1


async def test_requests_are_timed_by_template() -> None:
    async with served() as (node,):
        session_id = await node.session()
        await node.turn(session_id, "say x")
        text = await scraped(node)
        path = 'method="POST",path="/v1/sessions/{session_id}/turns"'
        assert value(text, f"holdfast_http_request_seconds_count{{{path}}}") == 1
        assert session_id not in text


async def test_a_node_is_named() -> None:
    async with served() as (node,):
        assert f'holdfast_node_info{{node="{node_of(node.app).name}",version="' in await scraped(node)


async def test_a_process_serves_them(tmp_path: Path) -> None:
    async with process(tmp_path, HOLDFAST_SERVER__SERVER_FIGURES_EVERY="1s", HOLDFAST_TRACE__ENABLED="no") as node:
        session_id = await node.session()
        await node.turn(session_id, "say hello", "t-1")
        text = (await node.http.get("/metrics")).text
        assert value(text, 'holdfast_store_calls_total{backend="sqlite",op="commit",result="committed"}') == 2
        assert value(text, 'holdfast_sqlite_transactions_total{backend="sqlite",thread="writer"}') >= 2


async def test_only_a_token_is_the_first_token() -> None:
    turn = RunningTurn("s", "t", "x")
    assert (turn.first, turn.first_token) == (None, None)
    turn.emit("status", {"stage": "model"})
    assert turn.first is not None
    assert turn.first_token is None
    turn.emit("token", {"text": "a"})
    first = turn.first_token
    turn.emit("token", {"text": "b"})
    assert turn.first_token == first is not None
    assert turn.first <= first
