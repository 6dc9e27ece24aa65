"""A primary that fails over to a replica which lacks its last writes, for tests: over memory, and over two real Redis servers."""

from __future__ import annotations

import asyncio
import copy
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol, cast

from holdfast import Store
from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.redis import open_redis
from holdfast.errors import StoreError
from holdfast.sessions.settings import settings_from
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.servers import RedisServer
from store_nodes import Interposed, needs_redis_server

PAIRS: Final = ("memory", "redis")


class Pair(Protocol):
    """Nodes write to the old primary until they are moved."""

    name: str

    async def node(self, **options: Any) -> Store:
        """A store of its own, on the old primary."""
        ...

    async def cut(self) -> None:
        """What the old primary is told from now on is lost in the failover."""
        ...

    async def move(self, *stores: Store) -> None:
        """These nodes talk to the new primary from now on; all where none is named."""
        ...

    def backends(self) -> tuple[Backend, Backend]:
        """Direct ways to the old and the new primary; after `cut`."""
        ...


class MemoryPair:
    """The state of one memory backend, copied when replication is cut."""

    name = "memory"

    def __init__(self) -> None:
        self.old = MemoryBackend()
        self.new = MemoryBackend()
        self._tenant = uuid.uuid4().hex[:12]
        self._nodes: list[tuple[Store, Interposed]] = []

    async def node(self, **options: Any) -> Store:
        between = Interposed(self.old, closes=False)
        store = Store(cast(Backend, between), settings_from(cast(Any, {"tenant": self._tenant, **options})))
        self._nodes.append((store, between))
        return store

    async def cut(self) -> None:
        for name in ("_lives", "_rejected", "_fence", "_order"):
            setattr(self.new, name, copy.deepcopy(getattr(self.old, name)))

    async def move(self, *stores: Store) -> None:
        for store, between in self._nodes:
            if not stores or store in stores:
                between.inner = self.new

    def backends(self) -> tuple[Backend, Backend]:
        return self.old, self.new

    async def close(self) -> None:
        for store, _ in self._nodes:
            await store.close()


class RedisPair:
    """A replica that is promoted before the last writes; each node's connections go through a proxy of its own."""

    name = "redis"

    def __init__(self, old: RedisServer, new: RedisServer, stack: AsyncExitStack) -> None:
        self.old, self.new = old, new
        self._stack = stack
        self._tenant = uuid.uuid4().hex[:12]
        self._nodes: list[tuple[Store, FaultProxy]] = []
        self._direct: list[Backend] = []

    async def node(self, **options: Any) -> Store:
        proxy = await self._stack.enter_async_context(FaultProxy("127.0.0.1", self.old.port))
        backend = await open_redis(f"redis://127.0.0.1:{proxy.port}/0", timeout=options.get("timeout", 5.0))
        store = Store(backend, settings_from(cast(Any, {"tenant": self._tenant, **options})))
        self._stack.push_async_callback(store.close)
        self._nodes.append((store, proxy))
        return store

    async def cut(self) -> None:
        await until_replicated(self.old, self.new)
        await asyncio.to_thread(self.new.command, "REPLICAOF", "NO", "ONE")
        for server in (self.old, self.new):
            self._direct.append(await open_redis(server.url))
            self._stack.push_async_callback(self._direct[-1].close)

    async def move(self, *stores: Store) -> None:
        for store, proxy in self._nodes:
            if stores and store not in stores:
                continue
            proxy.redirect("127.0.0.1", self.new.port)
            proxy.cut_all()
            async with asyncio.timeout(10):
                while True:
                    try:
                        await store.exists("-")
                    except StoreError:
                        await asyncio.sleep(0.02)
                    else:
                        break

    def backends(self) -> tuple[Backend, Backend]:
        return self._direct[0], self._direct[1]


async def until_replicated(primary: RedisServer, replica: RedisServer, within: float = 20.0) -> None:
    """Waits until the replica has all that the primary was told."""
    deadline = time.monotonic() + within
    while True:
        one = await asyncio.to_thread(primary.info, "replication")
        two = await asyncio.to_thread(replica.info, "replication")
        if two.get("master_link_status") == "up" and one["master_repl_offset"] == two.get("slave_repl_offset"):
            return
        assert time.monotonic() < deadline, f"not replicated within {within} s"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def failover_pair(name: str) -> AsyncIterator[Pair]:
    """A pair by name, closed at the end."""
    if name == "memory":
        memory = MemoryPair()
        try:
            yield memory
        finally:
            await memory.close()
        return
    needs_redis_server()
    async with RedisServer({"repl-diskless-sync-delay": "0"}) as old, RedisServer() as new, AsyncExitStack() as stack:
        await asyncio.to_thread(new.command, "REPLICAOF", "127.0.0.1", old.port)
        yield RedisPair(old, new, stack)
