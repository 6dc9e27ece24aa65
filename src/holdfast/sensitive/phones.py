"""Phone numbers: Chinese mobiles and landlines, North American and British ones, and any with a country's code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.sensitive.context import before, compiled, in_link, is_numbered, links
from holdfast.sensitive.kind import Found

_GAP: Final = r"[ \-.·]{0,2}"
_NO_LETTER: Final = r"(?<![\d+A-Za-z_])|(?<=tel)|(?<=Tel)|(?<=TEL)|(?<=hone)|(?<=HONE)|(?<=bile)|(?<=BILE)|(?<=cell)|(?<=call)|(?<=at)|(?<=No)|(?<=NO)"
_AFTER: Final = r"(?![\d_]|[A-Za-z]\d|[a-f]{1,3}\d|[a-f](?![A-Za-z])|\.\d|:\d\d)"
_MOBILE: Final = rf"(?:{_NO_LETTER})(?:(?:\+|00)?\(?86\)?[ \-.·:]{{0,2}})?(1{_GAP}[3-9](?:{_GAP}\d){{9}}){_AFTER}"
_CHINESE: Final = (
    r"(?<![\dA-Za-z_+.\-/])(?:(?:\+|00)86[ -]?)?\(?(?:0?10|0?2\d|0[3-9]\d{2})(?:\)[ -]?|[ -]{1,3}|(?<=0\d\d)|(?<=0\d\d\d))"
    r"(?:[1-9]\d{3}[ -]?\d{4}|[2-8]\d{6}|[2-8]\d{2}[ -]\d{4})(?:[ ]?(?:转|ext\.?|-)[ ]?\d{1,5})?(?![\d_]|[A-Za-z]\d|[a-f]{1,3}\d|-\d|\.\d)"
)
_ABROAD: Final = (
    r"(?<![\d+A-Za-z])(?:\+|00(?=[1-9]\d{0,2}[ -]))(?!86[ -]?1)[1-9]\d{0,2}(?:[ \-.·]{0,2}\(\d{1,4}\))?(?:[ \-.·]{0,2}\d){6,13}"
    r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,5})?(?!\d)"
)
_AMERICAN: Final = (
    r"(?<![\dA-Za-z_+.\-/$])(?:(?:001|1)[-. ])?(?:\(([2-9]\d\d)\)[-. ]?|([2-9]\d\d)[-. ])(\d{3})[-. ](\d{4})"
    r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,5})?(?![\d_]|-\d|\.\d|[A-Za-z]\d|[a-f]{1,3}\d)"
)
_TEN: Final = r"(?<![\dA-Za-z_+.\-/$])1?([2-9]\d\d)([2-9]\d\d)(\d{4})(?![\d_]|-\d|\.\d|[A-Za-z])"
_BRITISH: Final = (
    r"(?<![\dA-Za-z_+.\-/$])(?:07\d{3}[ -]?\d{3}[ -]?\d{3}|\(?0[1-9]\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,4}|\(0\d{2,4}\)\d{6,8}|\(?02\d\)?[ -]?\d{4}[ -]?\d{4})"
    r"(?![\d_]|-\d|\.\d|[A-Za-z]\d|[a-f]{1,3}\d)"
)
_GLUED: Final = r"(?<![\dA-Za-z_+.\-/$])0[1-9]\d{8,9}(?![\d_]|-\d|\.\d|[A-Za-z])"
_CALLS: Final = r"(?:phone|mobile|cell|tel|telephone|call|text|ring|dial|reach|contact|whatsapp|fax|sms|number|电话|手机|联系|致电|拨打|号码)[^\d\n]{0,24}$"
_PRICE_BEFORE: Final = r"[¥￥$€£][ ]?$"
_PRICE_AFTER: Final = r"[ ]?(?:元|块|万|亿|%|美元|件|个|次|人|年|平方|平米|米|公里|字节|毫|吨|斤|克|股|票|秒|bytes|MB|km|ms|USD|RMB|CNY|dollars|yuan)"
_ENOUGH: Final = re.compile(r"(?:\d[ \-.·()]{0,3}){6}\d")
"""Of the shortest phone number."""
_ABROAD_CODE: Final = re.compile(r"^(?:\+|00)\d{1,3}[ \-.·]*|\(\d+\)[ \-.·]*|[ ]?(?:x|ext).*$")
_START: Final = re.compile(r"[+(]|\d+")
_SPLIT: Final = re.compile(r"[ \-.·]+")
_DIGITS: Final = re.compile(r"\d+")


def digits_of(text: str) -> str:
    """Its digits alone."""
    return "".join(_DIGITS.findall(text))


def is_grouped(written: str, *, least: int = 2) -> bool:
    """Whether digits stand as somebody writes a number down: without gaps, in groups, or one by one; not as a list of numbers."""
    groups = _SPLIT.split(written)
    if len(groups) == 1:
        return True
    if all(len(group) == 1 for group in groups):
        return len(set(_SPLIT.findall(written))) == 1
    short = least if "." not in written else 3
    return all(len(group) >= short for group in groups[1:]) and len(groups[0]) >= 1


def mobiles(text: str) -> Iterator[Found]:
    """Mainland mobile numbers, as 11 digits."""
    yield from _mobiles(text, starts(text))


def abroad(text: str) -> Iterator[Found]:
    """Numbers that are written with ``+`` (or 00) and a country's code."""
    yield from _abroad(text, starts(text))


