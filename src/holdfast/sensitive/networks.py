"""IP addresses and licence plates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.sensitive.context import before, compiled
from holdfast.sensitive.kind import Found

_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IP: Final = rf"(?<![\dA-Za-z.\-])(?:{_BYTE}\.){{3}}{_BYTE}(?![\dA-Za-z]|\.\d|-\d)"
_VERSION: Final = r"(?:\bv|version|ver\.?|build|firmware|release|section|chapter|clause|版本号?|固件|章节|第|条款)[^\w\n]{0,3}(?:is|was|为|是)?[ :：]{0,2}$"
_OURS: Final = ("0.", "127.", "255.")
_PLATE: Final = (
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Za-z][ ·\-]?"
    r"(?=(?:[A-Za-z]{0,3}\d){2})[A-HJ-NP-Za-hj-np-z0-9]{4,5}[A-HJ-NP-Za-hj-np-z0-9挂学警港澳](?![A-Za-z0-9])"
)


def find_ips(text: str) -> Iterator[Found]:
    """IPv4 addresses that lead somewhere, and are no version of something."""
    if text.count(".") < 3:
        return
    for match in compiled(_IP).finditer(text):
        if not match[0].startswith(_OURS) and not before(compiled(_VERSION, re.IGNORECASE), text, match.start(), 24):
            yield Found(match.start(), match.end(), match[0])


def find_plates(text: str) -> Iterator[Found]:
    """Plates of Chinese vehicles, also of electric ones."""
    for match in compiled(_PLATE).finditer(text):
        value = re.sub(r"[ ·\-]", "", match[0]).upper()
        yield Found(match.start(), match.end(), value)
