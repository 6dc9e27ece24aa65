"""Files to text: one reader a format, chosen by the file's name; the content has to be what the name says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Final

from holdfast.errors import EmptyDocument, KnowledgeMissing, UnreadableDocument, UnsupportedDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.readers.html import read_html
from holdfast.knowledge.readers.markdown import read_markdown
from holdfast.knowledge.readers.pdf import read_pdf
from holdfast.knowledge.readers.plain import read_plain
from holdfast.knowledge.readers.sniffing import check_kind

Reader = Callable[[str, bytes], Extracted]

READERS: Final[dict[str, Reader]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_plain,
    ".text": read_plain,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
}
"""By the file's suffix, in lower case."""

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file; a larger one is not read."""
MOST_CHARACTERS: Final = 20_000_000
"""Characters of a document's text."""


def read_file(path: Path, name: str) -> tuple[bytes, str]:
    """A file's bytes and the suffix that names its reader.

    Raises `UnsupportedDocument` (kind, size), `KnowledgeMissing` and `UnreadableDocument` (no permission).
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise UnsupportedDocument(name, f"there is no reader for {suffix or 'files without a suffix'}")
    try:
        if path.stat().st_size > LARGEST:
            raise UnsupportedDocument(name, f"it is larger than {LARGEST >> 20} MB")
        return path.read_bytes(), suffix
    except FileNotFoundError as error:
        raise KnowledgeMissing(f"there is no file {path}") from error
    except OSError as error:
        raise UnreadableDocument(name, error.strerror or str(error)) from error


def extract_text(name: str, data: bytes, suffix: str | None = None) -> Extracted:
    """The text of a document's bytes, by the reader for ``suffix`` (None: the name's own).

    Raises `UnsupportedDocument`, `EncryptedDocument`, `EmptyDocument`, `UnreadableDocument`; `MissingExtra` for a PDF without
    the extra ``knowledge``.
    """
    suffix = PurePath(name).suffix.lower() if suffix is None else suffix
    if (reader := READERS.get(suffix)) is None:
        raise UnsupportedDocument(name, f"there is no reader for {suffix or 'files without a suffix'}")
    check_kind(name, suffix, data)
    extracted = reader(name, data)
    if len(extracted.text) > MOST_CHARACTERS:
        raise UnsupportedDocument(name, f"it has more than {MOST_CHARACTERS:,} characters: split it")
    if not extracted.text.strip():
        raise EmptyDocument(name, "it holds no text")
    return extracted
