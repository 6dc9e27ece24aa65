"""Plain text: its encoding found, hard-wrapped lines joined."""

from __future__ import annotations

import codecs
import re
import time
from typing import Final

from holdfast.errors import UnreadableDocument, UnsupportedDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.terms import CJK

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ITEM: Final = re.compile(
    r"\s*(?:[-*+•·▪–—]\s|\(?\d{1,3}[.)、]|[（(][一二三四五六七八九十\d]+[)）]|[一二三四五六七八九十]+、|#)"
)
_WIDE: Final = re.compile(rf"[{CJK}\u3000-\u303f\uff00-\uffef]")
_WRAPPED: Final = 40
"""Columns (a Chinese character takes two) from which on a line counts as wrapped, not ended."""

_BINARY_SHARE: Final = 0.01
LONGEST_S: Final = 20.0
"""Seconds that one document may take."""


def decoded(name: str, data: bytes) -> str:
    """Bytes as text, by byte order mark, else UTF-8, UTF-16 (every other byte is zero), GB18030, Windows-1252.

    Raises `UnsupportedDocument` where it is not text.
    """
    text = _decoded(data)
    if text is None or len(_CONTROL.findall(text[:100_000])) > _BINARY_SHARE * min(len(text), 100_000):
        raise UnsupportedDocument(name, "it is not text (binary content)")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\x0c", "\n\n")
    return _CONTROL.sub("\ufffd", text).removeprefix("\ufeff")


def without_comments(text: str, *, unclosed: bool) -> str:
    """The text without ``<!-- comments -->``, in linear time. ``unclosed``: one that is never closed takes the rest with it."""
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0:
        end = text.find("-->", start + 2)
        if end < 0 and not unclosed:
            break
        kept.append(text[at:start])
        at = len(text) if end < 0 else end + 3
    kept.append(text[at:])
    return "".join(kept)


def in_time(name: str, until: float) -> None:
    """Raises `UnreadableDocument` where it is later than ``until``, by `time.monotonic`."""
    if time.monotonic() > until:
        raise UnreadableDocument(name, f"it takes longer than {LONGEST_S:g} s to read: it is no ordinary text")


def _decoded(data: bytes) -> str | None:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if (wide := _unmarked_utf16(data)) is not None:
        return wide
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _looks_chinese(text):
            return text
    return data.decode("cp1252", errors="replace") if _mostly_text(data) else None


def _unmarked_utf16(data: bytes) -> str | None:
    head = data[:4096]
    if len(head) < 4 or b"\0" not in head:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > len(head) * 0.2 and odd > 8 * even:
        return data.decode("utf-16-le", errors="replace")
    if even > len(head) * 0.2 and even > 8 * odd:
        return data.decode("utf-16-be", errors="replace")
    return None


def _looks_chinese(text: str) -> bool:
    """Whether what GB18030 made of the bytes is Chinese: mostly common characters, not the rare ones that other text gives."""
    wide = [c for c in text[:20_000] if ord(c) > 0x7F]
    common = sum(
        "\u4e00" <= c <= "\u9fff" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef" or c in "“”‘’—…·"
        for c in wide
    )
    level_1 = sum(_first_level(c) for c in wide)
    return bool(wide) and common >= 0.9 * len(wide) and level_1 >= 0.5 * len(wide)


def _first_level(char: str) -> bool:
    """Whether a character is of GB 2312's first level (the 3755 commonest) or its punctuation."""
    try:
        encoded = char.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return len(encoded) == 2 and encoded[0] <= 0xD7


def _mostly_text(data: bytes) -> bool:
    head = data[:8192]
    return sum(byte in b"\t\n\r\x0c" or 0x20 <= byte < 0x7F for byte in head) >= 0.7 * len(head)


def unwrapped(text: str) -> str:
    """Joins the lines of a paragraph that were wrapped at a fixed width; items, short lines and blank lines stay.

    A blank joins two lines, nothing where Chinese meets Chinese.
    """
    out: list[str] = []
    previous = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if previous and line and _columns(previous) >= _WRAPPED and not _ITEM.match(line) and not _ended(previous):
            glue = "" if _WIDE.match(previous[-1]) and _WIDE.match(line[0]) else " "
            out[-1] += glue + line
        else:
            out.append(line)
        previous = line
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _columns(line: str) -> int:
    return len(line) + len(_WIDE.findall(line))


def _ended(line: str) -> bool:
    """Whether a line's end may well be its paragraph's: a Chinese full stop. English text wraps at those too often."""
    return line[-1] in "。！？：" or line.endswith(("。”", "。」", "!", "?", ":"))


def read_plain(name: str, data: bytes) -> Extracted:
    """Plain text. Its title is the first line, where that is short and stands alone."""
    text = unwrapped(decoded(name, data))
    first, _, rest = text.partition("\n")
    alone = 0 < len(first) <= 60 and rest.startswith("\n") and first[-1] not in "。.!！?？；;，,"
    return Extracted(text, title=first if alone else "")
