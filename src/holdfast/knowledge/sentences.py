"""Sentence boundaries in Chinese and English text, as offsets: every character but white space belongs to one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_CLOSERS: Final = "\"'”’)\\]）】》」』〉»"
_BOUNDARY: Final = re.compile(
    rf"(?P<cjk>(?:[。！？｡]|…{{2}})+[{_CLOSERS}]*)"
    rf"|(?P<latin>(?:[.!?]|\.{{3}})+[{_CLOSERS}]*(?=\s|[\u4e00-\u9fff]|$))"
    r"|(?P<line>\n)"
)
_ABBREVIATIONS: Final = frozenset(
    """
    mr mrs ms dr prof sr jr st rev gen col capt lt sgt gov sen rep pres hon mt ft vs etc al eg ie cf no nos vol fig figs ca approx
    dept est inc ltd co corp bros univ assn ave blvd rd jan feb mar apr jun jul aug sep sept oct nov dec pp ed eds tel ext min max
    """.split()  # noqa: SIM905  (a word list reads better as a block)
)
_LAST_WORD: Final = re.compile(r"([^\s(\[“\"']+)\Z")
_NEXT: Final = re.compile(r"\s*[\"'“‘(\[]*(\S)")


class Span(NamedTuple):
    """Half-open character offsets."""

    start: int
    end: int


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """The sentences of ``text[start:end]``, without the white space around them. A line break always ends one."""
    end = len(text) if end is None else end
    begin = start
    for match in _BOUNDARY.finditer(text, start, end):
        if match["latin"] is not None and not _ends_sentence(text, begin, match):
            continue
        span = trimmed(text, begin, match.end())
        if span.end > span.start:
            yield span
        begin = match.end()
    span = trimmed(text, begin, end)
    if span.end > span.start:
        yield span


def trimmed(text: str, start: int, end: int) -> Span:
    """The span without white space at both ends; empty (start == end) where there is nothing else."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def _ends_sentence(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a full stop ends its sentence: not after an abbreviation, an initial or before a lower-case word."""
    if match[0][0] != ".":
        return True
    after = _NEXT.match(text, match.end(), match.end() + 12)
    if after is not None and after[1].islower():
        return False
    word = _LAST_WORD.search(text, max(begin, match.start() - 24), match.start())
    if word is None:
        return True
    last = word[1].lower().replace(".", "")
    if len(last) == 1 and last.isalpha():
        return after is None  # an initial: "J. Smith", "U.S. Army"
    if "." in word[1] and len(last) <= 4 and last.isalpha():
        return after is None
    if last in _ABBREVIATIONS:
        # "No. 5" and "Fig. 2" go on; "no." before a capital letter is an answer that ends
        return after is None or (last in {"no", "min", "max", "ed", "mar"} and not after[1].isdigit())
    return True
