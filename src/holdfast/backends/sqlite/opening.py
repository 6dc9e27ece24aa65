"""Opening a file: its tables, its clock, and the two threads."""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from holdfast.backends.clock import Clock, steady_clock
from holdfast.backends.records import OutcomeLimits
from holdfast.backends.sqlite.anchored_clock import anchored_clock
from holdfast.backends.sqlite.backend import SqliteBackend
from holdfast.backends.sqlite.connecting import Synchronous, connect, patiently
from holdfast.backends.sqlite.hub import Hub
from holdfast.backends.sqlite.lane import Lane
from holdfast.backends.sqlite.mapping import mapped_open
from holdfast.backends.sqlite.reader import Reader
from holdfast.backends.sqlite.rows import Rows
from holdfast.backends.sqlite.schema import prepare
from holdfast.backends.sqlite.sweep import Sweep
from holdfast.backends.sqlite.writer import Writer

MEMORY: Final = ":memory:"


class _File:
    """Makes connections to one file; all of them tell the time that the first one found there."""

    def __init__(
        self, path: str, timeout: float, outcomes: OutcomeLimits, synchronous: Synchronous, clock: Clock | None
    ) -> None:
        self.path = path
        self._timeout = timeout
        self._outcomes = outcomes
        self._synchronous = synchronous
        self._clock = clock
        self._node = os.urandom(8)
        if clock is None and path == MEMORY:
            self._clock = steady_clock()

    def for_writing(self) -> Rows:
        return self._connected(read_only=False)

    def for_reading(self) -> Rows:
        return self._connected(read_only=True)

    def _connected(self, *, read_only: bool) -> Rows:
        try:
            db = patiently(lambda: connect(self.path, self._synchronous, read_only=read_only), self._timeout)
        except sqlite3.Error as error:
            raise mapped_open(error, self.path) from error
        try:
            if not read_only:
                patiently(lambda: db.execute("BEGIN IMMEDIATE"), self._timeout)
                prepare(db, self.path)
                if self._clock is None:
                    self._clock = anchored_clock(db)
                db.execute("COMMIT")
        except sqlite3.Error as error:
            db.close()
            raise mapped_open(error, self.path) from error
        except BaseException:
            db.close()
            raise
        assert self._clock is not None
        return Rows(db, self._clock, self._outcomes, self._node)


async def open_sqlite(
    path: str,
    *,
    timeout: float = 5.0,
    outcomes: OutcomeLimits | None = None,
    synchronous: Synchronous = "full",
    clock: Clock | None = None,
) -> SqliteBackend:
    """Opens the store in a file, which is made if it is not there.

    Args:
        path: the file, or ":memory:" for a store that lives as long as this backend.
        timeout: seconds by which every call ends, this one too.
        outcomes: how many finished turns and updates are remembered for each session.
        synchronous: "full" has every commit on the disk before it is acknowledged; with "normal" a power cut may take
            back the last ones (a killed process never does).
        clock: replaces the file's own clock (`anchored_clock`).

    Raises:
        ConfigError: the path cannot be used; the message says what to change.
        ServerUnsuitable: the file is no SQLite database.
        FutureFormat: the file was written by a newer release.
        StoreUnavailable: another process keeps the file locked.
    """
    path = path if path == MEMORY else os.path.abspath(path)  # noqa: ASYNC240, PTH100 -- it looks at no disk
    file = _File(path, timeout, outcomes or OutcomeLimits(), synchronous, clock)
    hub = Hub()
    writing = Lane("holdfast-sqlite-writer", path, timeout)
    sweep = Sweep(notes_time=clock is None and path != MEMORY)
    await writing.start(Writer(writing, path, hub, file.for_writing, sweep))
    if path == MEMORY:
        return SqliteBackend(path, synchronous, hub, writing, writing)
    reading = Lane("holdfast-sqlite-reader", path, timeout)
    try:
        await reading.start(Reader(reading, path, hub, file.for_reading))
    except BaseException:
        await writing.close()
        raise
    return SqliteBackend(path, synchronous, hub, writing, reading)
