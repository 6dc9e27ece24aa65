"""The embedded index: documents in, passages out."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knowledge_documents import make_pdf

from holdfast.errors import EmptyDocument, IndexUnusable, KnowledgeClosed, KnowledgeMissing
from holdfast.knowledge import Extracted, Knowledge, KnowledgeIndex, Passage, add
from holdfast.knowledge.readers import extract_text
from holdfast.knowledge.storage import IndexFile

RETURNS = "# Returns\n\nYou may return goods within 30 days.\n\n## Costs\n\nA return costs $3.50 for model WH-1000XM5."
CHINESE = "# 退货\n\n签收后 7 天内可以无理由退货。\n\n## 配送\n\n新疆的订单另收 12 元。水很重要。"


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[KnowledgeIndex]:
    async with await KnowledgeIndex.open(tmp_path / "index.db", write=True) as opened:
        yield opened


async def put(index: KnowledgeIndex, name: str, text: str, hash: str = "h") -> None:
    await index.put(name, hash, extract_text(name, text.encode()))


async def first(index: KnowledgeIndex, query: str) -> str | None:
    hits = await index.search(query)
    return hits[0].passage.text if hits else None


async def test_finds_passages_in_both_languages(index: KnowledgeIndex) -> None:
    knowledge: Knowledge = index
    await put(index, "returns.md", RETURNS)
    await put(index, "退货.md", CHINESE)
    hit = (await knowledge.retrieve("how many days for returning goods?")).hits[0]
    assert hit.passage.document == "returns.md"
    assert hit.passage.title == "Returns"
    assert hit.passage.text == "You may return goods within 30 days."
    assert 0 < hit.coverage <= 1
    assert await first(index, "新疆要多少钱？") == "新疆的订单另收 12 元。水很重要。"
    assert await first(index, "ＷＨ－１０００ＸＭ５") == "A return costs $3.50 for model WH-1000XM5."
    assert await first(index, "水") == "新疆的订单另收 12 元。水很重要。"
    assert await first(index, "retrun goods") == "You may return goods within 30 days."
    assert await index.search("quantum chromodynamics") == []


async def test_a_passage_is_found_by_its_id_which_is_the_same_in_every_index(
    index: KnowledgeIndex, tmp_path: Path
) -> None:
    await put(index, "returns.md", RETURNS)
    passage = (await index.search("costs"))[0].passage
    assert await index.passage(passage.id) == passage
    text = await index.document_text("returns.md")
    assert text is not None
    assert text[passage.start : passage.end] == passage.text
    async with await KnowledgeIndex.open(tmp_path / "other.db", write=True) as other:
        await put(other, "zzz.md", CHINESE)
        await put(other, "returns.md", RETURNS)
        assert await other.passage(passage.id) == passage
    assert await index.passage("nothing") is None
    assert await index.passage("\ud800\0") is None


async def test_a_document_is_replaced_and_removed_whole(index: KnowledgeIndex) -> None:
    await put(index, "a.md", RETURNS)
    await put(index, "a.md", "# Returns\n\nYou may return goods within 90 days.")
    assert len(await index.documents()) == 1
    assert [hit.passage.text for hit in await index.search("return goods costs")] == [
        "You may return goods within 90 days."
    ]
    assert await index.remove("a.md")
    assert not await index.remove("a.md")
    assert await index.search("return goods") == []
    assert await index.documents() == []


async def test_add_skips_unchanged_files_and_names_unreadable_ones(index: KnowledgeIndex, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "sub" / ".git").mkdir(parents=True)
    (folder / "a.md").write_text(RETURNS)
    (folder / "sub" / "b.txt").write_bytes(CHINESE.encode("gb18030"))
    (folder / "sub" / ".git" / "c.md").write_text("hidden")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4")
    (folder / "locked.pdf").write_bytes(make_pdf([["x"]], encrypted=True))
    (folder / "picture.png").write_bytes(b"x")
    seen: list[tuple[int, int]] = []
    report = await add(index, [folder], lambda done, of: seen.append((done, of)))
    assert report.added == ["a.md", "sub/b.txt"]
    assert [item.document for item in report.skipped] == ["broken.pdf", "locked.pdf"]
    assert "password" in report.skipped[1].reason
    assert seen[-1] == (4, 4)
    again = await add(index, [folder])
    assert (again.added, again.unchanged, len(again.skipped)) == ([], 2, 2)
    (folder / "a.md").write_text("# Returns\n\nWithin ninety days.")
    assert (await add(index, [folder])).added == ["a.md"]
    with pytest.raises(KnowledgeMissing, match="nowhere"):
        await add(index, [tmp_path / "nowhere"])


async def test_a_file_that_became_unreadable_leaves_the_old_content(index: KnowledgeIndex, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(RETURNS)
    await add(index, [tmp_path / "a.md"])
    (tmp_path / "a.md").write_bytes(b"")
    report = await add(index, [tmp_path / "a.md"])
    assert report.skipped[0].document == "a.md"
    assert await first(index, "return goods within 30 days") == "You may return goods within 30 days."


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "\0",
        '"unbalanced',
        "a AND OR NOT NEAR(",
        "title:* ^x - + {}",
        "'; DROP TABLE passage; --",
        "return* goods^2 (days)",
        "😀🎉",
        "\ud800 lone surrogate return",
        "return " * 200_000,
        "退货" * 100_000,
        "x" * 1_000_000,
        "\n\n\nreturn\n\n",
        "\u202egoods",
        "NEAR",
        "。！？",
    ],
    ids=range(17),
)
async def test_any_text_is_a_query(index: KnowledgeIndex, query: str) -> None:
    await put(index, "a.md", RETURNS)
    await put(index, "b.md", CHINESE)
    began = time.perf_counter()
    for hit in await index.search(query):
        assert 0 <= hit.coverage <= 1
    assert time.perf_counter() - began < 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200), query=st.text(max_size=60))
def test_what_is_stored_is_found_where_it_stands(tmp_path: Path, text: str, query: str) -> None:
    file = IndexFile(tmp_path / "fuzz.db", write=True)
    try:
        file.put("d", "", Extracted(text))
        stored = file.document_text("d")
        assert stored is not None
        assert len(stored) == len(text)
        for hit in [*file.search(query, 5), *file.search(text, 5)]:
            assert stored[hit.passage.start : hit.passage.end] == hit.passage.text
            assert 0 <= hit.coverage <= 1
    finally:
        file.close()


async def test_limits_are_kept(index: KnowledgeIndex) -> None:
    for i in range(8):
        await put(index, f"{i}.md", f"# Doc {i}\n\nGoods number {i}.")
    assert len(await index.search("goods", limit=3)) == 3
    assert await index.search("goods", limit=0) == []
    assert len(await index.search("goods", limit=100)) == 8


@pytest.mark.alone
async def test_a_search_never_blocks_the_event_loop(index: KnowledgeIndex) -> None:
    for i in range(60):
        await put(index, f"{i}.md", f"# Doc {i}\n\n" + f"Goods number {i} are returned within {i} days. " * 30)
    longest = 0.0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(index.search("how are goods returned in days " * 20) for _ in range(30)))
    done.set()
    await watcher
    assert longest < 0.25


async def test_adding_and_searching_at_once_shows_whole_documents_only(index: KnowledgeIndex, tmp_path: Path) -> None:
    versions = [f"# V\n\nalpha {v}\n\n## B\n\nbeta {v}\n\n## C\n\ngamma {v}" for v in range(30)]
    await put(index, "v.md", versions[0])
    async with await KnowledgeIndex.open(tmp_path / "index.db") as reader:

        async def write() -> None:
            for text in versions:
                await put(index, "v.md", text)

        writing = asyncio.create_task(write())
        while not writing.done():
            hits = await reader.search("alpha beta gamma")
            assert len(hits) == 3
            assert len({hit.passage.text.split()[1] for hit in hits}) == 1
        await writing


async def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeMissing, match="no knowledge index"):
        await KnowledgeIndex.open(tmp_path / "none.db")
    with pytest.raises(KnowledgeMissing, match="no folder"):
        await KnowledgeIndex.open(tmp_path / "none" / "x.db", write=True)
    (tmp_path / "text.db").write_text("this is not a database, but a text " * 100)
    with pytest.raises(IndexUnusable, match=r"text\.db"):
        await KnowledgeIndex.open(tmp_path / "text.db", write=True)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    for write in (True, False):
        with pytest.raises(IndexUnusable, match="not a knowledge index"):
            await KnowledgeIndex.open(tmp_path / "other.db", write=write)
    (tmp_path / "folder.db").mkdir()
    with pytest.raises((IndexUnusable, KnowledgeMissing)):
        await KnowledgeIndex.open(tmp_path / "folder.db", write=True)


async def test_an_index_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    async with await KnowledgeIndex.open(tmp_path / "x.db", write=True):
        pass
    raw = sqlite3.connect(tmp_path / "x.db")
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(IndexUnusable, match="newer release"):
        await KnowledgeIndex.open(tmp_path / "x.db")


async def test_closed_is_said(tmp_path: Path) -> None:
    index = await KnowledgeIndex.open(tmp_path / "x.db", write=True)
    await index.close()
    await index.close()
    with pytest.raises(KnowledgeClosed):
        await index.search("x")


async def test_the_threshold_is_calibrated_once_for_a_content_and_seen_by_other_readers(
    index: KnowledgeIndex, tmp_path: Path
) -> None:
    words = ["river", "mountain", "shop", "refund", "invoice", "parcel", "winter", "summer", "bicycle", "engine"]
    async with await KnowledgeIndex.open(tmp_path / "index.db") as reader:
        for i in range(30):
            body = " ".join(
                f"The {words[(i + k) % 10]} of case {i} meets the {words[(i * k) % 10]} number {k}." for k in range(4)
            )
            await put(index, f"{i}.md", f"# {words[i % 10]}\n\n{body}")
        threshold = await index.calibrate()
        assert 0.3 <= threshold <= 0.55
        assert await index.calibrate() == threshold == index.threshold
        await reader.search("river")
        assert reader.threshold == threshold


async def test_a_passage_is_a_plain_value(index: KnowledgeIndex) -> None:
    await put(index, "a.md", RETURNS)
    passage = (await index.search("costs"))[0].passage
    assert passage == Passage(**{name: getattr(passage, name) for name in passage.__struct_fields__})


async def test_an_empty_document_is_not_read_as_one() -> None:
    with pytest.raises(EmptyDocument):
        extract_text("a.md", b"")
