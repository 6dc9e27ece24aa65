"""The offline answer: the sentences that answer best, quoted as they stand, with where they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.knowledge.contract import Hit, Knowledge
from holdfast.knowledge.matching import TermSet, prepared, term_set
from holdfast.knowledge.query import parse

GIVEN: Final = 0.7
"""How much a term counts for a sentence that lacks it, where the title or the passage's first sentence has it: the topic is
named once, and "it" from then on."""

BEFORE: Final = 0.4
"""The same where the sentence just before has it."""

PASSAGE: Final = 0.4
"""Weight of the passage's score, relative to the best hit's, beside a sentence's share of the question's terms."""

KIND: Final = 0.1
"""Bonus for a sentence with a number, time or name where the question asks for one."""

CLOSE: Final = 0.85
"""Further quotes must reach this share of the best one's score."""

_KINDS: Final = (
    (
        re.compile(
            r"(?i)\bhow (?:many|much|long|old|far|often|large|big|tall|high|fast|wide|deep)\b|\bwhat (?:number|amount|age|rate"
            r"|size|percentage|price)\b|percent|多少|几|多[大长久高远快宽深重]|数量|比例|价格"
        ),
        re.compile(
            r"(?i)\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|billion|half"
            r"|dozen|twice|once|free)\b|[一二三四五六七八九十百千万亿两半]|免费"
        ),
    ),
    (
        re.compile(
            r"(?i)\bwhen\b|\bwhat (?:year|date|day|month|decade|century|time)\b|何时|什么时[候间]|哪一?[年天月日]|几[年月日号点]"
        ),
        re.compile(
            r"(?i)\b1\d{3}\b|\b20\d\d\b|\d+\s*[年月日天点时]|世纪|年代|\d:\d\d|\b\d+\s*(?:am|pm)\b|\b(?:century|days?|hours?|weeks?|months?"
            r"|years?|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august|september|october"
            r"|november|december)\b|工作日|小时|周[一二三四五六日末]"
        ),
    ),
    (
        re.compile(r"(?i)\bwho(?:m|se)?\b|谁|哪位|何人"),
        re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][a-z]+|·|先生|女士"),
    ),
)


class Quote(msgspec.Struct, frozen=True):
    """A sentence, verbatim.

    Attributes:
        text: as it stands in the document's extracted text, at ``[start:end]``.
        passage: id of the passage it was taken from.
        document, title, page: as in `Passage`.
        start, end: character offsets (half-open) in the document's extracted text.
        score: the higher the better; comparable within one answer only.
        collection: as in `Passage`.
    """

    text: str
    passage: str
    document: str
    title: str
    page: int | None
    start: int
    end: int
    score: float
    collection: str = ""


class Extract(msgspec.Struct, frozen=True):
    """An answer made of quotes.

    Attributes:
        quotes: the best first; empty where nothing is relevant.
        relevant: whether any hit covers enough of the question.
        coverage: that of the best hit, 0 to 1.
    """

    quotes: tuple[Quote, ...]
    relevant: bool
    coverage: float


async def answer(
    knowledge: Knowledge, query: str, *, limit: int = 3, passages: int = 5, threshold: float | None = None
) -> Extract:
    """Searches and quotes: `extract` of the best ``passages`` hits; ``threshold`` None takes the index's own."""
    found = await knowledge.retrieve(query, limit=passages)
    needed = found.threshold if threshold is None else threshold
    return extract(query, found.hits, found.weights, threshold=needed, limit=limit)


def extract(
    query: str, hits: Sequence[Hit], weights: Mapping[str, float], *, threshold: float, limit: int = 3
) -> Extract:
    """The best one to ``limit`` sentences of the hits.

    Args:
        query: as given to the search (see `query_from_turns`).
        hits: the search's, best first.
        weights: `SearchResult.weights` of the query; where empty, all terms count the same.
        threshold: coverage under which nothing is relevant, 0 to 1.
        limit: quotes at most; further ones are given only where they come `CLOSE` to the best.
    """
    covered = max((hit.coverage for hit in hits), default=0.0)
    if not hits or covered < threshold:
        return Extract((), relevant=False, coverage=covered)
    ranked = rank_sentences(query, hits, weights)
    chosen = [quote for quote in ranked[:limit] if quote.score >= CLOSE * ranked[0].score]
    return Extract(tuple(chosen), relevant=bool(chosen), coverage=covered)


def rank_sentences(query: str, hits: Sequence[Hit], weights: Mapping[str, float]) -> list[Quote]:
    """All sentences of the hits, the best first; `extract` gives the first of them."""
    weights = weights or dict.fromkeys(parse(query).asked, 1.0)
    total = sum(weights.values()) or 1.0
    shares = {term: weight / total for term, weight in weights.items()}
    question = query.partition("\n")[0]
    kind = next((sign for asks, sign in _KINDS if asks.search(question)), None)
    best = max((hit.score for hit in hits), default=0.0) or 1.0
    found: dict[tuple[str, str, int], Quote] = {}
    for hit in hits:
        for quote in _quotes(hit, shares, kind, PASSAGE * hit.score / best):
            found.setdefault((quote.collection, quote.document, quote.start), quote)
    return sorted(found.values(), key=lambda quote: -quote.score)


def _quotes(hit: Hit, shares: Mapping[str, float], kind: re.Pattern[str] | None, bonus: float) -> list[Quote]:
    passage = hit.passage
    sentences = prepared(passage.text).sentences
    given = _strengths(term_set(passage.title), shares)
    if sentences:
        first = _strengths(sentences[0][2], shares)
        given = {term: max(strength, first[term]) for term, strength in given.items()}
    before = dict.fromkeys(shares, 0.0)
    quotes = []
    for start, end, terms in sentences:
        own = _strengths(terms, shares)
        text = passage.text[start:end]
        score = sum(share * own[term] for term, share in shares.items())
        if score > 0:
            score += sum(
                share * max(0.0, GIVEN * (given[term] - own[term]), BEFORE * (before[term] - own[term]))
                for term, share in shares.items()
            )
        score += bonus + (KIND if kind is not None and kind.search(text) else 0.0)
        at = passage.start
        quotes.append(
            Quote(
                text,
                passage.id,
                passage.document,
                passage.title,
                passage.page,
                at + start,
                at + end,
                score,
                passage.collection,
            )
        )
        before = own
    return quotes


def _strengths(terms: TermSet, shares: Mapping[str, float]) -> dict[str, float]:
    return {term: terms.strength(term) for term in shares}
