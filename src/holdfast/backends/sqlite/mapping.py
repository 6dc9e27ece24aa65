"""SQLite's errors as Holdfast's: the one place where they are told apart."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from holdfast.errors import (
    ConfigError,
    CorruptRecord,
    HoldfastError,
    LimitExceeded,
    OutcomeUnknown,
    ServerUnsuitable,
    StoreFull,
    StoreUnavailable,
)

_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_ROOM: Final = 64 * 1024
"""Bytes. An I/O error on a disk with less than this left is taken for a full disk: the index of the WAL grows by 32 KB."""


def primary(error: Exception) -> int:
    """The primary result code; 0 where the error did not come from SQLite itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_locked(error: sqlite3.Error) -> bool:
    """Another connection has the lock: try again."""
    return primary(error) in _LOCKED


def is_broken(error: Exception) -> bool:
    """The connection is not to be trusted any more: open another one."""
    return primary(error) in {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
    }


def disk_is_full(path: str) -> bool:
    if path == ":memory:":
        return False
    try:
        free = os.statvfs(Path(path).parent)
    except (OSError, AttributeError):
        return False
    return free.f_bavail * free.f_frsize < _ROOM or (free.f_files > 0 and free.f_favail == 0)


def is_full(error: Exception, path: str) -> bool:
    code = primary(error)
    return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and disk_is_full(path))


def mapped(error: sqlite3.Error, path: str) -> HoldfastError:
    """What a failed statement means; its transaction has been rolled back, so nothing was applied."""
    code = primary(error)
    if code == sqlite3.SQLITE_TOOBIG:
        return LimitExceeded("SQLite keeps no value of 1 GB or more: write less at once; nothing was written")
    if is_full(error, path):
        return StoreFull(f"the disk under {path} is full: free space there; nothing was written")
    if code in _CORRUPT:
        return CorruptRecord(f"{path} is damaged ({error}): restore it from a backup, or save what `.recover` reads")
    if code in _LOCKED:
        return StoreUnavailable(f"another process keeps {path} locked; nothing was written")
    if code == sqlite3.SQLITE_READONLY:
        return StoreUnavailable(f"{path} cannot be written ({error}): check its permissions and the mount")
    return StoreUnavailable(f"{path} cannot be used ({error}); nothing was written")


def mapped_commit(error: sqlite3.Error, path: str) -> HoldfastError:
    """What a failed COMMIT means. After an I/O error the transaction may be found in the WAL, or not."""
    if primary(error) == sqlite3.SQLITE_IOERR:
        return OutcomeUnknown(
            f"the disk failed while {path} was committed ({error}): it may or may not have been applied"
        )
    return mapped(error, path)


def mapped_open(error: sqlite3.Error, path: str) -> HoldfastError:
    """Why a file could not be opened, and what to do about it."""
    code = primary(error)
    place = Path(path)
    if code in _CORRUPT:
        return ServerUnsuitable(
            f"{path} is not an SQLite database, or damaged: restore it from a backup, or name another file"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        if not place.parent.is_dir():
            return ConfigError(f"{path} cannot be opened: make the folder {place.parent} first")
        if place.is_dir():
            return ConfigError(f"{path} is a folder: name a file in it")
        return ConfigError(
            f"{path} cannot be opened: this process needs to read and write it and to make files beside it"
        )
    if code == sqlite3.SQLITE_READONLY:
        return ConfigError(f"{path} is read-only: give this process the right to write it and to make files beside it")
    if code in _LOCKED:
        return StoreUnavailable(f"another process keeps {path} locked: it could not be opened in time")
    return mapped(error, path)
