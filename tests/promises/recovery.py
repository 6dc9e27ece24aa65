"""What a recovery is measured by: when the Sentinels switched, when turns were committed, and what was left open."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from holdfast import Store
from holdfast.backends.redis.packer import TOGETHER, WORKER
from holdfast.errors import HoldfastError
from holdfast.testing import SentinelSet
from holdfast.testing.server_process import RedisProcess
from store_nodes import eventually

CLIENT_NAME: Final = "holdfast"


class Switches:
    """When the Sentinels said that the primary is another, by `time.monotonic`."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    def first_after(self, moment: float) -> float:
        return min(heard for heard in self.heard if heard > moment)

    async def listen(self, host: str, port: int) -> None:
        async with Redis(host=host, port=port, socket_timeout=None) as client, client.pubsub() as hearing:
            await hearing.subscribe("+switch-master")
            async for message in hearing.listen():
                if message["type"] == "message":
                    self.heard.append(time.monotonic())


@asynccontextmanager
async def switches_of(servers: SentinelSet) -> AsyncIterator[Switches]:
    switches = Switches()
    listening = [asyncio.create_task(switches.listen(one.host, one.port)) for one in servers.sentinels]
    try:
        yield switches
    finally:
        for task in listening:
            task.cancel()
        with suppress(RedisError):
            await asyncio.gather(*listening, return_exceptions=True)


class Committing:
    """Writers that run turns one after another, each on a session of its own, and note when one was committed."""

    def __init__(self, store: Store, name: str, writers: int) -> None:
        self.at: list[list[float]] = [[] for _ in range(writers)]
        self.failed = 0
        self._tasks = [asyncio.create_task(self._write(store, f"{name}-{n}", self.at[n])) for n in range(writers)]

    async def _write(self, store: Store, session: str, at: list[float]) -> None:
        for number in count():
            turn_id = f"{session}-{number}"
            while True:
                try:
                    await store.run_turn(session, lambda turn: turn.reply("x"), input="m", turn_id=turn_id)
                    break
                except HoldfastError:
                    self.failed += 1
                    await asyncio.sleep(0.02)
            at.append(time.monotonic())
            await asyncio.sleep(0.005)

    async def every_one_after(self, moment: float, within: float = 40.0) -> list[float]:
        """When each writer committed first after a moment."""
        await eventually(lambda: all(at and at[-1] > moment for at in self.at), within)
        return sorted(next(one for one in at if one > moment) for at in self.at)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def sockets() -> int:
    """Open sockets of this process."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += "socket" in str(path.readlink())
    return found


def tasks() -> Counter[str]:
    """The store's own tasks, by name."""
    return Counter(name for task in asyncio.all_tasks() if (name := task.get_name()).startswith(CLIENT_NAME))


class LeftOpen:
    """What this process has more than when this was made. Each store may have begun to listen for hints meanwhile."""

    def __init__(self, stores: int) -> None:
        self._stores = stores
        self._sockets, self._tasks = sockets(), tasks()

    async def assert_nothing(self, within: float = 15.0) -> dict[str, int]:
        """The figures, once nothing is left: the Sentinels are asked every 2 s, over connections that last for that long."""
        ends = time.monotonic() + within
        while True:
            try:
                return self._nothing()
            except AssertionError:
                if time.monotonic() > ends:
                    raise
            await asyncio.sleep(0.05)

    def _nothing(self) -> dict[str, int]:
        more = tasks()
        for name, count_ in more.items():
            of_a_store = TOGETHER if name == WORKER else 1
            assert count_ <= max(self._stores * of_a_store, self._tasks[name]), f"{count_} tasks {name}"
        more_sockets = sockets() - self._sockets
        assert more_sockets <= self._stores, f"{more_sockets} sockets were left open"
        return {"sockets_more": more_sockets, "tasks_more": more.total() - self._tasks.total()}


def connections(server: RedisProcess) -> int:
    """How many of our connections a server has."""
    return str(server.command("CLIENT", "LIST")).count(f" name={CLIENT_NAME} ")


async def settled_at(server: RedisProcess, most: int, within: float = 15.0) -> int:
    """How many of our connections a server has, once they are no more than that: closed ones take a moment."""
    ends = time.monotonic() + within
    while True:
        found = await asyncio.to_thread(connections, server)
        if found <= most or time.monotonic() > ends:
            return found
        await asyncio.sleep(0.05)


class Heartbeat:
    """How long the event loop was away at the longest: by the clock, and in processor time of its own thread.

    The second one is what our code did; the first one counts what the machine did meanwhile, too.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest_cpu_s = 0.0

    async def __aenter__(self) -> Heartbeat:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            clock, cpu = time.monotonic(), time.thread_time()
            await asyncio.sleep(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - clock - 0.01)
            self.longest_cpu_s = max(self.longest_cpu_s, time.thread_time() - cpu)
