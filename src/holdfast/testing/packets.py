"""Test packets between hosts: which of them arrive."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Final

_PORT: Final = 6000
_AGAIN_S: Final = 0.05

Pair = tuple[str, str]


class Probes:
    """A UDP socket on each host, all in this process."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._addresses: dict[str, str] = {}
        self._round = 0

    def add(self, host: str, address: str, call: Callable[[Callable[[], socket.socket]], socket.socket]) -> None:
        """Opens the socket of a host; ``call`` calls a function there."""
        probe = call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._sockets[host] = probe
        self._addresses[host] = address
        probe.setblocking(False)
        probe.bind((address, _PORT))

    def close(self) -> None:
        """Closes all sockets."""
        for probe in self._sockets.values():
            probe.close()
        self._sockets.clear()

    def send(self, pairs: set[Pair]) -> None:
        """One packet for each (source, target)."""
        for source, target in pairs:
            packet = json.dumps([self._round, source, target]).encode()
            self._sockets[source].sendto(packet, (self._addresses[target], _PORT))

    def arrived(self) -> set[Pair]:
        """Pairs whose packets of this round came since the last question."""
        found = set()
        for probe in self._sockets.values():
            while True:
                try:
                    number, source, target = json.loads(probe.recv(1000))
                except BlockingIOError:
                    break
                if number == self._round:
                    found.add((source, target))
        return found

    def lost(self, pairs: set[Pair], within: float) -> set[Pair]:
        """Begins a round: sends again and again to those pairs that nothing arrived for, for ``within`` seconds. Returns them."""
        self._round += 1
        missing = set(pairs)
        ends = time.monotonic() + within
        while missing and time.monotonic() < ends:
            self.send(missing)
            again = time.monotonic() + _AGAIN_S
            while missing and time.monotonic() < again:
                missing -= self.arrived()
                time.sleep(0.001)
        return missing
