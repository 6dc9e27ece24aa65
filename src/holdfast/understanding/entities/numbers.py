"""Numbers in text: ``1,200``, ``3.5``, ``1.5万``, ``二十三``, ``twenty three``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from holdfast.understanding.entities.found import Found
from holdfast.understanding.entities.numerals import CHINESE, DIGIT, ENGLISH, ENGLISH_UNITS, chinese, english
from holdfast.understanding.entities.widths import folded

_WORDS: Final = "|".join(sorted([*ENGLISH, *ENGLISH_UNITS], key=len, reverse=True))
DIGITS: Final = r"(?:\d{1,3}(?:,\d{3}){1,4}(?![\d,])|\d{1,15})(?:\.\d{1,6})?(?!\d)"
"""A number in digits; put a look-behind before it that keeps it from starting inside another."""
ENGLISH_WORDS: Final = rf"(?:an?[ ])?(?:{_WORDS})(?:(?:[ \-]|[ ]and[ ])(?:{_WORDS})){{0,12}}(?![a-z])"
NUMBER: Final = (
    rf"(?:(?P<digits>{DIGITS})(?:[ ]?(?P<unit>[万亿千百]{{1,3}}|hundred|thousand|million|billion|k)"
    rf"(?![a-z])(?P<tail>{DIGIT}(?!{CHINESE})|(?<=[万亿千百])\d(?![\d,.%]))?)?"
    rf"|(?P<chinese>{CHINESE}{{1,24}}(?:点[零〇一二三四五六七八九]{{1,6}})?(?!{CHINESE}))|(?P<english>{ENGLISH_WORDS}))"
)
"""A number in any writing, of `folded` text, as a part of a larger pattern. Read its groups with `value_of`."""
START: Final = rf"(?<![\d.a-z{CHINESE[1:-1]}])"
"""Before it, where it must not begin inside a word or another number."""

_UNITS: Final = {"万": 10**4, "亿": 10**8, "千": 1000, "百": 100, "k": 1000, **ENGLISH_UNITS}
_FIND: Final = re.compile(rf"(?<![\d.a-z{CHINESE[1:-1]}\-])(?P<minus>-(?=\d)|负|minus )?{NUMBER}(?![a-z]|\.\d)")
_NOT_BEFORE: Final = re.compile(
    r"(?:第|周|星期|礼拜|\b(?:this|that|the|other|which|no|any|every|last|first|next|another|good|some|each)[ ])$"
)
_NOT_AFTER: Final = re.compile(
    "下|些|样|直|般|定|旦|共|切|边|面|会|起|路|同|致|律|概|再|向|贯|时(?!间)|生|世|方面|块儿|点(?!钟)|旁|代|分(?!钟)"
)
_ROUGH: Final = re.compile("一二|两三|二三|三四|三五|四五|五六|六七|七八|八九")
_COUNTED: Final = re.compile("[个件张天年月岁块元人位份台次十百千万]")
_ADVERBS: Final = frozenset(("万一", "千万", "十", "百", "千", "万", "亿", "零", "〇"))


def find_numbers(text: str) -> Iterator[Found]:
    """Whole numbers as int, others as float (at most six decimals).

    Words that only look like numbers (``一下``, ``this one``) are none.
    """
    low = folded(text)
    for match in _FIND.finditer(low):
        number = value_of(match)
        if number is None or _is_no_number(low, match):
            continue
        value = plain_number(-number if match["minus"] else number)
        yield Found("number", value, text[match.start() : match.end()], match.start(), match.end())


def value_of(match: re.Match[str]) -> Decimal | None:
    """The number that `NUMBER` matched, None if the words make none."""
    if match["digits"] is not None:
        number = Decimal(match["digits"].replace(",", ""))
        unit = match["unit"] or ""
        factor = _UNITS.get(unit, 0)
        if unit and not factor:
            for char in unit:
                factor = (factor or 1) * _UNITS[char]
        tail = match["tail"] or ""
        tenths = int(tail) if tail.isdecimal() else chinese(tail) or 0
        return number * (factor or 1) + tenths * Decimal(factor) / 10
    if match["chinese"] is not None:
        whole, point, decimals = match["chinese"].partition("点")
        number_of = chinese(whole)
        if number_of is None:
            return None
        return Decimal(number_of) + (Decimal(f"0.{_in_digits(decimals)}") if point else 0)
    number_of = english(match["english"].replace("-", " ").split())
    return None if number_of is None else Decimal(number_of)


def plain_number(number: Decimal) -> int | float:
    """An int where it is whole."""
    return int(number) if number == number.to_integral_value() else float(number)


def _in_digits(decimals: str) -> str:
    return "".join(str(chinese(char)) for char in decimals)


def _is_no_number(low: str, match: re.Match[str]) -> bool:
    words = match["chinese"]
    before = low[max(0, match.start() - 8) : match.start()]
    if words is None:
        return match["english"] in ("one", "second") and _NOT_BEFORE.search(before) is not None
    if _ROUGH.fullmatch(words) and _COUNTED.match(low, match.end()):
        return True
    if len(words) == 1 and words == "一" and _NOT_AFTER.match(low, match.end()):
        return True
    alone = words in _ADVERBS and not (words in ("十", "零") and _stands_alone(low, match))
    return alone or _NOT_BEFORE.search(before) is not None


def _stands_alone(low: str, match: re.Match[str]) -> bool:
    """``十`` and ``零`` are numbers as an answer or before a counting word, not in ``十分`` or ``零食``."""
    return (
        match.end() == len(low) or re.match(r"[\W个件张天年月岁块元人位份只台斤包次]", low[match.end() :]) is not None
    )
