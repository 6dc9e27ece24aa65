"""What limits cost a request: the same requests with and without them in one run; and their check beside the `limits` package's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import limits.aio.storage
import limits.aio.strategies
from fastapi import FastAPI
from limits import parse

from bench.figures import Figure, at_most, figure
from bench.rounds import Side, cost_of, interleaved, micros, ratio
from bench.setting import Setting
from bench.workload import turn_id
from holdfast import Turn, open_store
from holdfast.assistant.masking import Masker
from holdfast.backends.rates import Bucket, Rate, Rates, shared_rates
from holdfast.config import Config
from holdfast.server.app import create_app, node_of
from holdfast.testing.servers import RedisServer

_TOPIC: Final = "limits"
_KEY: Final = "k" * 32
_ALL: Final = {
    "enabled": True,
    "tenant": {"requests": "1000000/minute", "turns": ["1000000/minute", "1000000000/day"], "tokens": 10**9},
}


class _Answering:
    masker, knowledge, model = Masker({}), None, None

    async def __call__(self, turn: Turn) -> None:
        turn.reply("It is on its way.")


async def measure(setting: Setting) -> list[Figure]:
    """Requests of an application, within the process: the socket's part is left out, which makes the ratio look worse."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(RedisServer())
        found: list[Figure] = []
        for name, url in {"Redis": server.url, "memory": "memory:"}.items():
            sides: dict[str, Side] = {}
            for way, section in {"off": {"enabled": False}, "on": _ALL}.items():
                store = await stack.enter_async_context(open_store(url, tenant=way))
                tree: Any = {"store": "memory:", "server": {"access_keys": [_KEY]}, "limits": section}
                app = create_app(store, _Answering(), Config(**tree))
                stack.push_async_callback(node_of(app).desk.drain, 0)
                http = await stack.enter_async_context(_client(app))
                sides[f"read {way}"] = _reads(setting, http)
                sides[f"turn {way}"] = await _turns(setting, http)
            costs = await interleaved(sides, setting.pick(7, 1), setting.say)
            for what in ("read", "turn"):
                on, off = costs[f"{what} on"], costs[f"{what} off"]
                note = f"processor time {micros(off, 'client_s')} to {micros(on, 'client_s')}"
                title = f"{name}: a {what}, 16 callers, with limits / without"
                found.append(figure(_TOPIC, title, ratio(on, off, "wall_s"), target=at_most(1.25), note=note))
        return found + await _checks(setting, server.url, stack)


def _client(app: FastAPI) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {_KEY}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bench", headers=headers)


def _reads(setting: Setting, http: httpx.AsyncClient) -> Side:
    async def one() -> None:
        (await http.get("/v1/info")).raise_for_status()

    return _side(setting.pick(50, 2), one)


async def _turns(setting: Setting, http: httpx.AsyncClient) -> Side:
    made = [(await http.post("/v1/sessions", json={})).json()["id"] for _ in range(16)]
    free = list(made)

    async def one() -> None:
        session = free.pop()
        reply = await http.post(
            f"/v1/sessions/{session}/turns", json={"input": "where is it?"}, headers={"Idempotency-Key": turn_id()}
        )
        reply.raise_for_status()
        free.append(session)

    return _side(setting.pick(20, 2), one)


def _side(each: int, one: Any, callers: int = 16) -> Side:
    async def caller() -> None:
        for _ in range(each):
            await one()

    async def work() -> None:
        await asyncio.gather(*[caller() for _ in range(callers)])

    return lambda: cost_of(work, callers * each)


async def _checks(setting: Setting, url: str, stack: AsyncExitStack) -> list[Figure]:
    """One question for two rates (a minute's and an hour's) of one subject."""
    store = await stack.enter_async_context(open_store(url))
    shared = shared_rates(store.backend)
    assert isinstance(shared, Rates)
    buckets = [Bucket("a", Rate(10**6, 60)), Bucket("b", Rate(10**8, 3600))]
    storage = limits.aio.storage.RedisStorage(f"async+{url}", implementation="redispy")
    stack.push_async_callback(storage.bridge.get_connection().aclose)  # type: ignore[attr-defined]  # of one bridge
    windows = limits.aio.strategies.SlidingWindowCounterRateLimiter(storage)
    items = [parse("1000000/minute"), parse("100000000/hour")]

    async def ours() -> None:
        await shared.take_rates("bench", buckets)

    async def theirs() -> None:
        for item in items:
            await windows.hit(item, "bench")

    each = setting.pick(200, 2)
    costs = await interleaved(
        {"ours": _side(each, ours), "theirs": _side(each, theirs)}, setting.pick(7, 1), setting.say
    )
    note = f"processor time {micros(costs['ours'], 'client_s')} against {micros(costs['theirs'], 'client_s')}"
    title = "Redis: two rates of one subject, 16 callers / the limits package's sliding windows"
    return [figure(_TOPIC, title, ratio(costs["ours"], costs["theirs"], "wall_s"), note=note)]
