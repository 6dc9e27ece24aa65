"""A link with a delay: a process of its own that hands every chunk on after a fixed time, in both directions.

Chunks do not wait for each other, as they do not on a long wire. ``select`` is used because it waits by the microsecond;
asyncio's loop rounds up to whole milliseconds.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import select
import socket
import sys
import time
from pathlib import Path
from typing import Final, Self

_CHUNK: Final = 1 << 16


class DelayedLink:
    """An async context manager; clients connect to ``port`` of the loopback interface.

    Args:
        upstream: the server's port. round_trip: seconds that the link adds to a question and its answer together.
    """

    def __init__(self, upstream: int, round_trip: float) -> None:
        self._arguments = (str(upstream), repr(round_trip / 2))
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.delayed_link", *self._arguments),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


def carry(upstream: int, delay: float) -> None:
    """Prints the port and forwards until it is killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    others: dict[socket.socket, socket.socket] = {}
    under_way: list[tuple[float, int, socket.socket, bytes]] = []
    numbers = itertools.count()
    while True:
        wait = max(0.0, under_way[0][0] - time.perf_counter()) if under_way else None
        readable, _, _ = select.select([listener, *others], [], [], wait)
        for ready in readable:
            if ready is listener:
                client, server = listener.accept()[0], socket.create_connection(("127.0.0.1", upstream))
                others |= {client: server, server: client}
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                continue
            data = _received(ready)
            due = time.perf_counter() + delay
            heapq.heappush(under_way, (due, next(numbers), others[ready], data))
            if not data:
                del others[ready]
        while under_way and under_way[0][0] <= time.perf_counter():
            _, _, target, data = heapq.heappop(under_way)
            _deliver(target, data)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except ConnectionError:
        return b""


def _deliver(target: socket.socket, data: bytes) -> None:
    """No data is the other side's end."""
    try:
        if data:
            target.sendall(data)
        else:
            target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it went away while this was under way


if __name__ == "__main__":
    carry(int(sys.argv[1]), float(sys.argv[2]))
