"""A TCP proxy between client and server that loses, delays, cuts and holds what passes, on demand or by dice.

It knows no protocol. What it calls a request is a chunk of bytes from the client (what one read brought), a reply a chunk from
the server; with one call at a time on a connection, these are the calls::

    async with FaultProxy("127.0.0.1", 6379, seed=1) as proxy:
        client = connect(proxy.host, proxy.port)
        proxy.lose_reply(to=b"commit")              # the next request with these bytes is applied and never answered
        proxy.faults = Faults(delay=0.1, lose_reply=0.01)
        print(proxy.traffic.round_trips)
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, Self

from holdfast.testing.places import free_port

CHUNK = 65_536
"""Bytes that one read may bring."""

Kind = Literal["lose-request", "cut-request", "lose-reply", "hang-reply", "cut-reply", "hold-request"]


@dataclass(frozen=True)
class Faults:
    """Chances (0 to 1) of each fault, for each request; ``delay`` for each chunk in either direction.

    Attributes:
        delay: it waits ``delay_s`` (shortest, longest; seconds) first.
        lose_request: it is dropped and the connection cut: never applied.
        lose_reply: it is forwarded, the reply dropped, then the connection cut: applied, and nobody knows.
        hang_reply: the same, but the connection stays open and silent.
        cut_reply: it is forwarded, and the connection cut after the reply's first few bytes.
    """

    delay: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.05)
    lose_request: float = 0.0
    lose_reply: float = 0.0
    hang_reply: float = 0.0
    cut_reply: float = 0.0


NO_FAULTS = Faults()


@dataclass
class Traffic:
    """What has passed so far, over all connections.

    Attributes:
        connections: accepted ones.
        bytes_in: from clients; bytes_out: to clients.
        round_trips: how often a client spoke after the server had (or first): requests that had to wait for a reply.
        faults: how often each fault was done.
    """

    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    round_trips: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Held:
    """A request that the proxy has in its hands.

    Attributes:
        arrived: set when the request has come.
    """

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Lets the request go on to the server, also if its client has gone away meanwhile."""
        self._released.set()

    async def wait_released(self) -> None:
        """Returns when `release` was called."""
        await self._released.wait()


@dataclass
class _Once:
    """A fault that was ordered for the next ``count`` requests that contain ``to``."""

    kind: Kind
    to: bytes
    count: int
    after: int = 0
    held: Held | None = None


