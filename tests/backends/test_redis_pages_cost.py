"""100 000 messages: a turn costs what it costs with ten, and reading them all takes no memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from holdfast import Message, Store, Turn, open_store
from holdfast.backends.contract import Packs
from holdfast.backends.records import Delta
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.servers import RedisServer

MANY = 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def counted(server: RedisServer) -> AsyncIterator[tuple[Store, FaultProxy]]:
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        url = f"redis://{proxy.host}:{proxy.port}/0?pack=no"
        async with open_store(url, cache_bytes=0, ttl="1d", timeout=30) as store:
            yield store, proxy


async def talk(store: Store, session_id: str, messages: int) -> None:
    """A session of so many messages, all that can be packed in pages."""
    codec = store.message_codec
    for first in range(0, messages, 2000):
        said = [
            codec.encode(Message("user", f"message {n}: where is parcel {n * 7919 % 1000}?", created_at=1.7e9 + n))
            for n in range(first, min(first + 2000, messages))
        ]
        await store.backend.commit(store.key(session_id), Delta(os.urandom(16), appends=said))
    assert isinstance(store.backend, Packs)
    await store.backend.pack(store.key(session_id))


async def turn_cost(
    store: Store, proxy: FaultProxy, server: RedisServer, session_id: str
) -> tuple[dict[str, int], int, int]:
    """Commands that the server ran for five turns, and the bytes that went there and back."""

    async def answer(turn: Turn) -> None:
        turn.state["step"] = 1
        turn.reply(f"That was message {len(turn.messages)}")

    for warm_up in range(10):  # until the tail is made of these turns
        await store.run_turn(session_id, answer, input="next?", turn_id=f"w-{warm_up:06d}")
    server.reset_stats()
    proxy.reset_traffic()
    for n in range(5):
        await store.run_turn(session_id, answer, input="next?", turn_id=f"t-{n:06d}")
    commands = server.calls()
    for other in ("config|resetstat", "info"):
        commands.pop(other, None)
    return commands, proxy.traffic.bytes_in, proxy.traffic.bytes_out


async def test_a_turn_costs_what_it_costs_in_a_short_session(server: RedisServer) -> None:
    async with counted(server) as (store, proxy):
        await talk(store, "long", MANY)
        await talk(store, "tiny", 10)
        long = await turn_cost(store, proxy, server, "long")
        tiny = await turn_cost(store, proxy, server, "tiny")
    assert long[0] == tiny[0]
    assert long[1] == tiny[1]
    assert 0 <= long[2] - tiny[2] <= 5 * 8 * 2  # what the head says more: how many messages are in pages


async def test_the_whole_of_it_streams_in_constant_memory(server: RedisServer) -> None:
    server.command("FLUSHALL")
    async with open_store(f"{server.url}?pack=no", cache_bytes=0, timeout=30) as store:
        await talk(store, "long", MANY)
        peaks = []
        tracemalloc.start()
        try:
            for messages in (MANY // 20, MANY):
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
                number = 0
                async for message in store.messages("long"):
                    assert message.content.startswith(f"message {number}:")
                    number += 1
                    if number == messages:
                        break
                assert number == messages
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    assert peaks[1] < max(peaks[0], 1 << 20) * 1.5, peaks
