"""One Redis server: its connections, and our functions on it."""

from __future__ import annotations

import asyncio

from holdfast.backends.redis.acks import Acks
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.breaker import Breaker
from holdfast.backends.redis.figures import ClientFigures
from holdfast.backends.redis.forms import Form, functions_of
from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.library import SERVER, Library
from holdfast.backends.redis.loading import load
from holdfast.backends.redis.wire import Traffic
from holdfast.errors import StoreUnavailable


class Node:
    """Small calls share ``connections`` lanes, large ones have a lane of their own, and so has WAIT.

    Attributes:
        form: how this server runs our Lua; found out when it is opened.
    """

    def __init__(
        self, address: Address, *, timeout: float, connections: int, max_waiting: int, library: Library = SERVER
    ) -> None:
        self.address = address
        self.library = library
        self.form: Form = functions_of(library)
        self.where = address.where
        self.timeout = timeout
        self.breaker = Breaker()
        self.traffic = Traffic()

        def lane() -> Lane:
            return Lane(address, timeout=timeout, max_waiting=max_waiting, breaker=self.breaker, traffic=self.traffic)

        self.lanes = [lane() for _ in range(connections)]
        self.large = lane()
        self.acks = Acks(lane())
        self._only = self.lanes[0] if connections == 1 else None
        self._loading: asyncio.Task[None] | None = None

    def lane(self, key: str) -> Lane:
        """The lane of this key: always the same one, so that a session's calls keep their order."""
        return self._only or self.lanes[hash(key) % len(self.lanes)]

    async def load_functions(self) -> None:
        """Puts our Lua on the server. Callers at the same time share one attempt.

        Raises:
            ServerUnsuitable: where the server has others of the same names.
            StoreUnavailable: where this user may not, or the server is not reached.
            StoreUnavailable: this node was closed meanwhile.
        """
        if self._loading is None:
            self._loading = asyncio.create_task(load(self.large, self.form), name="holdfast-redis-functions")
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

    def figures(self) -> ClientFigures:
        """What this node of ours knows of its traffic with the server."""
        lanes = {
            **{f"small-{at}": lane for at, lane in enumerate(self.lanes)},
            "large": self.large,
            "wait": self.acks.lane,
        }
        return ClientFigures(
            self.where,
            queued={name: lane.queued for name, lane in lanes.items()},
            waiting=sum(lane.connecting for lane in lanes.values()),
            connections=sum(lane.connected for lane in lanes.values()),
            max_connections=len(lanes),
            connects=self.traffic.connects,
            calls=self.traffic.answered,
            sent=self.traffic.sent,
            received=self.traffic.received,
            refused=self.breaker.refused,
            breaker=self.breaker.state,
        )

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
