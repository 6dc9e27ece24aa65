"""The coverage under which a hit is not relevant, found from the collection itself.

Questions that the collection cannot answer share some of its words all the same. To see how many, stretches of a few terms
are taken from its own sentences and searched in all *other* documents: what those cover is what chance and common vocabulary
give. The threshold is half way between the `QUANTILE` of that and `DEFAULT`, the value that does best over the collections
measured: the sample alone is too noisy, and near-duplicate documents would push it up.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from holdfast.knowledge.ranking import Statistics, search
from holdfast.knowledge.sentences import sentences
from holdfast.knowledge.terms import is_cjk, terms

DEFAULT: Final = 0.48
"""Used as it is where a collection is too small to calibrate. On three collections, with the questions on one half of the
documents asked of the other, the best values lay between .44 and .51."""

QUANTILE: Final = 0.8
LEAST: Final = 0.3
MOST: Final = 0.55
SAMPLES: Final = 150
TOLERATED: Final = 0.05
"""Share of the passages that may change before the threshold is found anew: an update of one document of many is not the moment
for 150 searches, and the threshold is a quantile that it cannot move far."""

_FEWEST: Final = 20
_TERMS: Final = (4, 7)
"""Informative terms of a question, as people ask: four to seven words, or twice that in Chinese characters."""


def calibrate(db: sqlite3.Connection, statistics: Statistics) -> float:
    """The threshold for this collection; the same collection gives the same value. 150 searches, however large it is."""
    found = sample(db, statistics)
    if len(found) < _FEWEST:
        return DEFAULT
    return min(MOST, max(LEAST, (DEFAULT + quantile(found, QUANTILE)) / 2))


def due(changed: int, passages: int) -> bool:
    """Whether so many passages, added or removed since the last calibration, may have moved the threshold."""
    return changed > passages * TOLERATED


def stretches(db: sqlite3.Connection, most: int) -> Iterator[tuple[str, int, int]]:
    """Up to ``most`` stretches of sentences as long as a question, each with its passage's and its document's row id.

    They are taken from the passages with the smallest keys: keys are hashes, so this is a fair sample, found without reading the
    rest, and nearly the same one after a document has changed.
    """
    rows = db.execute("SELECT key, id, document, text FROM passage ORDER BY key LIMIT ?", (most * 2,)).fetchall()
    found = 0
    for key, passage, document, text in rows:
        rng = random.Random(key)
        start, end = rng.choice(list(sentences(text)))
        if stretch := _stretch(text[start:end], rng):
            yield stretch, passage, document
            found += 1
            if found == most:
                return


def sample(db: sqlite3.Connection, statistics: Statistics) -> list[float]:
    """Coverage of the best hit in other documents for stretches of the collection's own sentences."""
    if db.execute("SELECT count(*) FROM (SELECT 1 FROM document LIMIT 2)").fetchone()[0] < 2:
        return []
    found = []
    for stretch, _, document in stretches(db, SAMPLES):
        hits = search(db, statistics, stretch, 1, exclude=document)
        found.append(hits[0].coverage if hits else 0.0)
    return sorted(found)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the ordered values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _stretch(sentence: str, rng: random.Random) -> str:
    """Some neighbouring words of a sentence, as many as a question has; empty where the sentence has too few."""
    found = terms(sentence)
    if len(found) < _TERMS[0]:
        return ""
    chinese = sum(map(is_cjk, found)) * 2 > len(found)
    words = [c for c in sentence if not c.isspace()] if chinese else sentence.split()
    # an English question's informative terms are about half of its words; a Chinese one has a pair for each character but one
    length = rng.randint(*_TERMS) * 2
    at = rng.randrange(max(1, len(words) - length + 1))
    return ("" if chinese else " ").join(words[at : at + length])
