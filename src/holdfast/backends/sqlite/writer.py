"""The one writer of a process: runs all calls that wait in one transaction, so that they share its fsync."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Final

from holdfast.backends.sqlite import signals
from holdfast.backends.sqlite.connecting import Backoff
from holdfast.backends.sqlite.hub import Hub
from holdfast.backends.sqlite.lane import Lane, Op, Result
from holdfast.backends.sqlite.mapping import is_broken, is_full, is_locked, mapped, mapped_commit, primary
from holdfast.backends.sqlite.rows import Rows
from holdfast.backends.sqlite.sweep import Sweep
from holdfast.errors import HoldfastError

MAX_BATCH: Final = 512
"""Calls in one transaction: bounds what one failure makes run again, and how long the last of them waits."""


class _Spoiled(Exception):
    """A call failed half-way, or the commit did: the whole transaction has been rolled back."""

    def __init__(self, error: Exception, *, at_commit: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.at_commit = at_commit


class Writer:
    """The worker of the lane that writes.

    Args:
        connect: opens the connection and returns its rows.
    """

    def __init__(self, lane: Lane, path: str, hub: Hub, connect: Callable[[], Rows], sweep: Sweep) -> None:
        self._lane = lane
        self._path = path
        self._hub = hub
        self._connect = connect
        self._rows: Rows | None = None
        self._sweep = sweep

    def open(self) -> None:
        self._rows = self._connect()

    def idle(self) -> float | None:
        return None

    def close(self) -> None:
        if self._rows is not None:
            with contextlib.suppress(sqlite3.Error):  # locked or full: the note is a convenience
                self._sweep.at_close(self._rows)
                signals.leave(self._rows.db, self._rows.node)
            self._rows.db.close()
            self._rows = None

    def serve(self, waiting: list[Op]) -> None:
        while waiting:
            rows = self._begin(waiting)
            if rows is None:
                return
            # Only now, with the lock held: what arrived while another process had it still shares this fsync.
            self._lane.drain(waiting)
            batch = self._lane.take(waiting[:MAX_BATCH])
            del waiting[:MAX_BATCH]
            try:
                self._lane.settle(self._transact(rows, batch))
            except _Spoiled as spoiled:
                self._recover(batch, spoiled)

    def _begin(self, waiting: list[Op]) -> Rows | None:
        """Takes the file's write lock; None where every caller has left or been refused meanwhile."""
        backoff = Backoff()
        try:
            while True:
                try:
                    if self._rows is None:
                        self._rows = self._connect()
                    self._rows.db.execute("BEGIN IMMEDIATE")
                    return self._rows
                except sqlite3.Error as error:
                    if not is_locked(error):
                        self._refuse(waiting, error)
                        return None
                except HoldfastError as error:
                    self._lane.fail(waiting, error)
                    return None
                self._lane.obstacle = "another process keeps it locked"
                waiting[:] = self._lane.still_wanted(waiting)
                if not waiting:
                    return None
                backoff.sleep()
        finally:
            self._lane.obstacle = ""

    def _refuse(self, waiting: list[Op], error: sqlite3.Error) -> None:
        self._lane.fail(waiting, mapped(error, self._path))
        if is_broken(error):
            self._drop_connection()

    def _transact(self, rows: Rows, batch: list[Op]) -> list[Result]:
        db = rows.db
        rows.hints = []
        start = db.total_changes
        try:
            results = [_run(rows, op) for op in batch]
            if db.total_changes != start:
                self._sweep.after_write(rows)
        except Exception as error:
            self._roll_back(db, error)
            raise _Spoiled(error) from error
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back(db, error)
            raise _Spoiled(error, at_commit=True) from error
        self._hub.give(rows.hints)
        return results

    def _recover(self, batch: list[Op], spoiled: _Spoiled) -> None:
        """Runs each call in a transaction of its own, so that only the guilty one fails."""
        error = spoiled.error
        if spoiled.at_commit and is_broken(error):
            self._lane.settle([Result(op, None, self._final(spoiled)) for op in batch])
            return
        if is_full(error, self._path):
            self._make_room()
        elif len(batch) == 1:
            self._lane.settle([Result(batch[0], None, self._final(spoiled))])
            return
        for op in batch:
            rows = self._begin([op])
            if rows is None:
                continue
            try:
                self._lane.settle(self._transact(rows, [op]))
            except _Spoiled as again:
                self._lane.settle([Result(op, None, self._final(again))])

    def _final(self, spoiled: _Spoiled) -> Exception:
        error = spoiled.error
        if not isinstance(error, sqlite3.Error) or not primary(error):
            return error  # a mistake of ours or of the caller's, not SQLite's answer
        return mapped_commit(error, self._path) if spoiled.at_commit else mapped(error, self._path)

    def _make_room(self) -> None:
        """A WAL that is copied into the file is written again from its start, which takes no new space."""
        if self._rows is not None:
            with contextlib.suppress(sqlite3.Error):
                self._rows.db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def _roll_back(self, db: sqlite3.Connection, error: Exception) -> None:
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_connection()
        if is_broken(error):
            self._drop_connection()

    def _drop_connection(self) -> None:
        """The next call opens another one."""
        if self._rows is not None:
            with contextlib.suppress(sqlite3.Error):
                self._rows.db.close()
            self._rows = None


def _run(rows: Rows, op: Op) -> Result:
    before = rows.db.total_changes
    try:
        return Result(op, op.run(rows))
    except Exception as error:
        if rows.db.total_changes != before or isinstance(error, sqlite3.Error):
            raise
        return Result(op, None, error)  # it refused before its first write: the others stand
