"""A round-robin TCP proxy, as small as it can be: each connection goes to the next node that accepts one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class RoundRobinProxy:
    """Listens on a free loopback port and hands connections to ``ports`` in turn, passing over the dead.

    It keeps nothing and repeats nothing: a request whose node dies is the client's to send again.
    """

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._next = 0
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        opened = [writer]
        try:
            node = await self._connect()
            if node is not None:
                opened.append(node[1])
                await asyncio.gather(_copy(reader, node[1]), _copy(node[0], writer))
        except asyncio.CancelledError:
            pass  # the proxy is closing; asyncio's stream server reports a cancelled handler as an error
        finally:
            self._carrying.discard(task)
            for one in opened:  # a copy that was cancelled before it began has closed nothing
                one.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._ports:
            port = self._ports[self._next % len(self._ports)]
            self._next += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends, which the other one is told."""
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
