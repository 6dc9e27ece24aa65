"""Connections and their settings, and the patience with other processes' locks."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import Final, Literal, TypeVar

from holdfast.backends.sqlite.mapping import is_locked
from holdfast.errors import ServerUnsuitable

T = TypeVar("T")

Synchronous = Literal["full", "normal"]
"""``full``: a commit is on the disk before it is acknowledged. ``normal``: a power cut may take back the last ones."""

_CACHE_KB: Final = 16_384
_WAL_LIMIT: Final = 64 * 1024 * 1024
"""Bytes to which a WAL that had to grow is cut back."""


class Backoff:
    """Random pauses between tries for another process's lock, in seconds: from 0.2 ms, growing to at most 5 ms.

    SQLite's own busy handler sleeps in fixed steps of up to 100 ms, by which two busy processes starve each other.
    """

    def __init__(self) -> None:
        self._cap = 0.0004

    def sleep(self) -> None:
        time.sleep(random.uniform(0.0002, self._cap))
        self._cap = min(self._cap * 1.5, 0.005)


def connect(path: str, synchronous: Synchronous, *, read_only: bool) -> sqlite3.Connection:
    """Opens a connection with our settings; it may be used by one thread at a time."""
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        db.execute("PRAGMA temp_store = memory")
        db.execute(
            "PRAGMA secure_delete = on"
        )  # what was deleted leaves the file; no slower here (docs/decisions/encryption.md)
        (mode,) = db.execute("PRAGMA journal_mode = wal").fetchone()
        if mode not in ("wal", "memory"):
            raise ServerUnsuitable(
                f"{path} cannot be kept in WAL mode (it stays {mode!r}): put it on a local file system"
            )
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        if read_only:
            db.execute("PRAGMA query_only = on")
    except BaseException:
        db.close()
        raise
    return db


_SCRUB_S: Final = 3.0


def emptied_wal(path: str) -> bool:
    """Writes the log back into the file and cuts it to no bytes; False where readers kept it in use for seconds."""
    db = connect(path, "full", read_only=False)
    try:
        deadline = time.monotonic() + _SCRUB_S
        while True:
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(truncate)").fetchone()
            if not busy or time.monotonic() > deadline:
                return not busy
            time.sleep(0.02)
    except sqlite3.OperationalError:
        return False
    finally:
        db.close()


def patiently(attempt: Callable[[], T], timeout: float) -> T:
    """Calls ``attempt`` until it meets no lock, or for ``timeout`` seconds; then raises SQLite's error."""
    deadline = time.monotonic() + timeout
    backoff = Backoff()
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > deadline:
                raise
        backoff.sleep()
