"""A Sentinel set on hosts of its own, whose network a test can cut."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, Unpack

from holdfast.testing.namespaces import NetworkNamespaces
from holdfast.testing.sentinels import SentinelSet, SentinelSettings
from holdfast.testing.server_process import RedisProcess

T = TypeVar("T")

CLIENT: Final = "client"
"""The host of the test's own client code."""


class PartitionedSentinelSet(SentinelSet):
    """A `SentinelSet` on three hosts, ``a``, ``b`` and ``c``, each with a data server and a Sentinel, and a host ``client``.

    With ``sentinels_apart`` the Sentinels have hosts of their own, ``sa``, ``sb`` and ``sc``.

    Its `url` works on the host ``client`` only: run the client there, with `call` (in a thread) or `python` (in a process).
    The methods that look at servers work from outside, also while hosts are cut off.

    Raises:
        NamespaceTrouble: network namespaces do not work here; `why_no_namespaces` says so beforehand.
        ServerMissing: redis-server is not installed, or the set did not come up.
    """

    def __init__(self, *, sentinels_apart: bool = False, **settings: Unpack[SentinelSettings]) -> None:
        names = ["a", "b", "c"]
        watching = ["sa", "sb", "sc"] if sentinels_apart else names
        self.network = NetworkNamespaces(dict.fromkeys([*names, *watching, CLIENT]))
        super().__init__(replicas=2, sentinels=3, places=[self.network.hosts[name] for name in names], **settings)
        for sentinel, name in zip(self.sentinels, watching, strict=True):
            sentinel.place = self.network.hosts[name]

    def _start(self) -> None:
        self.network.open()
        super()._start()

    def _close(self) -> None:
        super()._close()
        self.network.close()

    def host_of(self, process: RedisProcess) -> str:
        """The host that a data server or Sentinel runs on."""
        return next(name for name, host in self.network.hosts.items() if host is process.place)

    def cut(self, group: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """See `NetworkNamespaces.cut`."""
        self.network.cut(group, others, one_way=one_way)

    def cut_off_primary(self, *, with_client: bool = True) -> list[str]:
        """Cuts the primary's host from the others, with the client on its side or on theirs. Returns the primary's side."""
        side = [self.host_of(self.primary()), *([CLIENT] if with_client else [])]
        self.cut(side, [name for name in self.network.hosts if name not in side])
        return side

    def heal(self) -> None:
        """See `NetworkNamespaces.heal`."""
        self.network.heal()

    def call(self, function: Callable[[], T]) -> T:
        """Calls it in a thread on the host ``client`` and waits; ``asyncio.run`` works inside."""
        return self.network.hosts[CLIENT].call(function)

    def python(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Starts this Python on the host ``client``; ``options`` go to `subprocess.Popen`."""
        return self.network.python(CLIENT, argv, **options)
