"""What a turn sends to Redis, counted on the wire by a proxy in between: bytes and round trips."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from bench.figures import Figure, at_most, exactly, figure
from bench.setting import Setting
from bench.workload import INPUT, REPLY, answer, fresh, grow, run_turn, turn_id
from holdfast import Store, open_store
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.servers import RedisServer

_NEW_BYTES: Final = len(INPUT) + len(REPLY) + len("step") + len(msgspec.msgpack.encode(100))
"""The input, the reply, and the changed value with its name."""

Call = Callable[[Store, str], Awaitable[object]]


async def measure(setting: Setting) -> list[Figure]:
    rounds = setting.pick(50, 5)
    async with RedisServer() as server:
        figures = await _round_trips(server, rounds)
        for name, options, user in (
            ("session cached", {}, ""),
            ("cold", {"cache_bytes": 0}, ""),
            ("cached, with tenant, user and handler's name", {"tenant": "tenant-0001"}, "user-00000001"),
        ):
            async with _counted(server, options) as (store, proxy):
                handler: Any = store.handler("answer")(answer) if user else answer
                over = await _overheads(store, proxy, handler, user, rounds)
            figures.append(
                figure(
                    "wire",
                    f"bytes sent by a turn beside its {_NEW_BYTES} new ones, {name}",
                    max(over),
                    unit="B",
                    target=None if user else at_most(400),
                    note=f"most of {rounds} turns; median {statistics.median(over):.0f}",
                )
            )
    return figures


async def _round_trips(server: RedisServer, rounds: int) -> list[Figure]:
    async def update(store: Store, session_id: str) -> None:
        await store.update(session_id, {"paid": True})

    async def get(store: Store, session_id: str) -> None:
        await store.get(session_id)

    calls: tuple[tuple[str, Call, float], ...] = (
        ("a turn", run_turn, 2),
        ("an update", update, 1),
        ("a get", get, 1),
    )
    figures = []
    for cached in (True, False):
        async with _counted(server, {} if cached else {"cache_bytes": 0}) as (store, proxy):
            session_id = fresh("trips", 1)[0]
            await grow(store, [session_id], 30)
            for name, call, target in calls:
                proxy.reset_traffic()
                for _ in range(rounds):
                    await call(store, session_id)
                trips = proxy.traffic.round_trips / rounds
                what = f"round trips of {name}, {'session cached' if cached else 'cold'}"
                figures.append(figure("wire", what, trips, unit="", target=exactly(target), note=f"{rounds} calls"))
    return figures


async def _overheads(store: Store, proxy: FaultProxy, handler: Any, user: str, rounds: int) -> list[int]:
    session_id = fresh("wire", 1)[0]
    found = []
    for number in range(rounds + 30):
        proxy.reset_traffic()
        await store.run_turn(session_id, handler, input=INPUT, turn_id=turn_id(), user=user)
        if number >= 30:  # the tail is full and the session known
            found.append(proxy.traffic.bytes_in - _NEW_BYTES)
    return found


@asynccontextmanager
async def _counted(server: RedisServer, options: dict[str, Any]) -> AsyncIterator[tuple[Store, FaultProxy]]:
    async with (
        FaultProxy("127.0.0.1", server.port) as proxy,
        open_store(f"redis://{proxy.host}:{proxy.port}/0", ttl="2h", **options) as store,
    ):
        yield store, proxy
