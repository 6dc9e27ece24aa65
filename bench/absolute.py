"""Turns a second and how long one takes, on each backend: figures of this machine in this run, for orientation only."""

from __future__ import annotations

import statistics
import time

from bench.figures import Figure, figure
from bench.rounds import cost_of
from bench.setting import Setting
from bench.workload import drive, fresh, grow, shared_out
from holdfast import open_store
from holdfast.testing.servers import RedisServer


async def measure(setting: Setting) -> list[Figure]:
    async with RedisServer() as server:
        figures: list[Figure] = []
        for name, url in (
            ("memory", "memory:"),
            ("sqlite", f"sqlite:///{setting.folder / 'absolute.db'}"),
            ("redis", server.url),
        ):
            figures += await _of(setting, name, url)
        return figures


async def _of(setting: Setting, name: str, url: str) -> list[Figure]:
    figures = []
    async with open_store(url, ttl="2h") as store:
        sessions = fresh("absolute", 64)
        await grow(store, sessions, 12)
        for callers in (1, 32):
            setting.say(f"{name}, {callers} callers")
            turns = setting.pick(40 if callers > 1 else 10, 1)
            seconds: list[float] = []
            plan = shared_out(sessions, callers, turns)
            started = time.perf_counter()
            cost = await cost_of(lambda plan=plan, seconds=seconds: drive(store, plan, seconds=seconds), 64 * turns)  # type: ignore[misc]
            setting.say(f"{name}: {time.perf_counter() - started:.1f} s")
            cuts = statistics.quantiles(seconds, n=100)
            note = f"p50 {cuts[49] * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms, client CPU {cost.client_s * 1e6:.0f} us"
            what = f"{name}, {callers} caller{'s' if callers > 1 else ''}"
            figures.append(figure("absolute", what, 1 / cost.wall_s, unit="turns/s", note=note))
    return figures
