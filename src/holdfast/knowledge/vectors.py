"""Passages' vectors in an index: kept as float32 of length 1, searched by comparing with all of them.

Up to some 100 000 passages that is a matter of milliseconds; they are held in memory, 4 bytes a dimension each. They stand under
their embedder's name and their passage's id, so that another model's are never compared, and what did not change is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from holdfast.errors import EmbeddingError, MissingExtra
from holdfast.knowledge.calibration import TOLERATED, stretches
from holdfast.knowledge.fusion import AGREES, Agreement, fused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS: Final = 40
"""Passages that vectors bring to a search, as many as the terms do."""

LEAST: Final = 0.5
"""Share of the collection's own sentences whose passage must be among the five nearest for vectors to be used."""

_QUESTIONS: Final = 64
_FEWEST: Final = 20


class Near(NamedTuple):
    """A query's vector, and the name of the embedder that made it."""

    embedder: str
    vector: Sequence[float]


class Vectors:
    """One embedder's vectors of one generation of an index.

    Attributes:
        embedder, generation: whose, and of which.
        rows, passages: row ids of the vectors and of their passages, in one order.
        matrix: a vector a line.
        missing: passages without a vector.
        found_own: see `judged`; None where it was not measured.
    """

    def __init__(
        self,
        embedder: str,
        generation: int,
        rows: Sequence[int],
        passages: Sequence[int],
        matrix: NDArray[np.float32],
        missing: int,
        found_own: float | None,
    ) -> None:
        self.embedder = embedder
        self.generation = generation
        self.rows = rows
        self.passages = passages
        self.matrix = matrix
        self.missing = missing
        self.found_own = found_own

    def fuse(
        self, scored: list[tuple[float, int]], near: Near, agreement: Agreement
    ) -> tuple[list[tuple[float, int]], str]:
        """The terms' ranking (scores and passages) fused with the vectors', or as it was and why."""
        if not self.passages:
            return scored, f"the index has no vectors of {self.embedder}" if self.missing else ""
        if len(near.vector) != self.matrix.shape[1]:
            return scored, (
                f"{self.embedder} made a vector of {len(near.vector)} dimensions, the index has {self.matrix.shape[1]}"
            )
        if self.found_own is not None and self.found_own < LEAST:
            return scored, (
                f"the vectors of {self.embedder} find only {self.found_own:.0%} of the collection's own sentences and are not used"
            )
        try:
            neighbours = self.nearest(near.vector, NEIGHBOURS)
        except EmbeddingError as error:
            return scored, str(error)
        agreement.note(scored, neighbours)
        if agreement.share is not None and agreement.share < AGREES:
            return scored, (
                f"the vectors of {self.embedder} find only {agreement.share:.0%} of what the words find surely and are not used"
            )
        return fused(scored, neighbours), f"{self.missing} passages have no vector yet" if self.missing else ""

    def nearest(self, vector: Sequence[float], most: int) -> list[int]:
        """The passages with the most similar vectors (by cosine), the nearest first. Raises `EmbeddingError`."""
        numpy = _numpy()
        similar = self.matrix @ _normal(vector)
        most = min(most, len(similar))
        chosen = numpy.argpartition(-similar, most - 1)[:most]
        return [self.passages[i] for i in chosen[numpy.argsort(-similar[chosen], kind="stable")]]


def load(db: sqlite3.Connection, embedder: str, generation: int, before: Vectors | None) -> Vectors:
    """An embedder's vectors, in a read transaction; those that ``before`` has are not read again."""
    numpy = _numpy()
    (all_passages,) = db.execute("SELECT count(*) FROM passage").fetchone()
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'vector'").fetchone():
        return Vectors(embedder, generation, (), (), numpy.zeros((0, 0), numpy.float32), all_passages, None)
    pairs = db.execute(
        "SELECT v.id, p.id FROM vector v JOIN passage p ON p.key = v.passage WHERE v.embedder = ? ORDER BY v.id",
        (embedder,),
    ).fetchall()
    places = {row: i for i, row in enumerate(before.rows)} if before is not None and before.embedder == embedder else {}
    dimensions = 0
    if pairs:
        (size,) = db.execute("SELECT length(vector) FROM vector WHERE id = ?", (pairs[0][0],)).fetchone()
        dimensions = size // 4
    matrix = numpy.empty((len(pairs), dimensions), numpy.float32)
    known = [(i, places[row]) for i, (row, _) in enumerate(pairs) if row in places]
    if known and before is not None:
        matrix[[i for i, _ in known]] = before.matrix[[place for _, place in known]]
    for i, (row, _) in enumerate(pairs):
        if row not in places:
            (blob,) = db.execute("SELECT vector FROM vector WHERE id = ?", (row,)).fetchone()
            matrix[i] = numpy.frombuffer(blob, "<f4")
    share = db.execute("SELECT value FROM meta WHERE name = ?", (_verdict(embedder),)).fetchone()
    return Vectors(
        embedder,
        generation,
        [row for row, _ in pairs],
        [passage for _, passage in pairs],
        matrix,
        all_passages - len(pairs),
        None if share is None else share[0],
    )


