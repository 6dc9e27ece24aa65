"""Numbers in words, Chinese and English, as numbers: plain rules, and the pattern of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_DIGITS: Final[Mapping[str, int]] = {
    char: value
    for value, chars in enumerate(("零〇", "一壹幺", "二两贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for char in chars
}
_SMALL_UNITS: Final[Mapping[str, int]] = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE_UNITS: Final[Mapping[str, int]] = {"万": 10**4, "亿": 10**8}

DIGIT: Final = "[零〇一二两三四五六七八九幺壹贰叁肆伍陆柒捌玖]"
CHINESE: Final = "[零〇一二两三四五六七八九十百千万亿幺壹贰叁肆伍陆柒捌玖拾佰仟廿]"
"""One character of a Chinese number."""

_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
ENGLISH: Final[Mapping[str, int]] = {
    **{word: value for value, word in enumerate(_ONES)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
}
"""English words below a hundred."""

ENGLISH_UNITS: Final[Mapping[str, int]] = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}

_LONGEST: Final = 24
"""Characters of one Chinese number; a longer run is none."""


def chinese(text: str) -> int | None:
    """``三千五`` as 3500, ``二零二六`` as 2026, ``两万零三`` as 20003; None if it is no number.

    A last digit straight after a unit counts in tenths of the unit, as it is spoken: ``一百五`` is 150.
    """
    text = text.replace("廿", "二十")
    if not text or len(text) > _LONGEST:
        return None
    if all(char in _DIGITS for char in text):
        return int("".join(str(_DIGITS[char]) for char in text))
    high = middle = section = digit = 0  # what stands before 亿, before 万, and after
    unit = 1
    waits = False  # a digit, for its unit
    for place, char in enumerate(text):
        if char in _DIGITS:
            if waits and digit:
                return None
            digit, waits = _DIGITS[char], True
            unit = unit if digit else 1
            continue
        if char in _SMALL_UNITS:
            if not waits and place and text[place - 1] in _SMALL_UNITS:
                return None
            unit = _SMALL_UNITS[char]
            section += (digit or 1) * unit
        else:
            unit = _LARGE_UNITS[char]
            section += digit
            if not section and not middle:
                return None
            if unit == _LARGE_UNITS["万"]:
                middle += section * unit
            else:
                high, middle = (high + middle + section) * unit, 0
            section = 0
        digit, waits = 0, False
    if waits and unit > 10:
        digit *= unit // 10
    return high + middle + section + digit


def english(words: Sequence[str]) -> int | None:
    """``["two", "thousand", "and", "five"]`` as 2005; None if it is no number."""
    total = group = 0
    last = ""
    for word in words:
        if word in ("and", "a", "an"):
            last = word
            continue
        if word in ENGLISH_UNITS:
            unit = ENGLISH_UNITS[word]
            if unit == 100:
                group = (group or 1) * 100
            else:
                total += (group or 1) * unit
                group = 0
        else:
            value = ENGLISH[word]
            room = group % 100
            if last in ENGLISH and not (room >= 20 and room % 10 == 0 and 0 < value < 10):
                return None
            group += value
        last = word
    return None if last in ("and", "a", "an", "") else total + group
