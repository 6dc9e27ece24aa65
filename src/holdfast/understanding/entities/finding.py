"""All kinds of values in one text, without overlaps."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from holdfast.understanding.entities.dates import coming_moment, find_moments
from holdfast.understanding.entities.found import Found, resolved
from holdfast.understanding.entities.lists import ValueList
from holdfast.understanding.entities.money import find_money
from holdfast.understanding.entities.numbers import find_numbers
from holdfast.understanding.entities.patterns import Span, emails, phones, plain

KINDS: Final = ("phone", "email", "money", "datetime", "date", "time", "number")
"""The kinds that need no list or pattern."""

Values = Mapping[str, Sequence[str]]
"""Each value of a list with its other names."""


def find_entities(
    text: str,
    kinds: Iterable[str] | None = None,
    *,
    now: datetime,
    lists: Mapping[str, ValueList | Values] | None = None,
    patterns: Mapping[str, str | re.Pattern[str]] | None = None,
) -> tuple[Found, ...]:
    """The values in a text, in order of place; ``start`` and ``end`` are offsets into it.

    ``kinds`` None: all of `KINDS`, and every list and pattern that is given; else only these names.

    ================  =====================================================================
    ``phone``         digits; numbers that are written with ``+`` keep it
    ``email``         in lower case
    ``number``        int, or float with at most six decimals
    ``money``         ``{"amount": int or float, "currency": "CNY"}``
    ``date``          ``2026-12-04``
    ``time``          ``15:00``
    ``datetime``      ``2026-12-04T15:00:00+08:00``
    a list's name     the value that the words are a name of (`ValueList`)
    a pattern's name  its groups joined, or the whole match, in upper case
    ================  =====================================================================

    Dates are relative to ``now`` (aware; see `find_dates` for what the ambiguous ones mean). A day with a time is one
    ``datetime``, or where that is not asked for its ``date`` and ``time``, each where it stands. Where ``datetime`` is asked for
    and ``time`` is not, a time alone is its next occurrence.

    Of values that overlap the longest stays. Words that are two things at once
    (an order number that looks like a phone number) are found as both, but never as a bare ``number`` beside it.

    Raises `MissingExtra` for lists with typos where rapidfuzz is not installed. Linear in the length of the text, as far as the
    given ``patterns`` are; a pattern is searched for in the text with full-width characters made plain, ignoring case.
    """
    lists, patterns = lists or {}, patterns or {}
    wanted = frozenset((*KINDS, *lists, *patterns) if kinds is None else kinds)
    found = [
        *_by_pattern(text, {name: patterns[name] for name in patterns if name in wanted}),
        *_by_list(text, {name: lists[name] for name in lists if name in wanted}),
    ]
    for kind, spans in (("phone", phones), ("email", emails)):
        if kind in wanted:
            found += (_of_span(kind, text, span) for span in spans(plain(text)))
    if "money" in wanted:
        found += find_money(text)
    if wanted & {"date", "time", "datetime"}:
        found += _dates(text, now, wanted)
    if "number" in wanted:
        found += find_numbers(text)
    return resolved(found)


def _of_span(kind: str, text: str, span: Span) -> Found:
    start, end, value = span
    return Found(kind, value, text[start:end], start, end)


def _by_pattern(text: str, patterns: Mapping[str, str | re.Pattern[str]]) -> Iterator[Found]:
    if not patterns:
        return
    shown = plain(text)
    for name, pattern in patterns.items():
        compiled = re.compile(pattern, re.IGNORECASE) if isinstance(pattern, str) else pattern
        for match in compiled.finditer(shown):
            if match[0]:
                groups = "".join(group for group in match.groups() if group)
                yield Found(name, (groups or match[0]).upper(), text[match.start() : match.end()], *match.span())


def _by_list(text: str, lists: Mapping[str, ValueList | Values]) -> Iterator[Found]:
    for name, values in lists.items():
        yield from (values if isinstance(values, ValueList) else ValueList(name, values)).find(text)


def _dates(text: str, now: datetime, wanted: Collection[str]) -> Iterator[Found]:
    for moment in find_moments(text, now):
        if moment.whole.kind in wanted:
            yield moment.whole
        elif moment.whole.kind == "time" and "datetime" in wanted:
            yield coming_moment(moment.whole, now)
        else:
            yield from (part for part in (moment.date, moment.time) if part is not None and part.kind in wanted)
