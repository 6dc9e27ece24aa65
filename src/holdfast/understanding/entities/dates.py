"""Dates and times in Chinese and English text, relative to a given time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

from holdfast.understanding.entities.dates_chinese import CHINESE_RULES
from holdfast.understanding.entities.dates_english import ENGLISH_RULES
from holdfast.understanding.entities.found import Found
from holdfast.understanding.entities.pieces import Clock, Piece, pieces, time_of
from holdfast.understanding.entities.widths import folded

_GAP: Final = re.compile(
    r"[ ,.;()的\-]{0,3}(?:(?:at|on|in|of|the|around|about|by|@|大概|大约|左右|那天|当天)[ ,]{0,2}){0,2}\)?"
)
_CALENDAR: Final = ("year", "month", "week", "weekend", "weekday", "month_day", "month_date", "day")
_WHOLE_DAYS: Final = ("day", "weekday", "month_day", "month_date", "weekend")


class Moment(NamedTuple):
    """What was said of one day or time: as a whole, and its date and its time alone where it has them."""

    whole: Found
    date: Found | None
    time: Found | None


def find_dates(text: str, now: datetime) -> list[Found]:
    """The dates (``date``), times of day (``time``), and both together (``datetime``), in order of place.

    Values are ISO 8601: ``2026-12-04``, ``15:00`` (with seconds where they were said), ``2026-12-04T15:00:00+08:00`` in the zone of
    ``now``. What the ambiguous ones mean:

    - Weeks run from Monday to Sunday. 下周五 and "next Friday" are in the next calendar week; 上周五 in the last one; 这周五 and
      "this Friday" in this one, even if past. 周五 and "Friday" are the coming one, today counts. "Last Friday" is the most
      recent, before today.
    - A day without its month (15号, "the 15th") is the next one, today counts. A date without its year (12月3日, "March 5th")
      is the next one too, unless it passed within the last 30 days: then it is that one.
    - 3/12 is March the 12th; 13/2 can only be the 13th of February.
    - An hour without its part of the day: 1 to 6 are in the afternoon (nobody is called at three in the night), 7 to 12 as they
      are; ``03:30`` with its zero, and what follows a full date in digits, are on the 24-hour clock.
    - A part of the day (下午, "in the morning") is its beginning, grain ``part``: night 0, morning 6, noon 12, afternoon 12,
      evening 18.
    - 晚上12点 and 24:00 are the midnight that ends the day; "midnight" alone and 零点 the one that begins it.
    - A longer stretch (下周, 三月, "next year") is its first day; ``grain`` tells how long it is. A weekend is its Saturday.
    - 三天后 and "in two weeks" are days; 半小时后 and "in two hours" are elapsed time, cut to the minute.
    """
    return [moment.whole for moment in find_moments(text, now)]


def find_moments(text: str, now: datetime) -> Iterator[Moment]:
    """The same, with the parts of each."""
    low = folded(text)
    for group in _groups(low, _longest(pieces(low, now, (*CHINESE_RULES, *ENGLISH_RULES)))):
        try:
            yield from _moments(text, group, now)
        except (ValueError, OverflowError):  # 25 o'clock
            continue


def _longest(found: Iterable[Piece]) -> list[Piece]:
    kept: list[Piece] = []
    free = 0
    for piece in sorted(found, key=lambda piece: (piece.start, -piece.end)):
        if piece.start >= free:
            kept.append(piece)
            free = piece.end
        elif piece.end - piece.start > kept[-1].end - kept[-1].start:
            kept[-1] = piece
            free = piece.end
    return kept


def _groups(low: str, found: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces that stand together and do not contradict each other."""
    group: list[Piece] = []
    for piece in found:
        joined = None
        if group and _GAP.fullmatch(low, group[-1].end, piece.start):
            try:
                joined = _joined(group, piece)
            except (ValueError, OverflowError):  # 下个月31号, of a month that has 30 days: it is no day
                continue
        if joined:
            group = joined
        else:
            if group:
                yield group
            group = [piece]
    if group:
        yield group


def _joined(group: list[Piece], piece: Piece) -> list[Piece] | None:
    """The group with one piece more, None if it says something else."""
    if piece.what == "instant" or any(other.what == "instant" for other in group):
        return None
    if piece.what not in _CALENDAR:
        same = [other for other in group if other.clock]
        if not same:
            return [*group, piece]
        other = same[0]
        if len(same) == 1 and {other.what, piece.what} == {"clock", "part"}:
            merged = _with_part(other, piece)
            return None if merged is None else [*(one for one in group if one is not other), merged]
        return None
    known = next((other for other in group if other.what in _CALENDAR), None)
    if known is None:
        return [*group, piece]
    day = _one_day(known, piece)
    return None if day is None else sorted([day, *(one for one in group if one is not known)], key=lambda one: one.end)


