"""Extracted text to passages: along headings, paragraphs and sentences."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.sentences import Span, sentences, trimmed

TARGET: Final = 450
"""Characters from which on a passage is ended at the next paragraph."""

LIMIT: Final = 600
"""Characters that a passage holds at most, unless a single sentence is longer."""

SENTENCE_LIMIT: Final = 1200
"""Characters from which on a sentence (a table without line ends, minified text) is cut."""

LEAST: Final = 150
"""Characters below which a last passage joins the one before it where both fit into `LIMIT` and a half."""

_CUT: Final = re.compile(r"[；;，,、：:]\s*|\s+")


def split(document: Extracted) -> Iterator[tuple[Span, str, int | None]]:
    """Passages of a document in order: span, heading path as title, page (from 1) or None.

    ``document.text[start:end]`` is the passage's text. A passage never crosses a heading or a page.
    """
    for section, title, page in _sections(document):
        for span in _packed(document.text, section):
            yield span, title, page


def _sections(document: Extracted) -> Iterator[tuple[Span, str, int | None]]:
    """Stretches between headings and page starts, each with its heading path."""
    path: list[tuple[int, str]] = []
    headings = {h.start: h for h in document.headings}
    inside = {at for at in document.pages if any(h.start < at < h.end for h in document.headings)}
    cuts = sorted({0, len(document.text), *document.pages, *headings, *(h.end for h in document.headings)} - inside)
    for start, end in pairwise(cuts):
        if (heading := headings.get(start)) is not None:
            path = [(level, text) for level, text in path if level < heading.level]
            path.append((heading.level, document.text[heading.start : heading.end].strip()))
            continue
        span = trimmed(document.text, start, end)
        if span.end > span.start:
            page = bisect_right(document.pages, span.start) if document.pages else None
            yield span, _title(document.title, path), page


def _title(title: str, path: list[tuple[int, str]]) -> str:
    names = [text for _, text in path]
    if not names or names[0] != title:
        names.insert(0, title)
    return " › ".join(name for name in names if name)


def _packed(text: str, section: Span) -> list[Span]:
    passages: list[Span] = []
    start = end = section.start
    for sentence in _bounded(text, section):
        full = sentence.end - start > LIMIT
        ripe = end - start >= TARGET and "\n" in text[end : sentence.start]
        if end > start and (full or ripe):
            passages.append(Span(start, end))
            start = sentence.start
        elif end == start:
            start = sentence.start
        end = sentence.end
    if end > start:
        passages.append(Span(start, end))
    if len(passages) > 1 and passages[-1].end - passages[-1].start < LEAST:
        last = passages.pop()
        if last.end - passages[-1].start <= LIMIT * 1.5:
            last = Span(passages.pop().start, last.end)
        passages.append(last)
    return passages


def _bounded(text: str, section: Span) -> Iterator[Span]:
    """Sentences, the huge ones cut: at the last comma or space that fits, else anywhere."""
    for sentence in sentences(text, section.start, section.end):
        start = sentence.start
        while sentence.end - start > SENTENCE_LIMIT:
            cut = start + LIMIT
            for match in _CUT.finditer(text, start + LIMIT // 2, start + LIMIT):
                cut = match.end()
            span = trimmed(text, start, cut)
            if span.end > span.start:
                yield span
            start = cut
        span = trimmed(text, start, sentence.end)
        if span.end > span.start:
            yield span
