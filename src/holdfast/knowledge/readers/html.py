"""HTML: the visible text, headings, table rows; the standard library's parser, which takes any input."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Final

from holdfast.errors import UnreadableDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.readers.building import TextBuilder
from holdfast.knowledge.readers.plain import LONGEST_S, decoded, in_time, without_comments

_HIDDEN: Final = frozenset(
    (
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "iframe",
        "object",
        "canvas",
        "select",
        "button",
        "nav",
        "textarea",
    )
)
_BLOCKS: Final = frozenset(
    """
    address article aside blockquote body dd div dl dt fieldset figcaption figure footer form header hr html li main ol p pre
    section table tbody td tfoot th thead tr ul details summary
    """.split()  # noqa: SIM905  (a word list reads better as a block)
)
_HEADING: Final = re.compile(r"h[1-6]\Z")
_VOID: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_PIECE: Final = 4096
"""Characters that are parsed between two looks at the clock."""
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]+)", re.IGNORECASE)


def read_html(name: str, data: bytes) -> Extracted:
    """A page's visible text; its title is ``<title>``, else its first heading."""
    parser = _Visible()
    text = _closed(_text(name, data))
    until = time.monotonic() + LONGEST_S
    try:
        for start in range(0, len(text), _PIECE):
            parser.feed(text[start : start + _PIECE])
            in_time(name, until)
        parser.end()
    except (AssertionError, ValueError) as error:
        raise UnreadableDocument(name, f"its HTML cannot be parsed: {error}") from error
    return parser.finished()


def _closed(text: str) -> str:
    """Without comments, and without what begins a tag behind the last one's end: for each such beginning Python's parser looks
    through all that follows, which takes hours for a megabyte of them."""
    text = without_comments(text, unclosed=True)
    last = text.rfind(">") + 1
    return text[:last] + text[last:].replace("<", "&lt;")


def _text(name: str, data: bytes) -> str:
    declared = _CHARSET.search(data[:4096])
    if declared is not None and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        label = declared[1].decode("ascii").lower()
        try:
            return data.decode({"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252"}.get(label, label))
        except (UnicodeDecodeError, LookupError):
            pass
    return decoded(name, data)


class _Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out = TextBuilder()
        self._text: list[str] = []
        self._title: list[str] = []
        self._hidden: list[str] = []
        self._heading = 0
        self._in_title = False
        self._items = 0
        self._cells: list[str] | None = None
        self._header: list[str] = []
        self._headed = False
        self._rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        style = (given.get("style") or "").replace(" ", "").lower()
        hidden = tag in _HIDDEN or "hidden" in given or given.get("aria-hidden") == "true" or "display:none" in style
        if self._hidden or (hidden and tag not in _VOID):
            if tag not in _VOID and (not self._hidden or tag == self._hidden[0]):
                self._hidden.append(tag)
            return
        if tag == "br":
            self._text.append("\n")
        elif tag == "title":
            self._in_title = True
        elif _HEADING.match(tag):
            self._flush()
            self._heading = int(tag[1])
        elif tag in _BLOCKS:
            self._open_block(tag)

    def _open_block(self, tag: str) -> None:
        if self._cells is not None and tag not in ("tr", "table"):
            if tag in ("td", "th"):
                self._end_cell()
                self._headed = tag == "th" if not self._cells else self._headed and tag == "th"
            else:
                self._text.append(" ")
            return
        self._flush()
        if tag == "table":
            self._header, self._rows = [], 0
        elif tag == "tr":
            self._end_row()
            self._cells = []

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.pop()
            return
        if tag == "title":
            self._in_title = False
        elif _HEADING.match(tag):
            self._flush()
            self._heading = 0
        elif tag in ("tr", "table"):
            self._end_row()
        elif tag in ("td", "th") and self._cells is not None:
            self._end_cell()
        elif tag == "li":
            self._flush(item=True)
        elif tag in _BLOCKS and self._cells is None:
            self._flush()

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._title.append(data)
        elif not self._hidden:
            self._text.append(re.sub(r"\s+", " ", data))

    def end(self) -> None:
        """No more comes. A tag that is still open, and long, is text: see `_closed`."""
        if len(self.rawdata) > _PIECE:
            self.handle_data(self.rawdata)
            self.rawdata = ""
        self.close()

    def finished(self) -> Extracted:
        self._end_row()
        self._flush()
        return self._out.built(" ".join("".join(self._title).split()))

    def _flush(self, *, item: bool = False) -> None:
        text = "".join(self._text)
        self._text = []
        if not text.strip():
            return
        if self._heading:
            self._out.heading(text, self._heading)
            self._items = 0
        else:
            self._out.block(text, tight=item and self._items > 0)
            self._items = self._items + 1 if item else 0

    def _end_cell(self) -> None:
        text = " ".join("".join(self._text).split())
        self._text = []
        if self._cells is not None and text:
            self._cells.append(text)

    def _end_row(self) -> None:
        if self._cells is None:
            return
        self._end_cell()
        cells, self._cells = self._cells, None
        if self._headed and not self._header and self._rows == 0:
            self._header = cells
        elif cells:
            self._out.row(self._header, cells, first=self._rows == 0)
            self._rows += 1
        self._headed = False
