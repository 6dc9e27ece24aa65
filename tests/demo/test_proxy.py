"""The demo's proxy: what it opened is closed with it."""

from __future__ import annotations

import asyncio
import gc
from urllib.parse import urlsplit

from holdfast.demo.proxy import RoundRobinProxy


async def test_a_proxy_that_is_closed_closes_its_connections_to_the_nodes() -> None:
    ended = asyncio.Event()
    closed = asyncio.Event()
    arrived = asyncio.Event()

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()  # to its end
        ended.set()
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(node, "127.0.0.1", 0)
    gc.disable()  # which would close what is left open
    try:
        async with RoundRobinProxy([server.sockets[0].getsockname()[1]]) as proxy:
            _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(proxy.url).port)
            async with asyncio.timeout(10):
                await arrived.wait()
        async with asyncio.timeout(10):
            await ended.wait()
            await closed.wait()
    finally:
        gc.enable()
        server.close()
    writer.close()
    await writer.wait_closed()
