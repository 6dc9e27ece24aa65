"""The comparison: all peers and Holdfast in one run, in interleaved rounds, on one Redis server."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from bench.figures import Figure, at_least, figure
from bench.peers.environments import EnvironmentFailed, python_for
from bench.peers.postgres import PostgresServer
from bench.peers.process import PeerFailed, PeerProcess, Ran
from bench.rounds import Cost, Side, interleaved, median, ratio, spread_of
from bench.setting import Setting
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.servers import RedisServer, ServerMissing

_FOLDER: Final = Path(__file__).parent


class Kind(NamedTuple):
    """A peer: what the table calls it, its script and arguments, and where it keeps its sessions."""

    title: str
    script: str
    arguments: tuple[str, ...] = ()
    place: str = "redis"


OURS: Final = {
    "cold": Kind("Holdfast, near cache off", "holdfast_turn", ("cold",)),
    "cached": Kind("Holdfast", "holdfast_turn", ("cached",)),
}
PEERS: Final = {
    "json": Kind("whole session as JSON, GET + SETEX", "whole_json"),
    "openai": Kind("OpenAI Agents RedisSession, limit 20", "openai_agents"),
    "langchain": Kind("LangChain RedisChatMessageHistory", "langchain_redis"),
    "llamaindex": Kind("LlamaIndex RedisChatStore", "llama_index_redis"),
    "langgraph-sqlite": Kind("LangGraph, SQLite saver", "langgraph_saver", ("sqlite",), "sqlite"),
    "langgraph-postgres": Kind("LangGraph, PostgreSQL saver", "langgraph_saver", ("postgres",), "postgres"),
    "agno": Kind("Agno RedisDb", "agno_redis"),
}


class Shape(NamedTuple):
    """Sessions of how long a history, used by how many callers at once."""

    messages: int
    callers: int

    def __str__(self) -> str:
        return f"{self.messages} messages, {self.callers} caller{'s' if self.callers > 1 else ''}"


class Wire(NamedTuple):
    """What one turn of one caller sends, receives and waits for; round trips 0 where there is no server."""

    sent: float
    received: float
    round_trips: float

    def __str__(self) -> str:
        if not self.round_trips:
            return f"writes {self.sent / 1000:.1f} KB"
        return (
            f"sends {self.sent / 1000:.1f} KB, receives {self.received / 1000:.1f} KB, {self.round_trips:g} round trips"
        )


async def measure(setting: Setting) -> list[Figure]:
    unknown = set(setting.peers) - PEERS.keys()
    if unknown:
        raise SystemExit(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    wanted = {name: PEERS[name] for name in setting.peers or PEERS}
    long = setting.pick(1000, 60)
    shapes = (Shape(long, 32), Shape(10, 1), Shape(100, 1), Shape(long, 1))
    async with AsyncExitStack() as stack:
        field = _Field(setting, stack, await stack.enter_async_context(RedisServer()))
        for name, kind in (OURS | wanted).items():
            await field.admit(name, kind, long)
        figures: list[Figure] = []
        for shape in shapes:
            figures += _lines(shape, field, await field.race(shape), target=shape == shapes[0])
    return figures


class _Field:
    """The peers that could be started, and why the others could not."""

    def __init__(self, setting: Setting, stack: AsyncExitStack, redis: RedisServer) -> None:
        self._setting = setting
        self._stack = stack
        self._redis = redis
        self._processes: dict[str, PeerProcess] = {}
        self.kinds: dict[str, Kind] = {}
        self.wires: dict[str, Wire] = {}
        self.missing: dict[str, str] = {}

    async def admit(self, name: str, kind: Kind, messages: int) -> None:
        """Starts a peer, and counts what its turns send; notes the reason where that cannot be."""
        self.kinds[name] = kind
        script = _FOLDER / f"{kind.script}.py"
        try:
            self._setting.say(f"starting {kind.title}")
            python = await python_for(script, self._setting.say)
            host, port, url = await self._place(kind, name)
            async with FaultProxy(host, port) as proxy:
                through = url.replace(f":{port}/", f":{proxy.port}/") if port else url
                async with PeerProcess(python, script, kind.arguments, through) as process:
                    self.wires[name] = await self._wire(process, proxy, messages)
            self._processes[name] = await self._stack.enter_async_context(
                PeerProcess(python, script, kind.arguments, url)
            )
        except (EnvironmentFailed, PeerFailed, ServerMissing) as error:
            self.missing[name] = str(error)
            print(f"without {kind.title}: {error}", file=sys.stderr)

    async def _place(self, kind: Kind, name: str) -> tuple[str, int, str]:
        """Host and port (0 where there is no server), and the URL or path."""
        if kind.place == "redis":
            return "127.0.0.1", self._redis.port, self._redis.url
        if kind.place == "sqlite":
            return "127.0.0.1", 0, str(self._setting.folder / f"{name}.db")
        server = await self._stack.enter_async_context(PostgresServer())
        return "127.0.0.1", server.port, server.url

    async def _wire(self, process: PeerProcess, proxy: FaultProxy, messages: int) -> Wire:
        """Counted by a proxy in between, after a turn that connects."""
        turns = self._setting.pick(8, 2)
        await process.prepare(1, messages)
        await process.run(sessions=1, callers=1, turns=1)
        proxy.reset_traffic()
        ran = await process.run(sessions=1, callers=1, turns=turns)
        traffic = proxy.traffic
        if not traffic.bytes_in:
            return Wire(ran.written, 0, 0)
        return Wire(traffic.bytes_in / turns, traffic.bytes_out / turns, traffic.round_trips / turns)

    async def race(self, shape: Shape) -> dict[str, list[Cost]]:
        """The costs of all peers' turns, round by round."""
        trials = {name: _Trial(self._setting, process, shape) for name, process in self._processes.items()}
        for name, trial in trials.items():
            self._setting.say(f"{shape}: preparing {self.kinds[name].title}")
            await trial.prepare()
        sides: Mapping[str, Side] = {name: trial.cost for name, trial in trials.items()}
        rounds = self._setting.pick(11 if shape.callers > 1 else 5, 1)
        return await interleaved(sides, rounds, lambda text: self._setting.say(f"{shape}: {text}"))


