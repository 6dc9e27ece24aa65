"""Figures of the file and of the two threads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from holdfast.backends.measures import Measure
from holdfast.backends.sqlite.lane import Lane

_DEPTH = "Calls that wait for the thread."
_BATCHES = "Transactions, each of all the calls that waited for it."
_BATCHED = "Calls in those transactions: divided by them, how many share one fsync."
_BYTES = "Size of the database file and of its write-ahead log (wal)."


def measures_of(path: str, writing: Lane, reading: Lane) -> list[Measure]:
    """Of a file at ``path`` ("" for a store in memory) with these lanes, which may be one and the same."""
    found = []
    lanes = {"writer": writing} if reading is writing else {"writer": writing, "reader": reading}
    for name, lane in lanes.items():
        thread = (("thread", name),)
        found += [
            Measure("sqlite_queue_depth", "gauge", lane.depth, thread, _DEPTH),
            Measure("sqlite_transactions", "counter", lane.batches, thread, _BATCHES),
            Measure("sqlite_transaction_calls", "counter", lane.batched, thread, _BATCHED),
        ]
    if path:
        for kind, file in (("database", Path(path)), ("wal", Path(f"{path}-wal"))):
            with suppress(OSError):  # a file that is not there has no size
                found.append(Measure("sqlite_file_bytes", "gauge", file.stat().st_size, (("file", kind),), _BYTES))
    return found
