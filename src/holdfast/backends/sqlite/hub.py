"""Hints within this process: from the writer's thread, or any other, to whoever watches a session on any event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable

from holdfast.backends.records import SessionKey


class SqliteWatch:
    """One subscription; lives on the event loop that made it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._hints: asyncio.Queue[bytes] = asyncio.Queue()

    def give(self, hint: bytes) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the watcher's loop is closed
            self.loop.call_soon_threadsafe(self._hints.put_nowait, hint)

    async def wait(self, timeout: float) -> bytes | None:
        try:
            async with asyncio.timeout(timeout):
                return await self._hints.get()
        except TimeoutError:
            return None


class Hub:
    """Who watches what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[SessionKey, list[SqliteWatch]] = {}
        self.heard: int | None = None
        """The number of the last of other processes' hints that was given here; None while nobody watches."""

    def add(self, key: SessionKey, watch: SqliteWatch) -> bool:
        """True if it is the session's first."""
        with self._lock:
            watches = self._watches.setdefault(key, [])
            watches.append(watch)
            return len(watches) == 1

    def remove(self, key: SessionKey, watch: SqliteWatch) -> bool:
        """True if it was the session's last."""
        with self._lock:
            watches = self._watches[key]
            watches.remove(watch)
            if not watches:
                del self._watches[key]
            if not self._watches:
                self.heard = None
            return not watches

    def listen_from(self, n: int) -> None:
        """Other processes' hints after number ``n`` are wanted from now on."""
        with self._lock:
            if self._watches and self.heard is None:
                self.heard = n

    def listened_to(self, n: int) -> None:
        with self._lock:
            if self.heard is not None:
                self.heard = max(self.heard, n)

    def give(self, hints: Iterable[tuple[SessionKey, bytes]]) -> None:
        if not self._watches:
            return
        with self._lock:
            found = [(watch, hint) for key, hint in hints for watch in self._watches.get(key, ())]
        for watch, hint in found:
            watch.give(hint)
