"""Search in an index: candidates from FTS5, ranked anew by BM25 with forms and parts, and their coverage."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import Final, NamedTuple

from holdfast.knowledge.matching import PART, TermSet, prepared, term_set
from holdfast.knowledge.query import parse
from holdfast.knowledge.terms import is_cjk
from holdfast.knowledge.variants import variants

K1: Final = 0.9
B: Final = 0.4
"""BM25's constants (Robertson and Zaragoza, 2009), at the values of Trotman, Puurula and Burgess (2014) for short passages;
FTS5's own 1.2 and .75, with which it chooses the candidates, rank .5 points lower here."""

CHARACTERS: Final = 0.25
"""Share of a pair's weight for a passage that has both characters, but not side by side; 0 to .7 measured, .2 to .3 best."""

UNKNOWN_PAIR: Final = 0.5
"""Share of its weight that a pair which the index does not know keeps in coverage: half of them are no words, but the end of
one and the beginning of the next. AUROC .933 with it, .914 without (XQuAD-zh)."""

_CANDIDATES: Final = 40
_BUDGET: Final = 3_000
"""Postings that the rarest terms of a query may bring together; commoner terms only rank what those found. With 10 900 passages
2 500 to 20 000 found the same."""

_KEPT: Final = 50_000


class Statistics:
    """What a search needs to know of the whole collection; holds for one generation of the index."""

    def __init__(self, db: sqlite3.Connection, generation: int, threshold: float = 0.0) -> None:
        self.generation = generation
        self.threshold = threshold
        self.passages, total = db.execute("SELECT count(*), coalesce(sum(length), 0) FROM passage").fetchone()
        self.mean_length = max(1.0, total / max(1, self.passages))
        self._groups: dict[str, tuple[int, dict[str, int]]] = {}

    def idf(self, count: int) -> float:
        """Inverse document frequency, as BM25 has it, kept positive by the 1 (Lucene's form)."""
        count = min(count, self.passages)
        return math.log(1 + (self.passages - count + 0.5) / (count + 0.5))

    def forms(self, db: sqlite3.Connection, term: str) -> tuple[int, dict[str, int]]:
        """In how many passages a term stands, and the same for the terms that stand for it."""
        if (known := self._groups.get(term)) is None:
            row = db.execute("SELECT doc FROM vocabulary WHERE term = ?", (term,)).fetchone()
            count = row[0] if row else 0
            if len(term) == 1 and is_cjk(term):
                upto = term + "\U0010ffff"
                (pairs,) = db.execute(
                    "SELECT coalesce(sum(doc), 0) FROM (SELECT doc FROM vocabulary WHERE term >= ? AND term < ? LIMIT 1000)",
                    (term, upto),
                ).fetchone()
                known = (pairs, {})
            else:
                known = (count, dict(variants(db, term, known=count > 0)))
            if len(self._groups) < _KEPT:
                self._groups[term] = known
        return known


class Group(NamedTuple):
    """A term of the query with the terms that stand for it.

    Attributes:
        term: as asked; the likeliest spelling where the index does not know it.
        weight: how much the query counts it, times its idf.
        held_by: passages that hold it.
        forms: other forms or spellings, and the passages that hold each.
        asked: whether it counts for coverage.
    """

    term: str
    weight: float
    held_by: int
    forms: dict[str, int]
    asked: bool


class Ranked(NamedTuple):
    """A passage's row, its score and its coverage."""

    row: tuple[str, str, str, int | None, int, int, str]
    score: float
    coverage: float


def groups(db: sqlite3.Connection, statistics: Statistics, query: str) -> list[Group]:
    """The query's terms, weighted by the collection."""
    found = []
    parsed = parse(query)
    for term, share in parsed.terms.items():
        count, forms = statistics.forms(db, term)
        asked = term in parsed.asked
        if not count and forms:
            spelled = next(iter(forms))
            forms = {form: n for form, n in forms.items() if form != spelled}
            found.append(
                Group(spelled, share * statistics.idf(max(1, count)), statistics.forms(db, spelled)[0], forms, asked)
            )
        else:
            found.append(Group(term, share * statistics.idf(count), count, forms, asked))
    return found


def search(
    db: sqlite3.Connection, statistics: Statistics, query: str, limit: int, exclude: int | None = None
) -> list[Ranked]:
    """The best passages; those of the document ``exclude`` are left out. To be called inside a read transaction."""
    wanted = groups(db, statistics, query)
    return rows(db, wanted, best(db, statistics, wanted, limit, exclude)[:limit])


def best(
    db: sqlite3.Connection, statistics: Statistics, wanted: Sequence[Group], limit: int, exclude: int | None = None
) -> list[tuple[float, int]]:
    """Scores and row ids of at least ``limit`` passages, where there are so many; the best first."""
    judged = [(*group, is_cjk(group.term)) for group in wanted]
    scored = []
    for rowid, found, length in _candidates(db, statistics, wanted, exclude, max(_CANDIDATES, limit)):
        scored.append((_score(judged, found, length / statistics.mean_length), -rowid))
    scored.sort(reverse=True)
    return [(score, -negative) for score, negative in scored]


