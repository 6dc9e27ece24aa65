"""The index file, blocking: documents in, passages out. One transaction a document; a search sees one moment's content."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from holdfast.errors import IndexUnusable, KnowledgeClosed
from holdfast.knowledge import calibration, ranking
from holdfast.knowledge.contract import Document, Extracted, Hit, Passage
from holdfast.knowledge.schema import connect, patiently
from holdfast.knowledge.splitting import split
from holdfast.knowledge.terms import terms

T = TypeVar("T")

_WAIT: Final = 30.0
"""Seconds that a write waits for another process's."""

_DOCUMENTS: Final = """
    SELECT d.name, d.title, d.hash, length(d.text), (SELECT count(*) FROM passage p WHERE p.document = d.id)
    FROM document d ORDER BY d.name
"""


class IndexFile:
    """An index in one SQLite file, for any number of threads and processes. Every thread has a connection of its own.

    Args:
        path: the file.
        write: whether documents may be added; makes the file where there is none.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self._path = path
        self._write = write
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self._statistics: ranking.Statistics | None = None
        self.threshold = calibration.DEFAULT
        self._connection(create=write)
        self._read(lambda db: self._current(db))

    def close(self) -> None:
        """Closes all connections; no search may be running."""
        with self._lock:
            self._closed = True
            for db in self._open:
                db.close()
            self._open.clear()

    # --- reading -----------------------------------------------------------------------------------------------------

    def search(self, query: str, limit: int) -> list[Hit]:
        """See `Knowledge.search`."""
        if limit < 1:
            return []
        found = self._read(lambda db: ranking.search(db, self._current(db), query, limit))
        return [Hit(Passage(*row), score, coverage) for row, score, coverage in found]

    def weights(self, query: str) -> dict[str, float]:
        """See `Knowledge.weights`."""
        wanted = self._read(lambda db: ranking.groups(db, self._current(db), query))
        return {group.term: group.weight for group in wanted}

    def passage(self, id: str) -> Passage | None:
        """See `Knowledge.passage`."""
        row = self._read(
            lambda db: db.execute(
                "SELECT p.key, d.name, p.title, p.page, p.start, p.end, p.text FROM passage p"
                " JOIN document d ON d.id = p.document WHERE p.key = ?",
                (_storable(id),),
            ).fetchone()
        )
        return None if row is None else Passage(*row)

    def documents(self) -> list[Document]:
        """See `Knowledge.documents`."""
        return [Document(*row) for row in self._read(lambda db: db.execute(_DOCUMENTS).fetchall())]

    def document_text(self, name: str) -> str | None:
        """A document's extracted text, in which passages' offsets count."""
        row = self._read(
            lambda db: db.execute("SELECT text FROM document WHERE name = ?", (_storable(name),)).fetchone()
        )
        return None if row is None else str(row[0])

    def hash_of(self, name: str) -> str | None:
        """The hash under which a document was added."""
        row = self._read(
            lambda db: db.execute("SELECT hash FROM document WHERE name = ?", (_storable(name),)).fetchone()
        )
        return None if row is None else str(row[0])

    # --- writing -----------------------------------------------------------------------------------------------------

    def put(self, name: str, hash: str, extracted: Extracted) -> int:
        """Adds or replaces a document, in one transaction; returns the number of its passages."""
        name = _storable(name)
        text = _storable(extracted.text)
        pieces = list(split(Extracted(text, _storable(extracted.title), extracted.headings, extracted.pages)))
        rows = []
        for (start, end), title, page in pieces:
            body = text[start:end]
            made = terms(f"{title}\n{body}")
            rows.append((_key(name, start, body), title, page, start, end, len(made), body, " ".join(made)))

        def write(db: sqlite3.Connection) -> None:
            _delete(db, name)
            document = db.execute(
                "INSERT INTO document (name, hash, title, text) VALUES (?, ?, ?, ?)",
                (name, hash, _storable(extracted.title), text),
            ).lastrowid
            for key, title, page, start, end, length, body, made in rows:
                cursor = db.execute(
                    "INSERT INTO passage (key, document, title, page, start, end, length, text) VALUES (?,?,?,?,?,?,?,?)",
                    (key, document, title, page, start, end, length, body),
                )
                db.execute("INSERT INTO passage_terms (rowid, terms) VALUES (?, ?)", (cursor.lastrowid, made))

        self._written(write)
        return len(rows)

    def remove(self, name: str) -> bool:
        """Removes a document; False where there is none of that name."""
        return self._written(lambda db: _delete(db, _storable(name)))

    def calibrate(self) -> float:
        """Sets the threshold from the present content, if that changed since the last time; returns it."""

        def measure(db: sqlite3.Connection) -> tuple[int, float]:
            statistics = self._current(db)
            (known,) = db.execute("SELECT value FROM meta WHERE name = 'calibrated'").fetchone()
            if known == statistics.generation:
                return -1, self.threshold
            return statistics.generation, calibration.calibrate(db, statistics)

        generation, threshold = self._read(measure)
        if generation >= 0:

            def keep(db: sqlite3.Connection) -> None:
                db.execute("UPDATE meta SET value = ? WHERE name = 'threshold'", (threshold,))
                db.execute("UPDATE meta SET value = ? WHERE name = 'calibrated'", (generation + 1,))

            self._written(keep)
            self._read(lambda db: self._current(db))
        return threshold

    # --- connections and transactions ----------------------------------------------------------------------------------

    def _connection(self, *, create: bool = False) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = connect(self._path, write=self._write, create=create)
            with self._lock:
                self._open.append(db)
            self._local.db = db
        if self._closed:
            raise KnowledgeClosed(f"the index {self._path} was closed")
        return db

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._connection()

        def attempt() -> T:
            db.execute("BEGIN")
            try:
                return work(db)
            finally:
                db.execute("ROLLBACK")

        return self._guarded(attempt)

    def _written(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._connection()

        def attempt() -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'")
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

        return self._guarded(attempt)

    def _guarded(self, attempt: Callable[[], T]) -> T:
        try:
            return patiently(attempt, self._path, _WAIT)
        except sqlite3.Error as error:
            if self._closed:
                raise KnowledgeClosed(f"the index {self._path} was closed") from error
            raise IndexUnusable(f"the index {self._path} cannot be used: {error}") from error

    def _current(self, db: sqlite3.Connection) -> ranking.Statistics:
        """The collection's figures at this transaction's moment."""
        values = dict(db.execute("SELECT name, value FROM meta").fetchall())
        statistics = self._statistics
        if statistics is None or statistics.generation != values["generation"]:
            statistics = self._statistics = ranking.Statistics(db, values["generation"])
            self.threshold = calibration.DEFAULT if values["threshold"] is None else float(values["threshold"])
        return statistics


def _delete(db: sqlite3.Connection, name: str) -> bool:
    row = db.execute("SELECT id FROM document WHERE name = ?", (name,)).fetchone()
    if row is None:
        return False
    db.execute("DELETE FROM passage_terms WHERE rowid IN (SELECT id FROM passage WHERE document = ?)", row)
    db.execute("DELETE FROM passage WHERE document = ?", row)
    db.execute("DELETE FROM document WHERE id = ?", row)
    return True


def _key(name: str, start: int, text: str) -> str:
    digest = hashlib.blake2b(f"{name}\0{start}\0{text}".encode(), digest_size=10)
    return f"p{digest.hexdigest()}"


def _storable(text: str) -> str:
    """The same text at the same length, lone surrogates (which UTF-8 has no bytes for) and NUL replaced."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text
