"""Text as the detectors read it, character by character: what is found stands at the same place in the text itself."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: 0x20,
    0xA0: 0x20,
    0x2010: 0x2D,
    0x2011: 0x2D,
    0x2012: 0x2D,
    0x2013: 0x2D,
    0x2014: 0x2D,
    0x2212: 0x2D,
    0x2009: 0x20,
    0x202F: 0x20,
    0x2022: 0xB7,
    0x30FB: 0xB7,
}
_NUMERALS: Final = str.maketrans("零〇一二三四五六七八九幺", "0012345678" + "91")
_WIDE: Final = re.compile("[" + "".join(re.escape(chr(code)) for code in _FULL_WIDTH) + "]")
_OTHER_DIGIT: Final = re.compile(r"[^\D0-9]")
"""Of another script: Arabic, Devanagari, mathematical."""
_SPOKEN: Final = re.compile(r"[零〇一二三四五六七八九幺](?:[ \-,]?[零〇一二三四五六七八九幺]){6,}")

_INVISIBLE: Final = (
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\u202a\u202b\u202c\u202d\u202e"
)
INVISIBLE: Final = re.compile(f"[{_INVISIBLE}]")
"""Characters that take no room: between two digits nobody sees them."""


def plain(text: str) -> str:
    """Full-width characters, dashes and spaces of all widths, and spoken runs of Chinese numerals as ASCII. Offsets stay."""
    return spoken_plain(widths_plain(text))


def widths_plain(text: str) -> str:
    """As `plain`, but for spoken numerals: what becomes of a character depends on nothing around it."""
    if text.isascii():
        return text
    if _WIDE.search(text):
        text = text.translate(_FULL_WIDTH)
    if _OTHER_DIGIT.search(text):
        text = _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    return text


def spoken_plain(text: str) -> str:
    """Spoken runs of seven numerals and more as digits."""
    return _SPOKEN.sub(lambda run: run[0].translate(_NUMERALS).replace(",", " "), text)


def numerals_plain(text: str) -> str:
    """As `plain`, with every Chinese numeral as a digit, where a run of them may have just begun."""
    return text.translate(_FULL_WIDTH).translate(_NUMERALS)


def without_invisible(text: str) -> tuple[str, list[int] | None]:
    """The text without invisible characters, and where each of its characters stood (the end too); None where it had none."""
    if text.isascii() or not INVISIBLE.search(text):
        return text, None
    places = [place for place, character in enumerate(text) if character not in _INVISIBLE]
    return "".join(text[place] for place in places), [*places, len(text)]