def rows(db: sqlite3.Connection, wanted: Sequence[Group], scored: Iterable[tuple[float, int]]) -> list[Ranked]:
    """The passages of these scores and row ids, with their coverage."""
    ranked = []
    for score, rowid in scored:
        row = db.execute(
            "SELECT p.key, d.name, p.title, p.page, p.start, p.end, p.text FROM passage p JOIN document d ON d.id = p.document"
            " WHERE p.id = ?",
            (rowid,),
        ).fetchone()
        ranked.append(Ranked(row, score, coverage(wanted, row[2], row[6])))
    return ranked


def _candidates(
    db: sqlite3.Connection, statistics: Statistics, wanted: Sequence[Group], exclude: int | None, most: int
) -> list[tuple[int, str, int]]:
    """Row ids, terms and lengths of the passages whose terms weigh most. How often and in how long a passage they stand is left to
    the score: FTS5's own BM25 takes 4 ms to order 700 passages, this 1."""
    sums: dict[int, float] = {}
    for phrase, weight in _phrases(statistics, wanted):
        for (rowid,) in db.execute("SELECT rowid FROM passage_terms WHERE passage_terms MATCH ?", (phrase,)):
            sums[rowid] = sums.get(rowid, 0.0) + weight
    if exclude is not None:
        for (rowid,) in db.execute("SELECT id FROM passage WHERE document = ?", (exclude,)):
            sums.pop(rowid, None)
    chosen = nlargest(most, sums, key=lambda rowid: (sums[rowid], -rowid))
    return db.execute(
        "SELECT t.rowid, t.terms, p.length FROM passage_terms t JOIN passage p ON p.id = t.rowid WHERE t.rowid IN"
        f" ({','.join(map(str, chosen))})"
    ).fetchall()


def _phrases(statistics: Statistics, wanted: Sequence[Group]) -> list[tuple[str, float]]:
    """Quoted terms and what each weighs, the rarest first: at least one, then as many as the budget allows."""
    found: dict[str, tuple[int, float]] = {}
    only_single = all(len(group.term) == 1 for group in wanted)
    for group in wanted:
        if len(group.term) == 1 and is_cjk(group.term):
            if only_single:
                found[f'"{group.term}" *'] = (group.held_by, group.weight)
        elif group.held_by:
            found[f'"{group.term}"'] = (group.held_by, group.weight)
        for form, count in group.forms.items():
            found.setdefault(f'"{form}"', (count, group.weight * PART))
    chosen: list[tuple[str, float]] = []
    spent = 0
    for phrase, (count, weight) in sorted(found.items(), key=lambda pair: pair[1][0]):
        if chosen and spent + count > _BUDGET:
            break
        chosen.append((phrase, weight))
        spent += count
    return chosen


def _score(
    wanted: Sequence[tuple[str, float, int, dict[str, int], bool, bool]], found: str, relative_length: float
) -> float:
    """BM25 of a passage's terms (separated by spaces), with `PART` of a term's weight for its forms or parts. It is called forty
    times a search: ``wanted`` are `Group` values, and whether each is Chinese."""
    norm = K1 * (1 - B + B * relative_length)
    words = found.split()
    held = frozenset(words)
    score = 0.0
    for term, weight, _, forms, _, chinese in wanted:
        if term in held:
            count = words.count(term)
            score += weight * count * (K1 + 1) / (count + norm)
        elif forms and not held.isdisjoint(forms):
            score += weight * PART
        elif chinese and all(character in found for character in term):
            score += weight * (CHARACTERS if len(term) > 1 else 1.0)
    return score


def coverage(wanted: Sequence[Group], title: str, text: str) -> float:
    """Share of what was asked, by weight, that a passage covers: the mean of its share in the whole passage (with its title)
    and in the best two neighbouring sentences (with the title), forms and parts counted by their strength.

    The mean told answerable from unanswerable better than either on all three sets.
    """
    asked = [
        g._replace(weight=g.weight * UNKNOWN_PAIR) if not g.held_by and is_cjk(g.term) else g for g in wanted if g.asked
    ]
    total = sum(group.weight for group in asked)
    if total <= 0:
        return 0.0
    heading = term_set(title)
    whole, sentences = prepared(text)
    given = [_strength(group, heading) for group in asked]
    passage = sum(g.weight * max(s, _strength(g, whole)) for g, s in zip(asked, given, strict=True))
    by_sentence = [[_strength(group, terms) for group in asked] for _, _, terms in sentences]
    window = 0.0
    for i, one in enumerate(by_sentence):
        two = by_sentence[i + 1] if i + 1 < len(by_sentence) else one
        window = max(window, sum(g.weight * max(s, a, b) for g, s, a, b in zip(asked, given, one, two, strict=True)))
    return min(1.0, (passage + window) / (2 * total))


def _strength(group: Group, held: TermSet) -> float:
    strength = held.strength(group.term)
    if not strength and any(form in held.terms for form in group.forms):
        return PART
    return strength
