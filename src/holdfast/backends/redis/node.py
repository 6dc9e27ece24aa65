"""One Redis server: its connections, and our functions on it."""

from __future__ import annotations

import asyncio

from holdfast.backends.redis.acks import Acks
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.breaker import Breaker
from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.library import Library
from holdfast.backends.redis.mapping import error_for
from holdfast.backends.redis.wire import ReplyError
from holdfast.errors import ServerUnsuitable, StoreUnavailable


class Node:
    """Small calls share ``connections`` lanes, large ones have a lane of their own, and so has WAIT."""

    def __init__(self, address: Address, *, timeout: float, connections: int, max_waiting: int) -> None:
        self.address = address
        self.where = address.where
        self.timeout = timeout
        self.breaker = Breaker()

        def lane() -> Lane:
            return Lane(address, timeout=timeout, max_waiting=max_waiting, breaker=self.breaker)

        self.lanes = [lane() for _ in range(connections)]
        self.large = lane()
        self.acks = Acks(lane())
        self._only = self.lanes[0] if connections == 1 else None
        self._loading: asyncio.Task[None] | None = None

    def lane(self, key: str) -> Lane:
        """The lane of this key: always the same one, so that a session's calls keep their order."""
        return self._only or self.lanes[hash(key) % len(self.lanes)]

    async def load_functions(self, library: Library) -> None:
        """Puts our functions on the server. Callers at the same time share one attempt.

        Raises:
            ServerUnsuitable: where the server has no functions, or others of the same names.
            StoreUnavailable: this node was closed meanwhile.
        """
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(library), name="holdfast-redis-functions")
            self._loading.add_done_callback(self._loaded)
        loading = self._loading
        await asyncio.wait([loading])  # its cancellation is not the caller's
        if loading.cancelled():
            raise StoreUnavailable(f"Redis at {self.where} is not used any more")
        loading.result()

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()

    async def _load(self, library: Library) -> None:
        reply = await self.large.call(("FUNCTION", "LOAD", library.code), write=False)
        if reply.__class__ is not ReplyError:
            return
        text = str(reply)
        if "already exists" in text and library.name in text:
            return
        if "already exists" in text or "unknown command" in text:
            raise ServerUnsuitable(f"Redis at {self.where} did not take Holdfast's functions: {text[:200]}")
        raise error_for(text, write=False, where=self.where)

    def give_up(self, why: str) -> None:
        """Drops all connections, with the calls under way on them."""
        for lane in (*self.lanes, self.large, self.acks.lane):
            lane.give_up(why)

    async def close(self, why: str = "") -> None:
        """Closes all lanes; ``why`` as for `Lane.close`."""
        if self._loading is not None:
            self._loading.cancel()
        for lane in (*self.lanes, self.large, self.acks.lane):
            await lane.close(why)
