"""What to plan a Redis for: bytes a session, sessions a GB, turns a second a core of the server and of a node."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from typing import Final

from bench.counters import ServerCounters
from bench.dialogue import conversations
from bench.figures import Figure, figure
from bench.rounds import cost_of, spread_of
from bench.setting import Setting
from bench.workload import drive, fresh, grow, shared_out
from holdfast import Store, Turn, open_store
from holdfast.backends.contract import Packs
from holdfast.testing.sentinels import SentinelSet
from holdfast.testing.servers import RedisServer

_TOPIC: Final = "capacity"
_KIND: Final = "English passages"
_GB: Final = 1e9
_CALLERS: Final = 64
_SIZES: Final = ((10, 200, 1), (10, 4000, 1), (20, 200, 8), (100, 200, 1), (100, 200, 8), (1000, 200, 1))
"""Messages of a session, bytes of text in its state, and how many questions and answers of the set make a turn's."""


async def measure(setting: Setting) -> list[Figure]:
    figures = [await _size(setting, *size) for size in _SIZES]
    return figures + await _rates(setting) + await _levels(setting)


# --- bytes ---


async def _size(setting: Setting, messages: int, state_bytes: int, joined: int) -> Figure:
    """By how much the server's memory grows for each session, also the parts of it that no key shows."""
    turns = messages // 2
    count = setting.pick(max(40, 20_000 // turns), 2)
    setting.say(f"{count} sessions of {messages} messages")
    async with RedisServer() as server, open_store(server.url, ttl="7d", cache_bytes=0) as store:
        await grow(store, fresh("first", 8), 1)  # what the server keeps for its first client is not a session's
        before = _used(server)
        texts = _texts(setting, turns, joined)
        text_bytes = 0
        for batch in _batches(fresh("size", count)):
            talks = [next(texts) for _ in batch]
            text_bytes += sum(len(part.encode()) for talk in talks for pair in talk for part in pair)
            await asyncio.gather(*map(_Held(store, state_bytes).hold, batch, talks))
            await _pack(store, batch)
        each = (_used(server) - before) / count
    return figure(
        _TOPIC,
        f"{messages} messages of {text_bytes / count / messages:.0f} B, {state_bytes} B of state",
        each,
        unit="B a session",
        note=f"{_GB / each:,.0f} sessions a GB; {count} sessions, packed",
    )


class _Held:
    """Holds whole conversations, turn by turn, as an assistant would."""

    def __init__(self, store: Store, state_bytes: int) -> None:
        self._store = store
        fields = 4
        self._state = {f"slot_{n}": f"{n}" * (state_bytes // fields) for n in range(fields)}

    async def hold(self, session_id: str, talk: list[tuple[str, str]]) -> None:
        await self._store.set(session_id, self._state)
        for asked, said in talk:

            async def answer(turn: Turn, said: str = said) -> None:
                turn.state["slot_0"] = turn.state["slot_0"][::-1]
                turn.reply(said)

            await self._store.run_turn(session_id, answer, input=asked)


async def _pack(store: Store, sessions: list[str]) -> None:
    """What a session that is left alone becomes after 10 s."""
    assert isinstance(store.backend, Packs)
    for session_id in sessions:
        await store.backend.pack(store.key(session_id))


def _texts(setting: Setting, turns: int, joined: int) -> Iterator[list[tuple[str, str]]]:
    """Whole conversations without end: where the set is used up, it begins again."""
    found = False
    while True:
        for pairs in conversations(setting.data, _KIND, turns * joined):
            if len(pairs) == turns * joined:
                found = True
                parts = [pairs[at : at + joined] for at in range(0, len(pairs), joined)]
                yield [(" ".join(asked for asked, _ in part), " ".join(said for _, said in part)) for part in parts]
        if not found:
            raise ValueError(f"the set has no conversation of {turns} turns")


def _batches(sessions: list[str], size: int = 16) -> Iterator[list[str]]:
    for at in range(0, len(sessions), size):
        yield sessions[at : at + size]


def _used(server: RedisServer) -> int:
    return int(server.info("memory")["used_memory"])


# --- turns ---


async def _rates(setting: Setting) -> list[Figure]:
    figures = []
    for how, options in (
        ("no append-only file", {}),
        ("appendfsync everysec", {"appendonly": "yes", "appendfsync": "everysec"}),
        ("appendfsync always", {"appendonly": "yes", "appendfsync": "always"}),
    ):
        figures += await _rate(setting, how, options)
    return figures


async def _rate(setting: Setting, how: str, options: dict[str, str]) -> list[Figure]:
    async with RedisServer(options) as server, open_store(server.url, ttl="2h") as store:
        with ServerCounters(server.port) as counters:
            sessions = fresh("rate", 256)
            await grow(store, sessions, setting.pick(12, 1))
            plan = shared_out(sessions, _CALLERS, setting.pick(8, 1))
            turns = sum(map(len, plan))
            costs = []
            for number in range(setting.pick(9, 1)):
                setting.say(f"{how}: round {number + 1}")
                costs.append(await cost_of(lambda: drive(store, plan), turns, counters))
    return [
        figure(
            _TOPIC,
            f"{how}: turns a second a core of Redis",
            spread_of([1 / max(cost.server_s, 1e-9) for cost in costs]),
            unit="turns/s",
            note=f"{_CALLERS} callers, {min(cost.server_s for cost in costs) * 1e6:.0f} us of its main thread at best; "
            "a turn is one begin and one commit",
        ),
        figure(
            _TOPIC,
            f"{how}: turns a second of one node",
            spread_of([1 / cost.wall_s for cost in costs]),
            unit="turns/s",
            note=f"{min(cost.client_s for cost in costs) * 1e6:.0f} us of the node's CPU at best; "
            "node and server on this machine",
        ),
    ]


# --- durability ---


async def _levels(setting: Setting) -> list[Figure]:
    """How long a turn takes at each level, a few callers at once: what a user waits for it."""
    figures = []
    async with SentinelSet(replicas=2) as group:
        for level in ("memory", "replicated"):
            url = f"{group.url}{'&' if '?' in group.url else '?'}durability={level}"
            figures.append(await _level(setting, f"durability={level}, two replicas", url))
    async with RedisServer({"appendonly": "yes", "appendfsync": "always"}) as server:
        figures.append(await _level(setting, "durability=fsync", f"{server.url}?durability=fsync"))
    return figures


async def _level(setting: Setting, name: str, url: str) -> Figure:
    setting.say(name)
    async with open_store(url, ttl="2h") as store:
        sessions = fresh("level", 8)
        await grow(store, sessions, 5)
        seconds: list[float] = []
        await drive(store, shared_out(sessions, 8, setting.pick(200, 2)), seconds=seconds)
    cuts = statistics.quantiles(seconds, n=100)
    return figure(
        _TOPIC, f"{name}: p50 of a turn", cuts[49] * 1e3, unit="ms", note=f"p99 {cuts[98] * 1e3:.1f} ms; 8 callers"
    )
