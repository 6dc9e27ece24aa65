"""Amounts of money: ``¥1,200``, ``三十块``, ``三块五``, ``5 dollars``, ``USD 20``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from holdfast.understanding.entities.found import Found
from holdfast.understanding.entities.numbers import NUMBER, START, plain_number, value_of
from holdfast.understanding.entities.numerals import DIGIT, chinese
from holdfast.understanding.entities.widths import folded

_CURRENCIES: Final[Mapping[str, str]] = {
    "CNY": "元 块钱 块 圆 rmb 人民币 cny ¥ yuan renminbi kuai",
    "USD": "$ us$ usd 美元 美金 美刀 dollars dollar bucks buck",
    "EUR": "€ eur 欧元 euros euro",
    "GBP": "£ gbp 英镑 pounds pound quid",
    "HKD": "hk$ hkd 港币 港元",
    "JPY": "jpy 日元 yen",
}
_NAMES: Final = {name: code for code, names in _CURRENCIES.items() for name in names.split()}
_BY_LENGTH: Final = sorted(_NAMES, key=len, reverse=True)
_BEFORE: Final = "|".join(
    re.escape(name) for name in _BY_LENGTH if name not in ("块", "块钱", "元", "圆", "yuan", "kuai")
)
_AFTER: Final = "|".join(
    re.escape(name) + ("(?![a-z])" if name[-1].isascii() and name.isalpha() else "") for name in _BY_LENGTH
)
_PREFIXED: Final = re.compile(rf"(?<![a-z$])(?P<before>{_BEFORE})[ ]?{NUMBER}(?:[ ]?(?P<after>{_AFTER}))?")
_SUFFIXED: Final = re.compile(
    rf"{START}{NUMBER}[ ]?(?:多|来)?(?P<after>{_AFTER})"
    rf"(?P<rest>[ ]?(?:\d|{DIGIT})[毛角]|(?:\d(?!\d)|{DIGIT}(?![\u4e00-\u9fff])))?"
)
_SMALL: Final = re.compile(rf"{START}{NUMBER}[ ]?(?P<small>毛钱?|角钱?|分钱|cents?(?![a-z])|pence(?![a-z]))")
_TOGETHER: Final = re.compile(r"[儿去来走吃看玩办买退发换]")


def find_money(text: str) -> Iterator[Found]:
    """``{"amount": int or float, "currency": ISO 4217 code}``; ``¥`` is CNY, ``$`` USD, ``块`` CNY."""
    low = folded(text)
    for match in _PREFIXED.finditer(low):
        if (amount := value_of(match)) is not None:
            yield _found(text, match, amount, _NAMES[match["before"]])
    for match in _SUFFIXED.finditer(low):
        amount = value_of(match)
        if amount is None or (match[0] == "一块" and _TOGETHER.match(low, match.end())):
            continue
        rest = (match["rest"] or "").strip().rstrip("毛角")
        tenths = 0 if not rest else int(rest) if rest.isdecimal() else chinese(rest) or 0
        yield _found(text, match, amount + Decimal(tenths) / 10, _NAMES[match["after"]])
    for match in _SMALL.finditer(low):
        if (amount := value_of(match)) is not None:
            small = match["small"]
            yield _found(text, match, amount / (10 if small[0] in "毛角" else 100), _small_currency(small))


def _small_currency(small: str) -> str:
    return "USD" if small.startswith("cent") else "GBP" if small == "pence" else "CNY"


def _found(text: str, match: re.Match[str], amount: Decimal, currency: str) -> Found:
    value = {"amount": plain_number(amount), "currency": currency}
    return Found("money", value, text[match.start() : match.end()], match.start(), match.end())
