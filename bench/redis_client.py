"""What the client's own wire costs: against redis-py's call of the same bytes, and over a link that takes its time."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis

from bench.counters import Raw
from bench.delayed_link import DelayedLink
from bench.figures import Figure, Spread, at_most, figure
from bench.redis_commit import update
from bench.redis_rate import captured
from bench.rounds import Cost, cost_of, interleaved, micros, ratio, spread_of
from bench.setting import Setting
from bench.workload import REPLY, fresh, grow, run_turn
from holdfast import Message, Store, open_store
from holdfast.backends.records import SessionKey
from holdfast.backends.redis.backend import RedisBackend
from holdfast.sessions.settings import StoreSettings
from holdfast.testing.servers import RedisServer
from holdfast.wiring import open_backend

TOPIC: Final = "client"
_CALLERS: Final = 64
_ROUND_TRIP_S: Final = 0.002
_PAUSE_S: Final = 0.02
"""How long a caller of the link waits between two calls, on average: 64 of them make 3000 calls a second."""


async def measure(setting: Setting) -> list[Figure]:
    async with RedisServer() as server:
        return [*await _client_cpu(setting, server), *await _over_a_link(setting, server)]


# --- processor time of a call --------------------------------------------------------------------------------------


async def _client_cpu(setting: Setting, server: RedisServer) -> list[Figure]:
    """Each side writes the same session with the same bytes, but for the commit id, which is new in every call."""
    backend = await open_backend(server.url, StoreSettings())
    assert isinstance(backend, RedisBackend)
    client: Any = Redis.from_url(server.url)
    key = SessionKey("", fresh("client", 1)[0])
    call, commit_id = await captured(server, backend, key)
    before, _, after = call[4].partition(commit_id)
    count = setting.pick(64 * 64, 64 * 4)

    def calls() -> list[tuple[Any, ...]]:
        return [(call[1], 1, call[3], before + os.urandom(16) + after, *call[5:]) for _ in range(count)]

    async def commit() -> Cost:
        async def one(_: tuple[Any, ...]) -> None:
            await update(backend, key)

        return await _by_all([()] * count, one)

    async def lane() -> Cost:
        async def one(arguments: tuple[Any, ...]) -> None:
            await backend._calls.write("c", *arguments[2:])

        return await _by_all(calls(), one)

    async def plain() -> Cost:
        async def one(arguments: tuple[Any, ...]) -> None:
            await client.execute_command("FCALL", *arguments)

        return await _by_all(calls(), one)

    try:
        await plain()  # connects
        sides = {"redis-py": plain, "lane": lane, "commit": commit}
        costs = await interleaved(sides, setting.pick(21, 1), setting.say)
    finally:
        await client.aclose()
        await backend.close()
    theirs = costs["redis-py"]
    return [
        figure(
            TOPIC,
            f"client CPU of {what}, 64 callers / one redis-py call of the same bytes",
            ratio(costs[name], theirs, "client_s"),
            target=at_most(0.4),
            note=f"{micros(costs[name], 'client_s')} / {micros(theirs, 'client_s')}",
        )
        for name, what in (("lane", "a bare call"), ("commit", "a commit"))
    ]


async def _by_all(items: Sequence[tuple[Any, ...]], one: Callable[[tuple[Any, ...]], Awaitable[None]]) -> Cost:
    """All items, shared out among 64 callers."""

    async def caller(number: int) -> None:
        for item in items[number::_CALLERS]:
            await one(item)

    async def callers() -> None:
        await asyncio.gather(*[caller(number) for number in range(_CALLERS)])

    return await cost_of(callers, len(items))


# --- time over a link ----------------------------------------------------------------------------------------------

Work = Callable[[Store, str, int], Awaitable[object]]


async def _update(store: Store, session_id: str, number: int) -> None:
    await store.update(session_id, {"step": number}, append=[Message.assistant(REPLY)])


async def _turn(store: Store, session_id: str, _: int) -> None:
    await run_turn(store, session_id)


async def _over_a_link(setting: Setting, server: RedisServer) -> list[Figure]:
    works: tuple[tuple[str, Work, int], ...] = (("an update", _update, 1), ("a turn", _turn, 2))
    sides = [(what, work, trips, callers) for what, work, trips in works for callers in (1, _CALLERS)]
    found: dict[tuple[str, int], list[float]] = {(what, callers): [] for what, _, _, callers in sides}
    pings: list[float] = []
    async with (
        DelayedLink(server.port, _ROUND_TRIP_S) as link,
        open_store(f"redis://127.0.0.1:{link.port}/0", ttl="2h") as store,
    ):
        sessions = fresh("link", _CALLERS)
        await grow(store, sessions, setting.pick(10, 1))
        for number in range(setting.pick(11, 1)):
            pings.append(_median(await asyncio.to_thread(_pings, link.port, setting.pick(100, 10))))
            for what, work, _, callers in sides:
                setting.say(f"round {number + 1}: {what}, {callers} callers")
                own = sessions[:callers]
                times = await _paced(store, own, work, setting.pick(64 if callers == 1 else 16, 2))
                found[what, callers].append(_median(times))
    return [
        figure(
            TOPIC,
            f"p50 of {what} over a link of {_ROUND_TRIP_S * 1e3:g} ms, {callers} caller{'s' if callers > 1 else ''} / "
            + (f"{trips} PINGs" if trips > 1 else "a PING"),
            _ratios(found[what, callers], pings, trips),
            target=at_most(1.2),
            note=f"{_median(found[what, callers]) * 1e3:.2f} / {_median(pings) * 1e3 * trips:.2f} ms"
            + (f"; each caller every {_PAUSE_S * 1e3:g} ms" if callers > 1 else ""),
        )
        for what, _, trips, callers in sides
    ]


def _ratios(times: Sequence[float], pings: Sequence[float], trips: int) -> Spread:
    return spread_of([mine / (ping * trips) for mine, ping in zip(times, pings, strict=True)])


async def _paced(store: Store, sessions: Sequence[str], work: Work, calls: int) -> list[float]:
    """Seconds of each call. Callers pause between calls, so that what is measured is the way and not a full queue."""
    times: list[float] = []

    async def caller(session_id: str) -> None:
        for number in range(calls):
            if len(sessions) > 1:
                await asyncio.sleep(random.random() * 2 * _PAUSE_S)
            started = time.perf_counter()
            await work(store, session_id, number)
            times.append(time.perf_counter() - started)

    await asyncio.gather(*[caller(session_id) for session_id in sessions])
    return times


def _pings(port: int, count: int) -> list[float]:
    """Seconds of single PINGs over a blocking socket: the link, the kernel and the server, and next to no client."""
    times = []
    with Raw(port) as raw:
        for _ in range(count):
            started = time.perf_counter()
            raw.call("PING")
            times.append(time.perf_counter() - started)
    return times


def _median(values: Sequence[float]) -> float:
    return spread_of(values).median
