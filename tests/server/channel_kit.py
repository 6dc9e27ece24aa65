"""A chat platform on loopback, and nodes in processes of their own that serve its channel over one store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from served_process import Process, process
from server_kit import Scripted, Served
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast import Store
from holdfast.backends.memory import MemoryBackend
from holdfast.config import Config
from holdfast.server.app import create_app, node_of
from holdfast.server.channels.building import opened_channels
from holdfast.server.channels.signing import HEADER, check, signature
from holdfast.sessions.settings import settings_from

SECRET = "a secret that only two know"
OTHER = "the secret that will follow it"


class Platform:
    """What it was sent, in order; answers as `answer` says (the status of a callback, in a list; 200 when that is used up)."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.times: list[float] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.on_reply: Callable[[], Awaitable[object]] | None = None

    async def take(self, request: Request) -> Response:
        """A callback."""
        body = await request.body()
        check(request.headers[HEADER], body, [SECRET], now=time.time(), tolerance=5)
        self.replies.append(json.loads(body))
        self.keys.append(request.headers["Idempotency-Key"])
        self.times.append(time.monotonic())
        if self.on_reply is not None:
            await self.on_reply()
        return Response(None, self.answers.pop(0) if self.answers else 200, self.headers)

    async def has(self, count: int, within: float = 20) -> list[dict[str, Any]]:
        """The replies, when there are so many."""
        async with asyncio.timeout(within):
            while len(self.replies) < count:  # noqa: ASYNC110 (other tests wait for other counts)
                await asyncio.sleep(0.02)
        return self.replies


@asynccontextmanager
async def listening(routes: list[Route], port: int = 0) -> AsyncIterator[int]:
    """Serves on loopback; gives the port."""
    config = uvicorn.Config(Starlette(routes=routes), port=port, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # of older releases
    serving = asyncio.create_task(server._serve())  # without the signals, which are pytest's
    while not server.started:  # noqa: ASYNC110 (uvicorn has nothing to wait for)
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def platform(port: int = 0) -> AsyncIterator[Platform]:
    """One that takes replies at ``/replies``."""
    one = Platform()
    async with listening([Route("/replies", one.take, methods=["POST"])], port) as port:
        one.url = f"http://127.0.0.1:{port}/replies"
        yield one


@asynccontextmanager
async def channel_node(
    folder: Path, url: str, *, node: str = "node-0", store: str = "", channel: dict[str, Any] | None = None, **more: str
) -> AsyncIterator[Process]:
    """A node with the channel ``shop`` of the platform at ``url``."""
    section = generic(url, **{"first_pause": 0.2, **(channel or {})})
    environment = {
        "HOLDFAST_CHANNELS": json.dumps({"shop": section}),
        "HOLDFAST_ASSISTANT__POLICY": '["counted_stage:make"]',
        "HOLDFAST_SERVER__RECOVERY_EVERY": "0.3",
        "COUNTED_CALLS": str(folder / "calls"),
        "NO_PROXY": "127.0.0.1",
        **more,
    }
    if store:
        environment["HOLDFAST_STORE__URL"] = store
        environment["HOLDFAST_STORE__TENANT"] = folder.name
    async with process(folder, node=node, **environment) as started:
        yield started


@asynccontextmanager
async def served_channel(
    channel: dict[str, Any],
    *,
    server: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """A node in this process with the channel ``shop``, over a memory store of these options, which recovers turns."""
    tree: Any = {
        "store": {"url": "memory:"},
        "server": server or {},
        "channels": {"shop": channel},
        **({"limits": limits} if limits else {}),
    }
    config, backend, assistant = Config(**tree), MemoryBackend(), Scripted()
    store = Store(backend, settings_from({"lease": 2, "poll": 0.05, "settle": 0.3, **options}))  # type: ignore[typeddict-item]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        channels = await stack.enter_async_context(opened_channels(config, store))
        app = create_app(store, assistant, config, channels=channels)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://holdfast.test", timeout=20)
        await stack.enter_async_context(http)
        take = node_of(app).desk.take_over
        await stack.enter_async_context(store.recovering(every=0.1, rest=0.1, drain=0, take=take))
        stack.push_async_callback(node_of(app).desk.drain, 0)
        yield Served(app, http, assistant, store)


def generic(url: str, **more: Any) -> dict[str, Any]:
    """The section of a generic channel, with short pauses."""
    return {"secrets": [SECRET], "callback_url": url, "first_pause": 0.05, "timeout": 3, **more}


def calls(folder: Path) -> list[str]:
    """What the assistant was asked, on any node, a line a call."""
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def message(text: str, message_id: str = "m-1", **more: str) -> dict[str, str]:
    return {"message_id": message_id, "session": "chat-17", "text": text, **more}


async def sent(
    node: Process | httpx.AsyncClient, body: dict[str, Any] | bytes, *, secret: str = SECRET, at: float | None = None
) -> httpx.Response:
    """A message as the platform sends it."""
    http = node.http if isinstance(node, Process) else node
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = signature(raw, [secret], time.time() if at is None else at)
    return await http.post("/v1/channels/webhook/shop", content=raw, headers={HEADER: signed})
