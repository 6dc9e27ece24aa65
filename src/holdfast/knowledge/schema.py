"""The tables of an index file, their version, and the connections to it."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from holdfast.errors import IndexBusy, IndexUnusable, KnowledgeMissing

T = TypeVar("T")

VERSION: Final = 1
"""Kept in ``PRAGMA user_version``. Terms are made by this release's rules: a change of those rules raises it too."""

APPLICATION_ID: Final = 0x484F4B4E
"""``PRAGMA application_id``: tells an index from any other SQLite database."""

# `passage_terms` holds the terms that were made of a passage, separated by spaces; its rowid is the passage's. Its tokenizer
# splits at white space only as far as we are concerned: terms are lower-cased letters and digits already.
TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE document (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE passage (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, document INTEGER NOT NULL, title TEXT NOT NULL, page INTEGER,
    start INTEGER NOT NULL, end INTEGER NOT NULL, length INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE UNIQUE INDEX passage_key ON passage (key);
CREATE INDEX passage_document ON passage (document);
CREATE VIRTUAL TABLE passage_terms USING fts5 (terms, tokenize = 'ascii');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab ('passage_terms', 'row');
INSERT INTO meta VALUES ('generation', 0), ('threshold', NULL), ('calibrated', -1);
"""

# Added to files of earlier releases when they are opened for writing; a reader of a file without it has no vectors.
VECTORS: Final = """
CREATE TABLE IF NOT EXISTS vector (
    id INTEGER PRIMARY KEY AUTOINCREMENT, embedder TEXT NOT NULL, passage TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS vector_passage ON vector (passage, embedder);
INSERT OR IGNORE INTO meta VALUES ('changed', 0);
"""


def connect(path: Path, *, write: bool, create: bool = False) -> sqlite3.Connection:
    """A connection that one thread uses at a time; ``create`` makes the file where there is none.

    Raises `KnowledgeMissing` and `IndexUnusable`.
    """
    if not create and not path.is_file():
        raise KnowledgeMissing(f"there is no knowledge index at {path}: make one with `holdfast knowledge add`")
    if create and not path.parent.is_dir():
        raise KnowledgeMissing(f"there is no folder {path.parent} to keep the index {path.name} in")
    try:
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise IndexUnusable(f"{path} cannot be opened: {error}") from error
    try:
        db.execute("PRAGMA temp_store = memory")
        # this one reads the file, and so can meet the lock of a process that is just making it
        patiently(lambda: db.execute("PRAGMA cache_size = -16384"), path, timeout=10.0)
        # the index can be made anew from the documents: a power cut may take the last ones back, never half of one
        patiently(lambda: db.execute("PRAGMA synchronous = normal"), path, timeout=10.0)
        if write:
            patiently(lambda: _prepare(db, path), path, timeout=10.0)
        else:
            patiently(lambda: _check(db, path), path, timeout=10.0)
            db.execute("PRAGMA query_only = on")
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.Error):
            raise IndexUnusable(f"{path} is not a knowledge index: {error}") from error
        raise
    return db


def patiently(attempt: Callable[[], T], path: Path, timeout: float) -> T:
    """Calls ``attempt`` until it meets no other process's lock, for ``timeout`` seconds; then raises `IndexBusy`."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() > deadline:
                raise IndexBusy(f"another process kept {path} locked for {timeout:g} s; try again") from error
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(pause * 1.5, 0.02)


def _check(db: sqlite3.Connection, path: Path) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise IndexUnusable(f"{path} is not a knowledge index: give the index a file of its own")
    if version != VERSION:
        newer = "a newer" if version > VERSION else "an older"
        raise IndexUnusable(
            f"{path} was written by {newer} release (schema {version}, this one knows {VERSION}): make it anew"
        )
    return int(version)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables:
        _check(db, path)
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'vector_passage'").fetchone():
            return
    else:
        db.execute("PRAGMA journal_mode = wal")
    db.execute("BEGIN IMMEDIATE")
    try:
        if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            _execute(db, TABLES)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        _execute(db, VECTORS)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _execute(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            db.execute(statement)
