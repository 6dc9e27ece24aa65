"""The application on a socket, until it is told to stop: running turns end first."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from holdfast.config import ServerSection
from holdfast.errors import ConfigError
from holdfast.server.app import node_of
from holdfast.server.collecting import collect_seldom

_LAST_WRITES_S: Final = 5
"""Seconds for clients to take what was answered already."""


async def serve(app: FastAPI, settings: ServerSection, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT, and drains; ``announce`` is told the URL once requests are answered.

    Raises `ConfigError` where the address cannot be listened on.
    """
    listening = _listen(settings.host, settings.port)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listening.getsockname()[1]}/"
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # the rim's says what may be said
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=_LAST_WRITES_S,
    )
    await _Draining(config, app, settings.drain, lambda: announce(url)).serve(sockets=[listening])


class _Draining(uvicorn.Server):
    """The first signal lets running turns end while the socket stays open, so that probes and callers are told; the second ends
    the process at once."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, seconds: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._desk = node_of(app).desk
        self._seconds = seconds
        self._on_start = started
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Task[None] | None = None
        self._told = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and not self._told:
            collect_seldom()
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._told:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
            return
        self._told = True
        self._desk.draining = True
        self._loop.call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        self._stopping = self._loop.create_task(self._stop())

    async def _stop(self) -> None:
        try:
            await self._desk.drain(self._seconds)
        finally:
            self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
