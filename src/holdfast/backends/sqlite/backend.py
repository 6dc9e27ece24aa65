"""The backend itself: each method of the contract as one call into the writer's or the reader's lane."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

from holdfast.backends.measures import Measure
from holdfast.backends.records import (
    BeginReply,
    BeginRequest,
    CommitReply,
    Delta,
    EventChunks,
    Fenced,
    Finding,
    Listing,
    LogPage,
    Overdue,
    Record,
    ResolveReply,
    SessionKey,
    Signalled,
    Unchanged,
    Version,
)
from holdfast.backends.sqlite import sessions, signals, streams, turns
from holdfast.backends.sqlite.connecting import Synchronous, emptied_wal
from holdfast.backends.sqlite.figures import measures_of
from holdfast.backends.sqlite.hub import Hub, SqliteWatch
from holdfast.backends.sqlite.lane import Lane
from holdfast.errors import StoreClosed, StoreError

_ROOM: Final = 256 << 20
"""Bytes free below which `check` warns."""


class SqliteBackend:
    """Sessions in one SQLite file, for several processes of one machine. Safe for many event loops and threads.

    Made by `open_sqlite`.
    """

    name = "sqlite"

    def __init__(self, path: str, synchronous: Synchronous, hub: Hub, writing: Lane, reading: Lane) -> None:
        self.path = path
        self._synchronous = synchronous
        self._hub = hub
        self._writing = writing
        self._reading = reading
        self._is_shared = reading is not writing  # a store in memory is this backend's alone

    # --- sessions ---

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        return await self._reading.call(lambda rows: sessions.load(rows, key, tail, known), reads=True)

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        return await self._writing.call(lambda rows: sessions.commit(rows, key, delta), reads=False)

    async def delete(self, key: SessionKey) -> bool:
        return await self._writing.call(lambda rows: sessions.delete(rows, key), reads=False)

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        return await self._reading.call(lambda rows: sessions.read_log(rows, key, start, count), reads=True)

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await self._reading.call(lambda rows: sessions.scan(rows, tenant, cursor, limit), reads=True)

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await self._reading.call(lambda rows: sessions.by_user(rows, tenant, user, cursor, limit), reads=True)

    # --- turns ---

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        return await self._writing.call(lambda rows: turns.begin(rows, key, request), reads=False)

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        return await self._writing.call(
            lambda rows: turns.record(rows, key, turn_id, fence, name, value, lease_ms), reads=False
        )

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        return await self._writing.call(lambda rows: turns.renew(rows, key, turn_id, fence, lease_ms), reads=False)

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        return await self._writing.call(lambda rows: turns.signal(rows, key, name, value, turn_id, ahead), reads=False)

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        return await self._writing.call(lambda rows: turns.park(rows, key, turn_id, fence, name, for_ms), reads=False)

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        await self._writing.call(lambda rows: turns.release(rows, key, turn_id, token, withdraw), reads=False)

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        return await self._writing.call(lambda rows: turns.resolve(rows, key, op, fence, age_ms), reads=False)

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        return await self._reading.call(lambda rows: turns.overdue(rows, limit), reads=True)

    # --- streams ---

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        return await self._writing.call(
            lambda rows: streams.append(rows, key, turn_id, fence, chunk, keep_ms), reads=False
        )

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        return await self._reading.call(lambda rows: streams.read(rows, key, turn_id, fence, start), reads=True)

    # --- signals, end ---

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        await self._writing.call(lambda rows: rows.hint(key, hint), reads=True)

    @asynccontextmanager
    async def watch(self, key: SessionKey) -> AsyncIterator[SqliteWatch]:
        self._writing.must_be_open()
        watch = SqliteWatch()
        first = self._hub.add(key, watch)
        try:
            if first and self._is_shared:
                await self._listen_to_others(key)
            yield watch
        finally:
            if self._hub.remove(key, watch) and self._is_shared:
                self._writing.send(lambda rows: signals.unregister(rows.db, rows.node, key))

    async def _listen_to_others(self, key: SessionKey) -> None:
        try:
            last = await self._writing.call(
                lambda rows: signals.register(rows.db, rows.node, key, rows.now()), reads=False
            )
        except StoreClosed:
            raise
        except StoreError:
            return  # hints may be lost
        self._hub.listen_from(last)
        self._reading.poke()

    async def check(self) -> list[Finding]:
        found = [Finding("ok", "backend", f"SQLite {sqlite3.sqlite_version}, {self.path}")]
        if not self._is_shared:
            return [*found, Finding("note", "durability", "nothing survives the process", "name a file")]
        if self._synchronous == "full":
            found.append(Finding("ok", "durability", "every commit is on the disk before it is acknowledged"))
        else:
            text = "a power cut may take back the last commits; a killed process does not"
            found.append(Finding("note", "durability", text, "open it with synchronous='full'"))
        free = os.statvfs(Path(self.path).parent)
        room = free.f_bavail * free.f_frsize
        level: Literal["ok", "bad"] = "ok" if room > _ROOM else "bad"
        mend = "" if room > _ROOM else "free space: writes are refused once the disk is full"
        return [*found, Finding(level, "disk", f"{room >> 20} MB free", mend)]

    async def scrub(self) -> str:
        """Moves the write-ahead log into the file, where what was deleted is overwritten, and cuts it to nothing."""
        if not self._is_shared:
            return ""
        emptied = await asyncio.get_running_loop().run_in_executor(None, emptied_wal, self.path)
        return (
            ""
            if emptied
            else f"{self.path}-wal is in use and could not be emptied; it is when the last process closes the file"
        )

    def measures(self) -> list[Measure]:
        return measures_of(self.path if self._is_shared else "", self._writing, self._reading)

    async def close(self) -> None:
        """Ends both threads; the last process to close a file leaves no WAL beside it."""
        if self._is_shared:
            await self._reading.close()
        await self._writing.close()
