"""Where a test's servers run, and on which ports."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

_PORTS: Final = range(10_000, 32_000)
"""Below the ports that systems give to outgoing connections: a server that was killed finds its port free again."""


class ServerMissing(RuntimeError):
    """The server's program is not installed, or does not start or answer; the message says which and why."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on now, and that no outgoing connection is given.

    It is this process's for a long time: no other call gives it out again, nor does another worker of pytest-xdist.
    """
    for port in _own:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("the ports never end")


def _own_ports() -> Iterator[int]:
    """The part of this worker, where tests run on several, in an order that another process is unlikely to share."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    workers = os.environ.get("PYTEST_XDIST_WORKER_COUNT", "")
    ports = list(_PORTS)
    if worker.isdecimal() and workers.isdecimal():
        ports = ports[int(worker) :: max(int(workers), int(worker) + 1)]
    random.Random().shuffle(ports)  # not by the seed of a test
    return itertools.cycle(ports)


_own: Final = _own_ports()


class Place(Protocol):
    """Where a server runs: this machine's loopback, or a network namespace."""

    @property
    def address(self) -> str:
        """The IP address that servers bind to."""

    def free_port(self) -> int:
        """A TCP port that nobody listens on there."""

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command that runs ``argv`` there, in the process that is started."""

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """A TCP connection from there; ``timeout`` in seconds is also that of reads and writes."""


class Loopback:
    """The place of 127.0.0.1."""

    address = "127.0.0.1"

    def free_port(self) -> int:
        """See `Place`."""
        return free_port()

    def argv(self, argv: Sequence[str]) -> list[str]:
        """See `Place`."""
        return list(argv)

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """See `Place`."""
        return socket.create_connection((address, port), timeout=timeout)
