"""The index file, blocking: documents in, passages out. One transaction a document; a search sees one moment's content."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from holdfast.errors import IndexUnusable, KnowledgeClosed
from holdfast.knowledge import calibration, ranking, vectors
from holdfast.knowledge.contract import Document, Extracted, Hit, Passage, SearchResult
from holdfast.knowledge.fusion import Agreement
from holdfast.knowledge.schema import connect, patiently
from holdfast.knowledge.splitting import split
from holdfast.knowledge.terms import terms
from holdfast.knowledge.vectors import Near, Vectors

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
        self._vectors: Vectors | None = None
        self._agreement = Agreement()
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

    def retrieve(self, query: str, limit: int, near: Near | None = None) -> SearchResult:
        """See `Knowledge.retrieve`; ``near`` is the query's vector, where there is one."""

        def work(db: sqlite3.Connection) -> SearchResult:
            statistics = self._current(db)
            wanted = ranking.groups(db, statistics, query)
            scored, degraded = [], ""
            if limit > 0:
                scored = ranking.best(db, statistics, wanted, limit)
                if near is not None:
                    scored, degraded = self._of(db, near.embedder).fuse(scored, near, self._agreement)
            hits = tuple(
                Hit(Passage(*row), score, coverage)
                for row, score, coverage in ranking.rows(db, wanted, scored[: max(0, limit)])
            )
            weights = {group.term: group.weight for group in wanted}
            return SearchResult(hits, weights, statistics.threshold, (degraded,) if degraded else ())

        return self._read(work)

    def search(self, query: str, limit: int) -> list[Hit]:
        """The hits alone."""
        return list(self.retrieve(query, limit).hits)

    @property
    def threshold(self) -> float:
        """The coverage under which a hit is not relevant, as last read."""
        return calibration.DEFAULT if self._statistics is None else self._statistics.threshold

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
            before = _delete(db, name) or {}
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
                if before.get(key) == title:
                    del before[key]
            vectors.forget(db, before)
            _changed(db, max(len(before), len(rows)))

        self._written(write)
        return len(rows)

    def remove(self, name: str) -> bool:
        """Removes a document; False where there is none of that name."""

        def write(db: sqlite3.Connection) -> bool:
            if (before := _delete(db, _storable(name))) is None:
                return False
            vectors.forget(db, before)
            _changed(db, len(before))
            return True

        return self._written(write)

    def without_vector(self, embedder: str, after: str, most: int) -> list[tuple[str, str]]:
        """Keys and texts of the next passages, in the order of their keys, that this embedder has made no vector of."""
        return self._read(lambda db: vectors.lacking(db, embedder, after, most))

    def keep_vectors(self, embedder: str, found: Sequence[tuple[str, Sequence[float]]]) -> None:
        """Keeps vectors of passages that are still there. Raises `EmbeddingError` where they are unusable."""
        self._written(lambda db: vectors.keep(db, embedder, found))

    def vectors_to_judge(self, embedder: str, added: int) -> list[tuple[str, int]]:
        """Questions made of the collection's own sentences, and their passages; empty where ``added`` vectors change no verdict."""
        return self._read(lambda db: vectors.questions(db, self._of(db, embedder), added))

    def settle_vectors(self, embedder: str, asked: Sequence[tuple[int, Sequence[float]]]) -> None:
        """Judges an embedder by the vectors of those questions, and removes the vectors of others."""
        share = self._read(lambda db: vectors.judged(self._of(db, embedder), asked)) if asked else None
        self._written(lambda db: vectors.settle(db, embedder, share))

    def calibrate(self) -> float:
        """Sets the threshold from the present content, if enough of that changed since the last time; returns it."""

        def measure(db: sqlite3.Connection) -> tuple[int, float]:
            statistics = self._current(db)
            values = dict(db.execute("SELECT name, value FROM meta").fetchall())
            changed = values["changed"]
            if values["calibrated"] >= 0 and not calibration.due(changed, statistics.passages):
                return -1, statistics.threshold
            return changed, calibration.calibrate(db, statistics)

        changed, threshold = self._read(measure)
        if changed >= 0:

            def keep(db: sqlite3.Connection) -> None:
                db.execute("UPDATE meta SET value = ? WHERE name = 'threshold'", (threshold,))
                db.execute("UPDATE meta SET value = 1 WHERE name = 'calibrated'")
                _changed(db, -changed)

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
        values = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('generation', 'threshold')").fetchall())
        statistics = self._statistics
        if statistics is None or statistics.generation != values["generation"]:
            threshold = calibration.DEFAULT if values["threshold"] is None else float(values["threshold"])
            statistics = self._statistics = ranking.Statistics(db, values["generation"], threshold)
        return statistics

    def _of(self, db: sqlite3.Connection, embedder: str) -> Vectors:
        """An embedder's vectors at this transaction's moment; those that did not change are not read again."""
        generation = self._current(db).generation
        with self._lock:
            found = self._vectors
            if found is None or found.generation != generation or found.embedder != embedder:
                if found is not None and found.embedder != embedder:
                    self._agreement = Agreement()
                found = self._vectors = vectors.load(db, embedder, generation, found)
        return found


def _changed(db: sqlite3.Connection, passages: int) -> None:
    db.execute("UPDATE meta SET value = value + ? WHERE name = 'changed'", (passages,))


def _delete(db: sqlite3.Connection, name: str) -> dict[str, str] | None:
    """Removes a document; returns the keys and titles of its passages, None where there is none of that name."""
    row = db.execute("SELECT id FROM document WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    before = dict(db.execute("SELECT key, title FROM passage WHERE document = ?", row).fetchall())
    db.execute("DELETE FROM passage_terms WHERE rowid IN (SELECT id FROM passage WHERE document = ?)", row)
    db.execute("DELETE FROM passage WHERE document = ?", row)
    db.execute("DELETE FROM document WHERE id = ?", row)
    return before


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
