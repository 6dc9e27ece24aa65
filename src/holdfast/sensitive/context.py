"""What stands around a candidate: links, numbers of orders, words that say what comes next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

REACH: Final = 64
"""Characters before a value that are looked at at the most."""

_LINK: Final = re.compile(
    r"(?:[a-z][a-z0-9+]{1,9}://|www\.)[^\s\u3000-\u303f\u4e00-\u9fff\uff00-\uffef<>\"']+", re.IGNORECASE
)
_GIVEN: Final = re.compile(r"(?:phone|mobile|tel|email|e-mail|mail|card|idcard|id_card)=$", re.IGNORECASE)
_NUMBERED: Final = re.compile(
    r"(?:订单|单|流水|运单|快递|物流|编|序列|批次|合同|发票|商品|货|会员|工单|案件|案|版本|型|条形?码|追踪|交易|票|房间|学|工|QQ|qq)[号码]{1,2}"
    r"[是为:：#\s]{0,4}$|(?:订单|运单|快递|流水|编码|条码|条形码|sku|余额|金额|总价|价格|合计|共计)[是为:：#\s]{0,3}$"
    r"|\b(?:order|tracking|invoice|ref(?:erence)?|case|ticket|serial|isbn|sku|item|model|part|batch|transaction|booking|parcel"
    r"|shipment|build|version|account|product|confirmation|job|error|code|timestamp|epoch|ts|asin|upc|ean|barcode|receipt|po)"
    r"(?:[ -]?(?:id|no|num|number|code))?\b[ .:#=]{0,3}(?:is|was|=)?[ :#]{0,2}$",
    re.IGNORECASE,
)

_NUMBERED_ENDS: Final = "号码单递水额价格计"


def links(text: str) -> list[tuple[int, int]]:
    """Where addresses of pages stand."""
    if "://" not in text and "www." not in text.lower():
        return []
    return [match.span() for match in _LINK.finditer(text)]


def in_link(text: str, found: list[tuple[int, int]], start: int) -> bool:
    """Whether a place is inside of one, and no parameter that says what it holds."""
    return any(begin <= start < end for begin, end in found) and not _GIVEN.search(text, max(0, start - 10), start)


def is_numbered(text: str, start: int) -> bool:
    """Whether the words right before a place say that the number there is one of an order, a parcel, a version."""
    first = max(0, start - 32)
    last = text[first:start].rstrip(" :#.=是为\n\t\r\x0b\x0c")[-1:]
    if not last or not (last in _NUMBERED_ENDS or (last.isascii() and last.isalpha())):
        return False  # as nearly always, and the pattern is slow
    return _NUMBERED.search(text, first, start) is not None


def before(words: re.Pattern[str], text: str, start: int, reach: int = REACH) -> bool:
    """Whether a pattern (which ends with ``$``) fits what stands before a place."""
    return words.search(text, max(0, start - reach), start) is not None


def ending_in(words: Iterable[str]) -> str:
    """A pattern of the last character of some words, behind which it is looked for the rest: few places are looked at twice."""
    around: dict[str, list[str]] = {}
    for word in words:
        around.setdefault(word[-1], []).append(f"(?<={word})")
    cases = "|".join(f"(?<={last})(?:{'|'.join(dict.fromkeys(found))})" for last, found in around.items())
    return f"[{''.join(around)}](?:{cases})"


@cache
def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The pattern, compiled when something is first looked for, not when the program starts."""
    return re.compile(pattern, flags)
