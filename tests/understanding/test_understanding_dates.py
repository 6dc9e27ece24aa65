"""Dates and times, in Chinese and English. It is Friday, 27 November 2026, ten in the morning, in UTC+8."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from holdfast.understanding import Found, find_dates

NOW = datetime(2026, 11, 27, 10, 0, 30, tzinfo=timezone(timedelta(hours=8)))


def found(text: str, now: datetime = NOW) -> list[Found]:
    return find_dates(text, now)


CHINESE_MOMENTS = """
    明天下午三点            2026-11-28T15:00 hour
    后天上午十点半          2026-11-29T10:30 minute
    12月3日晚上8点          2026-12-03T20:00 hour
    今晚8点                 2026-11-27T20:00 hour
    明晚                    2026-11-28T18:00 part
    明早九点                2026-11-28T09:00 hour
    今天下午                2026-11-27T12:00 part
    明天一点                2026-11-28T13:00 hour
    明天九点                2026-11-28T09:00 hour
    明天二十点              2026-11-28T20:00 hour
    后天凌晨两点            2026-11-29T02:00 hour
    明天晚上12点            2026-11-29T00:00 hour
    明天中午                2026-11-28T12:00 part
    明天中午12点            2026-11-28T12:00 hour
    周五下午3点             2026-11-27T15:00 hour
    周日早上                2026-11-29T06:00 part
    星期天晚上七点          2026-11-29T19:00 hour
    下周一上午9点15分       2026-11-30T09:15 minute
    下周三三点一刻          2026-12-02T15:15 minute
    三天后的下午三点        2026-11-30T15:00 hour
    大后天下午3点           2026-11-30T15:00 hour
    12月4日(周五)上午10点   2026-12-04T10:00 hour
    2026年12月1日下午2:30   2026-12-01T14:30 minute
    2026-12-01 03:30        2026-12-01T03:30 minute
    ３月５日１５：３０      2027-03-05T15:30 minute
    前天晚上                2026-11-25T18:00 part
    下个月3号上午十点零五分 2026-12-03T10:05 minute
    半小时后                2026-11-27T10:30 minute
    一个半小时后            2026-11-27T11:30 minute
    五分钟后                2026-11-27T10:05 minute
    过两小时                2026-11-27T12:00 minute
    两个小时前              2026-11-27T08:00 minute
    一刻钟后                2026-11-27T10:15 minute
    三十秒后                2026-11-27T10:01 second
"""
CHINESE_DAYS = """
    今天 2026-11-27 day | 明天 2026-11-28 day | 后天 2026-11-29 day | 大后天 2026-11-30 day | 昨天 2026-11-26 day
    前天 2026-11-25 day | 大前天 2026-11-24 day | 周五 2026-11-27 day | 周四 2026-12-03 day | 下周五 2026-12-04 day
    下下周一 2026-12-07 day | 这周三 2026-11-25 day | 本周日 2026-11-29 day | 上周日 2026-11-22 day | 上上周五 2026-11-13 day
    下个星期二 2026-12-01 day | 下礼拜二 2026-12-01 day | 星期天 2026-11-29 day | 下周的周五 2026-12-04 day
    周末 2026-11-28 weekend | 下周末 2026-12-05 weekend | 下周 2026-11-30 week | 上个星期 2026-11-16 week
    这个月15号 2026-11-15 day | 下个月3号 2026-12-03 day | 15号 2026-12-15 day | 27号 2026-11-27 day | 二十八号 2026-11-28 day
    月底 2026-11-30 day | 下个月初 2026-12-01 day | 下个月 2026-12-01 month | 12月 2026-12-01 month | 三月 2027-03-01 month
    12月3日 2026-12-03 day | 十二月三号 2026-12-03 day | 3月5日 2027-03-05 day | 11月20号 2026-11-20 day | 10月1日 2027-10-01 day
    明年3月5日 2027-03-05 day | 去年12月 2025-12-01 month | 明年 2027-01-01 year | 2027年 2027-01-01 year
    二零二六年十二月一日 2026-12-01 day | 2月29日 2028-02-29 day | 国庆节 2027-10-01 day | 元旦 2027-01-01 day
    三天后 2026-11-30 day | 三天前 2026-11-24 day | 两周后 2026-12-11 day | 3个月后 2027-02-27 day | 半年后 2027-05-27 day
    半个月后 2026-12-12 day | 一年前 2025-11-27 day | 再过两天 2026-11-29 day | 两个星期之后 2026-12-11 day | 後天 2026-11-29 day
