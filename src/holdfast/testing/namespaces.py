"""Hosts of a test's own in network namespaces, and partitions between them: packets are dropped, nobody is told.

Each host has a namespace, and a bridge in one more connects them; all drops happen there, so that no program sees an error. The
machine's own network is left alone. Linux, root, and the programs ``ip`` and ``nft`` are needed.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from holdfast.testing.packets import Probes

T = TypeVar("T")

_PREFIX: Final = "holdfast"
_FOLDER: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_FIRST_PORT: Final = 7000


class NamespaceTrouble(RuntimeError):
    """Network namespaces cannot be made or do not do what they should; the message says which command said what."""


class Host:
    """A network namespace with one address. A `Place` for servers."""

    def __init__(self, name: str, namespace: str, address: str) -> None:
        self.name = name
        self.namespace = namespace
        self.address = address
        self._ports = itertools.count(_FIRST_PORT)

    def free_port(self) -> int:
        """A port that was not given out before; nobody else lives here."""
        return next(self._ports)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command that runs ``argv`` on this host."""
        return [_program("ip"), "netns", "exec", self.namespace, *argv]

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """A TCP connection from this host; ``timeout`` in seconds."""
        return self.call(lambda: socket.create_connection((address, port), timeout=timeout))

    def call(self, function: Callable[[], T]) -> T:
        """Calls it in a thread of this host and waits: all sockets that it and its own threads open are here.

        ``asyncio.run`` works inside. Sockets stay where they were made, also after the call.
        """
        replies: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                _enter(self.namespace)
                replies.append(function())
            except BaseException as error:  # noqa: BLE001 -- it is raised where the call was made
                errors.append(error)

        thread = threading.Thread(target=run, name=f"on-{self.name}")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return replies[0]


