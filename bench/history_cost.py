"""Does a turn get dearer with what was said before? Sessions of 2000 and of 40 messages, built by real turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.counters import ServerCounters, WalCounter
from bench.figures import Figure, at_most, figure
from bench.rounds import Cost, Measure, cost_of, interleaved, median, ratio, spread_of
from bench.setting import Setting
from bench.workload import drive, fresh, grow, run_turn, shared_out
from holdfast import Store, open_store
from holdfast.testing.servers import RedisServer

TOPIC = "history"


async def measure(setting: Setting) -> list[Figure]:
    figures: list[Figure] = []
    for cache_bytes, mode in ((0, "cold"), (64 << 20, "cached")):
        figures += await _memory(setting, cache_bytes, mode)
        figures += await _sqlite(setting, cache_bytes, mode)
        figures += await _redis(setting, cache_bytes, mode)
    return figures


async def _memory(setting: Setting, cache_bytes: int, mode: str) -> list[Figure]:
    async with open_store("memory:", ttl="2h", cache_bytes=cache_bytes) as store:
        trial = _Trial(setting, store, f"memory, {mode}")
        await trial.prepare()
        return trial.figures(await trial.costs(None), server=False)


async def _sqlite(setting: Setting, cache_bytes: int, mode: str) -> list[Figure]:
    path = setting.folder / f"history-{mode}.db"
    async with open_store(f"sqlite:///{path}?synchronous=normal", ttl="2h") as builder:
        trial = _Trial(setting, builder, f"sqlite, {mode}")
        await trial.prepare()
        await trial.prepare_short()
    async with open_store(f"sqlite:///{path}", ttl="2h", cache_bytes=cache_bytes) as store:
        trial.store = store
        costs = await trial.costs(None)
        return [*trial.figures(costs, server=False), await trial.log_bytes(path)]


async def _redis(setting: Setting, cache_bytes: int, mode: str) -> list[Figure]:
    async with (
        RedisServer() as server,
        # a turn's own path: what packing costs beside it stands in the topic "memory"
        open_store(f"{server.url}?pack=no", ttl="2h", cache_bytes=cache_bytes) as store,
    ):
        trial = _Trial(setting, store, f"redis, {mode}")
        await trial.prepare()
        with ServerCounters(server.port) as counters:
            return trial.figures(await trial.costs(counters), server=True)


class _Trial:
    """One store with long sessions; the short ones are made anew for every round, or they would grow long."""

    def __init__(self, setting: Setting, store: Store, name: str) -> None:
        self.store = store
        self._setting = setting
        self._name = name
        self._callers = setting.pick(16, 4)
        self._turns = setting.pick(10, 2)
        self._long = fresh("long", self._callers)
        self._short: list[str] = []

    async def prepare(self) -> None:
        self._setting.say(f"{self._name}: building sessions of 2000 messages")
        await grow(self.store, self._long, self._setting.pick(1000, 60))

    async def prepare_short(self) -> None:
        self._short = fresh("short", self._callers)
        await grow(self.store, self._short, 19)

    async def costs(self, counters: ServerCounters | None) -> dict[str, list[Cost]]:
        async def long() -> Cost:
            return await self._cost(self._long, counters)

        async def short() -> Cost:
            await self.prepare_short()
            return await self._cost(self._short, counters)

        sides = {f"{self._name}, long": long, f"{self._name}, short": short}
        found = await interleaved(sides, self._setting.pick(21, 2), self._setting.say)
        return dict(zip(("long", "short"), found.values(), strict=True))

    async def _cost(self, sessions: Sequence[str], counters: ServerCounters | None) -> Cost:
        await grow(self.store, sessions, 1)  # whichever side ran before, both begin in a warmed-up process
        plan = shared_out(sessions, self._callers, self._turns)
        return await cost_of(lambda: drive(self.store, plan), self._callers * self._turns, counters)

    def figures(self, costs: dict[str, list[Cost]], *, server: bool) -> list[Figure]:
        long, short = costs["long"], costs["short"]
        lines: list[tuple[str, Measure, float, str, float]] = []
        if server:
            lines += [("bytes on the wire", "wire", 1.02, "B", 1), ("server CPU", "server_s", 1.05, "us", 1e6)]
        lines += [("client CPU", "client_s", 1.05, "us", 1e6), ("time", "wall_s", 1.05, "us", 1e6)]
        return [
            figure(
                TOPIC,
                f"{self._name}: {what}",
                ratio(long, short, measure),
                target=at_most(limit),
                note=f"{median(long, measure) * scale:.0f} / {median(short, measure) * scale:.0f} {unit}",
            )
            for what, measure, limit, unit, scale in lines
        ]

    async def log_bytes(self, path: Path) -> Figure:
        """Bytes that single turns write into SQLite's log; one caller, so that no two turns share a page."""
        counter = WalCounter(path)
        means: list[float] = []
        pairs: list[float] = []
        for _ in range(self._setting.pick(5, 1)):
            await self.prepare_short()
            both = []
            for sessions in (self._long, self._short):
                await grow(self.store, sessions, 1)
                counter.written()
                total = 0
                for session_id in [s for s in sessions for _ in range(self._turns)]:
                    await run_turn(self.store, session_id)
                    total += counter.written()
                both.append(total / (len(sessions) * self._turns))
            pairs.append(both[0] / both[1])
            means.append(both[0])
        note = f"{spread_of(means).median:.0f} B a turn into the log"
        return figure(TOPIC, f"{self._name}: bytes written", spread_of(pairs), target=at_most(1.02), note=note)
