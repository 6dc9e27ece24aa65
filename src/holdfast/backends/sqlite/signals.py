"""Hints from process to process through the file: written only where another process watches the session."""

from __future__ import annotations

import sqlite3
from typing import Final

from holdfast.backends.records import SessionKey
from holdfast.backends.sqlite.text import raw, text

WATCH_MS: Final = 15 * 60_000
"""How long a watch counts for other processes; one of a killed process is forgotten then."""

POLL_S: Final = 0.02
"""Seconds between two looks for other processes' hints, while somebody watches."""

_KEPT: Final = 1024
"""Hints that stay in the file; a process that falls further behind loses some."""


def register(db: sqlite3.Connection, node: bytes, key: SessionKey, now: int) -> int:
    """Tells the others that this node watches a session; returns the number of the last hint."""
    db.execute(
        "INSERT INTO watcher (tenant, id, node, until) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (tenant, id, node) DO UPDATE SET until = excluded.until",
        (raw(key.tenant), raw(key.id), node, now + WATCH_MS),
    )
    return last(db)


def unregister(db: sqlite3.Connection, node: bytes, key: SessionKey) -> None:
    db.execute("DELETE FROM watcher WHERE tenant = ? AND id = ? AND node = ?", (raw(key.tenant), raw(key.id), node))


def leave(db: sqlite3.Connection, node: bytes) -> None:
    db.execute("DELETE FROM watcher WHERE node = ?", (node,))


def last(db: sqlite3.Connection) -> int:
    (n,) = db.execute("SELECT max(n) FROM hint").fetchone()
    return n or 0


def tell_others(db: sqlite3.Connection, node: bytes, key: SessionKey, hint: bytes, now: int) -> None:
    at = (raw(key.tenant), raw(key.id))
    others = db.execute(
        "SELECT 1 FROM watcher WHERE tenant = ? AND id = ? AND node <> ? AND until > ? LIMIT 1", (*at, node, now)
    ).fetchone()
    if others:
        cursor = db.execute("INSERT INTO hint (node, tenant, id, hint) VALUES (?, ?, ?, ?)", (node, *at, hint))
        db.execute("DELETE FROM hint WHERE n <= ?", ((cursor.lastrowid or 0) - _KEPT,))


def heard(db: sqlite3.Connection, node: bytes, since: int) -> tuple[list[tuple[SessionKey, bytes]], int]:
    """The other nodes' hints after number ``since``, and the number of the last one."""
    rows = db.execute("SELECT n, node, tenant, id, hint FROM hint WHERE n > ? ORDER BY n", (since,)).fetchall()
    hints = [(SessionKey(text(tenant), text(id_)), hint) for _, from_, tenant, id_, hint in rows if from_ != node]
    return hints, rows[-1][0] if rows else since


def forget_old(db: sqlite3.Connection, now: int) -> None:
    db.execute("DELETE FROM watcher WHERE until <= ?", (now,))