def _with_part(one: Piece, other: Piece) -> Piece | None:
    clock, part = (one.clock, other.clock) if one.what == "clock" else (other.clock, one.clock)
    if clock is None or part is None or clock.part:
        return None
    return Piece(
        min(one.start, other.start), max(one.end, other.end), "clock", clock=clock._replace(part=part.part, weak=False)
    )


def _one_day(one: Piece, other: Piece) -> Piece | None:
    """Two pieces of the calendar that make one day: a week and its weekday, a month and its day."""
    start, end = min(one.start, other.start), max(one.end, other.end)
    wide, narrow = sorted((one, other), key=lambda piece: _CALENDAR.index(piece.what))
    match wide.what, narrow.what:
        case "week", "weekday":
            return Piece(start, end, "day", wide.day + timedelta(days=narrow.day.weekday()), grain="day")
        case "weekday", "month_date" | "month_day" | "day":
            return narrow._replace(start=start, end=end)
        case "month", "month_day":
            return Piece(start, end, "day", wide.day.replace(day=narrow.day.day), grain="day")
        case "year", "month_date":
            return Piece(start, end, "day", narrow.day.replace(year=wide.day.year), grain="day")
        case "year", "month":
            return Piece(start, end, "month", narrow.day.replace(year=wide.day.year), grain="month")
    return None


def _moments(text: str, group: Sequence[Piece], now: datetime) -> Iterator[Moment]:
    day = next((piece for piece in group if piece.what in _CALENDAR), None)
    clock = next((piece for piece in group if piece.clock), None)
    if day is not None and clock is not None and day.what not in _WHOLE_DAYS:  # 下周 ... 3点: not one moment
        yield from _moments(text, [day], now)
        yield from _moments(text, [clock], now)
    elif day is not None and clock is not None and clock.clock is not None:
        yield _whole(text, day, clock, clock.clock, now)
    elif day is not None:
        date_alone = _found("date", day.day.isoformat(), text, day.start, day.end, day.grain)
        yield Moment(date_alone, date_alone, None)
    elif clock is not None and clock.clock is not None:
        if not clock.clock.weak:
            time_alone = _found("time", _time_value(clock.clock)[0], text, clock.start, clock.end, clock.clock.grain)
            yield Moment(time_alone, None, time_alone)
    elif (instant := group[0]).moment is not None:
        start, end, grain = instant.start, instant.end, instant.grain
        shown = instant.moment.isoformat(timespec="seconds")
        yield Moment(
            _found("datetime", shown, text, start, end, grain),
            _found("date", instant.day.isoformat(), text, start, end, "day"),
            _found("time", _iso_time(instant.moment.time(), grain), text, start, end, grain),
        )


def _whole(text: str, day: Piece, piece: Piece, clock: Clock, now: datetime) -> Moment:
    if day.what == "day" and _in_digits(text[day.start : day.end]):
        clock = clock._replace(exact=True)
    value, later = _time_value(clock)
    moment = datetime.combine(day.day + timedelta(days=later), time.fromisoformat(value), now.tzinfo)
    start, end = min(day.start, piece.start), max(day.end, piece.end)
    return Moment(
        _found("datetime", moment.isoformat(timespec="seconds"), text, start, end, clock.grain),
        _found("date", moment.date().isoformat(), text, day.start, day.end, "day"),
        _found("time", value, text, piece.start, piece.end, clock.grain),
    )


def _in_digits(words: str) -> bool:
    return not any(char.isalpha() for char in words.rstrip("tT"))


def _time_value(clock: Clock) -> tuple[str, int]:
    hour, minute, second, later = time_of(clock)
    return _iso_time(time(hour, minute, second), clock.grain), later


def _iso_time(of_day: time, grain: str) -> str:
    return of_day.isoformat("seconds" if grain == "second" else "minutes")


def _found(kind: str, value: str, text: str, start: int, end: int, grain: str) -> Found:
    while end > start and text[end - 1] in " ,":
        end -= 1
    return Found(kind, value, text[start:end], start, end, grain)


def coming_moment(found: Found, now: datetime) -> Found:
    """A time of day as a moment: today if that is still to come, else tomorrow."""
    of_day = time.fromisoformat(found.value)
    moment = datetime.combine(now.date(), of_day, now.tzinfo)
    if moment.replace(tzinfo=None) <= now.replace(tzinfo=None):
        moment = datetime.combine(_day_after(now.date()), of_day, now.tzinfo)
    return Found("datetime", moment.isoformat(timespec="seconds"), found.text, found.start, found.end, found.grain)


def _day_after(day: date) -> date:
    return day + timedelta(days=1) if day < date.max else day