class FaultProxy:
    """Forwards connections to ``host:port``; an async context manager.

    Args:
        host, port: the server.
        seed: of the dice; the same seed and the same traffic give the same faults.
        faults: what happens by chance; may be set anew at any time.

    Attributes:
        host, port: where clients connect (a free port of the loopback interface, kept over `refuse`).
        traffic: the counters; `reset_traffic` starts them anew.
    """

    def __init__(self, host: str, port: int, *, seed: int = 0, faults: Faults = NO_FAULTS) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.faults = faults
        self.traffic = Traffic()
        self._upstream = (host, port)
        self._dice = random.Random(seed)
        self._once: list[_Once] = []
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._half_open = False

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        self.refuse()
        links = list(self._links)
        self.cut_all()
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def reset_traffic(self) -> Traffic:
        """Starts the counters anew; returns the old ones."""
        old, self.traffic = self.traffic, Traffic()
        return old

    # --- switches ---

    def refuse(self) -> None:
        """New connections are refused (nobody listens) until `accept`; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Listens (again)."""
        while self._server is None:
            port = self.port or free_port()
            try:
                self._server = await asyncio.start_server(self._serve, self.host, port)
            except OSError as error:
                if self.port or error.errno != errno.EADDRINUSE:
                    raise
            else:
                self.port = port

    def blackhole(self, on: bool = True) -> None:
        """Nothing passes in either direction, on old and new connections; what waits is delivered when it is over."""
        if on:
            self._open.clear()
        else:
            self._open.set()

    def half_open(self, on: bool = True) -> None:
        """New connections are accepted and never answered; they stay dead afterwards. Old ones go on."""
        self._half_open = on

    def redirect(self, host: str, port: int) -> None:
        """New connections go to another server, as after a failover; open ones stay where they are."""
        self._upstream = (host, port)

    def cut_all(self) -> None:
        """Cuts every open connection, on both sides, with a reset."""
        for link in list(self._links.values()):
            link.cut()

    # --- faults on order ---

    def lose_request(self, *, to: bytes = b"", count: int = 1) -> None:
        """The next ``count`` requests with the bytes ``to`` are dropped, and their connections cut."""
        self._once.append(_Once("lose-request", to, count))

    def cut_request(self, after: int, *, to: bytes = b"", count: int = 1) -> None:
        """Of the next requests with ``to`` only the first ``after`` bytes are forwarded, then the connection is cut."""
        self._once.append(_Once("cut-request", to, count, after))

    def lose_reply(self, *, to: bytes = b"", count: int = 1, then: Literal["cut", "hang"] = "cut") -> None:
        """The next requests with ``to`` are forwarded; their reply is dropped when it comes, and the connection cut or silent."""
        self._once.append(_Once("lose-reply" if then == "cut" else "hang-reply", to, count))

    def cut_reply(self, after: int, *, to: bytes = b"", count: int = 1) -> None:
        """The next requests with ``to`` are forwarded; the connection is cut after ``after`` bytes of the reply."""
        self._once.append(_Once("cut-reply", to, count, after))

    def hold_request(self, *, to: bytes = b"") -> Held:
        """The next request with ``to`` is kept (with all that follows on its connection) until `Held.release`."""
        held = Held()
        self._once.append(_Once("hold-request", to, 1, held=held))
        return held

    # --- inside ---

    def _next_fault(self, request: bytes) -> _Once | None:
        for ordered in self._once:
            if ordered.to in request:
                ordered.count -= 1
                if ordered.count <= 0:
                    self._once.remove(ordered)
                return self._counted(ordered)
        faults = self.faults
        dice = self._dice.random()
        chances: tuple[tuple[Kind, float], ...] = (
            ("lose-request", faults.lose_request),
            ("lose-reply", faults.lose_reply),
            ("hang-reply", faults.hang_reply),
            ("cut-reply", faults.cut_reply),
        )
        for kind, chance in chances:
            if dice < chance:
                return self._counted(_Once(kind, b"", 1, self._dice.randint(0, 16)))
            dice -= chance
        return None

    def _counted(self, fault: _Once) -> _Once:
        self.traffic.faults[fault.kind] += 1
        return fault

    async def _pause(self) -> None:
        """The delay, if the dice say so, and the blackhole, if there is one."""
        if self.faults.delay and self._dice.random() < self.faults.delay:
            self.traffic.faults["delay"] += 1
            await asyncio.sleep(self._dice.uniform(*self.faults.delay_s))
        await self._open.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.traffic.connections += 1
        link = _Link(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._links[task] = link
        try:
            if self._half_open:
                self.traffic.faults["half-open"] += 1
                await link.swallow_all()
            else:
                await self._open.wait()
                await link.run(*self._upstream)
        except (OSError, asyncio.CancelledError):
            pass  # a broken or cut connection is what this is for; the client sees it closed
        finally:
            link.end()
            del self._links[task]


class _Link:
    """One client's connection and its other half."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._server_writer: asyncio.StreamWriter | None = None
        self._server_spoke_last = True
        self._reply_left: int | None = None
        """How many bytes of the reply may pass before the cut; None for all."""
        self._silent = False

    async def run(self, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        self._server_writer = writer
        up = asyncio.create_task(self._requests(writer))
        down = asyncio.create_task(self._replies(reader))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for pump in (up, down):
                pump.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def swallow_all(self) -> None:
        reader, _ = self._client
        while data := await reader.read(CHUNK):
            self._proxy.traffic.bytes_in += len(data)

    def cut(self) -> None:
        for writer in (self._client[1], self._server_writer):
            if writer is not None:
                writer.transport.abort()

    def end(self) -> None:
        """Resets the client's side; what was forwarded to the server still arrives there."""
        self._client[1].transport.abort()
        if self._server_writer is not None:
            self._server_writer.close()

    async def _requests(self, writer: asyncio.StreamWriter) -> None:
        proxy, (reader, _) = self._proxy, self._client
        while data := await reader.read(CHUNK):
            proxy.traffic.bytes_in += len(data)
            proxy.traffic.round_trips += self._server_spoke_last
            self._server_spoke_last = False
            if self._silent:
                continue
            fault = proxy._next_fault(data)
            await proxy._pause()
            if fault is not None:
                data = await self._spoil(data, fault)
            writer.write(data)
            await writer.drain()
            if fault is not None and fault.kind in ("lose-request", "cut-request"):
                raise ConnectionAbortedError
        writer.write_eof()

    async def _spoil(self, data: bytes, fault: _Once) -> bytes:
        """What of the request is forwarded, once it is known how its reply will fare."""
        if fault.kind == "lose-request":
            return b""
        if fault.kind == "cut-request":
            return data[: fault.after]
        if fault.kind == "lose-reply":
            self._reply_left = 0
        elif fault.kind == "cut-reply":
            self._reply_left = fault.after
        elif fault.kind == "hang-reply":
            self._silent = True
        elif fault.held is not None:
            fault.held.arrived.set()
            await fault.held.wait_released()
        return data

    async def _replies(self, reader: asyncio.StreamReader) -> None:
        proxy, (_, writer) = self._proxy, self._client
        while data := await reader.read(CHUNK):
            self._server_spoke_last = True
            await proxy._pause()
            if self._silent:
                continue
            cut = self._reply_left is not None and len(data) >= self._reply_left
            if self._reply_left is not None:
                data = data[: self._reply_left]
                self._reply_left -= len(data)
            writer.write(data)
            proxy.traffic.bytes_out += len(data)
            await writer.drain()
            if cut:
                writer.close()  # flushes the part that may pass
                raise ConnectionAbortedError
        if not writer.is_closing() and writer.can_write_eof():
            writer.write_eof()
