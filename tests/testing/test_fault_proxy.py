"""The fault proxy does what it is told to, to a small line-by-line server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from holdfast.testing.fault_proxy import FaultProxy, Faults

SOON = 5.0
QUIET = 0.05


class EchoServer:
    """Answers each line with ``re:`` and the line, and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.second = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.got.append(line)
                if len(self.got) == 2:
                    self.second.set()
                writer.write(b"re:" + line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, line: bytes) -> None:
        self.writer.write(line)

    async def call(self, line: bytes) -> bytes:
        """The reply; b"" where the connection was closed instead."""
        self.send(line)
        return await self.read()

    async def read(self) -> bytes:
        try:
            return await asyncio.wait_for(self.reader.readline(), SOON)
        except ConnectionError:
            return b""

    async def silent(self) -> bool:
        """Does nothing come, not even the end?"""
        try:
            await asyncio.wait_for(self.reader.readline(), QUIET)
        except TimeoutError:
            return True
        except ConnectionError:
            return False
        return False


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    echo = EchoServer()
    listening = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = listening.sockets[0].getsockname()[1]
    yield echo
    listening.close()


@pytest.fixture
async def proxy(server: EchoServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        yield proxy


Connect = Callable[[FaultProxy], Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    clients: list[Client] = []

    async def open_one(proxy: FaultProxy) -> Client:
        clients.append(Client(*await asyncio.open_connection(proxy.host, proxy.port)))
        return clients[-1]

    yield open_one
    for client in clients:
        client.writer.transport.abort()


@pytest.fixture
async def client(proxy: FaultProxy, connect: Connect) -> Client:
    return await connect(proxy)


async def test_without_faults_everything_passes_and_is_counted(proxy: FaultProxy, client: Client) -> None:
    for _ in range(3):
        assert await client.call(b"hello\n") == b"re:hello\n"
    traffic = proxy.reset_traffic()
    assert (traffic.connections, traffic.bytes_in, traffic.bytes_out, traffic.round_trips) == (1, 18, 27, 3)
    assert proxy.traffic.round_trips == 0


async def test_requests_sent_together_are_one_round_trip(proxy: FaultProxy, client: Client) -> None:
    client.send(b"a\nb\nc\n")
    assert [await client.read() for _ in range(3)] == [b"re:a\n", b"re:b\n", b"re:c\n"]
    assert proxy.traffic.round_trips == 1


async def test_a_lost_reply_means_applied_and_never_answered(
    proxy: FaultProxy, client: Client, server: EchoServer, connect: Connect
) -> None:
    proxy.lose_reply(to=b"commit")
    assert await client.call(b"load\n") == b"re:load\n"
    assert await client.call(b"commit\n") == b""
    assert server.got == [b"load\n", b"commit\n"]
    assert await (await connect(proxy)).call(b"commit\n") == b"re:commit\n"
    assert proxy.traffic.faults == {"lose-reply": 1}


async def test_a_reply_may_be_lost_in_silence(proxy: FaultProxy, client: Client, server: EchoServer) -> None:
    proxy.lose_reply(then="hang")
    client.send(b"commit\n")
    assert await client.silent()
    client.send(b"again\n")
    assert await client.silent()
    assert server.got == [b"commit\n"]


async def test_a_lost_request_never_arrives(proxy: FaultProxy, client: Client, server: EchoServer) -> None:
    proxy.lose_request(to=b"commit")
    assert await client.call(b"commit\n") == b""
    assert server.got == []


async def test_a_request_is_cut_after_some_bytes(proxy: FaultProxy, client: Client, server: EchoServer) -> None:
    proxy.cut_request(3)
    assert await client.call(b"commit\n") == b""
    assert b"commit\n" not in server.got


async def test_a_reply_is_cut_after_some_bytes(
    proxy: FaultProxy, client: Client, server: EchoServer, connect: Connect
) -> None:
    proxy.cut_reply(4, count=2)
    assert await client.call(b"commit\n") == b"re:c"
    assert await (await connect(proxy)).call(b"commit\n") == b"re:c"
    assert await (await connect(proxy)).call(b"commit\n") == b"re:commit\n"


async def test_a_held_request_arrives_late_even_if_its_client_is_gone(
    proxy: FaultProxy, client: Client, server: EchoServer, connect: Connect
) -> None:
    held = proxy.hold_request(to=b"commit")
    client.send(b"commit\n")
    await asyncio.wait_for(held.arrived.wait(), SOON)
    client.writer.close()
    assert await (await connect(proxy)).call(b"resolve\n") == b"re:resolve\n"
    assert server.got == [b"resolve\n"]
    held.release()
    await asyncio.wait_for(server.second.wait(), SOON)
    assert server.got == [b"resolve\n", b"commit\n"]


async def test_a_blackhole_stops_everything_until_it_is_over(
    proxy: FaultProxy, client: Client, server: EchoServer, connect: Connect
) -> None:
    assert await client.call(b"a\n") == b"re:a\n"
    proxy.blackhole()
    client.send(b"b\n")
    newcomer = await connect(proxy)
    newcomer.send(b"c\n")
    assert await client.silent()
    assert await newcomer.silent()
    assert server.got == [b"a\n"]
    proxy.blackhole(False)
    assert await client.read() == b"re:b\n"
    assert await newcomer.read() == b"re:c\n"


async def test_a_half_open_peer_accepts_and_never_answers(
    proxy: FaultProxy, client: Client, server: EchoServer, connect: Connect
) -> None:
    assert await client.call(b"a\n") == b"re:a\n"
    proxy.half_open()
    newcomer = await connect(proxy)
    newcomer.send(b"b\n")
    assert await newcomer.silent()
    assert await client.call(b"c\n") == b"re:c\n"
    proxy.half_open(False)
    assert await (await connect(proxy)).call(b"d\n") == b"re:d\n"
    assert server.got == [b"a\n", b"c\n", b"d\n"]


async def test_refused_connections_and_back_on_the_same_port(
    proxy: FaultProxy, client: Client, connect: Connect
) -> None:
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    assert await client.call(b"a\n") == b"re:a\n"
    await proxy.accept()
    assert proxy.port == port
    assert await (await connect(proxy)).call(b"b\n") == b"re:b\n"


async def test_all_connections_are_cut(proxy: FaultProxy, client: Client, connect: Connect) -> None:
    other = await connect(proxy)
    assert await other.call(b"a\n") == b"re:a\n"
    proxy.cut_all()
    assert await client.read() == b""
    assert await other.read() == b""
    assert await (await connect(proxy)).call(b"b\n") == b"re:b\n"


async def test_a_server_that_is_down_shows_as_a_closed_connection(proxy: FaultProxy, connect: Connect) -> None:
    async with FaultProxy("127.0.0.1", 1) as nowhere:
        assert await (await connect(nowhere)).call(b"a\n") == b""


async def test_a_delay_delays(proxy: FaultProxy, client: Client) -> None:
    proxy.faults = Faults(delay=1.0, delay_s=(0.05, 0.05))
    started = asyncio.get_running_loop().time()
    assert await client.call(b"a\n") == b"re:a\n"
    assert asyncio.get_running_loop().time() - started >= 0.09
    assert proxy.traffic.faults["delay"] == 2


async def test_the_same_seed_throws_the_same_dice(server: EchoServer, connect: Connect) -> None:
    async def run(seed: int) -> list[bool]:
        faults = Faults(lose_request=0.1, lose_reply=0.2, cut_reply=0.1)
        async with FaultProxy("127.0.0.1", server.port, seed=seed, faults=faults) as proxy:
            return [await (await connect(proxy)).call(b"hello\n") == b"re:hello\n" for _ in range(60)]

    first = await run(7)
    assert first == await run(7)
    assert first != await run(8)
    assert 0 < sum(first) < 60
