"""Files to text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knowledge_documents import make_pdf

from holdfast.errors import EmptyDocument, EncryptedDocument, UnreadableDocument, UnsupportedDocument
from holdfast.knowledge.readers import READERS, extract_text, read_file

CHINESE = "退货政策\n\n签收后七天内可以无理由退货，运费由买家承担。请保持商品完好。"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "utf-32"])
def test_text_is_read_in_its_encoding(encoding: str) -> None:
    text = CHINESE + (" plain letters" * 20 if encoding in ("utf-16-le", "utf-16-be") else "")
    assert extract_text("a.txt", text.encode(encoding)).text == text


def test_western_text_is_not_taken_for_chinese() -> None:
    assert "déjà vu" in extract_text("a.txt", "C'est du déjà vu, à côté du café.".encode("cp1252")).text


def test_hard_wrapped_lines_are_joined_and_items_are_not() -> None:
    wrapped = (
        "This is a line that was wrapped at some column\nand goes on here.\n\n"
        "- one thing that is rather long, so to say\n- two\n"
    )
    assert extract_text("a.txt", wrapped.encode()).text == (
        "This is a line that was wrapped at some column and goes on here.\n\n"
        "- one thing that is rather long, so to say\n- two"
    )
    chinese = "这是一段被硬换行的中文文字，每一行都差不多有四十列宽，它在这里\n继续下去。"
    assert extract_text("a.txt", chinese.encode()).text == chinese.replace("\n", "")


def test_markdown_is_read_as_its_reader_sees_it() -> None:
    source = b"""---
title: "Help"
---
# Returns <!-- draft -->

You may return **most** goods within
`30` days, see [the list](https://example.com/a_(b) "x").

* first *item*
* second snake_case item

| Service | Time | Price |
|---|:-:|---|
| Express | 1 day | $9 |
| 38 | 2 days | |

Shoes
-----
> quoted \\*text\\*

```sh
# no heading
```
"""
    found = extract_text("a.md", source)
    assert found.title == "Help"
    assert found.text == (
        "Returns\n\nYou may return most goods within 30 days, see the list.\n\nfirst item\nsecond snake_case item\n\n"
        "Express; Time: 1 day; Price: $9\nService: 38; Time: 2 days\n\nShoes\n\nquoted *text*\n\n# no heading"
    )
    assert [(found.text[h.start : h.end], h.level) for h in found.headings] == [("Returns", 1), ("Shoes", 2)]


def test_html_gives_its_visible_text() -> None:
    source = """<html><head><title>Help &amp; more</title><style>p{}</style><script>var hidden = "<p>x</p>";</script></head>
<body><nav>Home</nav><h1>Returns</h1><p>Within <b>30</b>
 days.<br>Free.</p><div hidden>secret <p>text</p></div><p style="display: none">gone</p><ul><li>one</li><li>two</li></ul>
<table><tr><th>Service</th><th>Price</th></tr><tr><td>Express</td><td>$9</td></tr></table>
<h2>配送</h2><p>运费 8 元。<p>unclosed<!-- comment --></body>"""
    found = extract_text("a.html", source.encode())
    assert found.title == "Help & more"
    assert found.text == (
        "Returns\n\nWithin 30 days.\nFree.\n\none\ntwo\n\nExpress; Price: $9\n\n配送\n\n运费 8 元。\n\nunclosed"
    )
    assert [found.text[h.start : h.end] for h in found.headings] == ["Returns", "配送"]


def test_html_honours_its_declared_encoding() -> None:
    assert "退款" in extract_text("a.htm", '<meta charset="gb2312"><p>退款说明'.encode("gb18030")).text


def test_pdf_gives_text_and_pages() -> None:
    data = make_pdf([["Returns are free."], [], ["Boots last for", "ten years."]], title="Guide")
    found = extract_text("a.pdf", data)
    assert found.title == "Guide"
    assert len(found.pages) == 3
    assert found.text[found.pages[2] :].split() == ["Boots", "last", "for", "ten", "years."]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("broken.pdf", b"%PDF-1.4\nnothing more", UnreadableDocument),
        ("cut.pdf", make_pdf([["text"]])[:300], UnreadableDocument),
        ("locked.pdf", make_pdf([["text"]], encrypted=True), EncryptedDocument),
        ("zero.pdf", make_pdf([]), UnreadableDocument),
        ("scan.pdf", make_pdf([[], []]), EmptyDocument),
        ("empty.pdf", b"", UnreadableDocument),
        ("empty.txt", b"", EmptyDocument),
        ("blank.md", b" \n\n ", EmptyDocument),
        ("blank.html", b"<script>1</script>", EmptyDocument),
        ("binary.txt", bytes(range(256)) * 20, UnsupportedDocument),
        ("picture.md", b"\x89PNG\r\n\x1a\n" + bytes(500), UnsupportedDocument),
        ("a.docx", b"PK", UnsupportedDocument),
    ],
)
def test_what_cannot_be_read_is_named(name: str, data: bytes, error: type[UnreadableDocument]) -> None:
    with pytest.raises(error, match=name) as caught:
        extract_text(name, data)
    assert caught.value.document == name


def test_a_file_without_permission_or_suffix_is_named(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("x")
    with pytest.raises(UnsupportedDocument, match="README"):
        read_file(tmp_path / "README", "README")


def test_a_line_of_a_megabyte_is_read() -> None:
    line = "<a> **b** `c` [d](e) | " * 45_000
    for suffix in (".md", ".txt", ".html"):
        assert extract_text(f"a{suffix}", line.encode()).text


@given(
    st.sampled_from(sorted(set(READERS) - {".pdf"})),
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)),
)
def test_any_bytes_give_text_or_a_typed_error(suffix: str, data: bytes) -> None:
    try:
        found = extract_text(f"x{suffix}", data)
    except UnreadableDocument:
        return
    assert all(0 <= h.start < h.end <= len(found.text) for h in found.headings)
    assert all(one.end <= two.start for one, two in pairwise(found.headings))
