"""Markdown: headings with their levels, marks removed, wrapped lines joined, table rows made into lines of their own."""

from __future__ import annotations

import html
import re
import time
from typing import Final

from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.readers.building import TextBuilder
from holdfast.knowledge.readers.plain import LONGEST_S, decoded, in_time, without_comments
from holdfast.knowledge.terms import CJK

_FRONT_MATTER: Final = re.compile(r"\A---\n(.*?)\n(?:---|\.\.\.)\n", re.DOTALL)
_TITLE: Final = re.compile(r"(?m)^title:([^\n]{1,300})$")
_ATX: Final = re.compile(r" {0,3}(#{1,6})\s+(.*)$")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{2,})\s*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM: Final = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?(.*)$")
_RULE: Final = re.compile(r" {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$")
_TABLE_RULE: Final = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$")
_WIDE: Final = re.compile(rf"[{CJK}\u3000-\u303f\uff00-\uffef]")

_INLINE: Final = (
    (re.compile(r"!\[([^\]\n]{0,500})\]\([^()\s]*(?:\s+\"[^\"\n]*\")?\)"), r"\1"),
    (re.compile(r"\[([^\]\n]{1,500})\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:\s+\"[^\"\n]*\")?\)"), r"\1"),
    (re.compile(r"\[([^\]\n]{1,500})\]\[[^\]\n]{0,500}\]"), r"\1"),
    (re.compile(r"<((?:https?://|mailto:)[^>\s]+)>"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>"), ""),
    (re.compile(r"`+([^`\n]+)`+"), r"\1"),
    (re.compile(r"(\*\*\*|\*\*|__|~~)(?=\S)([^\n]*?\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*\n]*[^\s*\\])\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_\\])_(?=[^\s_])([^_\n]*[^\s_\\])_(?![\w_])"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|>~])"), r"\1"),
)


def read_markdown(name: str, data: bytes) -> Extracted:
    """Markdown in any of plain text's encodings. The title is the front matter's, else the first heading of level 1."""
    until = time.monotonic() + LONGEST_S
    text = without_comments(decoded(name, data), unclosed=False)
    title = ""
    if (front := _FRONT_MATTER.match(text)) is not None:
        found = _TITLE.search(front[1])
        title = found[1].strip().strip("\"'") if found else ""
        text = text[front.end() :]
    blocks = _Blocks()
    for line in text.split("\n"):
        blocks.line(line)
        in_time(name, until)
    return blocks.finished(title)


def plain(text: str) -> str:
    """A line without Markdown's marks."""
    if len(text) > 20_000:  # minified or generated: not worth the search for marks
        return text
    for pattern, by in _INLINE:
        text = pattern.sub(by, text)
    return html.unescape(text)


class _Blocks:
    """Collects lines into blocks."""

    def __init__(self) -> None:
        self._out = TextBuilder()
        self._open: list[str] = []
        self._in_item = False
        self._after_item = False
        self._fence = ""
        self._header: list[str] | None = None
        self._rows = 0

    def line(self, line: str) -> None:
        if self._fence or (fence := _FENCE.match(line)) is not None:
            self._code(line, "" if self._fence else fence[1])  # type: ignore[index]  # matched: no fence was open
            return
        quoted = re.sub(r"^\s{0,3}(?:>\s?)+", "", line)
        if not quoted.strip():
            self._flush()
            self._after_item = self._header is None and self._after_item
            self._header = None
        elif (atx := _ATX.match(quoted)) is not None:
            self._flush()
            self._out.heading(plain(atx[2].rstrip().rstrip("#").rstrip()), len(atx[1]))
            self._after_item = False
        elif self._header is not None or (self._open and "|" in quoted and _TABLE_RULE.match(quoted.strip())):
            self._table(quoted)
        elif self._open and not self._in_item and len(self._open) == 1 and (under := _UNDERLINE.match(quoted)):
            self._out.heading(plain(self._open.pop()), 1 if under[1][0] == "=" else 2)
        elif _RULE.match(quoted):
            self._flush()
        elif (item := _ITEM.match(quoted)) is not None:
            self._flush()
            self._in_item = True
            self._open.append(item[1])
        else:
            self._open.append(quoted.strip())

    def finished(self, title: str) -> Extracted:
        self._flush()
        return self._out.built(title)

    def _flush(self) -> None:
        if self._open:
            self._out.block(plain(_joined(self._open)), tight=self._in_item and self._after_item)
            self._after_item = self._in_item
            self._open = []
        self._in_item = False

    def _code(self, line: str, opening: str) -> None:
        if opening:
            self._flush()
            self._fence = opening
        elif line.strip().startswith(self._fence):
            self._out.block("\n".join(self._open))
            self._open = []
            self._fence = ""
        else:
            self._open.append(line)

    def _table(self, line: str) -> None:
        if self._header is None:
            self._header = _cells(self._open.pop())
            self._rows = 0
            self._flush()
            return
        if "|" not in line:
            self._header = None
            self.line(line)
            return
        self._out.row(self._header, _cells(line), first=self._rows == 0)
        self._rows += 1


def _cells(line: str) -> list[str]:
    return [plain(cell.strip().replace("\\|", "|")) for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _joined(lines: list[str]) -> str:
    text = ""
    for line in lines:
        glue = "" if not text or (_WIDE.match(text[-1]) and _WIDE.match(line[:1])) else " "
        text += glue + line
    return text
