"""PDF, through pypdfium2 (the extra ``knowledge``): the text layer, page by page."""

from __future__ import annotations

import re
import threading
from typing import Any, Final

from holdfast.errors import EmptyDocument, EncryptedDocument, MissingExtra, UnreadableDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.readers.plain import unwrapped

MOST_PAGES: Final = 5000
"""Pages of a document that are read."""

_HYPHENATED: Final = re.compile(r"(?<=[a-z])[\u0002\ufffe\u00ad-]\n(?=[a-z])")
_ONE_AT_A_TIME: Final = threading.Lock()
"""PDFium is not thread-safe."""

_PASSWORD_ERROR: Final = 4
"""``FPDF_ERR_PASSWORD``."""


def read_pdf(name: str, data: bytes) -> Extracted:
    """The text layer of a PDF and where each page starts.

    Raises:
        MissingExtra: pypdfium2 is not installed.
        EncryptedDocument: it asks for a password.
        EmptyDocument: it has no pages, or none with text (a scan).
        UnreadableDocument: it is broken.
    """
    try:
        import pypdfium2  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise MissingExtra("reading a PDF needs pypdfium2: pip install 'holdfast[knowledge]'") from error
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
        pages = [_page_text(document[i]) for i in range(min(len(document), MOST_PAGES))]
        return pages, str(document.get_metadata_value("Title") or "").strip()
    except pdfium.PdfiumError as error:
        raise UnreadableDocument(name, f"a page cannot be read ({error})") from error
    finally:
        document.close()


def _page_text(page: Any) -> str:
    layer = page.get_textpage()
    try:
        text = str(layer.get_text_bounded())
    finally:
        layer.close()
        page.close()
    text = _HYPHENATED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return unwrapped(text.replace("\ufffe", "").replace("\u0002", ""))
