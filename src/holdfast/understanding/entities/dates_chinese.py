"""What the parts of Chinese dates and times look like, and what they mean. Patterns are for `folded` text."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

from holdfast.understanding.entities import days
from holdfast.understanding.entities.numerals import chinese
from holdfast.understanding.entities.pieces import Clock, Piece, Rule, instant, piece_of, rule

_N: Final = r"(?:\d{1,4}|[零〇一二两三四五六七八九十百廿]{1,4})"
_NOT_INSIDE: Final = r"(?<![\d.零〇一二两三四五六七八九十百廿第])"
_DAYS: Final = {
    "大前": -3, "前": -2, "昨": -1, "今": 0, "当": 0, "明": 1, "后": 2, "大后": 3,
}  # fmt: skip
_YEARS: Final = {"前": -2, "去": -1, "今": 0, "本": 0, "明": 1, "后": 2}
_SHIFTS: Final = {"上上": -2, "上": -1, "这": 0, "本": 0, "这一": 0, "下": 1, "下下": 2}
_SHIFT: Final = r"(?P<shift>上上|上|这一|这|本|下下|下)[一]?个?"
_HOLIDAYS: Final = {
    "元旦": (1, 1), "情人节": (2, 14), "妇女节": (3, 8), "劳动节": (5, 1), "五一": (5, 1), "儿童节": (6, 1),
    "国庆": (10, 1), "双十一": (11, 11), "双11": (11, 11), "平安夜": (12, 24), "圣诞": (12, 25),
}  # fmt: skip
_PARTS: Final = {
    "凌晨": "night", "半夜": "night", "深夜": "evening", "午夜": "night", "清晨": "morning", "清早": "morning",
    "早上": "morning", "早晨": "morning", "上午": "morning", "早": "morning", "晨": "morning", "中午": "noon",
    "正午": "noon", "下午": "afternoon", "午后": "afternoon", "傍晚": "evening", "晚上": "evening", "晚间": "evening",
    "夜里": "evening", "夜间": "evening", "晚": "evening", "夜": "evening",
}  # fmt: skip
_PART: Final = (
    "(?P<part>凌晨|半夜|深夜|午夜|清晨|清早|早上|早晨|上午|中午|正午|下午|午后|傍晚|晚上|晚间|夜里|夜间"
    "|(?<=[今明昨后当一二三四五六日天号])[早晚夜晨])"
)
_HALF_MONTH: Final = 15


def _number(text: str) -> int:
    value = int(text) if text.isdecimal() else chinese(text)
    if value is None:
        raise ValueError(text)
    return value


def _day_word(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "day", now.date() + timedelta(days=_DAYS[match[1]]))


def _weekday(match: re.Match[str], now: datetime) -> Piece:
    name, today = match["day"], now.date()
    weekday = (
        5 if name == "末" else int(name) - 1 if name.isdecimal() else "一二三四五六日".index(name.replace("天", "日"))
    )
    if match["shift"] is None:
        if name == "末":
            saturday = days.day_of_week(today, 0, 5)
            return piece_of(match, "weekend", saturday, "weekend")
        return piece_of(match, "weekday", days.coming(today, weekday))
    day = days.day_of_week(today, _SHIFTS[match["shift"]], weekday)
    return piece_of(match, "weekend", day, "weekend") if name == "末" else piece_of(match, "day", day)


def _week(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "week", days.day_of_week(now.date(), _SHIFTS[match["shift"]], 0), "week")


def _month(match: re.Match[str], now: datetime) -> Piece:
    first = days.month_start(now.date(), _SHIFTS[match["shift"]] if match["shift"] else 0)
    return _edge(match, first) or piece_of(match, "month", first, "month")


def _edge(match: re.Match[str], first: date) -> Piece | None:
    match match["edge"]:
        case "底" | "末":
            return piece_of(match, "day", days.month_end(first))
        case "初":
            return piece_of(match, "day", first)
    return None


def _year(match: re.Match[str], now: datetime) -> Piece:
    year = now.year + _YEARS[match["word"]] if match["word"] else _full_year(_number(match["year"]))
    if match["edge"]:
        return piece_of(match, "day", date(year, 12, 31) if match["edge"] in "底末" else date(year, 1, 1))
    return piece_of(match, "year", date(year, 1, 1), "year")


def _full_year(year: int) -> int:
    if year < 100:
        return 2000 + year
    if not 1900 <= year <= 2199:
        raise ValueError("not a year that is talked about")
    return year


def _date(match: re.Match[str], now: datetime) -> Piece:
    month, day = _number(match["month"]), match["day"]
    if day is None:
        named = days.of_some_year(now.date().replace(day=1), month, 1)
        return _edge(match, named) or piece_of(match, "month", named, "month")
    return piece_of(match, "month_date", days.of_some_year(now.date(), month, _number(day)))


def _month_day(match: re.Match[str], now: datetime) -> Piece:
    day = _number(match["day"])
    return piece_of(match, "month_day", days.of_some_month(now.date(), day))


def _holiday(match: re.Match[str], now: datetime) -> Piece:
    return piece_of(match, "month_date", days.of_some_year(now.date(), *_HOLIDAYS[match[1]]))


def _offset(match: re.Match[str], now: datetime) -> Piece:
    sign = -1 if "前" in (match["direction"] or "") else 1
    count = 0.5 if match["n"] == "半" else _number(match["n"]) + (0.5 if match["half"] or match["half2"] else 0)
    unit = match["unit"][0]
    if unit in "小钟分刻秒" or (unit == "天" and count % 1):
        seconds = {"小": 3600, "钟": 3600, "分": 60, "刻": 900, "秒": 1, "天": 86400}[unit]
        return instant(match, now, timedelta(seconds=sign * count * seconds), "second" if unit == "秒" else "minute")
    if unit in "年月":
        months = count * (12 if unit == "年" else 1)
        day = days.plus_months(now.date(), sign * int(months)) + timedelta(
            days=sign * int(months % 1 * 2 * _HALF_MONTH)
        )
    else:
        day = now.date() + timedelta(days=sign * int(count * (7 if unit in "周星礼" else 1)))
    return piece_of(match, "day", day)


def _clock(match: re.Match[str], now: datetime) -> Piece:
    part = _PARTS[match["part"]] if match["part"] else ""
    hour = _number(match["hour"])
    minute, grain = 0, "hour"
    if match["quarter"]:
        minute, grain = {"半": 30, "一刻": 15, "1刻": 15, "三刻": 45, "3刻": 45}[match["quarter"]], "minute"
    elif match["minute"]:
        minute, grain = _number(match["minute"]), "minute"
    weak = hour == 1 and match["hour"] == "一" and not (part or match["sure"] or match["quarter"] or match["minute"])
    return Piece(match.start(), match.end(), "clock", clock=Clock(hour, minute, 0, part, grain, weak=weak))


def _digital(match: re.Match[str], now: datetime) -> Piece:
    part = _PARTS[match["part"]] if match["part"] else ""
    second = int(match["second"] or 0)
    exact = match["hour"].startswith("0")
    clock = Clock(
        int(match["hour"]), int(match["minute"]), second, part, "second" if match["second"] else "minute", exact
    )
    return Piece(match.start(), match.end(), "clock", clock=clock)


def _part(match: re.Match[str], now: datetime) -> Piece:
    return Piece(match.start(), match.end(), "part", clock=Clock(-1, part=_PARTS[match["part"]], grain="part"))


_STRETCH: Final = (
    rf"(?P<n>半|{_N})[ ]?个?(?P<half>半)?"
    "(?P<unit>年|(?<=个)月|(?<=个半)月|周|星期|礼拜|天|日|小时|钟头|分钟|刻钟|秒)钟?(?P<half2>半)?"
)
_HOUR: Final = r"(?P<hour>\d{1,2}|二?十[一二三四五六七八九]?|[零〇一二两三四五六七八九])"
_WEEK: Final = "(?:周|星期|礼拜)"

CHINESE_RULES: Final[tuple[Rule, ...]] = (
    rule("天 日 儿", "(大前|前|昨|今|当|明|大后|后)[天日儿]", _day_word),
    rule("晚 早 夜 晨", "(今|明|昨|当)(?=[晚早夜晨])", _day_word),
    rule(
        "周 星期 礼拜",
        rf"(?:{_SHIFT}|(?<![一二两三四五六七八九十几每\d])){_WEEK}(?P<day>[一二三四五六日天末1-7])(?![次期个遍]|\d)",
        _weekday,
    ),
    rule("周 星期 礼拜", rf"{_SHIFT}{_WEEK}(?![一二三四五六日天末1-7](?!次))", _week),
    rule("月", rf"{_SHIFT}月(?P<edge>[底末初])?", _month),
    rule("月底 月末 月初", r"(?<![个\d零〇一二两三四五六七八九十年])(?P<shift>)月(?P<edge>[底末初])", _month),
    rule(
        "年",
        rf"(?:(?P<word>[前去今本明后])年|{_NOT_INSIDE}(?P<year>\d{{4}}|[一二][零〇一二三四五六七八九]{{3}}|\d\d(?=年\d{{1,2}}月))年)"
        r"(?P<edge>[底末初])?",
        _year,
    ),
    rule("月", rf"{_NOT_INSIDE}(?P<month>{_N})月(?:份|(?P<edge>[底末初])|[ ]?(?P<day>{_N})[日号])?", _date),
    rule("号", rf"{_NOT_INSIDE}(?P<day>{_N})号(?![楼线店位桌车门机码院室厅柜台仓单馆铺])", _month_day),
    rule(" ".join(_HOLIDAYS), rf"({'|'.join(_HOLIDAYS)})节?(?:当天|那天)?", _holiday),
    rule(
        "后 前",
        rf"{_NOT_INSIDE}{_STRETCH}(?P<direction>之后|以后|过后|后(?!天|年)|之前|以前|前(?!天|年))",
        _offset,
    ),
    rule("过", rf"再?过[ ]?{_STRETCH}(?P<direction>之后|以后|后)?", _offset),
    rule(
        "点 时",
        rf"(?:{_PART}[ ,的]{{0,2}})?(?:(?<=[周期拜][一二三四五六日天])|{_NOT_INSIDE}){_HOUR}(?:点|时(?!间|候|段|长|限))"
        r"(?:(?P<quarter>半|[一三13]刻)|(?P<sure>钟|整)"
        r"|过?(?P<minute>\d{1,2}(?=分)|[零〇一二三四五六七八九十]{1,3}(?=分)|\d{2}(?!\d)|[零〇一二三四五][零〇一二三四五六七八九十]{1,2})分?)?"
        r"(?!建议|意见|要求|疑问|问题|原因|[零〇一二三四五六七八九](?!分)|儿(?!钟)|\d)",
        _clock,
    ),
    rule(
        ":",
        rf"(?:{_PART}[ ]?)?(?<![\d:.])(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})(?::(?P<second>\d{{2}}))?(?![\d:]|[ ]?[ap]\.?m)",
        _digital,
    ),
    rule("早 晨 午 夜 晚", rf"{_PART}(?![好安班])", _part),
)
"""All of them; of pieces that overlap the longest counts."""
