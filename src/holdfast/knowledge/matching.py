"""How well a text holds a term: as it is, in another form, or in parts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from holdfast.knowledge.sentences import sentences
from holdfast.knowledge.terms import is_cjk, terms
from holdfast.knowledge.variants import STEM

PART: Final = 0.5
"""Strength of a form or of parts against the term itself; .2 to 1 measured, .5 best on the three sets together."""


class TermSet:
    """The distinct terms of a text, prepared for `strength`."""

    __slots__ = ("characters", "stems", "terms")

    def __init__(self, found: Iterable[str]) -> None:
        self.terms = frozenset(found)
        self.stems = frozenset(t[:STEM] for t in self.terms if len(t) >= STEM and t.isascii() and t.isalpha())
        self.characters = frozenset("".join(self.terms))

    def strength(self, term: str) -> float:
        """1 for the term itself, `PART` for a word with the same first letters or a pair whose characters both occur, else 0."""
        if term in self.terms:
            return 1.0
        if is_cjk(term):
            if len(term) == 1:
                return 1.0 if term in self.characters else 0.0
            return PART if all(c in self.characters for c in term) else 0.0
        if len(term) >= STEM and term.isascii() and term.isalpha() and term[:STEM] in self.stems:
            return PART
        return 0.0


class Prepared(NamedTuple):
    """A passage's terms: of the whole, and start, end and terms of each sentence."""

    whole: TermSet
    sentences: tuple[tuple[int, int, TermSet], ...]


@lru_cache(maxsize=4096)
def term_set(text: str) -> TermSet:
    """The terms of a title; kept for the titles used last."""
    return TermSet(terms(text))


@lru_cache(maxsize=4096)
def prepared(text: str) -> Prepared:
    """The terms of a passage's text; kept for the passages used last. No term crosses the end of a sentence."""
    parts = tuple((start, end, TermSet(terms(text[start:end]))) for start, end in sentences(text))
    return Prepared(TermSet(frozenset().union(*(part.terms for _, _, part in parts))), parts)
