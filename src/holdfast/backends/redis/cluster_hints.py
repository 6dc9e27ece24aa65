"""Hints from a Cluster: shard channels, each on the primary that has its slot, one connection for each of these.

Plain PUBLISH would reach every subscriber too, but the Cluster sends each such message to all of its nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from holdfast.backends.redis.cluster import Cluster
from holdfast.backends.redis.ending import end
from holdfast.backends.redis.keys import text_bytes
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.subscriber import Subscriber, Watching
from holdfast.errors import StoreClosed

_PAUSE_S: Final = 0.1
"""Before a channel that its server refused is asked for again."""


class ShardHints:
    """What `Subscriber` is for one server. Channels move along with their slots."""

    def __init__(self, cluster: Cluster, timeout: float) -> None:
        self._cluster = cluster
        self._timeout = timeout
        self._subscribers: dict[Node, Subscriber] = {}
        self._watched: dict[Watching, tuple[str, Node]] = {}
        self._wake = asyncio.Event()
        self._refused = False
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def watch(self, channel: str) -> AsyncIterator[Watching]:
        """Subscribes for the length of the context. Waits a moment for the subscription; without it there are no hints."""
        node = self._cluster.node(channel)
        if self._closed or node is None:
            raise StoreClosed("this Redis store is closed")
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="holdfast-redis-hints-route")
        watching = Watching()
        self._watched[watching] = (channel, node)
        try:
            await self._at(node).add(text_bytes(channel), watching)
            with suppress(TimeoutError):  # hints are lossy: the caller polls
                async with asyncio.timeout(self._timeout):
                    await watching.subscribed.wait()
            yield watching
        finally:
            channel, node = self._watched.pop(watching)
            if node in self._subscribers:
                await self._subscribers[node].forget(text_bytes(channel), watching)

    def _at(self, node: Node) -> Subscriber:
        subscriber = self._subscribers.get(node)
        if subscriber is None:
            subscriber = Subscriber(lambda: node.address, self._timeout, self._elsewhere)
            self._subscribers[node] = subscriber
        return subscriber

    def moved(self) -> None:
        """Slots have another primary now: their channels go there."""
        self._wake.set()

    def _elsewhere(self) -> None:
        """A server refused a channel: the map is behind."""
        self._refused = True
        self._cluster.look_soon()
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for watching, (channel, old) in list(self._watched.items()):
                new = self._cluster.node(channel)
                if new is None or new is old or watching not in self._watched:
                    continue
                self._watched[watching] = (channel, new)
                if old in self._subscribers:
                    await self._subscribers[old].forget(text_bytes(channel), watching)
                await self._at(new).add(text_bytes(channel), watching)
                if watching not in self._watched:  # it ended meanwhile
                    await self._at(new).forget(text_bytes(channel), watching)
                elif not watching.hints.full():
                    watching.hints.put_nowait(b"moved")  # a hint may have been lost on the way: look
            for node in set(self._subscribers) - set(self._cluster.primaries()):
                await self._subscribers.pop(node).close()
            if self._refused:
                self._refused = False
                await asyncio.sleep(_PAUSE_S)
                for subscriber in list(self._subscribers.values()):
                    await subscriber.repair()

    async def close(self) -> None:
        """Ends the subscriptions; watchers get no more hints."""
        self._closed = True
        if self._task is not None:
            await end([self._task])
        for subscriber in self._subscribers.values():
            await subscriber.close()
