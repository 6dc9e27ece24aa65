"""Real servers for tests: a `redis-server` of one's own, which can be killed, frozen and measured."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

_START_S: Final = 5.0


class ServerMissing(RuntimeError):
    """The server's program is not installed, or does not start; the message says which and why."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A `redis-server` on a free loopback port, with a folder of its own, for the length of a ``with`` or ``async with``.

    Args:
        options: settings of redis.conf, like ``{"appendonly": "yes", "maxmemory": "8mb"}``. Nothing is saved by default.

    Raises:
        ServerMissing: redis-server is not installed or did not start.
    """

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self._options = {"save": "", "appendonly": "no", **(options or {})}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    # --- life ---

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    async def start(self) -> None:
        """Starts it (again) on the same port and folder, and waits until it answers."""
        await asyncio.to_thread(self._start)

    async def kill(self) -> None:
        """SIGKILL: the server has no chance to save."""
        await asyncio.to_thread(self._end, signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM: the server shuts down in order."""
        await asyncio.to_thread(self._end, signal.SIGTERM)

    async def restart(self) -> None:
        """Starts it again on the same port and folder; stops it first if it runs."""
        await self.stop()
        await self.start()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and says nothing any more."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on where it was frozen."""
        os.kill(self.pid, signal.SIGCONT)

    def _start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise ServerMissing("redis-server is not installed: install Redis 7.0 or newer to run these tests")
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="holdfast-redis-")
            self.port = free_port()
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": self._folder.name, "logfile": "redis.log"}
        args = [part for name, value in {**settings, **self._options}.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > ends:
                log = self.log()
                self._end(signal.SIGKILL)
                raise ServerMissing(f"redis-server did not start on port {self.port}: {log[-500:]}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return self.command("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            if how is not signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
        process.wait()

    def _close(self) -> None:
        self._end(signal.SIGKILL)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    # --- what it is ---

    @property
    def url(self) -> str:
        """What `open_store` takes."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise ServerMissing("this server is not running")
        return self._process.pid

    def log(self) -> str:
        """What the server has logged."""
        if self._folder is None:
            return ""
        path = Path(self._folder.name) / "redis.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    # --- looking inside, over a connection of its own that blocks ---

    def command(self, *args: str | bytes | int | float) -> object:
        """One command's reply: text, whole number, None or a list. An error reply is a `RuntimeError`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_START_S) as connection:
            parts = [part if isinstance(part, bytes) else str(part).encode() for part in args]
            request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                return _reply(stream)

    def info(self, section: str = "all") -> dict[str, str]:
        """INFO as a flat mapping."""
        text = str(self.command("INFO", section))
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))

    def calls(self) -> dict[str, int]:
        """How often each command ran since the last `reset_stats`."""
        found = self.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): int(value.split(",")[0].removeprefix("calls="))
            for name, value in found.items()
            if name.startswith("cmdstat_")
        }

    def reset_stats(self) -> None:
        """Sets the counters back to 0."""
        self.command("CONFIG", "RESETSTAT")

    def bytes_received(self) -> int:
        """Bytes that clients have sent it since the last `reset_stats` (this question included)."""
        return int(self.info("stats")["total_net_input_bytes"])

    def cpu_seconds(self) -> float:
        """Processor time of its main thread so far, in seconds."""
        found = self.info("cpu")
        return float(found["used_cpu_user_main_thread"]) + float(found["used_cpu_sys_main_thread"])


def _reply(stream: BinaryIO) -> object:
    """One RESP2 reply."""
    line = stream.readline()
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest.decode()
        case b"-":
            raise RuntimeError(rest.decode("utf-8", "replace"))
        case b":":
            return int(rest)
        case b"$":
            size = int(rest)
            return None if size < 0 else stream.read(size + 2)[:-2].decode("utf-8", "surrogateescape")
        case b"*":
            return [_reply(stream) for _ in range(int(rest))]
        case _:
            raise ConnectionError("the server closed the connection")