"""
ENGLISH_MOMENTS = """
    tomorrow at 3pm                | 2026-11-28T15:00 hour
    in two hours                   | 2026-11-27T12:00 minute
    in half an hour                | 2026-11-27T10:30 minute
    in an hour and a half          | 2026-11-27T11:30 minute
    an hour and a half ago         | 2026-11-27T08:30 minute
    in 5 mins                      | 2026-11-27T10:05 minute
    2026-12-01 14:30               | 2026-12-01T14:30 minute
    2026-12-01T14:30:05            | 2026-12-01T14:30:05 second
    on Friday at 5                 | 2026-11-27T17:00 hour
    tonight at 8                   | 2026-11-27T20:00 hour
    tonight                        | 2026-11-27T18:00 part
    last night                     | 2026-11-26T18:00 part
    this afternoon                 | 2026-11-27T12:00 part
    tomorrow morning               | 2026-11-28T06:00 part
    next tuesday morning           | 2026-12-01T06:00 part
    Tuesday in the afternoon       | 2026-12-01T12:00 part
    at noon tomorrow               | 2026-11-28T12:00 hour
    March 5, 2027 at 10:15 am      | 2027-03-05T10:15 minute
    Dec 3rd, 8 p.m.                | 2026-12-03T20:00 hour
    Friday, December 4th at 9am    | 2026-12-04T09:00 hour
    at 3:30 pm on Friday           | 2026-11-27T15:30 minute
    Friday at 9:30 in the morning  | 2026-11-27T09:30 minute
    tomorrow at half past three    | 2026-11-28T15:30 minute
    Sunday 3pm                     | 2026-11-29T15:00 hour
    Monday at 12am                 | 2026-11-30T00:00 hour
    Monday at 12pm                 | 2026-11-30T12:00 hour
"""
ENGLISH_DAYS = """
    today 2026-11-27 day | tomorrow 2026-11-28 day | the day after tomorrow 2026-11-29 day | yesterday 2026-11-26 day
    day before yesterday 2026-11-25 day | Friday 2026-11-27 day | on thu 2026-12-03 day | next Friday 2026-12-04 day
    this Friday 2026-11-27 day | this Wednesday 2026-11-25 day | coming sunday 2026-11-29 day | this coming Friday 2026-12-04 day
    last Monday 2026-11-23 day | last Friday 2026-11-20 day | Friday next week 2026-12-04 day | next week 2026-11-30 week
    last week 2026-11-16 week | next month 2026-12-01 month | next year 2027-01-01 year | the weekend 2026-11-28 weekend
    on March 5th 2027-03-05 day | 5th of March 2027 2027-03-05 day | Nov 30 2026-11-30 day | 1 December 2026 2026-12-01 day
    the 15th 2026-12-15 day | the 5th of next month 2026-12-05 day | the first of May 2027-05-01 day | 12/3 2026-12-03 day
    13/2 2027-02-13 day | 12/25/2026 2026-12-25 day | 2026/12/1 2026-12-01 day | 2026.12.1 2026-12-01 day
    in a couple of days 2026-11-29 day | two days ago 2026-11-25 day | 3 weeks from now 2026-12-18 day
    in two weeks 2026-12-11 day | five days later 2026-12-02 day | in two months 2027-01-27 day | Christmas 2026-12-25 day
    end of next month 2026-12-31 day | March 2027 2027-03-01 month
"""
TIMES = """
    下午三点 15:00 hour | 三点 15:00 hour | 九点 09:00 hour | 八点30 08:30 minute | 晚上12点 00:00 hour | 凌晨一点 01:00 hour
    中午12点 12:00 hour | 一点半 13:30 minute | 下午 12:00 part | 15:30 15:30 minute | 3:30 15:30 minute | 03:30 03:30 minute
    8am 08:00 hour | 3 o'clock 15:00 hour | half past three 15:30 minute | quarter to four pm 15:45 minute | noon 12:00 hour
    midnight 00:00 hour | at seven 07:00 hour | 9 in the morning 09:00 hour | 10 at night 22:00 hour | 24点 00:00 hour
    下午3:05 15:05 minute | 10:30 PM 22:30 minute
"""
NOTHING = """
    早上好 | 晚安 | 有一点慢 | 快一点 | 第一点 | 三点五 | 两点建议 | 1号楼 | 一周一次 | 每周一 | 2月30日 | 25点
    99999天后 | 周期 | 小时 | I may go | sat down | the 3rd floor | at 5 dollars | order 20261201 | second
    2026 | 31/31 | good morning | it is at least 3
    12345/67890 | 99/99/9999 | 1.2.3
