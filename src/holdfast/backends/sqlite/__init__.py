"""The SQLite backend: one file, one writer thread with group commit, readers on snapshots beside it."""

from holdfast.backends.sqlite.backend import SqliteBackend
from holdfast.backends.sqlite.opening import open_sqlite

__all__ = ["SqliteBackend", "open_sqlite"]
