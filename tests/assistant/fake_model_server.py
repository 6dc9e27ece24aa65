"""A small OpenAI-compatible server that streams, fails, hangs and sends garbage, as its script says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Script:
    """What the next answer does.

    Attributes:
        pieces: texts, sent one event each; bytes are sent as they are.
        status: of the response. finish: the last event's reason; None sends none.
        hang: seconds of silence, before the piece of this number. cut: the connection is dropped before its end.
    """

    pieces: Sequence[str | bytes] = ()
    status: int = 200
    finish: str | None = "stop"
    hang: dict[int, float] = field(default_factory=dict)
    cut: bool = False


class FakeModelServer:
    """``requests`` are the bodies it was sent, ``headers`` what stood before them, in lower case; ``scripts`` are followed before
    ``script``, each once."""

    def __init__(self) -> None:
        self.script = Script()
        self.scripts: list[Script] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            self.headers.append(head)
            length = int(head.partition("content-length:")[2].split()[0])
            self.requests.append(json.loads(await reader.readexactly(length)))
            await self._answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        script = self.scripts.pop(0) if self.scripts else self.script
        writer.write(
            f"HTTP/1.1 {script.status} X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for place, piece in enumerate(script.pieces):
            await writer.drain()
            await asyncio.sleep(script.hang.get(place, 0))
            self._chunk(writer, piece if isinstance(piece, bytes) else _event(piece))
        await writer.drain()
        await asyncio.sleep(script.hang.get(len(script.pieces), 0))
        if script.cut:
            writer.transport.abort()
            return
        if script.finish is not None:
            self._chunk(writer, _event(None, script.finish) + b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
        if data:
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def event_of(**choice: Any) -> bytes:
    """An event with this one choice; ``usage`` is the event's own."""
    usage = choice.pop("usage", None)
    choices = [{"index": 0, "delta": {}, "finish_reason": None, **choice}] if choice else []
    body = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "fake", "choices": choices}
    return b"data: " + json.dumps({**body, **({"usage": usage} if usage else {})}).encode() + b"\n\n"


def call_event(index: int | None, arguments: str, name: str | None = None, id: str | None = None) -> bytes:
    """A piece of a tool's call."""
    call = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return event_of(delta={"tool_calls": [call]})


def _event(text: str | None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "fake", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@asynccontextmanager
async def fake_model_server() -> AsyncIterator[FakeModelServer]:
    fake = FakeModelServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
