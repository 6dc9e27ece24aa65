"""A redis-server process of a test's own, whatever its job: data, Sentinel, node of a Cluster."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast.testing.access import Access, in_quotes
from holdfast.testing.places import Loopback, Place, ServerMissing
from holdfast.testing.redis_connection import RedisConnection

_START_S: Final = 10.0
_REPLY_S: Final = 5.0


class RedisProcess:
    """A process of the program ``redis-server`` with a folder and a port of its own, for a ``with`` or ``async with``.

    A subclass says what stands in its configuration.
    """

    def __init__(self, access: Access | None = None, place: Place | None = None) -> None:
        self.access = access or Access()
        self.place: Place = place or Loopback()
        self.port = 0
        self.frozen = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def _config_lines(self) -> list[str]:
        raise NotImplementedError

    def _arguments(self) -> list[str]:
        return []

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
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: it goes on where it was frozen."""
        os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        program = shutil.which("redis-server")
        if program is None:
            raise ServerMissing("redis-server is not installed: install Redis 7.0 or newer to run these tests")
        first = self._folder is None
        for last in (False, False, True) if first else (True,):
            if first:
                self._choose_port()
            try:
                self._start_on_port(program)
                break
            except ServerMissing as error:  # somebody else took the port in between
                if last or "already in use" not in str(error):
                    raise

    def _choose_port(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="holdfast-redis-")
        self.port = self.place.free_port()

    def _start_on_port(self, program: str) -> None:
        assert self._folder is not None
        config = Path(self._folder.name) / "redis.conf"
        self._write_config(config)
        self._process = subprocess.Popen(
            self.place.argv([program, str(config), *self._arguments()]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        weakref.finalize(self, _kill, self._process, os.getpid())  # where nobody closes it
        self.frozen = False
        ends = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > ends:
                log = self.log()
                self._end(signal.SIGKILL)
                raise ServerMissing(f"redis-server did not start on port {self.port}: {log[-500:]}")
            time.sleep(0.01)

    def _write_config(self, path: Path) -> None:
        assert self._folder is not None
        lines = [
            f"bind {self.place.address}",
            "protected-mode no",  # nobody else reaches that address
            f"dir {in_quotes(self._folder.name)}",
            f"logfile {in_quotes(str(path.with_name('redis.log')))}",
            *self.access.port_lines(self.port),
            *self.access.login_lines(),
            *self._config_lines(),
        ]
        path.touch(0o600)
        path.write_text("\n".join(lines) + "\n")

    def _answers(self) -> bool:
        try:
            found = self.info("server")
        except (OSError, RuntimeError):
            return False
        if int(found["process_id"]) != self.pid:
            self._end(signal.SIGKILL)
            raise ServerMissing(f"port {self.port} is already in use by another server")
        return True

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        self.frozen = False
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
    def host(self) -> str:
        """The address that it listens on."""
        return self.place.address

    @property
    def where(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def folder(self) -> str:
        """Where its files are; "" before its start and after its end."""
        return "" if self._folder is None else self._folder.name

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise ServerMissing("this server is not running")
        return self._process.pid

    @property
    def up(self) -> bool:
        """Whether it runs and is not frozen."""
        return self._process is not None and self._process.poll() is None and not self.frozen

    def log(self) -> str:
        """What the server has logged."""
        if self._folder is None:
            return ""
        path = Path(self._folder.name) / "redis.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    # --- looking inside, over a connection of its own that blocks ---

    def connect(self, timeout: float = _REPLY_S) -> RedisConnection:
        """A connection that is logged in; ``timeout`` in seconds holds for every read and write of it."""
        connected = self.place.connect(self.host, self.port, timeout)
        try:
            if (tls := self.access.tls()) is not None:
                connected = tls.wrap_socket(connected, server_hostname=self.host)
            connection = RedisConnection(connected)
            if login := self.access.login():
                connection.command(*login)
        except BaseException:
            connected.close()
            raise
        return connection

    def command(self, *args: str | bytes | int | float, timeout: float = _REPLY_S) -> object:
        """One command's reply: text, whole number, None or a list. An error reply is a `RuntimeError`."""
        with self.connect(timeout) as connection:
            return connection.command(*args)

    def info(self, section: str = "all") -> dict[str, str]:
        """INFO as a flat mapping."""
        text = str(self.command("INFO", section))
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def _kill(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() == owner and process.poll() is None:
        process.kill()
        process.wait()
