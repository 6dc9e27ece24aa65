"""Puts extracted text together block by block, keeping the offsets of headings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from holdfast.knowledge.contract import Extracted, Heading
from holdfast.knowledge.terms import CJK

_SHORT: Final = 3
"""Characters below which a row's first cell does not speak for itself."""

_WIDE: Final = re.compile(f"[{CJK}]")
_BLANKS: Final = re.compile(r"[ \t\u00a0]+")


class TextBuilder:
    """Blocks in order: headings, paragraphs, items, table rows. Paragraphs are set apart by a blank line."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []

    def heading(self, text: str, level: int) -> None:
        """A heading of its own."""
        text = _BLANKS.sub(" ", text).replace("\n", " ").strip()
        if text:
            start = self._separate("\n\n")
            self._append(text)
            self._headings.append(Heading(start, self._length, level))

    def block(self, text: str, *, tight: bool = False) -> None:
        """A paragraph; ``tight`` sets it on the line after the last one (items, rows)."""
        text = "\n".join(_BLANKS.sub(" ", line).strip() for line in text.split("\n")).strip("\n")
        if text.strip():
            self._separate("\n" if tight else "\n\n")
            self._append(text)

    def row(self, header: Sequence[str], cells: Sequence[str], *, first: bool) -> None:
        """A table's row as a line that can be quoted by itself: ``Express; Time: 1 day; Price: $9``."""
        colon, semicolon = ("：", "；") if any(map(_WIDE.search, header)) else (": ", "; ")
        parts = []
        for i, cell in enumerate(cells):
            named = i < len(header) and header[i] and (i or len(cell) < _SHORT or cell[0].isdigit())
            if cell:
                parts.append(f"{header[i]}{colon}{cell}" if named else cell)
        self.block(semicolon.join(parts), tight=not first)

    def built(self, title: str = "") -> Extracted:
        """All of it; without a title the first heading of level 1 is it."""
        text = "".join(self._parts)
        if not title:
            title = next((text[h.start : h.end] for h in self._headings if h.level == 1), "")
        return Extracted(text, title, tuple(self._headings))

    def _separate(self, by: str) -> int:
        if self._length:
            self._append(by)
        return self._length

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
