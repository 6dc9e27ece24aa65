"""What phone numbers, addresses and card numbers look like in Chinese and English text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: 0x20,
    0x2013: 0x2D,
    0x2014: 0x2D,
}
_NUMERALS: Final = str.maketrans("零〇一二三四五六七八九幺", "0012345678" + "91")
_SPOKEN: Final = re.compile(r"[零〇一二三四五六七八九幺]{7,}")

_GAP: Final = r"[ \-.·]{0,2}"
_MOBILE: Final = re.compile(rf"(?<![\d+])(?:\+?86{_GAP})?(1[3-9](?:{_GAP}\d){{9}})(?!\d)")
_ABROAD: Final = re.compile(rf"(?<!\d)\+(?!86)[1-9](?:{_GAP}\d){{7,14}}(?!\d)")
_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?<!-)"
)
_ID_CARD: Final = re.compile(r"(?<!\d)\d{17}[\dXx](?![\dA-Za-z])")
_BANK_CARD: Final = re.compile(r"(?<!\d)[1-9](?:[ -]?\d){12,18}(?!\d)")
_DIGITS: Final = re.compile(r"\d+")

Span = tuple[int, int, str]
"""Start and end in the text, and the value in its plain form."""


def plain(text: str) -> str:
    """Full-width characters and spoken runs of Chinese numerals as ASCII, character by character: offsets stay."""
    return _SPOKEN.sub(lambda run: run[0].translate(_NUMERALS), text.translate(_FULL_WIDTH))


def phones(text: str) -> Iterator[Span]:
    """Mainland mobile numbers as 11 digits, others where they are written with ``+``. Takes `plain` text."""
    for match in _MOBILE.finditer(text):
        yield match.start(), match.end(), _digits(match[1])
    for match in _ABROAD.finditer(text):
        yield match.start(), match.end(), "+" + _digits(match[0])


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses in lower case. Takes `plain` text."""
    for match in _EMAIL.finditer(text):
        yield match.start(), match.end(), match[0].lower()


def id_cards(text: str) -> Iterator[Span]:
    """Chinese identity numbers whose check digit is right (ISO 7064 MOD 11-2, as GB 11643 has it). Takes `plain` text."""
    for match in _ID_CARD.finditer(text):
        total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(match[0][:17]))
        if "10X98765432"[total % 11] == match[0][17].upper():
            yield match.start(), match.end(), match[0].upper()


def bank_cards(text: str) -> Iterator[Span]:
    """Card numbers of 13 to 19 digits whose check digit is right (Luhn, ISO/IEC 7812-1). Takes `plain` text."""
    for match in _BANK_CARD.finditer(text):
        digits = [int(digit) for digit in _digits(match[0])]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0:
            yield match.start(), match.end(), _digits(match[0])


def _digits(text: str) -> str:
    return "".join(_DIGITS.findall(text))
