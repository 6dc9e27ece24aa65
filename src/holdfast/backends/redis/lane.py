"""A lane: one connection that is there when needed. It connects on demand, once for all who wait, and never retries a call."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from holdfast.backends.redis.address import Address
from holdfast.backends.redis.breaker import GRACE_S, PROBE_S, RETRY_AFTER_S, Breaker
from holdfast.backends.redis.mapping import AccessRefused, error_for
from holdfast.backends.redis.wire import Arg, Traffic, Wire
from holdfast.errors import StoreClosed, StoreOverloaded, StoreUnavailable


class Lane:
    """Calls to one server over one connection.

    Args:
        timeout: seconds that a call may take, connecting included.
        max_waiting: how many calls may wait; more are refused.
        breaker, traffic: of this server, shared by its lanes.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float,
        max_waiting: int,
        breaker: Breaker | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self._address = address
        self.where = address.where
        self.timeout = timeout
        self._max_waiting = max_waiting
        self.breaker = breaker or Breaker()
        self.traffic = traffic or Traffic()
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None
        self._closed = False
        self._retired = ""
        self._connect_waiters = 0

    async def call(
        self, args: Sequence[Arg], *, write: bool, deadline: float | None = None, before: Sequence[Arg] = ()
    ) -> Any:
        """One command's reply; an error reply is returned, not raised.

        Args:
            deadline: by the loop's clock; the lane's ``timeout`` from now if None.
            before: a command that is sent right before this one on the same connection; its reply is dropped.

        Raises:
            StoreUnavailable, StoreTimeout, OutcomeUnknown: see `Wire`.
        """
        if deadline is None:
            deadline = self._now() + self.timeout
        wire = self._wire
        if wire is None or wire.closed or len(wire) >= self._max_waiting:
            wire = await self._ready(deadline)
        if before:
            wire.send(before, deadline, False).cancel()
        return await wire.send(args, deadline, write)

    def send(self, args: Sequence[Arg], deadline: float) -> asyncio.Future[Any] | None:
        """As `call`, for a write, where nothing has to be waited for first; else None, and nothing was sent."""
        wire = self._wire
        if wire is None or wire.closed or len(wire.waiting) >= self._max_waiting:
            return None
        return wire.send(args, deadline, True)

    async def read_atomic(self, commands: Sequence[Sequence[Arg]], *, deadline: float | None = None) -> Any:
        """The replies of reading commands as of one moment; the first error reply instead, if there is one."""
        if deadline is None:
            deadline = self._now() + self.timeout
        wire = self._wire
        if wire is None or wire.closed or len(wire) >= self._max_waiting:
            wire = await self._ready(deadline)
        return await wire.send_atomic(commands, deadline)

    async def batch(
        self, commands: Sequence[Sequence[Arg]], *, write: bool = False, deadline: float | None = None
    ) -> list[Any]:
        """The replies of independent commands that are sent together, error replies among them."""
        if deadline is None:
            deadline = self._now() + self.timeout
        wire = await self._ready(deadline)
        return await asyncio.gather(*[wire.send(args, deadline, write) for args in commands])

    @property
    def queued(self) -> int:
        """Calls that wait for their replies."""
        return len(self._wire) if self._wire is not None else 0

    @property
    def connecting(self) -> int:
        """Callers that wait for a connection."""
        return self._connect_waiters

    @property
    def connected(self) -> bool:
        return self._wire is not None and not self._wire.closed

    @property
    def oldest(self) -> object | None:
        """What has waited longest for this server, a call or an attempt to connect; None while nothing waits."""
        wire = self._wire
        return self._connecting if wire is None or wire.closed else wire.oldest

    def give_up(self, why: str) -> None:
        """Drops the connection, with the calls under way on it. The next call connects anew."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.give_up(why)

    async def close(self, why: str = "") -> None:
        """Ends all calls under way with `StoreUnavailable` (writes: `OutcomeUnknown`).

        Args:
            why: what became of the server, where the store itself goes on with another one.
        """
        self._closed = True
        self._retired = why
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.give_up(why or "is not used any more: this store was closed")
            self._wire = None
            await asyncio.sleep(0)

    # --- connecting ---

    async def _ready(self, deadline: float) -> Wire:
        """A live connection."""
        wire = self._wire
        waiting = self._connect_waiters if wire is None or wire.closed else len(wire)
        if waiting >= self._max_waiting:
            raise overloaded(
                f"{waiting} calls wait for Redis at {self.where}: this one was refused; slow down, or raise max_waiting"
            )
        if self.breaker.is_open:
            deadline = min(deadline, self._now() + GRACE_S)
        joined = self._connecting is not None
        while True:
            if self._closed:
                raise self._gone()
            wire = self._wire
            if wire is not None and not wire.closed:
                return wire
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
            if self.breaker.is_open:
                self.breaker.refused += 1
                raise unavailable(
                    f"Redis at {self.where} has been silent; nothing was sent, and calls are refused early"
                )
            hint = " Does it speak TLS on this port?" if self._address.tls else ""
            raise StoreUnavailable(f"no connection to Redis at {self.where} in time; nothing was sent.{hint}")
        if connecting.cancelled():
            raise self._gone()
        if (error := connecting.exception()) is not None:
            kind = type(error) if isinstance(error, StoreUnavailable) else StoreUnavailable
            mine = kind(*error.args)
            if self.breaker.is_open:
                mine.retry_after = RETRY_AFTER_S
            raise mine from error

    def _gone(self) -> StoreUnavailable:
        if self._retired:
            return StoreUnavailable(f"Redis at {self.where} {self._retired}; nothing was sent")
        return StoreClosed("this Redis store is closed")

    def _connected(self, task: asyncio.Task[Wire]) -> None:
        self._connecting = None
        if task.cancelled() or task.exception() is not None:
            return
        if self._closed:
            task.result().give_up(self._retired or "is not used any more: this store was closed")
        else:
            self._wire = task.result()

    async def _connect(self) -> Wire:
        self.breaker.probing(1)
        try:
            wire = await self._connection()
        except StoreUnavailable as error:
            if isinstance(error.__cause__, RedisTimeoutError | TimeoutError):
                self.breaker.silence()
            raise
        finally:
            self.breaker.probing(-1)
        self.breaker.answer()
        self.traffic.connects += 1
        return wire

    async def _connection(self) -> Wire:
        limit = min(self.timeout, PROBE_S) if self.breaker.is_open else self.timeout
        connection = self._address.connection(limit)
        try:
            async with asyncio.timeout(limit):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py lacks the types
                if self._address.primary:
                    await self._ensure_primary(connection)
        except (RedisError, OSError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            raise self._unreached(error) from error
        except (asyncio.CancelledError, StoreUnavailable):
            await connection.disconnect(nowait=True)
            raise
        reader, writer = connection._reader, connection._writer
        if reader is None or writer is None:
            raise StoreUnavailable(f"Redis at {self.where} closed the connection at once")
        # From here on the transport is ours. redis-py's object would close it when collected: it lets go of it.
        connection._reader = connection._writer = None
        wire = Wire(
            self._loop, self.where, keep=(reader, writer), on_silence=self.breaker.silence, traffic=self.traffic
        )
        wire.take_over(cast("asyncio.Transport", writer.transport), bytes(reader._buffer))  # type: ignore[attr-defined]
        return wire

    async def _ensure_primary(self, connection: AbstractConnection) -> None:
        await connection.send_command("ROLE")
        role = await connection.read_response()
        if not isinstance(role, list) or role[0] != b"master":
            raise StoreUnavailable(f"Redis at {self.where} is not the primary (any more)")

    def _unreached(self, error: BaseException) -> StoreUnavailable:
        told = _told(error)
        if told is not None:
            error, text = told, str(told)  # redis-py cuts the code off
            if isinstance(error, NoPermissionError) and not text.startswith("NOPERM"):
                text = f"NOPERM {text}"
            if isinstance(error, AuthenticationError) and not text.startswith(("NOAUTH", "WRONGPASS")):
                text = f"{'NOAUTH' if 'required' in text else 'WRONGPASS'} {text}"
            refused = error_for(text, write=False, where=self.where)
            return refused if isinstance(refused, AccessRefused) else StoreUnavailable(*refused.args)
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, ssl.SSLError) or "SSL" in str(error):
            return AccessRefused(f"Redis at {self.where}: no TLS connection: {_tls_trouble(cause)}")
        if isinstance(error, RedisTimeoutError | TimeoutError | socket.timeout):
            why = f"no answer within {self.timeout:g} s" + (" to the TLS handshake" if self._address.tls else "")
        elif isinstance(cause, ConnectionResetError) or "closed by server" in str(cause):
            hint = "does it ask for a client's certificate? Give tls_cert and tls_key" if self._address.tls else ""
            why = f"it closed the connection at once ({hint or 'a TLS port wants rediss://'})"
        elif "Protocol error" in str(cause):
            why = f"what answers there is not Redis ({cause})"
        else:
            why = str(cause)
        return StoreUnavailable(
            f"Redis at {self.where} cannot be reached: {why}. Is it running, and are host, port and firewall right?"
        )


def _told(error: BaseException | None) -> BaseException | None:
    """The server's own refusal, where there is one; redis-py may have wrapped it."""
    while error is not None and not isinstance(error, AuthenticationError | ResponseError):
        error = error.__cause__ or error.__context__
    return error


def unavailable(message: str) -> StoreUnavailable:
    """The error of a call that was refused while the server is silent."""
    error = StoreUnavailable(message)
    error.retry_after = RETRY_AFTER_S
    return error


def overloaded(message: str) -> StoreOverloaded:
    """The error of a call that was refused because too many wait."""
    error = StoreOverloaded(message)
    error.retry_after = RETRY_AFTER_S
    return error


def _tls_trouble(error: BaseException) -> str:
    """What to change. With TLS 1.3 a server refuses a client's certificate only after the handshake, with an alert."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message}); check tls_ca and tls_server_name"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return "it does not speak TLS on this port; write redis:// or use its TLS port"
    if "ALERT" in text.upper() or "CERTIFICATE_REQUIRED" in text.upper():
        return f"it refuses this client's certificate ({text[:120]}); check tls_cert and tls_key"
    return text[:200]
