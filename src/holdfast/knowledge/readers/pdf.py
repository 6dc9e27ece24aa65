"""PDF, through pypdfium2 (the extra ``knowledge``): the text layer, page by page."""

from __future__ import annotations

import re
import threading
import time
import zlib
from typing import Any, Final

from holdfast.errors import EmptyDocument, EncryptedDocument, MissingExtra, UnreadableDocument, UnsupportedDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.readers.plain import unwrapped

MOST_PAGES: Final = 5000
"""Pages of a document that are read."""

_HYPHENATED: Final = re.compile(r"(?<=[a-z])[\u0002\ufffe\u00ad-]\n(?=[a-z])")
_ONE_AT_A_TIME: Final = threading.Lock()
"""PDFium is not thread-safe."""

_LONGEST_S: Final = 120.0
_MOST_EXPANDED: Final = 512 * 1024 * 1024
"""Bytes of all compressed parts of a document together, once they are not compressed any more."""
_BITE: Final = 16 * 1024
_STREAM: Final = re.compile(rb"stream\r?\n")
_PASSWORD_ERROR: Final = 4
"""``FPDF_ERR_PASSWORD``."""


def read_pdf(name: str, data: bytes) -> Extracted:
    """The text layer of a PDF and where each page starts.

    Raises:
        MissingExtra: pypdfium2 is not installed.
        EncryptedDocument: it asks for a password.
        EmptyDocument: it has no pages, or none with text (a scan).
        UnreadableDocument: it is broken, or takes longer than two minutes.
        UnsupportedDocument: its compressed parts are a bomb.
    """
    try:
        import pypdfium2  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise MissingExtra("reading a PDF needs pypdfium2: pip install 'holdfast[knowledge]'") from error
    if _expanded(data) > _MOST_EXPANDED:
        raise UnsupportedDocument(name, f"its compressed parts hold more than {_MOST_EXPANDED >> 20} MB")
    with _ONE_AT_A_TIME:
        pages, title = _pages(pypdfium2, name, data)
    if not any(page.strip() for page in pages):
        raise EmptyDocument(name, "it has no text layer (a scan?)" if pages else "it has no pages")
    starts, length = [], 0
    for page in pages:
        starts.append(length)
        length += len(page) + 2
    return Extracted("\n\n".join(pages), title=title, pages=tuple(starts))


def _pages(pdfium: Any, name: str, data: bytes) -> tuple[list[str], str]:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR or "password" in str(error).lower():
            raise EncryptedDocument(name, "it is encrypted and asks for a password") from error
        raise UnreadableDocument(name, f"it is not a readable PDF ({error})") from error
    try:
        pages: list[str] = []
        until = time.monotonic() + _LONGEST_S
        for number in range(min(len(document), MOST_PAGES)):
            pages.append(_page_text(document[number]))
            if time.monotonic() > until:
                raise UnreadableDocument(
                    name, f"its first {number + 1} pages took longer than {_LONGEST_S:g} s to read"
                )
        return pages, str(document.get_metadata_value("Title") or "").strip()
    except pdfium.PdfiumError as error:
        raise UnreadableDocument(name, f"a page cannot be read ({error})") from error
    finally:
        document.close()


def _expanded(data: bytes) -> int:
    """How many bytes its streams make when they are decompressed, as far as that is not too many; PDFium would take them all."""
    size = 0
    for found in _STREAM.finditer(data):
        at = found.end()
        if data[at : at + 1] != b"\x78":  # zlib's; pictures and fonts of other forms do not grow a thousandfold
            continue
        unpacked = zlib.decompressobj()
        try:
            while at < len(data) and not unpacked.eof and size <= _MOST_EXPANDED:
                size += len(unpacked.decompress(data[at : at + _BITE]))
                at += _BITE
        except zlib.error:
            continue
    return size


def _page_text(page: Any) -> str:
    layer = page.get_textpage()
    try:
        text = str(layer.get_text_bounded())
    finally:
        layer.close()
        page.close()
    text = _HYPHENATED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return unwrapped(text.replace("\ufffe", "").replace("\u0002", ""))