class _Trial:
    """Turns of one peer on sessions of one length. Short sessions are made anew for every round, or they would grow."""

    def __init__(self, setting: Setting, process: PeerProcess, shape: Shape) -> None:
        self._process = process
        self._shape = shape
        self._anew = shape.messages <= 100
        self._sessions = shape.callers if shape.callers > 1 else setting.pick(16, 2)
        self._turns = 2 if self._anew else 1

    async def prepare(self) -> None:
        """Makes the sessions and warms up. What is fast gets more turns a round, some 0.2 seconds of them, as its context does
        not grow with the history."""
        await self._process.prepare(self._sessions, self._shape.messages)
        ran = await self._run()
        if not self._anew:
            self._turns = max(1, min(40, round(0.2 / (ran.wall_s * self._sessions))))

    async def cost(self) -> Cost:
        if self._anew:
            await self._process.prepare(self._sessions, self._shape.messages)
        elif self._turns > 1:  # whatever ran before, the process is awake and the processor's caches are its own
            await self._process.run(sessions=self._sessions, callers=self._shape.callers, turns=1)
        ran = await self._run()
        if ran.read < min(self._shape.messages, 20):
            raise PeerFailed(f"a turn read {ran.read:g} messages of {self._shape.messages}")
        return Cost(ran.wall_s, ran.client_s)

    async def _run(self) -> Ran:
        return await self._process.run(sessions=self._sessions, callers=self._shape.callers, turns=self._turns)


def _lines(shape: Shape, field: _Field, costs: Mapping[str, Sequence[Cost]], *, target: bool) -> list[Figure]:
    found = []
    for name, kind in field.kinds.items():
        title = f"{shape}: {kind.title}"
        if name in field.missing:
            found.append(figure("peers", title, math.nan, unit="us", note=f"not measured: {field.missing[name]}"))
            continue
        parts = [f"client CPU {median(costs[name], 'client_s') * 1e6:.0f} us"]
        if target:
            parts.append(str(field.wires[name]))
        if name not in OURS:
            times = [f"{ratio(costs[name], costs[mode], 'wall_s').median:.1f}" for mode in OURS if mode in costs]
            parts.append(f"Holdfast {' / '.join(times)} times cheaper (cold / cached)")
        spread = spread_of([cost.wall_s * 1e6 for cost in costs[name]])
        found.append(figure("peers", title, spread, unit="us", note="; ".join(parts)))
    others = [name for name in costs if name not in OURS]
    if target and others:
        best = min(others, key=lambda name: median(costs[name], "wall_s"))
        for mode in (mode for mode in OURS if mode in costs):
            both = costs[best], costs[mode]
            name = f"{shape}: times cheaper than the best peer, {mode}"
            title = field.kinds[best].title
            found.append(figure("peers", f"{name}, by time", ratio(*both, "wall_s"), target=at_least(8), note=title))
            found.append(figure("peers", f"{name}, by client CPU", ratio(*both, "client_s"), note=title))
    return found
