"""The tables of the file, their version, and their creation by whichever process comes first.

Ids are stored as UTF-8 bytes, so that any text (NUL, lone surrogates) is an id like every other.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from holdfast.errors import ConfigError, FutureFormat

VERSION: Final = 1
"""Kept in ``PRAGMA user_version``; a file with a higher one was written by a newer release."""

APPLICATION_ID: Final = 0x484F4C44
"""``PRAGMA application_id``: tells a Holdfast file from any other SQLite database."""

SPAN: Final = 1 << 28
"""Numbers that one life may use up as log positions, as outcomes of one kind (half of it) and as fences."""

# `session.sid` names one life and is never used again. `log.place` is sid * SPAN + position: a session's entries lie side by
# side in one tree without a second index. `session.sweep` is when to look whether the life is over: it is moved by the
# sweep and not by the turns, which therefore leave that index alone.
# `rejected` stands beside the lives: a delayed update may meet none, or the next one. `watcher` and `hint` carry hints from
# one process to another, and only where one of them watches.
# Outcomes are found by a short hash, so that the index of a session's whole ring is a page or two.
TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE session (
    sid INTEGER PRIMARY KEY AUTOINCREMENT, tenant BLOB NOT NULL, id BLOB NOT NULL, user BLOB NOT NULL,
    used INTEGER NOT NULL, sweep INTEGER NOT NULL, head BLOB NOT NULL
);
CREATE UNIQUE INDEX session_key ON session (tenant, id);
CREATE INDEX session_user ON session (tenant, user, used) WHERE user <> x'';
CREATE INDEX session_sweep ON session (sweep) WHERE sweep > 0;
CREATE TABLE field (
    sid INTEGER NOT NULL, name BLOB NOT NULL, counter INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (sid, name)
) WITHOUT ROWID;
CREATE TABLE log (place INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE pending (
    sid INTEGER NOT NULL, turn_id BLOB NOT NULL, token BLOB NOT NULL, ord INTEGER NOT NULL, fingerprint BLOB NOT NULL,
    handler BLOB NOT NULL, place INTEGER NOT NULL, attempt INTEGER NOT NULL, due INTEGER NOT NULL, entry BLOB NOT NULL,
    PRIMARY KEY (sid, turn_id)
) WITHOUT ROWID;
CREATE INDEX pending_due ON pending (due);
CREATE TABLE step (
    n INTEGER PRIMARY KEY, sid INTEGER NOT NULL, turn_id BLOB NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL
);
CREATE UNIQUE INDEX step_name ON step (sid, turn_id, name);
CREATE TABLE outcome (
    place INTEGER PRIMARY KEY, sid INTEGER NOT NULL, hash INTEGER NOT NULL, stored INTEGER NOT NULL,
    op BLOB NOT NULL, body BLOB NOT NULL
);
CREATE INDEX outcome_op ON outcome (sid, hash);
CREATE TABLE rejected (
    tenant BLOB NOT NULL, id BLOB NOT NULL, op BLOB NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (tenant, id, op)
) WITHOUT ROWID;
CREATE INDEX rejected_since ON rejected (since);
CREATE TABLE watcher (
    tenant BLOB NOT NULL, id BLOB NOT NULL, node BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (tenant, id, node)
) WITHOUT ROWID;
CREATE TABLE hint (n INTEGER PRIMARY KEY, node BLOB NOT NULL, tenant BLOB NOT NULL, id BLOB NOT NULL, hint BLOB NOT NULL);
"""

# Made where they are missing, and the version stays: a node of a release before these tables still opens the file. It leaves
# rows in them where it ends a life; no other life gets that sid, and the sweep clears them away.
# `stream` says whose events a session keeps, `event` keeps them as `log` keeps entries. `stream.sweep` is to `until` what
# `session.sweep` is to the end of a life.
ADDED: Final = """
CREATE TABLE IF NOT EXISTS stream (
    sid INTEGER PRIMARY KEY, turn_id BLOB NOT NULL, fence INTEGER NOT NULL, total INTEGER NOT NULL, until INTEGER NOT NULL,
    sweep INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS stream_sweep ON stream (sweep);
CREATE TABLE IF NOT EXISTS event (place INTEGER PRIMARY KEY, chunk BLOB NOT NULL);
"""


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Creates or checks the tables, inside the opener's write transaction.

    Raises:
        FutureFormat: the file was written by a newer release.
        ConfigError: the file is another program's database.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise FutureFormat(
            f"{path} has schema version {version}, this release knows {VERSION}: upgrade holdfast, or use another file"
        )
    if version < VERSION:
        if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise ConfigError(f"{path} is the database of another program: give holdfast a file of its own")
        _create(db, TABLES)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    _create(db, ADDED)


def _create(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            db.execute(statement)
