"""Numbers, money, lists with typing errors, patterns, and all of them in one text."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.understanding import Found, ValueList, find_entities

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=timezone(timedelta(hours=8)))
DRINKS = {"拿铁": ["latte"], "cappuccino": ["卡布奇诺"], "espresso": []}
DELIVERY = {
    "express": ["next day delivery", "特快", "次日达服务"],
    "standard": ["普通快递", "regular"],
    "pickup": ["自提"],
}
ORDER = {"order": r"\b[A-Z]{2}\d{6}\b|\d{8,12}"}


def values(text: str, kind: str, **given: Any) -> list[Any]:
    return [item.value for item in find_entities(text, [kind], now=NOW, **given)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("二十三", [23]),
        ("三千五", [3500]),
        ("三千五百", [3500]),
        ("两百", [200]),
        ("一百零五", [105]),
        ("一百五", [150]),
        ("十五", [15]),
        ("两万零三", [20003]),
        ("一千二百三十四万五千六百七十八", [12345678]),
        ("一万亿", [10**12]),
        ("二零二六", [2026]),
        ("三点五", [3.5]),
        ("负五", [-5]),
        ("1.5万", [15000]),
        ("3万5", [35000]),
        ("３，５００", [3500]),
        ("1,200", [1200]),
        ("-5", [-5]),
        ("12k", [12000]),
        ("twenty three", [23]),
        ("twenty-five people", [25]),
        ("a hundred and five", [105]),
        ("two thousand five hundred", [2500]),
        ("two million", [2000000]),
        ("一个", [1]),
        ("十个", [10]),
        ("1 2 3", [1, 2, 3]),
        ("要两个大的，三个小的", [2, 3]),
        ("看一下", []),
        ("万一", []),
        ("十分好", []),
        ("第二个", []),
        ("星期三", []),
        ("三四个", []),
        ("this one", []),
        ("someone", []),
        ("abc12", []),
        ("12.5.3", []),
    ],
)
def test_numbers(text: str, expected: list[float]) -> None:
    found = values(text, "number")
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("¥1,200", 1200, "CNY"),
        ("￥３０", 30, "CNY"),
        ("三十块", 30, "CNY"),
        ("一百块钱", 100, "CNY"),
        ("三块五", 3.5, "CNY"),
        ("三块五毛", 3.5, "CNY"),
        ("3块2", 3.2, "CNY"),
        ("五毛钱", 0.5, "CNY"),
        ("1.5万元", 15000, "CNY"),
        ("300 RMB", 300, "CNY"),
        ("RMB 300", 300, "CNY"),
        ("500多块", 500, "CNY"),
        ("two hundred yuan", 200, "CNY"),
        ("$3.50", 3.5, "USD"),
        ("$3k", 3000, "USD"),
        ("USD 20", 20, "USD"),
        ("5 dollars", 5, "USD"),
        ("twenty bucks", 20, "USD"),
        ("30美元", 30, "USD"),
        ("50 cents", 0.5, "USD"),
        ("€20", 20, "EUR"),
        ("HK$50", 50, "HKD"),
    ],
)
def test_money(text: str, amount: float, currency: str) -> None:
    assert values(f"a {text}!", "money") == [{"amount": amount, "currency": currency}]
    assert [item.text for item in find_entities(text, now=NOW)] == [text]


@pytest.mark.parametrize("text", ["我们一块去", "3", "dollars"])
def test_no_money(text: str) -> None:
    assert values(text, "money") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("express please", ["express"]),
        ("I want expres please", ["express"]),
        ("standrad", ["standard"]),
        ("next day delivary", ["express"]),
        ("我要次日达服务", ["express"]),
        ("我要次日达服物", ["express"]),
        ("普通快弟吧", ["standard"]),
        ("ＲＥＧＵＬＡＲ", ["standard"]),
        ("自提还是特快", ["pickup", "express"]),
        ("expressions", []),
        ("zxpress", []),
        ("自由", []),
        ("what is the weather", []),
    ],
)
def test_lists_by_any_name_and_with_a_typing_error(text: str, expected: list[str]) -> None:
    assert values(text, "delivery", lists={"delivery": DELIVERY}) == expected


def test_a_misspelling_between_two_values_is_neither() -> None:
    colours = {"c": ValueList("c", {"gray stone": [], "gray stove": []})}
    assert values("gray stoxe", "c", lists=colours) == []
    assert values("gray stone", "c", lists=colours) == ["gray stone"]


def test_without_typos_only_exact_names() -> None:
    exact = {"delivery": ValueList("delivery", DELIVERY, typos=False)}
    assert values("expres", "delivery", lists=exact) == []
    assert values("express", "delivery", lists=exact) == ["express"]


def test_all_kinds_in_one_text_in_order_of_place() -> None:
    text = "明天下午三点两杯拿铁，一共六十块，电话13800138000，订单ＡＢ１２３４５６，邮箱 Jane@Example.com"
    found = find_entities(text, now=NOW, lists={"drink": DRINKS}, patterns={"order": r"[A-Z]{2}\d{6}"})
    assert [(item.kind, item.value) for item in found] == [
        ("datetime", "2026-11-28T15:00:00+08:00"),
        ("number", 2),
        ("drink", "拿铁"),
        ("money", {"amount": 60, "currency": "CNY"}),
        ("phone", "13800138000"),
        ("order", "AB123456"),
        ("email", "jane@example.com"),
    ]
    assert all(text[item.start : item.end] == item.text for item in found)


def test_a_datetime_falls_into_the_kinds_that_were_asked_for() -> None:
    text = "明天下午三点"
    whole = Found("datetime", "2026-11-28T15:00:00+08:00", text, 0, 6, "hour")
    day, clock = Found("date", "2026-11-28", "明天", 0, 2, "day"), Found("time", "15:00", "下午三点", 2, 6, "hour")
    assert find_entities(text, ["datetime", "date"], now=NOW) == (whole,)
    assert find_entities(text, ["date", "time"], now=NOW) == (day, clock)
    assert find_entities(text, ["date"], now=NOW) == (day,)
    assert find_entities(text, ["time"], now=NOW) == (clock,)


def test_a_time_alone_is_its_next_occurrence_where_a_datetime_is_asked_for() -> None:
    assert values("下午三点", "datetime") == ["2026-11-27T15:00:00+08:00"]
    assert values("9am", "datetime") == ["2026-11-28T09:00:00+08:00"]
    assert [item.kind for item in find_entities("9am", ["datetime", "time"], now=NOW)] == ["time"]


def test_the_longest_stays_and_equals_stay_both() -> None:
    found = find_entities("13800138000", now=NOW, patterns=ORDER)
    assert [item.kind for item in found] == ["order", "phone"]
    assert [item.text for item in find_entities("15 dollars on 12/3", now=NOW)] == ["15 dollars", "12/3"]


def test_a_patterns_groups_are_its_value() -> None:
    assert values("no. ab-1234", "no", patterns={"no": re.compile(r"([a-z]{2})-(\d{4})")}) == ["AB1234"]


HOSTILE = ["1" * 10_000, "一" * 10_000, "1," * 5_000, "one " * 2_500, "$" * 10_000, "十百" * 5_000, "1:11" * 2_500,
           "at " * 3_333, "周" * 10_000, " " * 10_000, "三" * 5_000 + "点" * 5_000, "March 5 " * 1_250, "a@" * 5_000,
           "明天" * 5_000, "expres " * 1_400, "(" * 10_000, "1/" * 5_000, "the " * 2_500, "下" * 10_000, "-" * 10_000]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:8].strip() or "blanks")
def test_hostile_text_takes_linear_time(text: str) -> None:
    """Ten times the text takes about ten times as long; a quadratic pattern would take a hundred times."""
    lists = {"delivery": ValueList("delivery", DELIVERY)}

    def seconds(piece: str) -> float:
        began = time.process_time()
        find_entities(piece, now=NOW, lists=lists)
        return time.process_time() - began

    assert min(seconds(text) for _ in range(2)) < 40 * max(min(seconds(text[:1_000]) for _ in range(3)), 0.002)


WORDS = [
    "明天", "下午", "三点", "半", "周五", "下", "12月", "3日", "号", "12/3", "13800138000", "a@b.cn", "$5", "三十块", "五",
    "twenty", "one", "at", "3pm", "next", "friday", "，", ".", "-", ":", "点", "个", "后", "latte", "latt", "１２", "Ａ", "İ", "ß",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
        st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    )
)
def test_whatever_the_text_spans_are_right_ordered_and_apart(text: str) -> None:
    found = find_entities(text, now=NOW, lists={"drink": DRINKS}, patterns=ORDER)
    assert all(0 <= item.start < item.end <= len(text) and text[item.start : item.end] == item.text for item in found)
    spans = sorted({(item.start, item.end) for item in found})
    assert [(item.start, item.end) for item in found] == sorted((item.start, item.end) for item in found)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert found == find_entities(text, now=NOW, lists={"drink": DRINKS}, patterns=ORDER)
    for kinds in (["date", "time"], ["datetime"], ["number"]):
        assert all(item.kind in kinds for item in find_entities(text, kinds, now=NOW))


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
)
def test_whenever_it_is_said_dates_are_iso(now: datetime, text: str) -> None:
    for item in find_entities(text, ["date", "time", "datetime"], now=now.replace(tzinfo=NOW.tzinfo)):
        datetime.fromisoformat(f"2000-01-01T{item.value}" if item.kind == "time" else item.value)