def starts(text: str) -> list[int]:
    """Where a number may begin: patterns are tried there alone."""
    return [match.start() for match in _START.finditer(text)]


def find_phones(text: str) -> Iterator[Found]:
    """Phone numbers of all sorts, as digits; with ``+`` where it is written."""
    if not _ENOUGH.search(text):
        return
    skip = links(text)
    for found in _candidates(text, starts(text)):
        if not in_link(text, skip, found.start) and not _is_amount(text, found) and not is_numbered(text, found.start):
            yield found


def _mobiles(text: str, places: list[int]) -> Iterator[Found]:
    match_at, free = compiled(_MOBILE).match, 0
    for place in places:
        if place >= free and text[place] in "108+(" and (match := match_at(text, place)) and is_grouped(match[1]):
            free = match.end()
            yield Found(match.start(), match.end(), digits_of(match[1]))


def _abroad(text: str, places: list[int]) -> Iterator[Found]:
    match_at = compiled(_ABROAD).match
    for place in places:
        if text[place] in "+0" and (match := match_at(text, place)) and is_grouped(_ABROAD_CODE.sub("", match[0])):
            yield Found(match.start(), match.end(), "+" + digits_of(match[0]).removeprefix("00"))


def _candidates(text: str, places: list[int]) -> Iterator[Found]:
    yield from _mobiles(text, places)
    yield from _abroad(text, places)
    chinese, british = compiled(_CHINESE).match, compiled(_BRITISH).match
    american, ten, glued = compiled(_AMERICAN).match, compiled(_TEN).match, compiled(_GLUED).match
    for place in places:
        first = text[place]
        for match_at, begins in ((chinese, "0(+12"), (british, "0(")):
            if first in begins and (match := match_at(text, place)):
                yield Found(match.start(), match.end(), digits_of(match[0]))
        if first != "+" and (match := american(text, place)):
            spaced = match[0].count(" ") == 2 and "(" not in match[0]
            if not spaced or _is_called(text, match.start()):
                yield Found(match.start(), match.end(), digits_of(match[0]))
        bare = glued if first == "0" else ten
        if first not in "+(" and (match := bare(text, place)) and _is_called(text, match.start()):
            yield Found(match.start(), match.end(), digits_of(match[0]))


def _is_called(text: str, start: int) -> bool:
    return before(compiled(_CALLS, re.IGNORECASE), text, start, 40)


def _is_amount(text: str, found: Found) -> bool:
    if compiled(_PRICE_AFTER, re.IGNORECASE).match(text, found.end):
        return True
    return before(compiled(_PRICE_BEFORE), text, found.start, 3)
