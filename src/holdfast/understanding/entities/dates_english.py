"""What the parts of English dates and times look like, and what they mean. Patterns are for `folded` text."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

from holdfast.understanding.entities import days
from holdfast.understanding.entities.numerals import ENGLISH, english
from holdfast.understanding.entities.pieces import Clock, Piece, Rule, instant, piece_of, rule

_B: Final = "(?<![a-z0-9])"
_E: Final = "(?![a-z0-9])"
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY: Final = (
    "(?P<day>mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)s?"
)
_LONG_WEEKDAY: Final = "(?P<day>monday|tues(?:day)?|wednesday|thurs(?:day)?|friday|saturday|sunday|mon|tue|wed|thu|fri)"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_ORDINALS: Final = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "twenty-first": 21, "twenty-second": 22,
    "twenty-third": 23, "twenty-fourth": 24, "twenty-fifth": 25, "twenty-sixth": 26, "twenty-seventh": 27,
    "twenty-eighth": 28, "twenty-ninth": 29, "thirtieth": 30, "thirty-first": 31,
}  # fmt: skip
_ORDINAL_WORDS: Final = "|".join(sorted(_ORDINALS, key=len, reverse=True))
_DAY: Final = rf"(?P<number>\d{{1,2}}(?:st|nd|rd|th)?|{_ORDINAL_WORDS})"
_YEAR: Final = r"(?:,?[ ](?P<year>(?:19|20|21)\d\d)(?![\d:]))?"
_SHIFTS: Final = {"last": -1, "past": -1, "previous": -1, "this": 0, "coming": 1, "next": 1, "following": 1}
_SHIFT: Final = "(?P<shift>last|past|previous|this coming|this|coming|next|following)"
_COUNT_WORDS: Final = "|".join(sorted((word for word in ENGLISH if word != "zero"), key=len, reverse=True))
_COUNT: Final = rf"(?P<n>\d{{1,4}}|an?|half an?|a couple of|(?:{_COUNT_WORDS})(?:[ \-](?:{_COUNT_WORDS}))?)"
_UNIT: Final = "(?P<unit>second|sec|minute|min|hour|hr|day|week|fortnight|month|year)s?"
_PARTS: Final = {
    "morning": "morning", "lunchtime": "noon", "afternoon": "afternoon",
    "evening": "evening", "night": "evening",
}  # fmt: skip
_PART: Final = "(?P<part>morning|lunchtime|afternoon|evening|night)"
_HOUR_WORDS: Final = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_MINUTE_WORDS: Final = "five|ten|twenty-five|twenty|quarter|half"
_FEASTS: Final = {
    "new year's day": (1, 1), "valentine's day": (2, 14), "christmas eve": (12, 24), "christmas day": (12, 25),
    "christmas": (12, 25), "boxing day": (12, 26), "new year's eve": (12, 31), "halloween": (10, 31),
}  # fmt: skip


def _relative_day(match: re.Match[str], now: datetime) -> Piece:
    word = match[1]
    shift = {"tod": 0, "tom": 1, "tmr": 1, "yes": -1}.get(word[:3], 0)
    if "after" in word or "before" in word:
        shift = 2 if "after" in word else -2
    return piece_of(match, "day", now.date() + timedelta(days=shift))


def _this_part(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "day", now.date() - timedelta(days=match[0].startswith("last")))


def _part_after_day(match: re.Match[str], now: datetime) -> Piece:
    return Piece(match.start(), match.end(), "part", clock=Clock(-1, part=_PARTS[match["part"]], grain="part"))


def _weekday_index(name: str) -> int:
    return next(place for place, weekday in enumerate(_WEEKDAYS) if weekday.startswith(name[:3]))


def _weekday(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "weekday", days.coming(now.date(), _weekday_index(match["day"])))


def _shifted_weekday(match: re.Match[str], now: datetime) -> Piece:
    weekday, today = _weekday_index(match["day"]), now.date()
    match match["shift"]:
        case "last" | "past" | "previous":
            day = days.latest(today, weekday)
        case "coming" | "this coming":
            day = days.coming(today + timedelta(days=1), weekday)
        case "this":
            day = days.day_of_week(today, 0, weekday)
        case _:
            day = days.day_of_week(today, 1, weekday)
    return piece_of(match, "day", day)


def _period(match: re.Match[str], now: datetime) -> Piece:
    shift, today = _SHIFTS[match["shift"].split()[-1]], now.date()
    match match["period"]:
        case "week":
            return piece_of(match, "week", days.day_of_week(today, shift, 0), "week")
        case "weekend":
            return piece_of(match, "weekend", days.day_of_week(today, min(shift, 1), 5), "weekend")
        case "month":
            return piece_of(match, "month", days.month_start(today, shift), "month")
        case _:
            return piece_of(match, "year", date(today.year + shift, 1, 1), "year")


def _weekend(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "weekend", days.day_of_week(now.date(), 0, 5), "weekend")


def _month_index(name: str) -> int:
    return _MONTHS.index(name[:3]) + 1


def _day_number(text: str) -> int:
    return _ORDINALS.get(text) or int(text.rstrip("stndrh"))


def _date(match: re.Match[str], now: datetime) -> Piece:
    month, number = _month_index(match["month"]), _day_number(match["number"])
    if match["year"]:
        return piece_of(match, "day", date(int(match["year"]), month, number))
    return piece_of(match, "month_date", days.of_some_year(now.date(), month, number))


def _month(match: re.Match[str], now: datetime) -> Piece:
    month, today = _month_index(match["month"]), now.date()
    if match["year"]:
        return piece_of(match, "month", date(int(match["year"]), month, 1), "month")
    shift = match["shift"]
    if shift == "last":
        first = date(today.year - (month >= today.month), month, 1)
    else:
        first = date(today.year + (month < today.month or (shift == "next" and month == today.month)), month, 1)
    return Piece(match.start("month"), match.end(), "month", first, grain="month")


def _month_day(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "month_day", days.of_some_month(now.date(), _day_number(match["number"])))


def _feast(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "month_date", days.of_some_year(now.date(), *_FEASTS[match[1]]))


def _count(match: re.Match[str]) -> float:
    words = match["n"]
    if words in ("half a", "half an"):
        return 0.5
    half = 0.5 if match["half"] or match["half2"] else 0.0
    if words in ("a", "an"):
        return 1 + half
    if words == "a couple of":
        return 2
    number = int(words) if words.isdecimal() else english(words.replace("-", " ").split())
    if number is None:
        raise ValueError(words)
    return number + half


def _offset(match: re.Match[str], now: datetime) -> Piece:
    count = _count(match) * (-1 if match["ago"] == "ago" else 1)
    unit = match["unit"]
    seconds = {"sec": 1, "min": 60, "hou": 3600, "hr": 3600}.get(unit[:3])
    if seconds is not None:
        return instant(match, now, timedelta(seconds=count * seconds), "second" if seconds == 1 else "minute")
    if unit in ("month", "year"):
        return piece_of(match, "day", days.plus_months(now.date(), int(count * (12 if unit == "year" else 1))))
    each = {"day": 1, "week": 7, "fortnight": 14}[unit]
    return piece_of(match, "day", now.date() + timedelta(days=int(count * each)))


def _clock(match: re.Match[str], now: datetime) -> Piece:
    hour = match["hour"]
    number = int(hour) if hour.isdecimal() else ENGLISH[hour]
    half = (match["half"] or "").replace(".", "")
    part = half if half in ("am", "pm") else ""
    if part and number > 12:
        part = ""
    minute = int(match["minute"] or 0)
    exact = hour.startswith("0") and not part
    return Piece(
        match.start(),
        match.end(),
        "clock",
        clock=Clock(number, minute, 0, part, "minute" if match["minute"] else "hour", exact),
    )


def _spoken(match: re.Match[str], now: datetime) -> Piece:
    words, hour = match["minutes"], match["hour"]
    number = int(hour) if hour.isdecimal() else ENGLISH[hour]
    minute = {"quarter": 15, "half": 30, "twenty-five": 25}.get(words) or (
        int(words) if words.isdecimal() else ENGLISH[words]
    )
    if match["to"] in ("to", "before"):
        number, minute = (number - 1 or 12), 60 - minute
    half = (match["half"] or "").replace(".", "")
    return Piece(match.start(), match.end(), "clock", clock=Clock(number, minute, 0, half, "minute"))


def _hour_of_part(match: re.Match[str], now: datetime) -> Piece:
    number = int(match["hour"]) if match["hour"].isdecimal() else ENGLISH[match["hour"]]
    clock = Clock(number, int(match["minute"] or 0), 0, _PARTS[match["part"]], "minute" if match["minute"] else "hour")
    return Piece(match.start(), match.end(), "clock", clock=clock)


def _month_end(match: re.Match[str], now: datetime) -> Piece:
    first = days.month_start(now.date(), _SHIFTS.get(match["which"], 0))
    return piece_of(match, "day", days.month_end(first))


def _named(match: re.Match[str], now: datetime) -> Piece:
    clock = Clock(0, exact=True) if match[1] == "midnight" else Clock(12, exact=True)
    return Piece(match.start(), match.end(), "clock", clock=clock)


def _numeric(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "day", date(int(match[1]), int(match[3]), int(match[4])))


def _slashed(match: re.Match[str], now: datetime) -> Piece:
    first, second, year = int(match[1]), int(match[2]), match[3]
    month, day = (second, first) if first > 12 else (first, second)
    if not year:
        return piece_of(match, "month_date", days.of_some_year(now.date(), month, day))
    return piece_of(match, "day", date(int(year) + (2000 if len(year) == 2 else 0), month, day))


_HALF: Final = r"(?P<half>[ap]\.m\.|[ap]m)"

_MONTH_NEEDS: Final = " ".join(_MONTHS)
_WEEKDAY_NEEDS: Final = " ".join(weekday[:3] for weekday in _WEEKDAYS)
_UNIT_NEEDS: Final = "sec min hour hr day week night month year"
_PART_NEEDS: Final = "morning lunch after even night"
_HOUR: Final = rf"(?P<hour>\d{{1,2}}|{_HOUR_WORDS})"
_MINUTE: Final = r"(?P<minute>\d\d)"
_NAMES_OF_DAYS: Final = (
    "(?:the )?day (?:after tomorrow|before yesterday)|today|tomorrow|tmrw|tomorow|tommorow|tommorrow|yesterday"
)
_AFTER_A_DAY: Final = "|".join(f"(?<={word} )" for word in ("this", "last", "tomorrow", "yesterday", "day", "today"))
_LENGTH: Final = rf"{_COUNT} ?(?P<half>and a half )?{_UNIT}(?P<half2> and a half)?"
_NO_DAY: Final = "(?:floor|time|order|one|item|street|attempt)"
_NO_HOUR: Final = "(?:dollars|percent|yuan|least|times|of|per)"
_FEAST_NAMES: Final = "|".join(sorted(_FEASTS, key=len, reverse=True))
_AT: Final = "(?:(?:at|by|around) )?"

ENGLISH_RULES: Final[tuple[Rule, ...]] = (
    rule(
        "- / .",
        r"(?<![\d.\-/])((?:19|20|21)\d\d)([\-/.])(\d{1,2})\2(\d{1,2})(?![\d\-/])(?:t(?=\d\d:))?",
        _numeric,
    ),
    rule("/", r"(?<![\d.\-/])(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d\d))?(?![\d/])", _slashed),
    rule("tod tom tmr yes day", rf"{_B}({_NAMES_OF_DAYS}){_E}", _relative_day),
    rule(
        _PART_NEEDS,
        rf"{_B}(?:to(?=night{_E})|this (?=(?:morning|afternoon|evening){_E})|last (?=night{_E}))",
        _this_part,
    ),
    rule("tonight", rf"(?<=(?<![a-z0-9])to)(?P<part>night){_E}", _part_after_day),
    rule(_PART_NEEDS, rf"{_B}(?:in the |at |{_AFTER_A_DAY}){_PART}{_E}", _part_after_day),
    rule(_WEEKDAY_NEEDS, rf"{_B}(?:on )?{_LONG_WEEKDAY}{_E}", _weekday),
    rule(_WEEKDAY_NEEDS, rf"{_B}on {_WEEKDAY}{_E}", _weekday),
    rule(_WEEKDAY_NEEDS, rf"{_B}(?:on )?{_SHIFT} {_WEEKDAY}{_E}", _shifted_weekday),
    rule("week month year", rf"{_B}{_SHIFT} (?P<period>week|weekend|month|year){_E}", _period),
    rule("weekend", rf"{_B}(?:on |at )?the weekend{_E}", _weekend),
    rule(_MONTH_NEEDS, rf"{_B}(?:on )?(?:the )?{_MONTH} (?:the )?{_DAY}(?![\d:a-z]|[ ]?[ap]m){_YEAR}", _date),
    rule(_MONTH_NEEDS, rf"{_B}(?:on )?(?:the )?{_DAY} (?:of )?{_MONTH}{_E}{_YEAR}", _date),
    rule(
        _MONTH_NEEDS,
        rf"{_B}(?:in |since |by |until |of |during |for |(?P<shift>next|last|this) ){_MONTH}{_E}{_YEAR}(?! \d)",
        _month,
    ),
    rule(_MONTH_NEEDS, rf"{_B}(?P<shift>){_MONTH}{_E},?[ ](?P<year>20\d\d)(?![\d:])", _month),
    rule("th st nd rd", rf"{_B}(?:on )?the (?P<number>\d{{1,2}}(?:st|nd|rd|th)){_E}(?! {_NO_DAY})", _month_day),
    rule("end", rf"{_B}(?:at |by )?(?:the )?end of (?P<which>the|this|next|last) month{_E}", _month_end),
    rule("new christmas valentine boxing halloween", rf"{_B}(?:on |at )?({_FEAST_NAMES}){_E}", _feast),
    rule(_UNIT_NEEDS, rf"{_B}in {_LENGTH}(?:'? time)?{_E}(?P<ago>)", _offset),
    rule(_UNIT_NEEDS, rf"{_B}{_LENGTH} (?P<ago>ago|from now|from today|later|hence){_E}", _offset),
    rule("am pm a.m p.m", rf"(?<![a-z0-9.:,]){_AT}(?P<hour>\d{{1,2}})(?:[:.]{_MINUTE})?[ ]?{_HALF}(?![a-z])", _clock),
    rule("am pm a.m p.m", rf"{_B}{_AT}(?P<hour>{_HOUR_WORDS})(?P<minute>)[ ]?{_HALF}(?![a-z])", _clock),
    rule("clock", rf"{_B}{_AT}{_HOUR}(?P<minute>)(?P<half>)[ ]?o'?clock{_E}", _clock),
    rule("at", rf"{_B}at {_HOUR}(?::{_MINUTE})?(?P<half>)(?![a-z0-9:%]|[.,]\d| {_NO_HOUR})", _clock),
    rule(
        "past to before",
        rf"{_B}(?:at )?(?:a )?(?P<minutes>\d{{1,2}}|{_MINUTE_WORDS}) (?P<to>past|to|before) {_HOUR}(?: ?{_HALF}|{_E})",
        _spoken,
    ),
    rule(_PART_NEEDS, rf"{_B}(?:at )?{_HOUR}(?::{_MINUTE})? (?:in the|at) {_PART}{_E}", _hour_of_part),
    rule("noon midday midnight", rf"{_B}(?:at )?(noon|midday|midnight){_E}", _named),
)
"""All of them; of pieces that overlap the longest counts."""