def lacking(db: sqlite3.Connection, embedder: str, after: str, most: int) -> list[tuple[str, str]]:
    """See `IndexFile.without_vector`."""
    rows = db.execute(
        "SELECT p.key, p.title, p.text FROM passage p WHERE p.key > ? AND NOT EXISTS"
        " (SELECT 1 FROM vector v WHERE v.passage = p.key AND v.embedder = ?) ORDER BY p.key LIMIT ?",
        (after, embedder, most),
    ).fetchall()
    return [(key, f"{title}\n{text}" if title else text) for key, title, text in rows]


def keep(db: sqlite3.Connection, embedder: str, found: Sequence[tuple[str, Sequence[float]]]) -> None:
    """See `IndexFile.keep_vectors`."""
    stored = db.execute("SELECT length(vector) FROM vector WHERE embedder = ? LIMIT 1", (embedder,)).fetchone()
    for key, vector in found:
        blob = _normal(vector).astype("<f4").tobytes()
        stored = stored or (len(blob),)
        if len(blob) != stored[0]:
            raise EmbeddingError(
                f"{embedder} made a vector of {len(blob) // 4} dimensions beside others of {stored[0] // 4}", "garbled"
            )
        db.execute(
            "INSERT OR REPLACE INTO vector (embedder, passage, vector)"
            " SELECT ?, key, ? FROM passage WHERE key = ?",  # it may have been removed meanwhile
            (embedder, blob, key),
        )


def forget(db: sqlite3.Connection, passages: Iterable[str]) -> None:
    """Removes the vectors of these passages."""
    db.executemany("DELETE FROM vector WHERE passage = ?", [(key,) for key in passages])


def questions(db: sqlite3.Connection, found: Vectors, added: int) -> list[tuple[str, int]]:
    """See `IndexFile.vectors_to_judge`."""
    if not added or (found.found_own is not None and added <= len(found.passages) * TOLERATED):
        return []
    held = frozenset(found.passages)
    asked = [(stretch, passage) for stretch, passage, _ in stretches(db, _QUESTIONS) if passage in held]
    return asked if len(asked) >= _FEWEST else []


def judged(found: Vectors, asked: Sequence[tuple[int, Sequence[float]]]) -> float:
    """Share of these passages that are among the five nearest to their question's vector.

    A model that cannot find the passage a stretch was cut from cannot find the one that answers a question either.
    """
    own = sum(passage in found.nearest(vector, 5) for passage, vector in asked)
    return own / len(asked)


def settle(db: sqlite3.Connection, embedder: str, share: float | None) -> None:
    """Removes the vectors of other embedders, and keeps the verdict on this one where there is a new one."""
    db.execute("DELETE FROM vector WHERE embedder <> ?", (embedder,))
    db.execute("DELETE FROM meta WHERE name LIKE 'found_own:%' AND name <> ?", (_verdict(embedder),))
    if share is not None:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_verdict(embedder), share))


def _verdict(embedder: str) -> str:
    return f"found_own:{embedder}"


def _normal(vector: Sequence[float]) -> NDArray[np.float32]:
    numpy = _numpy()
    try:
        values = numpy.asarray(vector, numpy.float32)
        length = float(numpy.linalg.norm(values)) if values.ndim == 1 else 0.0
    except (TypeError, ValueError):
        length = 0.0
    if not 0 < length < float("inf"):
        raise EmbeddingError("the embeddings hold a vector that is none: empty, zero or not of numbers", "garbled")
    unit: NDArray[np.float32] = values / numpy.float32(length)
    return unit


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MissingExtra('vectors need numpy: pip install "holdfast[knowledge]"') from error
    return numpy
