"""A lane: one connection that is there when needed. It connects on demand, once for all who wait, and never retries a call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final, cast

from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from holdfast.backends.redis.mapping import AccessRefused, error_for
from holdfast.backends.redis.wire import Arg, ReplyError, Wire
from holdfast.errors import ConfigError, StoreClosed, StoreUnavailable

_OURS: Final = frozenset(
    {"retry", "protocol", "decode_responses", "socket_timeout", "socket_connect_timeout", "parser_class", "encoding"}
)


class Address:
    """Where a server is and how to reach it, from a URL; opens connections with redis-py.

    Raises:
        ConfigError: for a URL that redis-py does not understand.
    """

    def __init__(self, url: str, client_name: str = "holdfast") -> None:
        try:
            options = cast("dict[str, Any]", parse_url(url))
        except ValueError as error:
            raise ConfigError(f"the Redis URL cannot be used: {error}") from None
        self._kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        self._options = {name: value for name, value in options.items() if name not in _OURS}
        self._options.setdefault("client_name", client_name)
        if issubclass(self._kind, UnixDomainSocketConnection):
            self.where = str(options.get("path", ""))
        else:
            self.where = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"

    def connection(self, timeout: float) -> AbstractConnection:
        """An unconnected redis-py connection: RESP2, no retries."""
        try:
            return self._kind(
                **self._options,
                protocol=2,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
        except TypeError as error:
            raise ConfigError(f"the Redis URL has an option that redis-py does not know: {error}") from None


class Lane:
    """Calls to one server over one connection.

    Args:
        timeout: seconds that a call may take, connecting included.
        max_waiting: how many calls may wait; more are refused.
    """

    def __init__(self, address: Address, *, timeout: float, max_waiting: int) -> None:
        self._address = address
        self.where = address.where
        self.timeout = timeout
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None
        self._closed = False
        self._connect_waiters = 0

    async def call(self, args: Sequence[Arg], *, write: bool) -> Any:
        """One command's reply; an error reply is returned, not raised.

        Raises:
            StoreUnavailable, StoreTimeout, OutcomeUnknown: see `Wire`.
        """
        wire = self._wire
        if wire is None or wire.closed or len(wire) >= self._max_waiting:
            wire, deadline = await self._ready()
            return await wire.send(args, deadline, write)
        return await wire.send(args, self._now() + self.timeout, write)

    async def read_atomic(self, commands: Sequence[Sequence[Arg]]) -> Any:
        """The replies of reading commands as of one moment; the first error reply instead, if there is one."""
        wire = self._wire
        if wire is None or wire.closed or len(wire) >= self._max_waiting:
            wire, deadline = await self._ready()
            return await wire.send_atomic(commands, deadline)
        return await wire.send_atomic(commands, self._now() + self.timeout)

    async def batch(self, commands: Sequence[Sequence[Arg]], *, write: bool = False) -> list[Any]:
        """The replies of independent commands that are sent together.

        Raises:
            StoreError: the first error reply, mapped; or what `call` raises.
        """
        wire, deadline = await self._ready()
        futures = [wire.send(args, deadline, write) for args in commands]
        replies = await asyncio.gather(*futures)
        for reply in replies:
            if reply.__class__ is ReplyError:
                raise error_for(str(reply), write=write, where=self.where)
        return replies

    async def close(self) -> None:
        """Ends all calls under way with `StoreUnavailable` (writes: `OutcomeUnknown`)."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.give_up("is not used any more: this store was closed")
            self._wire = None
            await asyncio.sleep(0)

    # --- connecting ---

    async def _ready(self) -> tuple[Wire, float]:
        """A live connection, and the deadline of a call that began now."""
        deadline = self._now() + self.timeout
        waiting = self._connect_waiters if self._wire is None else len(self._wire)
        if waiting >= self._max_waiting:
            raise StoreUnavailable(
                f"{waiting} calls wait for Redis at {self.where}: this one was refused; slow down, or raise max_waiting"
            )
        joined = self._connecting is not None
        while True:
            if self._closed:
                raise StoreClosed("this Redis store is closed")
            wire = self._wire
            if wire is not None and not wire.closed:
                return wire, deadline
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect(), name="holdfast-redis-connect")
                self._connecting.add_done_callback(self._connected)
            try:
                await self._wait_for(self._connecting, deadline)
            except StoreUnavailable:
                # The attempt of an earlier call ran out of that call's time: this one has some of its own left.
                if not joined or self._now() >= deadline:
                    raise
                joined = False

    async def _wait_for(self, connecting: asyncio.Task[Wire], deadline: float) -> None:
        self._connect_waiters += 1
        try:
            done, _ = await asyncio.wait([connecting], timeout=max(0.0, deadline - self._now()))
        finally:
            self._connect_waiters -= 1
        if not done:
            raise StoreUnavailable(
                f"no connection to Redis at {self.where} within {self.timeout:g} s; nothing was sent"
            )
        if connecting.cancelled():
            raise StoreClosed("this Redis store is closed")
        if (error := connecting.exception()) is not None:
            kind = AccessRefused if isinstance(error, AccessRefused) else StoreUnavailable
            raise kind(*error.args) from error

    def _connected(self, task: asyncio.Task[Wire]) -> None:
        self._connecting = None
        if task.cancelled() or task.exception() is not None:
            return
        if self._closed:
            task.result().give_up("is not used any more: this store was closed")
        else:
            self._wire = task.result()

    async def _connect(self) -> Wire:
        connection = self._address.connection(self.timeout)
        try:
            async with asyncio.timeout(self.timeout):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py lacks the types
        except (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError, RedisError) as error:
            await connection.disconnect(nowait=True)
            raise self._unreached(error) from error
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise
        reader, writer = connection._reader, connection._writer
        if reader is None or writer is None:
            raise StoreUnavailable(f"Redis at {self.where} closed the connection at once")
        # From here on the transport is ours. redis-py's object would close it when collected: it lets go of it.
        connection._reader = connection._writer = None
        wire = Wire(self._loop, self.where, keep=(reader, writer))
        wire.take_over(cast("asyncio.Transport", writer.transport), bytes(reader._buffer))  # type: ignore[attr-defined]
        return wire

    def _unreached(self, error: BaseException) -> StoreUnavailable:
        if isinstance(error, AuthenticationError | ResponseError):
            text = str(error)  # redis-py cuts the code off
            if isinstance(error, NoPermissionError) and not text.startswith("NOPERM"):
                text = f"NOPERM {text}"
            if isinstance(error, AuthenticationError) and not text.startswith(("NOAUTH", "WRONGPASS")):
                text = f"{'NOAUTH' if 'required' in text else 'WRONGPASS'} {text}"
            refused = error_for(text, write=False, where=self.where)
            return refused if isinstance(refused, AccessRefused) else StoreUnavailable(*refused.args)
        if isinstance(error, RedisTimeoutError | TimeoutError | socket.timeout):
            why = f"no answer within {self.timeout:g} s"
        else:
            why = str(error.__cause__ or error.__context__ or error)
        return StoreUnavailable(
            f"Redis at {self.where} cannot be reached: {why}. Is it running, and are host, port and firewall right?"
        )
