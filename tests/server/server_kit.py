"""Nodes served in this process over one memory store, and an assistant that does what its input says."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI

from holdfast import Citation, Store, Turn
from holdfast.assistant.masking import Masker
from holdfast.assistant.speaker import Speaker
from holdfast.backends.memory import MemoryBackend
from holdfast.config import Config
from holdfast.knowledge.contract import Document, Passage, SearchResult
from holdfast.server.app import create_app, node_of
from holdfast.sessions.settings import settings_from

TEXT = "First line.\nGoods can be returned within 7 days.\nLast line."
CITED = Citation("returns.md", "Goods can be returned within 7 days.", "Returns", 2, 12, 48)
STREAM = {"Accept": "text/event-stream"}


class Shelf:
    """`Knowledge` of one passage that also has its document's text."""

    async def retrieve(self, query: str, *, limit: int = 5) -> SearchResult:
        return SearchResult()

    async def passage(self, id: str) -> Passage | None:
        return Passage("p1", "returns.md", "Returns", 2, 12, 48, TEXT[12:48]) if id == "p1" else None

    async def documents(self) -> list[Document]:
        return []

    async def document_text(self, name: str) -> str | None:
        return TEXT if name == "returns.md" else None

    async def close(self) -> None: ...


class Scripted:
    """``say a b c`` streams the words; ``cite`` cites; ``phone N`` keeps a number; ``hold X`` waits for `open`; ``raise`` raises;
    ``raise once`` on the first attempt; ``silent`` emits nothing; ``other`` commits another reply than it streamed."""

    model = None

    def __init__(self) -> None:
        self.masker = Masker({"phone": "phone"})
        self.knowledge = Shelf()
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.calls: list[str] = []

    def open(self, gate: str) -> None:
        self.gates[gate].set()

    async def __call__(self, turn: Turn) -> None:
        self.calls.append(turn.text)
        what, _, rest = turn.text.partition(" ")
        if what == "silent":
            await self.gates[rest].wait()
            turn.reply("quiet")
            return
        turn.emit("status", stage="answer")
        if what == "other":
            turn.emit("token", text="half a wor")
            turn.reply("the truth")
            return
        speaker = Speaker(turn, self.masker)
        if what == "phone":
            turn.state["phone"] = rest
        if what == "cite":
            speaker.cite(CITED)
        if what in ("hold", "raise"):
            speaker.say(f"{what}: ")
        if what == "raise" and (rest != "once" or turn.attempt == 1):
            raise RuntimeError(f"cannot, said {turn.text}")
        if what == "hold":
            await self.gates[rest].wait()
        for word in re.findall(r"\S+\s*", rest or "nothing"):
            speaker.stream(word)
            await asyncio.sleep(0)
        speaker.note(mode="task")
        speaker.commit()


class Served(NamedTuple):
    """One node: its application, and a client of it."""

    app: FastAPI
    http: httpx.AsyncClient
    assistant: Scripted
    store: Store

    async def session(self, **body: Any) -> str:
        """A new session's id."""
        reply = await self.http.post("/v1/sessions", json=body)
        assert reply.status_code == 201, reply.text
        session_id: str = reply.json()["id"]
        return session_id

    async def turn(
        self, session_id: str, text: str, turn_id: str = "", *, stream: bool = False, **body: Any
    ) -> httpx.Response:
        headers = {"Idempotency-Key": turn_id} if turn_id else {}
        if stream:
            headers |= STREAM
        return await self.http.post(f"/v1/sessions/{session_id}/turns", json={"input": text, **body}, headers=headers)

    async def follow(self, session_id: str, turn_id: str, last: str = "") -> httpx.Response:
        headers = {"Last-Event-ID": last} if last else {}
        return await self.http.get(f"/v1/sessions/{session_id}/turns/{turn_id}/events", headers=headers)

    async def running(self, session_id: str, turn_id: str, events: int = 2) -> None:
        """Returns when the turn runs and has emitted something."""
        async with asyncio.timeout(5):
            while True:
                turn = node_of(self.app).desk.find(session_id, turn_id)
                if turn is not None and len(turn.events) >= events:
                    return
                await asyncio.sleep(0.002)


@asynccontextmanager
async def served(
    count: int = 1, *, config: dict[str, Any] | None = None, masker: Masker | None = None, **options: Any
) -> AsyncIterator[list[Served]]:
    """Nodes over one memory backend; ``config`` is ``[server]``, ``options`` are the store's."""
    backend = MemoryBackend()
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(count):
            settings = settings_from({"lease": 2, "poll": 0.05, "wait": 5, "settle": 0.3, **options})  # type: ignore[typeddict-item]
            store = Store(backend, settings)
            assistant = Scripted()
            assistant.masker = masker or assistant.masker
            tree: Any = {"node": f"node-{number}", **(config or {})}
            app = create_app(store, assistant, Config(store="memory:", server=tree))  # type: ignore[arg-type]  # a URL will do
            transport = httpx.ASGITransport(app=app)
            http = httpx.AsyncClient(transport=transport, base_url="http://holdfast.test", timeout=20)
            await stack.enter_async_context(http)
            stack.push_async_callback(store.leases.close)
            stack.push_async_callback(node_of(app).desk.drain, 0)
            nodes.append(Served(app, http, assistant, store))
        yield nodes
    await backend.close()


class Event(NamedTuple):
    """One event of a stream, as a client reads it."""

    kind: str
    data: Any
    id: str


def events_of(text: str) -> list[Event]:
    """A stream's events; comments and ``retry`` left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append(Event(fields["event"], json.loads(fields["data"]), fields["id"]))
    return found


def said(events: list[Event]) -> str:
    """The tokens since the last restart, joined."""
    words: list[str] = []
    for event in events:
        if event.kind == "restarted":
            words.clear()
        elif event.kind == "token":
            words.append(event.data["text"])
    return "".join(words)


def kind(reply: httpx.Response) -> str:
    """The kind of a problem; checks that it is a whole one."""
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    body = reply.json()
    assert body["status"] == reply.status_code
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == reply.request.url.path
    assert "Traceback" not in reply.text
    slug: str = body["type"].removeprefix("/problems/")
    return slug
