"""Terms of the index that stand close to a query's English term: other forms of the word, and what a misspelling meant."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

_WORD: Final = re.compile(r"[a-z]{5,}\Z")
STEM: Final = 5
"""Letters that two forms of a word share (``invade``, ``invasion``)."""

_LENGTH_APART: Final = 5
_MOST: Final = 6
_SCANNED: Final = 400


def variants(db: sqlite3.Connection, term: str, known: bool) -> list[tuple[str, int]]:
    """Terms like this one with their document counts, the commonest first; without the term itself.

    Other forms begin with the same five letters. A term that is not ``known`` to the index is also compared by spelling:
    one edit (insertion, deletion, substitution or transposition of neighbours) apart, two from eight letters on.
    """
    if not _WORD.match(term):
        return []
    found = [
        (other, count)
        for other, count in _range(db, term[:STEM])
        if other != term and abs(len(other) - len(term)) <= _LENGTH_APART and other.isalpha()
    ]
    if not known:
        edits = 2 if len(term) >= 8 else 1
        seen = {other for other, _ in found}
        found += [
            (other, count)
            for other, count in _range(db, term[:2])
            if other not in seen and len(other) >= STEM - 1 and distance(term, other, edits) <= edits
        ]
    found.sort(key=lambda pair: -pair[1])
    return found[:_MOST]


def _range(db: sqlite3.Connection, prefix: str) -> list[tuple[str, int]]:
    return db.execute(
        "SELECT term, doc FROM vocabulary WHERE term >= ? AND term < ? LIMIT ?", (prefix, prefix + "\u007f", _SCANNED)
    ).fetchall()


def distance(one: str, other: str, most: int) -> int:
    """Edits between two words (optimal string alignment: Damerau 1964, Levenshtein 1966); ``most + 1`` for more than that."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]
