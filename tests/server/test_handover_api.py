"""Persons answer over HTTP, on any node; who may; what is shown of a turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from server_kit import kind

from holdfast import Store
from holdfast.assistant.building import build_assistant
from holdfast.backends.memory import MemoryBackend
from holdfast.config import Config, load_config
from holdfast.server.app import create_app, node_of
from holdfast.sessions.settings import settings_from

KEYS: dict[str, Any] = {"access_keys": ["user-key"], "operator_keys": ["operator-key"]}
USER = {"Authorization": "Bearer user-key"}
OPERATOR = {"Authorization": "Bearer operator-key"}


class One(NamedTuple):
    http: httpx.AsyncClient
    store: Store
    config: Config

    async def session(self) -> str:
        return str((await self.http.post("/v1/sessions", json={})).json()["id"])

    async def say(self, session: str, text: str, turn_id: str = "") -> Any:
        headers = {"Idempotency-Key": turn_id} if turn_id else {}
        reply = await self.http.post(f"/v1/sessions/{session}/turns", json={"input": text}, headers=headers)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def reply(self, session: str, text: str, turn_id: str = "", **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": turn_id} if turn_id else {}
        path = f"/v1/sessions/{session}/handover/replies"
        return await self.http.post(path, json={"text": text, **more}, headers=headers)


@asynccontextmanager
async def nodes(count: int = 1, headers: dict[str, str] | None = None, **sections: Any) -> AsyncIterator[list[One]]:
    backend = MemoryBackend()
    config = load_config(overrides={"knowledge": {"index": "", "folders": []}, **sections})
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            store = Store(backend, settings_from({"lease": 2, "poll": 0.05}))
            assistant = await build_assistant(config)
            stack.push_async_callback(assistant.aclose)
            app = create_app(store, assistant, config)
            transport = httpx.ASGITransport(app=app)
            http = httpx.AsyncClient(transport=transport, base_url="http://holdfast.test", headers=headers)
            await stack.enter_async_context(http)
            stack.push_async_callback(node_of(app).desk.drain, 0)
            made.append(One(http, store, config))
        yield made
    await backend.close()


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HOLDFAST_STORE"):
        monkeypatch.delenv(name, raising=False)


async def test_a_person_answers_on_another_node() -> None:
    async with nodes(2) as (one, other):
        session = await one.session()
        assert (await one.http.get("/v1/handovers")).json() == {"handovers": [], "cursor": ""}
        handed = await one.say(session, "my number is 13812345678, I want a human")
        assert handed["metadata"]["handover"] == "begun"
        silent = await other.say(session, "hello?")
        assert (silent["reply"], silent["metadata"]) == ("", {"handover": "waiting"})
        (waiting,) = (await other.http.get("/v1/handovers")).json()["handovers"]
        assert (waiting["session_id"], waiting["reason"]) == (session, "asked for a person")
        assert (waiting["messages"], waiting["answered"], waiting["last"]) == (4, False, "hello?")
        said = await other.reply(session, "Hello!", "p-1", name="Li")
        assert (said.status_code, said.json()["reply"], said.headers["idempotency-key"]) == (200, "Hello!", "p-1")
        again = await one.reply(session, "Hello!", "p-1", name="Li")
        assert again.json()["replayed"]
        assert kind(await one.reply(session, "Other words", "p-1")) == "turn-mismatch"
        (waiting,) = (await one.http.get("/v1/handovers")).json()["handovers"]
        assert (waiting["answered"], waiting["last"]) == (True, "Hello!")
        (message,) = (await one.http.get(f"/v1/sessions/{session}/messages?limit=1")).json()["messages"]
        assert (message["role"], message["metadata"]) == ("assistant", {"by": "person", "name": "Li"})
        ended = await one.http.post(f"/v1/sessions/{session}/handover/end", headers={"Idempotency-Key": "e"})
        assert ended.json()["metadata"]["handover"] == "ended"
        assert (await one.http.get("/v1/handovers")).json()["handovers"] == []
        assert kind(await one.reply(session, "too late")) == "not-handed-over"
        assert (await one.reply(session, "Hello!", "p-1", name="Li")).json()["replayed"]  # known all the same
        assert (await other.say(session, "hello"))["reply"]


async def test_the_list_comes_in_pages() -> None:
    async with nodes() as (node,):
        sessions = [await node.session() for _ in range(5)]
        for session in sessions:
            await node.say(session, "转人工")
        found: list[str] = []
        cursor = ""
        while True:
            page = (await node.http.get("/v1/handovers", params={"limit": 2, "cursor": cursor})).json()
            found += [one["session_id"] for one in page["handovers"]]
            if not (cursor := page["cursor"]):
                break
        assert found == sessions
        await node.http.delete(f"/v1/sessions/{sessions[0]}")
        shown = (await node.http.get("/v1/handovers")).json()["handovers"]
        assert [one["session_id"] for one in shown] == sessions[1:]


async def test_for_operators_only() -> None:
    async with nodes(headers=USER, server=KEYS) as (node,):
        session = await node.session()
        await node.say(session, "转人工", "t")
        assert kind(await node.http.get("/v1/handovers")) == "operators-only"
        assert kind(await node.reply(session, "x")) == "operators-only"
        assert kind(await node.http.post(f"/v1/sessions/{session}/handover/end")) == "operators-only"
        assert kind(await node.http.get(f"/v1/sessions/{session}/turns/t/trace")) == "trace-closed"
        assert (await node.http.get("/v1/info")).json()["trace"] is False
        node.http.headers.update(OPERATOR)
        assert (await node.http.get("/v1/info")).json()["trace"] is True
        assert (await node.http.get("/v1/handovers")).json()["handovers"]
        assert (await node.reply(session, "x")).status_code == 200
        assert (await node.http.get(f"/v1/sessions/{session}/turns/t/trace")).status_code == 200
    async with nodes(headers=USER, server={"access_keys": ["user-key"]}) as (node,):
        assert kind(await node.http.get("/v1/handovers")) == "operators-only"


async def test_a_reply_beside_the_users_message() -> None:
    async with nodes(2) as (one, other):
        session = await one.session()
        await one.say(session, "转人工")
        await asyncio.gather(
            *[other.reply(session, f"person {number}") for number in range(6)],
            *[one.say(session, f"user {number}") for number in range(6)],
        )
        messages = (await one.http.get(f"/v1/sessions/{session}/messages?limit=200")).json()["messages"]
        words = [message["content"] for message in messages if message["content"]][2:]
        assert sorted(words) == sorted([f"person {n}" for n in range(6)] + [f"user {n}" for n in range(6)])


async def test_how_a_turn_was_answered() -> None:
    async with nodes(2, trace={"on_page": True}) as (one, other):
        assert (await one.http.get("/v1/info")).json()["trace"] is True
        session = await one.session()
        await one.say(session, "Where is my order?", "t-1")
        await one.say(session, "138 0000 1234", "t-2")
        await one.store.read_trace(session, "t-2")  # written by now
        trace = await other.http.get(f"/v1/sessions/{session}/turns/t-1/trace")
        (attempt,) = trace.json()["attempts"]
        assert (attempt["number"], attempt["error"], attempt["left_out"]) == (1, "", 0)
        kinds = [entry["kind"] for entry in attempt["entries"]]
        assert kinds[0] == "understanding"
        assert "decision" in kinds
        second = await other.http.get(f"/v1/sessions/{session}/turns/t-2/trace")
        assert "138****1234" in second.text
        assert "13800001234" not in second.text.replace(" ", "")
        assert kind(await one.http.get(f"/v1/sessions/{session}/turns/t-9/trace")) == "trace-not-found"
    async with nodes(trace={"on_page": False}) as (one,):
        session = await one.session()
        await one.say(session, "hi", "t-1")
        assert (await one.http.get("/v1/info")).json()["trace"] is False
        assert kind(await one.http.get(f"/v1/sessions/{session}/turns/t-1/trace")) == "trace-closed"
    async with nodes(trace={"on_page": True, "enabled": False}) as (one,):
        session = await one.session()
        await one.say(session, "hi", "t-1")
        assert await one.store.read_trace(session, "t-1") is None
