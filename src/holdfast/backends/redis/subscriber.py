"""Hints from Redis: one connection that subscribes on demand. Hints may be lost; whoever waits for one polls as well."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from holdfast.backends.redis.address import Address
from holdfast.backends.redis.ending import end
from holdfast.backends.redis.keys import text_bytes
from holdfast.backends.redis.listening import Listening
from holdfast.errors import StoreClosed

_BACK_OFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_IDLE_S: Final = 15.0
"""After this long without a message the connection is tried with a PING."""
_MAX_HINTS: Final = 1000
"""Hints that nobody has taken yet; more are dropped."""


class Watching:
    """The hints of one session, for one caller."""

    def __init__(self) -> None:
        self.hints: asyncio.Queue[bytes] = asyncio.Queue(_MAX_HINTS)
        self.subscribed = asyncio.Event()
        """Set once the server has confirmed the subscription."""

    async def wait(self, timeout: float) -> bytes | None:
        """See `holdfast.backends.contract.Watch.wait`."""
        if not self.hints.empty():
            return self.hints.get_nowait()
        try:
            async with asyncio.timeout(timeout):
                return await self.hints.get()
        except TimeoutError:
            return None


class Subscriber:
    """Keeps the subscriptions that are wanted on a connection of their own, and restores them after it is lost.

    Args:
        address: where the primary is now; None while none is known.
        elsewhere: given for a Cluster's shard channels; called when the server says that a channel is not (or no longer) its own.
    """

    def __init__(
        self, address: Callable[[], Address | None], timeout: float, elsewhere: Callable[[], None] | None = None
    ) -> None:
        self._address = address
        self._elsewhere = elsewhere
        self._kind = "S" if elsewhere else ""
        self._timeout = timeout
        self._wanted: dict[bytes, set[Watching]] = {}
        self._confirmed: set[bytes] = set()
        self._leaving: Counter[bytes] = Counter()  # asked to be unsubscribed, so that the answer is no surprise
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def watch(self, channel: str) -> AsyncIterator[Watching]:
        """Subscribes for the length of the context. Waits a moment for the subscription; without it there are no hints."""
        if self._closed:
            raise StoreClosed("this Redis store is closed")
        name = text_bytes(channel)
        watching = Watching()
        try:
            await self.add(name, watching)
            with suppress(TimeoutError):  # hints are lossy: the caller polls
                async with asyncio.timeout(self._timeout):
                    await watching.subscribed.wait()
            yield watching
        finally:
            await self.forget(name, watching)

    async def add(self, name: bytes, watching: Watching) -> None:
        """Hints of this channel go to ``watching``, from when it is subscribed."""
        first = name not in self._wanted
        self._wanted.setdefault(name, set()).add(watching)
        if name in self._confirmed:
            watching.subscribed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="holdfast-redis-hints")
        elif first:
            await self._say(self._kind + "SUBSCRIBE", name)

    async def repair(self) -> None:
        """Asks again for what the server has not confirmed."""
        for name in set(self._wanted) - self._confirmed:
            await self._say(self._kind + "SUBSCRIBE", name)

    async def forget(self, name: bytes, watching: Watching) -> None:
        """No more hints of this channel for ``watching``."""
        watchers = self._wanted.get(name, set())
        watchers.discard(watching)
        if not watchers:
            self._wanted.pop(name, None)
            self._confirmed.discard(name)
            if self._connection is not None:
                self._leaving[name] += 1
            await self._say(self._kind + "UNSUBSCRIBE", name)

    async def _say(self, *args: str | bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        with suppress(RedisError, OSError):  # the reading side notices the loss and subscribes anew
            await connection.send_command(*args)

    async def _run(self) -> None:
        failures = 0
        while not self._closed:
            address = self._address()
            if address is None:
                await asyncio.sleep(_BACK_OFF_S[1])
                continue
            connection = address.connection(self._timeout)
            try:
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py lacks the types
                self._connection = connection
                for name in list(self._wanted):  # one by one: a Cluster's shard channels may not share a command
                    await connection.send_command(self._kind + "SUBSCRIBE", name)
                failures = 0
                await self._listen(connection)
            except (RedisError, OSError, TimeoutError):
                failures += 1
            finally:
                self._connection = None
                self._confirmed.clear()
                self._leaving.clear()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])

    async def _listen(self, connection: AbstractConnection) -> None:
        listening = Listening(connection, _IDLE_S)
        while True:
            try:
                message = await listening.message()
            except ResponseError:
                if self._elsewhere is None:
                    raise
                self._elsewhere()
                continue
            if len(message) < 3:
                continue
            kind, name, data = message
            if kind in (b"message", b"smessage"):
                for watching in self._wanted.get(name, ()):
                    if not watching.hints.full():
                        watching.hints.put_nowait(data)
            elif kind in (b"subscribe", b"ssubscribe") and name in self._wanted:
                self._confirmed.add(name)
                for watching in self._wanted[name]:
                    watching.subscribed.set()
            elif kind in (b"unsubscribe", b"sunsubscribe"):
                self._left(name)

    def _left(self, name: bytes) -> None:
        if self._leaving[name] > 1:
            self._leaving[name] -= 1
        elif self._leaving.pop(name, 0) == 0 and name in self._wanted and self._elsewhere is not None:
            self._confirmed.discard(name)
            self._elsewhere()

    def moved(self) -> None:
        """The primary is another one now: subscribes there."""
        if self._connection is not None and self._connection._writer is not None:
            self._connection._writer.transport.abort()

    async def close(self) -> None:
        """Ends the subscriptions; watchers get no more hints."""
        self._closed = True
        if self._task is not None:
            await end([self._task])
            self._task = None
