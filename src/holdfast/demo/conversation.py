"""A client that does what a chat page does: one turn at a time over HTTP, sent again with the same key until it is answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec

from holdfast.errors import StoreUnavailable

_PATIENCE_S = 60.0
"""How long one turn may take, with everything that happens to its nodes, seconds."""


class Answered(msgspec.Struct, frozen=True):
    """One finished turn. ``sent`` counts how often the client had to send it, ``seconds`` is from the first sending."""

    turn_id: str
    reply: str
    node: str
    version: int
    attempts: int
    sent: int
    seconds: float


class Conversation:
    """A session behind ``url``. ``on_writing`` is called with the node's name when a turn's answer is being written."""

    def __init__(self, url: str, on_writing: Callable[[str], Awaitable[None]]) -> None:
        # a new connection for every request: behind the proxy each one meets another node
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=url, limits=limits, timeout=httpx.Timeout(20.0, connect=2.0))
        self._on_writing = on_writing
        self.id = ""

    async def close(self) -> None:
        await self._http.aclose()

    async def start(self) -> None:
        self.id = (await self._until("POST", "/v1/sessions"))["id"]

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self._until("GET", f"/v1/sessions/{self.id}"))["state"]
        return state

    async def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._until("GET", f"/v1/sessions/{self.id}/messages"))["messages"]
        return found

    async def say(self, text: str, turn_id: str) -> Answered:
        """Sends one message, again and again with the same key, until its ``done`` event comes."""
        started = time.monotonic()
        for sent in range(1, 1000):
            try:
                async for kind, data, node in self._events(text, turn_id):
                    if kind == "status" and data.get("stage") == "writing" and sent == 1:
                        await self._on_writing(node)
                    if kind == "done":
                        seconds = time.monotonic() - started
                        return Answered(
                            turn_id, data["reply"], data["node"], data["version"], data["attempts"], sent, seconds
                        )
            except httpx.TransportError:
                pass  # the node died, or none was there: this is what the key is for
            if time.monotonic() - started > _PATIENCE_S:
                break
            await asyncio.sleep(0.1)
        raise StoreUnavailable(f"turn {turn_id!r} was not answered within {_PATIENCE_S:g} s")

    async def _events(self, text: str, turn_id: str) -> AsyncIterator[tuple[str, dict[str, Any], str]]:
        headers = {"Accept": "text/event-stream", "Idempotency-Key": turn_id}
        path = f"/v1/sessions/{self.id}/turns"
        async with self._http.stream("POST", path, json={"input": text}, headers=headers) as answer:
            if answer.status_code != 200:
                return
            node = answer.headers.get("X-Holdfast-Node", "?")
            kind = "message"
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:"):
                    yield kind, json.loads(line[5:]), node

    async def _until(self, method: str, path: str) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                answer = await self._http.request(method, path)
                if answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
        raise StoreUnavailable(f"{method} {path} was not answered within {_PATIENCE_S:g} s")
