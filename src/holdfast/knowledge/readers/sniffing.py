"""What a file is by its content, whatever its name says.

A table of our own: what is taken is four kinds, and what is refused has to be named well enough to say what to do. The libraries
for this (puremagic, filetype) tell several hundred kinds apart, and guess at text by weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from holdfast.errors import UnsupportedDocument


class Kind(NamedTuple):
    """A kind of content. ``suffix``: what a file of it is called here, "" where there is no reader; ``advice``: what to do."""

    name: str
    suffix: str = ""
    advice: str = ""


PDF: Final = Kind("a PDF", ".pdf")
HTML: Final = Kind("an HTML page", ".html")
TEXT: Final = Kind("text")
_OFFICE: Final = "save it as PDF, HTML, Markdown or text"
_PACKED: Final = "unpack it, and add the files in it"

_MAGIC: Final[Sequence[tuple[int, bytes, Kind]]] = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("an old Office document", "", _OFFICE)),
    (0, b"{\\rtf", Kind("an RTF document", "", _OFFICE)),
    (0, b"\x1f\x8b", Kind("a gzip archive", "", _PACKED)),
    (0, b"BZh", Kind("a bzip2 archive", "", _PACKED)),
    (0, b"\xfd7zXZ\0", Kind("an xz archive", "", _PACKED)),
    (0, b"\x28\xb5\x2f\xfd", Kind("a zstd archive", "", _PACKED)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", "", _PACKED)),
    (0, b"Rar!\x1a\x07", Kind("a RAR archive", "", _PACKED)),
    (257, b"ustar", Kind("a tar archive", "", _PACKED)),
    (0, b"\x7fELF", Kind("a program (ELF)")),
    (0, b"MZ", Kind("a program (Windows)")),
    (0, b"\xca\xfe\xba\xbe", Kind("a program (Java or macOS)")),
    (0, b"\xcf\xfa\xed\xfe", Kind("a program (macOS)")),
    (0, b"\0asm", Kind("a program (WebAssembly)")),
    (0, b"\x89PNG\r\n\x1a\n", Kind("a picture (PNG)", "", "write down what it says")),
    (0, b"\xff\xd8\xff", Kind("a picture (JPEG)", "", "write down what it says")),
    (0, b"GIF87a", Kind("a picture (GIF)", "", "write down what it says")),
    (0, b"GIF89a", Kind("a picture (GIF)", "", "write down what it says")),
    (0, b"II*\0", Kind("a picture (TIFF)", "", "write down what it says")),
    (0, b"MM\0*", Kind("a picture (TIFF)", "", "write down what it says")),
    (8, b"WEBP", Kind("a picture (WebP)", "", "write down what it says")),
    (4, b"ftyp", Kind("a video or picture (MP4, HEIC)")),
    (0, b"\x1aE\xdf\xa3", Kind("a video (Matroska)")),
    (0, b"ID3", Kind("a sound (MP3)")),
    (0, b"OggS", Kind("a sound (Ogg)")),
    (0, b"SQLite format 3\0", Kind("an SQLite database")),
    (0, b"%!PS", Kind("a PostScript document", "", _OFFICE)),
)  # fmt: skip
_ZIPS: Final[Sequence[tuple[bytes, Kind]]] = (
    (b"word/", Kind("a Word document (.docx)", "", _OFFICE)),
    (b"xl/", Kind("an Excel workbook (.xlsx)", "", _OFFICE)),
    (b"ppt/", Kind("a PowerPoint presentation (.pptx)", "", _OFFICE)),
    (b"mimetypeapplication/vnd.oasis", Kind("an OpenDocument file", "", _OFFICE)),
    (b"mimetypeapplication/epub", Kind("an EPUB book", "", _OFFICE)),
)
_HEAD: Final = 4096
_BLANK: Final = b"\xef\xbb\xbf \t\r\n\x0c"


def kind_of(data: bytes) -> Kind:
    """What the content is, by how it begins. `TEXT` is whatever nothing else is known of: its reader finds out."""
    head = data[:_HEAD]
    for place, magic, kind in _MAGIC:
        if head.startswith(magic, place) and not (magic == b"MZ" and head.isascii() and b"\0" not in head):
            return kind
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return next((kind for mark, kind in _ZIPS if mark in data[:65_536]), Kind("a ZIP archive", "", _PACKED))
    start = head.lstrip(_BLANK)
    if start.startswith(b"%PDF-"):
        return PDF
    lowered = start[:200].lower()
    if lowered.startswith((b"<!doctype html", b"<html")) or (lowered.startswith(b"<?xml") and b"<html" in head.lower()):
        return HTML
    return TEXT


def check_kind(name: str, suffix: str, data: bytes) -> None:
    """Raises `UnsupportedDocument` where the content is not what the suffix says: what it is, and what to do about it."""
    kind = kind_of(data)
    wanted = {".pdf": PDF, ".html": HTML, ".htm": HTML, ".xhtml": HTML}.get(suffix, TEXT)
    if kind == wanted or (kind == TEXT and wanted == HTML) or not data:
        return  # a piece of HTML need not begin like a page
    if kind == TEXT:
        raise UnsupportedDocument(name, f"it is called {suffix}, and is not {wanted.name}: its first bytes are others")
    advice = f"call it {kind.suffix}" if kind.suffix else kind.advice or "it cannot be added"
    raise UnsupportedDocument(name, f"it is called {suffix}, and is {kind.name}: {advice}")
