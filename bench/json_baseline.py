"""Against what everybody writes first: the whole session as one JSON text, GET and SETEX with redis-py.

SETEX is sent as SET with EX: redis-py's own `setex` warns at every call, which would cost the plain side time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis

from bench.figures import Figure, Target, at_least, at_most, figure
from bench.rounds import Cost, cost_of, interleaved, median, micros, ratio, spread_of
from bench.setting import Setting
from bench.workload import INPUT, REPLY, drive, fresh, grow, shared_out
from holdfast import Store, open_store
from holdfast.testing.servers import RedisServer

_TTL_S = 7200
_CACHE = {"cold": 0, "cached": 64 << 20}


async def measure(setting: Setting) -> list[Figure]:
    figures: list[Figure] = []
    for messages, callers, target, cpu in (
        (1000, 32, at_least(50), True),
        (10, 32, at_least(1), False),
        (10, 1, at_least(1), False),
    ):
        async with RedisServer() as server, Redis.from_url(server.url) as client:
            for mode, cache_bytes in _CACHE.items():
                async with open_store(server.url, ttl=_TTL_S, cache_bytes=cache_bytes) as store:
                    trial = _Trial(setting, store, client, messages, callers)
                    figures += await trial.figures(mode, target, cpu=cpu)
            await client.flushall()
    return figures


class _Trial:
    """Turns of our store and of the plain one on sessions of the same length.

    Short sessions are made anew for every round and get two turns each. Long ones stay; ours grow by a little.
    """

    def __init__(self, setting: Setting, store: Store, client: Redis, messages: int, callers: int) -> None:
        self._setting = setting
        self._store = store
        self._client = client
        self._short = messages <= 100
        self._messages = messages if self._short else setting.pick(messages, 100)
        self._callers = callers
        self._sessions: list[str] = []

    async def figures(self, mode: str, target: Target, *, cpu: bool) -> list[Figure]:
        where = f"{self._messages} messages, {self._callers} caller{'s' if self._callers > 1 else ''}, {mode}"
        if not self._short:
            self._setting.say(f"building {where}")
            self._sessions = await self._ours(self._callers)
        sides: dict[str, Callable[[], Awaitable[Cost]]] = {
            f"{where}: JSON": self._plain_cost,
            f"{where}: Holdfast": lambda: self._our_cost(reading=False),
            f"{where}: Holdfast, messages read": lambda: self._our_cost(reading=True),
        }
        costs = await interleaved(sides, self._setting.pick(13, 1), self._setting.say)
        plain, ours, reading = costs.values()
        found = [
            figure(
                "json",
                f"{where}: times cheaper, by time",
                ratio(plain, ours, "wall_s"),
                target=target,
                note=f"{micros(plain, 'wall_s')} / {micros(ours, 'wall_s')}",
            ),
            figure(
                "json",
                f"{where}: times cheaper, by client CPU",
                ratio(plain, ours, "client_s"),
                note=f"{micros(plain, 'client_s')} / {micros(ours, 'client_s')}",
            ),
            figure(
                "json",
                f"{where}: times cheaper, by time, handler reads the messages",
                ratio(plain, reading, "wall_s"),
                note=f"{micros(plain, 'wall_s')} / {micros(reading, 'wall_s')}",
            ),
        ]
        if cpu:
            spread = spread_of([cost.client_s * 1e6 for cost in ours])
            note = f"{median(reading, 'client_s') * 1e6:.0f} us where the handler reads the messages"
            name = f"client CPU of a turn, {self._callers} callers, {mode}"
            found.append(
                figure("json", name, spread, unit="us", target=at_most(60 if mode == "cached" else 100), note=note)
            )
        return found

    # --- ours ---

    async def _ours(self, count: int) -> list[str]:
        sessions = fresh("ours", count)
        await grow(self._store, sessions, self._messages // 2)
        return sessions

    async def _our_cost(self, *, reading: bool) -> Cost:
        sessions, turns = self._sessions, self._setting.pick(16, 2)
        if self._short:
            sessions, turns = await self._ours(self._setting.pick(256, 32)), 2
        plan = shared_out(sessions, self._callers, turns)
        return await cost_of(lambda: drive(self._store, plan, reading=reading), len(sessions) * turns)

    # --- the plain one ---

    async def _plain_cost(self) -> Cost:
        sessions = fresh("json", self._setting.pick(256, 32) if self._short else self._callers)
        turns = 2
        text = json.dumps(_session(self._messages))
        pipeline = self._client.pipeline(transaction=False)
        for session_id in sessions:
            pipeline.set(session_id, text, ex=_TTL_S)
        await pipeline.execute()
        plan = shared_out(sessions, self._callers, turns)
        await self._plain_drive([[sessions[n % len(sessions)]] for n in range(self._callers)])  # connects
        cost = await cost_of(lambda: self._plain_drive(plan), len(sessions) * turns)
        if not self._short:
            await self._client.delete(*sessions)
        return cost

    async def _plain_drive(self, plan: Sequence[Sequence[str]]) -> None:
        async def caller(sessions: Sequence[str]) -> None:
            for session_id in sessions:
                await _plain_turn(self._client, session_id)

        async with asyncio.TaskGroup() as group:
            for sessions in plan:
                group.create_task(caller(sessions))


def _session(messages: int) -> dict[str, object]:
    """What one of ours holds after as many turns."""
    entries = [
        {"role": "assistant" if n % 2 else "user", "content": REPLY if n % 2 else INPUT, "created_at": 1.7e9 + n}
        for n in range(messages)
    ]
    return {"state": {"step": messages // 2}, "messages": entries}


async def _plain_turn(client: Redis, session_id: str) -> None:
    data = await client.get(session_id)
    session = json.loads(data) if data is not None else {"state": {}, "messages": []}
    session["messages"].append({"role": "user", "content": INPUT, "created_at": 1.7e9})
    session["state"]["step"] = session["state"].get("step", 0) + 1
    session["messages"].append({"role": "assistant", "content": REPLY, "created_at": 1.7e9})
    await client.set(session_id, json.dumps(session), ex=_TTL_S)
