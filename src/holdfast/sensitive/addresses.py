"""Postal addresses, Chinese and English: down to a house, a box or a building; the name of a town alone is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from holdfast.sensitive.context import before, compiled
from holdfast.sensitive.kind import Found
from holdfast.sensitive.places import CITIES, OTHER_STREETS, PROVINCES, STATES, STREETS


def find_addresses(text: str) -> Iterator[Found]:
    """Addresses as they are written."""
    if not text.isascii():
        yield from _chinese(text)
    if compiled(r"[A-Za-z]{2}").search(text):
        yield from _english(text)


# --- Chinese: what ends with a number of a house, from there to the left as far as a name of a place may go ---

_NO: Final = (
    "的了是在我你他她您它们这那到与及或请吗呢吧给把被让想要就也很还没不会能说问寄送住址往从去来叫发对跟为于收件：:"
)
_C: Final = rf"(?:(?![{_NO}])[\u4e00-\u9fff])"
_COUNT: Final = r"(?:第?[A-Za-z]{0,2}\d{1,5}(?:[ ]?[\-~/之][ ]?[A-Za-z]?\d{1,5}){0,3}[A-Za-z]?|[一二三四五六七八九十百千零〇两]{1,6}|[甲乙丙丁]\d{0,4}|[A-Za-z])"
_UNIT: Final = r"(?:号院|号楼|号|弄|栋|幢|座|单元|室|楼|层|组|队|户|期|区|门|房|#)"
_ROADS: Final = r"(?:大街|大道|胡同|公路|马路|路|街|道|巷|弄|段)"
_SITES: Final = (
    r"(?:小区|社区|花园|公寓|大厦|广场|中心|家园|新村|山庄|别墅|工业园|产业园|科技园|软件园|宿舍|大院|写字楼|国际|名都|新城|花苑|嘉园|佳苑"
    r"|家属院|村|镇|乡|庄|屯|苑|园|城|府|湾|庭|里|坊|轩|阁|郡|邸|寨|营|厦|院)"
)
_ANCHOR: Final = rf"(?:(?P<road>{_C}{_ROADS}(?<!国道|省道|县道|铁道|隧道|跑道|频道|赛道|车道|河道|铁路|网路|电路))|{_C}{_SITES})[ ]?{_COUNT}[ ]?{_UNIT}(?!线|公交|地铁|国道|高速|选手|运动员|文件|令|决议|航班|列车)"
_MORE: Final = (
    rf"(?:[ ,，]?(?:{_C}{{0,12}}?{_SITES})?[ ]?{_COUNT}[ ]?{_UNIT}){{0,5}}"
    rf"(?:[ ]?\d{{2,4}}(?![\d.\-年月日时点分元块个号人次件天米公里岁]))?"
    rf"(?:[ ]?{_C}{{2,12}}?(?:大厦|广场|小区|花园|大学|医院|公寓|中心|商场|酒店|银行|学校|大楼)(?:[ ]?{_COUNT}[ ]?{_UNIT}){{0,4}})?"
)
_STRETCH: Final = rf"(?:{_C}|[0-9 ])*\Z"
_MARK: Final = re.compile(r"[省市区县旗州盟镇乡]")
_LIVES: Final = r"(?:地址|住址|住在|家住|住|寄到|寄往|寄去|送到|送往|送至|寄至|发到|发往|收货地|现居|居住|所在地|位于|地址改[为成到])[是为在于：: ]{0,3}$"
_RUN: Final = rf"(?:{_C}|[0-9A-Za-z\-# ])+"
_PLACED: Final = re.compile(r"路|街|道|巷|弄|村|镇|乡|园|苑|楼|栋|厦|广场|小区|社区|庄")
_ENDS_RUN: Final = re.compile(r"[ ]?(?:电话|手机|邮编|联系|姓名|身份证|邮箱|Tel|tel|phone)")
_LEAST_RUN: Final = 6


@cache
def _region() -> re.Pattern[str]:
    names = "|".join(sorted((*PROVINCES, *CITIES), key=len, reverse=True))
    return re.compile(rf"(?:中国)?(?:{names})")


def _chinese(text: str) -> Iterator[Found]:
    done = 0
    for match in compiled(_ANCHOR).finditer(text):
        if match.start() < done:
            continue
        start = _left(text, match.start(), done)
        end = compiled(_MORE).match(text, match.end()).end()  # type: ignore[union-attr]  # it fits the empty text
        known = _region().match(text, start) is not None
        marked = known or bool(_MARK.search(text, start, match.start() + 2))
        units = len(re.findall(_UNIT, text[match.start() + 1 : end]))
        if match["road"] or marked or units >= 2 or before(compiled(_LIVES), text, start, 8):
            done = end
            yield Found(start, end, text[start:end])
    yield from _told(text)


def _left(text: str, anchor: int, least: int) -> int:
    """Where an address begins that has its road here: at the name of a province or town, or as far left as its words go."""
    stretch = compiled(_STRETCH).search(text, max(least, anchor - 40), anchor + 1)
    start = stretch.start() if stretch else anchor
    while start < anchor and text[start] in " 0123456789":
        start += 1
    found = _region().search(text, start, anchor + 1)
    return found.start() if found and not _MARK.search(text, start, found.start()) else start


def _told(text: str) -> Iterator[Found]:
    """Without a number, where words say that an address comes, and a town and what is in it follow."""
    for match in compiled(_LIVES[:-1]).finditer(text):
        run = compiled(_RUN).match(text, match.end())
        if run is None or not (region := _region().match(text, match.end())):
            continue
        end = run.end()
        if cut := _ENDS_RUN.search(text, match.end(), end):
            end = cut.start()
        written = text[match.end() : end].rstrip()
        if len(written) >= _LEAST_RUN and _MARK.search(written) and _PLACED.search(written, region.end() - match.end()):
            yield Found(match.end(), match.end() + len(written), written)


# --- English ---

_NUMBER: Final = r"(?<![A-Za-z0-9.,/#$\-])\d{1,6}(?:[A-Za-z]|-\d{1,4})?"
_SIDE: Final = r"(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.?"
_WORD: Final = r"(?:[A-Z][A-Za-z'.\-]*|\d{1,3}(?:st|nd|rd|th)|of|the|and|de|la)"
_INNER: Final = (
    r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Rm|Floor|Fl)\.?[ ]?#?[0-9A-Za-z\-]{1,6}|#[ ]?\d{1,5}[A-Za-z]?"
)
_ZIP: Final = r"\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[0-9A-Z]?[ ]?\d[A-Z]{2}|[A-Z]\d[A-Z][ ]?\d[A-Z]\d"
_COUNTRY: Final = r"USA|US|U\.S\.A?\.?|UK|United States|United Kingdom|England|Scotland|Wales|Canada|Australia|Ireland"
_TOWN: Final = r"[A-Z][A-Za-z'.\-]+(?:[ ](?:[A-Z][A-Za-z'.\-]+|of|upon|on|the)){0,3}?"
_BEHIND: Final = (
    rf"(?P<inner>[, ]{{1,2}}(?:{_INNER})(?![A-Za-z]))?"
    rf"(?:(?P<town>,[ ]?{_TOWN}(?=,|[ ](?:{STATES}|{_ZIP})\b|[.;!?)]|$|[ ](?:and|or|please|but|as|is|was|by|before|for|to|on|at|if|when|my|i|thanks|from|with|today|tomorrow|now)\b|[^\x00-\x7f])(?:,[ ]?{_TOWN}(?=,?[ ](?:{STATES}|{_ZIP})\b))?)"
    rf"(?P<state>,?[ ](?:{STATES})\b\.?)?(?P<zip>,?[ ](?:{_ZIP})\b)?(?:,[ ]?(?:{_COUNTRY})\b)?"
    rf"|(?P<zip2>,?[ ](?:{_ZIP})\b))?"
)
_HOUSE: Final = (
    rf"(?P<front>(?:{_INNER}),?[ ])?{_NUMBER}(?:[ ]{_SIDE})?(?:[ ]{_WORD}){{1,4}}?[ ]"
    rf"(?:(?P<sure>{STREETS})|{OTHER_STREETS})\b\.?(?:[ ]{_SIDE}(?![A-Za-z]))?{_BEHIND}"
)
_BROADWAY: Final = rf"(?P<front>(?:{_INNER}),?[ ])?{_NUMBER}[ ](?:{_SIDE}[ ])?(?P<sure>Broadway|Strand|The Strand|Piccadilly|Whitehall)\b{_BEHIND}"
_BOX: Final = rf"\b[Pp]\.?[ ]?[Oo]\.?[ ]?[Bb]ox[ ]?#?\d{{1,6}}{_BEHIND}"
_FLAT: Final = rf"\b(?:Flat|Studio|Unit|Apartment|Apt)\.?[ ][0-9A-Za-z]{{1,5}},?(?:[ ]{_WORD}){{1,4}}?[ ](?:{STREETS}|{OTHER_STREETS})\b,[ ]?{_TOWN},?[ ](?:{_ZIP})\b"
_FORCES: Final = r"\b(?:PSC[ ]\d+,[ ]Box[ ]\d+|Unit[ ]\d+,?[ ]Box[ ]\d+|US[A-Z]{1,3}[ ][A-Z][a-z]+),?[ ](?:APO|FPO|DPO)[ ]A[AEP][ ]\d{5}\b"
_SMALL: Final = (
    r"(?<![A-Za-z0-9.,/#$\-])\d{1,6}[a-z]?(?:[ ](?!minutes|min|mins|hours|days|miles|km|the|of|from|in|on|at|years|and|or|more|to|is|was|a)[a-z0-9'.\-]+){1,3}?"
    r"[ ](?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|way|place|square|terrace)\b"
    r"(?:,?[ ](?:apt|apartment|suite|unit|flat|#)\.?[ ]?#?[0-9a-z]{1,5})?(?:,[ ]?[a-z]+(?:[ ][a-z]+)?(?=[,.;!?]|$|[ ][a-z]{2}[ ]\d{5}))?(?:,?[ ][a-z]{2}[ ]\d{5}\b)?"
)
_AT: Final = (
    r"(?:address|liv(?:e|es|ed|ing)|resid(?:e|es|ed|ing)|ship(?:s|ped|ping)?|deliver(?:y|ed|ing)?|send|sent|mail(?:ed|ing)?|home|house|moved"
    r"|located|residence|billing|parcel|package|drop|pick|visit|come|stay(?:ing)?|地址|住|寄|送)\b[^\n.!?;]{0,40}$"
)


@cache
def _streets() -> frozenset[str]:
    """Words one of which ends the name of every street, in lower case."""
    written = f"{STREETS}|{OTHER_STREETS}|Broadway|Strand|Piccadilly|Whitehall"
    found = set()
    for word in written.lower().split("|"):
        found |= {word.removesuffix("s?"), word.replace("?", "")} if word.endswith("s?") else {word}
    return frozenset(found)


def _english(text: str) -> Iterator[Found]:
    if "ox" in text or "OX" in text:
        for match in compiled(_BOX).finditer(text):
            yield Found(match.start(), match.end(), match[0])
    if "PO A" in text:
        for match in compiled(_FORCES).finditer(text):
            yield Found(match.start(), match.end(), match[0])
    if not compiled(r"\d").search(text):
        return
    words = {word.lower() for word in compiled(r"[A-Za-z]+").findall(text)}
    if words.isdisjoint(_streets()):
        return
    for match in compiled(_FLAT).finditer(text):
        yield Found(match.start(), match.end(), match[0])
    at = compiled(_AT, re.IGNORECASE)
    for pattern in (_HOUSE, _BROADWAY):
        for match in compiled(pattern).finditer(text):
            parts = match.groupdict()
            sure = ("sure", "inner", "front", "state", "zip", "zip2")
            if any(parts[name] for name in sure) or before(at, text, match.start()):
                yield Found(match.start(), match.end(), match[0])
    if compiled(r"\d[a-z]?[ ][a-z]").search(text):
        for match in compiled(_SMALL, re.IGNORECASE).finditer(text):
            if before(at, text, match.start()):
                yield Found(match.start(), match.end(), match[0])
