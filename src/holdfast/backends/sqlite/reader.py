"""The reader: runs all reads that wait on one snapshot, beside the writer."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable

from holdfast.backends.sqlite import signals
from holdfast.backends.sqlite.connecting import Backoff
from holdfast.backends.sqlite.hub import Hub
from holdfast.backends.sqlite.lane import Lane, Op, Result
from holdfast.backends.sqlite.mapping import is_broken, is_locked, mapped
from holdfast.backends.sqlite.rows import Rows
from holdfast.backends.sqlite.signals import POLL_S
from holdfast.errors import HoldfastError


class Reader:
    """The worker of the lane that reads.

    Args:
        connect: opens the connection and returns its rows.
    """

    def __init__(self, lane: Lane, path: str, hub: Hub, connect: Callable[[], Rows]) -> None:
        self._lane = lane
        self._hub = hub
        self._seen = (0, 0)
        self._look_at = 0.0
        self._path = path
        self._connect = connect
        self._rows: Rows | None = None

    def open(self) -> None:
        self._rows = self._connect()

    def idle(self) -> float | None:
        """Looks for other processes' hints while somebody watches."""
        if self._hub.heard is None:
            return None
        left = self._look_at - time.monotonic()
        if left > 0:
            return left
        if self._rows is not None:
            with contextlib.suppress(sqlite3.Error):  # hints may be lost
                self._listen(self._rows, self._hub.heard)
        self._look_at = time.monotonic() + POLL_S
        return POLL_S

    def _listen(self, rows: Rows, since: int) -> None:
        (version,) = rows.db.execute("PRAGMA data_version").fetchone()
        if (version, since) != self._seen:  # somebody has committed, or began to watch
            hints, last = signals.heard(rows.db, rows.node, since)
            self._hub.listened_to(last)
            self._hub.give(hints)
            self._seen = (version, last)

    def close(self) -> None:
        if self._rows is not None:
            self._rows.db.close()
            self._rows = None

    def serve(self, waiting: list[Op]) -> None:
        backoff = Backoff()
        while waiting:
            # Drained before the snapshot is taken: a read sees what was committed before it was asked for.
            self._lane.drain(waiting)
            try:
                if self._rows is None:
                    self._rows = self._connect()
                self._lane.settle(self._snapshot(self._rows, self._lane.take(waiting)))
                return
            except HoldfastError as error:
                self._lane.fail(waiting, error)
                return
            except sqlite3.Error as error:
                if is_broken(error):
                    self.close()
                if not is_locked(error):
                    self._lane.fail(waiting, mapped(error, self._path))
                    return
            # Rare: the WAL is being recovered, or taken away by another process that closes.
            backoff.sleep()
            waiting = self._lane.still_wanted(waiting)

    def _snapshot(self, rows: Rows, batch: list[Op]) -> list[Result]:
        rows.db.execute("BEGIN")
        try:
            return [self._run(rows, op) for op in batch]
        finally:
            if rows.db.in_transaction:
                rows.db.execute("ROLLBACK")

    def _run(self, rows: Rows, op: Op) -> Result:
        """Damage that one call meets is no other's."""
        try:
            return Result(op, op.run(rows))
        except sqlite3.Error as error:
            if is_locked(error):
                raise
            return Result(op, None, mapped(error, self._path))
        except Exception as error:  # noqa: BLE001 -- whatever a call raises is for its caller
            return Result(op, None, error)
