"""Text made plain without moving a character: what is found in it has the same place in the original."""

from __future__ import annotations

from typing import Final

_WIDTHS: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: 0x20,
    0x00A0: 0x20,
    0x2010: 0x2D,
    0x2011: 0x2D,
    0x2013: 0x2D,
    0x2014: 0x2D,
    0x2019: 0x27,
    0xFFE5: 0xA5,
    0x3001: 0x2C,
}
_TRADITIONAL: Final = str.maketrans("後點鐘週個號兩萬億時這禮幾塊錢圓", "后点钟周个号两万亿时这礼几块钱圆")


def folded(text: str) -> str:
    """Full-width characters as ASCII, common traditional ones as simplified, lower case; as long as the original."""
    text = text.translate(_WIDTHS).translate(_TRADITIONAL)
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(one if len(one) == 1 else char for char in text for one in (char.lower(),))
