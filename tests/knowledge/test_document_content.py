"""Documents are what their content is: names that lie, polyglots, bombs, and texts made to take long."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from holdfast.errors import UnreadableDocument, UnsupportedDocument
from holdfast.knowledge.readers import extract_text
from holdfast.knowledge.readers.sniffing import HTML, PDF, TEXT, kind_of

PDF_BYTES = (Path(__file__).parents[2] / "src/holdfast/samples/knowledge/care-guide.pdf").read_bytes()
CONTENTS = {
    "a PDF": PDF_BYTES,
    "an HTML page": b"\xef\xbb\xbf <!DOCTYPE html><html><body>x</body></html>",
    "a Word document": b"PK\x03\x04" + bytes(26) + b"word/document.xml" + bytes(100),
    "an Excel workbook": b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml" + bytes(100),
    "an OpenDocument": b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.text",
    "a ZIP archive": b"PK\x03\x04" + bytes(26) + b"a.txt" + bytes(100),
    "an old Office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
    "an RTF document": b"{\\rtf1 hello}",
    "a gzip archive": b"\x1f\x8b\x08" + bytes(100),
    "a tar archive": bytes(257) + b"ustar" + bytes(300),
    "a program (ELF)": b"\x7fELF" + bytes(100),
    "a program (Windows)": b"MZ\x90\x00" + bytes(100),
    "a picture (PNG)": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a picture (JPEG)": b"\xff\xd8\xff\xe0" + bytes(100),
    "a picture (GIF)": b"GIF89a" + bytes(100),
    "an SQLite database": b"SQLite format 3\x00" + bytes(100),
}


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".pdf"])
@pytest.mark.parametrize("what", sorted(CONTENTS))
def test_a_name_that_lies_is_refused_with_what_it_is(what: str, suffix: str) -> None:
    if (what, suffix) in (("a PDF", ".pdf"), ("an HTML page", ".html")):
        assert extract_text(f"a{suffix}", CONTENTS[what]).text
        return
    with pytest.raises(UnsupportedDocument) as caught:
        extract_text(f"a{suffix}", CONTENTS[what])
    assert what in str(caught.value) and caught.value.document == f"a{suffix}"
    assert caught.value.reason.count(": ") == 1, "it says what to do, too"


def test_text_is_text_whatever_it_is_about() -> None:
    for text in (
        "%PDF is a format",
        "MZ is a mark",
        "PK 3 is a number",
        "text about <html>",
        "# <h1>x</h1>",
        "BM",
        "ID 3",
    ):
        assert extract_text("a.txt", text.encode()).text
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"):
        assert extract_text("a.md", "# 退货\n\n七天内可以退货，请联系客服。".encode(encoding)).text
    assert kind_of(b"") == kind_of("文".encode()) == TEXT and kind_of(b"\n%PDF-1.7") == PDF
    assert kind_of(b'<?xml version="1.0"?>\n<html xmlns="x">') == HTML


@pytest.mark.parametrize(
    "front", [b"GIF89a", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"<html><script>x</script>", b"MZ\x90\0"]
)
def test_a_polyglot_is_what_it_begins_with(front: bytes) -> None:
    """PDF readers take a PDF that begins within the first kilobyte; such a file is two things at once."""
    with pytest.raises(UnsupportedDocument):
        extract_text("a.pdf", front + PDF_BYTES)
    with pytest.raises(UnreadableDocument):
        extract_text("a.txt", front + PDF_BYTES)


def test_text_that_is_called_a_pdf_is_refused() -> None:
    with pytest.raises(UnsupportedDocument, match="is not a PDF"):
        extract_text("a.pdf", b"only text")


def bomb() -> bytes:
    """A PDF of a few megabytes whose page is 96 MB of blanks."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b" " * (16 << 20)) for _ in range(6)) + packer.flush()
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>"
    head = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    stream = b"4 0 obj<</Length %d/Filter/FlateDecode>>stream\n" % len(packed) + packed + b"\nendstream endobj\n"
    return head + b"3 0 obj" + page + b"endobj\n" + stream + b"trailer<</Root 1 0 R>>"


def test_a_bomb_is_refused_in_bounded_memory_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.knowledge.readers.pdf._MOST_EXPANDED", 64 << 20)
    data = bomb()
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(UnsupportedDocument, match="compressed parts"):
        extract_text("a.pdf", data)
    assert time.process_time() - started < 20
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "unit",
    [
        b"<a ",
        b"<a b=",
        b"<a b='",
        b"<!--",
        b"<!",
        b"</",
        b"<table>",
        b"[",
        b"![",
        b"[a](",
        b"`",
        b"**a",
        b"|",
        b"> ",
        b"<",
        b"&",
    ],
)
def test_a_text_made_to_take_long_does_not(unit: bytes) -> None:
    """40 KB of ``<a `` took 27 s: for each, Python's parser looks through all that follows."""
    found = b"# T" + b" " * 4_000 + b"x\n\n---\ntitle: " + b" " * 4_000 + b"'\nx\n" + b" " * 4_000 + b"|x\n"
    extract_text("a.md", found)  # fuzzing: 19 s for a heading of 2 KB of blanks
    for suffix in (".html", ".md", ".txt"):
        started = time.process_time()
        extract_text(f"a{suffix}", b"text " + unit * (40_000 // len(unit)))
        assert time.process_time() - started < 5, suffix
