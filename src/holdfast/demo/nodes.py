"""The demo's processes: a redis-server of its own, and nodes that can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

from holdfast.errors import ConfigError, StoreUnavailable

_START_S = 90.0
"""How long a process may take until it answers, seconds: on a busy machine."""


def free_port() -> int:
    """Below the ports of outgoing connections: a node that was killed finds its port free again."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Node:
    """One server process of the demo: `start`, `kill` (SIGKILL), `start` again; always on the same port."""

    def __init__(self, name: str, config: Path, store: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._config = config
        self._store = store
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of its process, which has to be started."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns when the node is ready. Raises `StoreUnavailable` with the end of its log where it does not come up."""
        environment = {**os.environ, "HOLDFAST_SERVER__NODE": self.name}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "holdfast", "serve", "--config", str(self._config)),
                *("--store", self._store, "--port", str(self.port)),
                stdout=log,
                stderr=log,
                env=environment,
            )
        if not await _answers(f"http://127.0.0.1:{self.port}/readyz", self._process):
            end = self._log.read_text(errors="replace")[-800:]
            raise StoreUnavailable(f"node {self.name} did not start:\n{end}")

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()


class Redis:
    """A redis-server of the demo's own, on a free port, that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Raises `ConfigError` where redis-server is not installed."""
        program = shutil.which("redis-server")
        if program is None:
            raise ConfigError("redis-server is not installed: install it, or name a store with --store URL")
        self._process = await asyncio.create_subprocess_exec(
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        until = asyncio.get_running_loop().time() + _START_S
        while asyncio.get_running_loop().time() < until:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
        raise StoreUnavailable("the demo's redis-server did not start")

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


async def _answers(url: str, process: asyncio.subprocess.Process) -> bool:
    until = asyncio.get_running_loop().time() + _START_S
    while process.returncode is None and asyncio.get_running_loop().time() < until:
        if await asyncio.to_thread(_is_ready, url):
            return True
        await asyncio.sleep(0.05)
    return False


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
