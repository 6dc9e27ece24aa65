"""What dates and times are made of, before they are put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple

What = Literal[
    "day", "weekday", "week", "weekend", "month", "year", "month_day", "month_date", "instant", "part", "clock"
]
"""``month_day`` is a day without its month, ``month_date`` one without its year, ``instant`` a day and a time."""


class Clock(NamedTuple):
    """A time of day as it was said.

    Attributes:
        hour, minute, second: on the clock; -1 where only a part of the day was named.
        part: ``night`` (0 to 6), ``morning`` (6), ``noon``, ``afternoon`` (12), ``evening`` (18), ``am``, ``pm``, or "".
        grain: ``second``, ``minute``, ``hour`` or ``part``.
        exact: written on the 24-hour clock, as ``03:30``.
        weak: too common a phrase (一点) to be a time without a date beside it.
    """

    hour: int
    minute: int = 0
    second: int = 0
    part: str = ""
    grain: str = "hour"
    exact: bool = False
    weak: bool = False


class Piece(NamedTuple):
    """A part of a date or time. ``day`` is the date where nothing else is said (of a longer stretch its first day)."""

    start: int
    end: int
    what: What
    day: date = date.min
    clock: Clock | None = None
    moment: datetime | None = None
    grain: str = ""


Meaning = Callable[[re.Match[str], datetime], Piece | None]


class Rule(NamedTuple):
    """What a piece looks like, and what it means at a given time (ValueError or OverflowError: nothing after all).

    ``needs``: a text without any of these words cannot match; saves most of the time.
    """

    needs: tuple[str, ...]
    pattern: re.Pattern[str]
    meaning: Meaning


def rule(needs: str, pattern: str, meaning: Meaning) -> Rule:
    """``needs`` with blanks between the words."""
    return Rule(tuple(needs.split()), re.compile(pattern), meaning)


PART_STARTS: Final = {"night": 0, "morning": 6, "noon": 12, "afternoon": 12, "evening": 18}
"""The hour with which a part of the day begins."""


def pieces(text: str, now: datetime, rules: Iterable[Rule]) -> Iterator[Piece]:
    """All that the rules find in `folded` text; they may overlap."""
    for each in rules:
        if not any(word in text for word in each.needs):
            continue
        for match in each.pattern.finditer(text):
            try:
                piece = each.meaning(match, now)
            except (ValueError, OverflowError):  # the 30th of February, in 99999 years
                continue
            if piece is not None:
                yield piece


def piece_of(match: re.Match[str], what: What, day: date, grain: str = "day") -> Piece:
    """A piece of the calendar with the match's span."""
    return Piece(match.start(), match.end(), what, day, grain=grain)


def instant(match: re.Match[str], now: datetime, offset: timedelta, grain: str) -> Piece:
    """So much elapsed time from now, to the minute or second; across a change of the clocks too."""
    there = (now.astimezone(UTC) + offset).astimezone(now.tzinfo) if now.tzinfo else now + offset
    there = there.replace(microsecond=0)
    there = there if grain == "second" else there.replace(second=0)
    return Piece(match.start(), match.end(), "instant", there.date(), moment=there, grain=grain)


def time_of(clock: Clock) -> tuple[int, int, int, int]:
    """Hour, minute and second on the 24-hour clock, and how many days later than the day that was named.

    Midnight that follows an evening is the next day's. Raises ValueError for an impossible time.
    """
    hour, later = clock.hour, 0
    if hour < 0:
        return PART_STARTS[clock.part], 0, 0, 0
    if hour > 24 or clock.minute > 59 or clock.second > 59:
        raise ValueError("no such time")
    if hour == 24:
        hour, later = 0, 1
    elif clock.part in ("am", "night") and hour == 12:
        hour, later = 0, 1 if clock.part == "night" else 0
    elif clock.part == "evening" and (hour == 12 or hour < 5):
        hour, later = hour % 12, 1
    elif _after_noon(hour, clock):
        hour += 12
    return hour, clock.minute, clock.second, later


def _after_noon(hour: int, clock: Clock) -> bool:
    if clock.part in ("pm", "afternoon", "evening"):
        return hour < 12
    if clock.part == "noon":
        return hour < 4
    return not clock.part and not clock.exact and 1 <= hour <= 6