class NetworkNamespaces:
    """Hosts that reach each other until they are cut off, for a ``with`` or ``async with``.

    The n-th host has the address 10.83.0.n, whatever else runs: nothing of it is visible outside. What a run that was killed left
    behind is removed when the next one starts.

    Args:
        names: the hosts' names.

    Raises:
        NamespaceTrouble: no root, no ``ip``, no ``nft``, or the kernel refuses.
    """

    def __init__(self, names: Iterable[str]) -> None:
        stem = f"{_PREFIX}-{os.getpid()}-{_born(os.getpid())}-{uuid.uuid4().hex[:6]}"
        self.hosts = {
            name: Host(name, f"{stem}-{name}", f"10.83.0.{number}") for number, name in enumerate(names, start=1)
        }
        self._switch = f"{stem}-switch"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._probes = Probes()
        self._cuts: set[tuple[str, str]] = set()
        self._remove: Callable[[], object] = lambda: None

    # --- life ---

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def open(self) -> None:
        """Makes the namespaces and the bridge; returns when every host reaches every other one."""
        _sweep()
        namespaces = [self._switch, *(host.namespace for host in self.hosts.values())]
        self._remove = weakref.finalize(self, _remove, namespaces)
        try:
            _ip(*(f"netns add {name}" for name in namespaces))
            bridge = ["link add hub type bridge stp_state 0 forward_delay 0", "link set hub up"]
            for number, host in enumerate(self.hosts.values()):
                bridge += [
                    f"link add port{number} type veth peer name eth0 netns {host.namespace}",
                    f"link set port{number} master hub up",
                ]
            _ip(*bridge, within=self._switch)
            for host in self.hosts.values():
                _ip(f"addr add {host.address}/24 dev eth0", "link set lo up", "link set eth0 up", within=host.namespace)
                self._probes.add(host.name, host.address, host.call)
            self._apply()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends what still runs on the hosts, and removes them."""
        self._probes.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._remove()

    # --- running things ---

    def run(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Starts a program on a host, with this process's environment; ``options`` go to `subprocess.Popen`."""
        process: subprocess.Popen[bytes] = subprocess.Popen(self.hosts[host].argv(argv), **options)
        self._processes.append(process)
        return process

    def python(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Starts this Python on a host, with ``argv`` like ``["-c", code]`` or ``["file.py", ...]``."""
        return self.run(host, [sys.executable, *argv], **options)

    # --- partitions ---

    def cut(self, group: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """Drops every packet between two groups of hosts, besides what is cut already; returns when that is seen to work.

        Args:
            one_way: only what ``group`` sends to ``others`` is dropped.
        """
        pairs = set(itertools.product(group, others))
        self._cuts |= pairs if one_way else pairs | {(b, a) for a, b in pairs}
        self._apply()

    def heal(self) -> None:
        """Drops nothing any more; returns when every host reaches every other one."""
        self._cuts.clear()
        self._apply()

    def reaches(self, source: str, target: str) -> bool:
        """Whether a packet that one host sends now arrives at another (within 0.2 s)."""
        return not self._probes.lost({(source, target)}, within=0.2)

    def _apply(self) -> None:
        ports = {name: f"port{number}" for number, name in enumerate(self.hosts)}
        rules = "".join(f'iifname "{ports[a]}" oifname "{ports[b]}" counter drop;\n' for a, b in sorted(self._cuts))
        chain = f"chain cut {{\ntype filter hook forward priority 0; policy accept;\n{rules}}}\n"
        # one transaction: no packet slips through between an old and a new set of rules
        self._nft(
            "-f",
            "-",
            text=f"table bridge holdfast\ndelete table bridge holdfast\ntable bridge holdfast {{\n{chain}}}\n",
        )
        everyone = set(itertools.permutations(self.hosts, 2))
        if lost := self._probes.lost(everyone - self._cuts, within=5.0):
            raise NamespaceTrouble(f"packets are lost that should not be: {sorted(lost)}")
        if self._cuts:
            self._see_drops(ports)

    def _see_drops(self, ports: dict[str, str]) -> None:
        """Sends over every cut, waits until the bridge has counted a drop there, and looks whether something arrived."""
        self._probes.send(self._cuts)
        wanted = {(ports[a], ports[b]) for a, b in self._cuts}
        ends = time.monotonic() + 5.0
        while not wanted <= (dropped := self._dropped()):
            if time.monotonic() > ends:
                raise NamespaceTrouble(f"no packet was dropped between {sorted(wanted - dropped)}")
            time.sleep(0.01)
            self._probes.send(self._cuts)
        if came := self._probes.arrived() & self._cuts:
            raise NamespaceTrouble(f"packets came through a cut: {sorted(came)}")

    def _dropped(self) -> set[tuple[str, str]]:
        """Between which ports the bridge has dropped packets."""
        found = set()
        for line in self._nft("list", "chain", "bridge", "holdfast", "cut").splitlines():
            words = line.replace('"', "").split()
            if "counter" in words and int(words[words.index("packets") + 1]):
                found.add((words[words.index("iifname") + 1], words[words.index("oifname") + 1]))
        return found

    def _nft(self, *args: str, text: str = "") -> str:
        return _run(_program("ip"), "netns", "exec", self._switch, _program("nft"), *args, text=text)


@functools.cache
def why_no_namespaces() -> str:
    """What keeps network namespaces from working on this machine, found by trying; '' if they work. Takes about 0.5 s once."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    try:
        with NetworkNamespaces(["a", "b"]) as network:
            network.cut(["a"], ["b"])
            network.heal()
    except (NamespaceTrouble, OSError) as error:
        return f"network namespaces do not work here (root, ip and nft are needed): {error}"
    return ""


def _enter(namespace: str) -> None:
    """Moves the calling thread into a namespace."""
    library = ctypes.CDLL(None, use_errno=True)
    opened = os.open(_FOLDER / namespace, os.O_RDONLY)
    try:
        if library.setns(opened, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns into {namespace}: {os.strerror(number)}")
    finally:
        os.close(opened)


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise NamespaceTrouble(f"the program {name} is not installed")
    return found


def _run(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise NamespaceTrouble(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def _ip(*commands: str, within: str = "") -> None:
    _run(_program("ip"), *(["-n", within] if within else []), "-batch", "-", text="\n".join(commands) + "\n")


def _remove(namespaces: list[str]) -> None:
    """Ends what runs in these namespaces and removes them; those that are gone are no trouble."""
    for name in namespaces:
        if not (_FOLDER / name).exists():
            continue
        with suppress(NamespaceTrouble):  # another run sweeps too, and was faster
            for pid in _run(_program("ip"), "netns", "pids", name).split():
                if int(pid) != os.getpid():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            _run(_program("ip"), "netns", "del", name)


def _sweep() -> None:
    """Removes the namespaces of processes that are gone: killed, they could not clean up."""
    if not _FOLDER.is_dir():
        return
    for path in _FOLDER.glob(f"{_PREFIX}-*-*-*-*"):
        _, pid, born, *_ = path.name.split("-")
        if _born(int(pid)) != born:
            _remove([path.name])


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks; '' if there is none: tells a number from its next owner."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