"""


def rows(table: str, value_parts: int = 2) -> list[tuple[str, str, str]]:
    cells = [cell.strip() for line in table.strip().splitlines() for cell in line.split("|") if cell.strip()]
    return [(parts[0].strip(), parts[1], parts[2]) for cell in cells if (parts := cell.rsplit(None, 2))]


def english_rows() -> list[tuple[str, str, str]]:
    lines = [line.split("|") for line in ENGLISH_MOMENTS.strip().splitlines()]
    return [(text.strip(), *value.split()) for text, value in lines]  # type: ignore[misc]  # two words each


@pytest.mark.parametrize(("text", "value", "grain"), [*rows(CHINESE_MOMENTS), *english_rows()])
def test_a_day_with_a_time(text: str, value: str, grain: str) -> None:
    expected = datetime.fromisoformat(value).replace(tzinfo=NOW.tzinfo).isoformat(timespec="seconds")
    assert found(text) == [Found("datetime", expected, text, 0, len(text), grain)]


@pytest.mark.parametrize(("text", "value", "grain"), [*rows(CHINESE_DAYS), *rows(ENGLISH_DAYS)])
def test_a_day(text: str, value: str, grain: str) -> None:
    assert found(text) == [Found("date", value, text, 0, len(text), grain)]


@pytest.mark.parametrize(("text", "value", "grain"), rows(TIMES))
def test_a_time_of_day(text: str, value: str, grain: str) -> None:
    assert found(text) == [Found("time", value, text, 0, len(text), grain)]


@pytest.mark.parametrize("text", [cell.strip() for line in NOTHING.strip().splitlines() for cell in line.split("|")])
def test_what_only_looks_like_a_date(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我想预约明天下午三点，两个人", ["明天下午三点"]),
        ("能不能改到下周五或者下周六？", ["下周五", "下周六"]),
        ("下午3点到5点都行", ["下午3点", "5点"]),
        ("can we meet tomorrow at 3pm, or on Monday?", ["tomorrow at 3pm", "on Monday"]),
        ("from monday to friday", ["monday", "friday"]),
        ("我11月20号下的单，今天还没到", ["11月20号", "今天"]),
        ("3点见，明天也行", ["3点", "明天"]),
    ],
)
def test_dates_in_sentences_keep_their_place(text: str, words: list[str]) -> None:
    result = found(text)
    assert [item.text for item in result] == words
    assert all(text[item.start : item.end] == item.text for item in result)


def test_a_bare_weekday_is_today_where_today_is_one() -> None:
    for days in range(7):
        today = NOW + timedelta(days=days)
        (friday,) = found("周五", today)
        assert date.fromisoformat(friday.value) - today.date() == timedelta(days=(-days) % 7)


def test_elapsed_time_is_elapsed_where_the_clocks_change() -> None:
    """In Berlin 2026-10-25 has 25 hours: at three the clock goes back to two."""
    before = datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    (two_hours,) = found("in two hours", before)
    assert two_hours.value == "2026-10-25T02:30:00+01:00"
    (on_the_clock,) = found("tomorrow at 9am", before - timedelta(days=1))
    assert on_the_clock.value == "2026-10-25T09:00:00+01:00"


def test_a_date_that_has_just_passed_is_that_one() -> None:
    assert found("10月28日")[0].value == "2026-10-28"
    assert found("10月27日")[0].value == "2027-10-27"


def test_the_ends_of_the_calendar() -> None:
    last = datetime(9999, 12, 31, 23, 0, tzinfo=NOW.tzinfo)
    first = datetime(1, 1, 1, 0, 30, tzinfo=NOW.tzinfo)
    for text in (
        "明天",
        "下周五",
        "in two hours",
        "next month",
        "1月3日",
        "15号",
        "昨天",
        "上周",
        "两小时前",
        "下午三点",
        "the 31st",
        "晚上12点",
        "明天晚上12点",
    ):
        found(text, last)
        found(text, first)


def test_a_day_that_its_month_or_year_does_not_have_is_none() -> None:
    """Found by fuzzing: each of these raised ValueError out of the turn."""
    for text, value in (
        ("2027年2月29日", "2027-01-01"),
        ("next month the 31st", "2026-11-01"),
        ("下个月31号下午3点", "2026-11-01"),
    ):
        october = datetime(2026, 10, 27, 10, tzinfo=NOW.tzinfo)
        assert found(text, october)[0].value == value, text
    assert found("2028年2月29日")[0].value == "2028-02-29"
