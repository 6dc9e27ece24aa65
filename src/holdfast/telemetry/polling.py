"""Figures of the store's server: asked for now and then by a task, read at any time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from holdfast.backends.measures import Measure, ServerMeasured
from holdfast.errors import StoreError

EVERY_S: Final = 10.0
_log: Final = logging.getLogger(__name__)


class ServerFigures:
    """The last figures of the server, however old.

    Attributes:
        last: what the server said last; nothing before its first answer.
        reachable: whether the last question was answered; None before the first one.
        failures: questions without an answer.
    """

    def __init__(self, server: ServerMeasured) -> None:
        self._server = server
        self._taken = 0.0
        self.last: list[Measure] = []
        self.reachable: bool | None = None
        self.failures = 0

    @property
    def age(self) -> float | None:
        """Seconds since the server's last answer; None before the first one."""
        return time.monotonic() - self._taken if self._taken else None

    async def ask(self, within: float) -> None:
        """Asks once, for ``within`` seconds at the most. What goes wrong is counted, not raised."""
        try:
            async with asyncio.timeout(within):
                found = await self._server.server_measures()
        except (StoreError, TimeoutError):
            self._failed()
        except Exception:  # noqa: BLE001  (a rim: whatever a backend's probe raises, the node lives on and asks again)
            _log.exception("the store's server could not be asked for its figures")
            self._failed()
        else:
            self.last, self._taken, self.reachable = found, time.monotonic(), True

    def _failed(self) -> None:
        self.reachable = False
        self.failures += 1


@asynccontextmanager
async def polling(figures: ServerFigures | None, every: float = EVERY_S) -> AsyncIterator[None]:
    """Asks every ``every`` seconds (at the least), for the length of the context."""
    if figures is None:
        yield
        return
    task = asyncio.get_running_loop().create_task(_ask_for_ever(figures, every), name="holdfast-server-figures")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _ask_for_ever(figures: ServerFigures, every: float) -> None:
    while True:
        await figures.ask(every)
        await asyncio.sleep(every)
