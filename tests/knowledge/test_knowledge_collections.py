"""Several collections: each judges by its own figures, the answer says which it is from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from knowledge_documents import question_set

from holdfast.assistant.documents import KnowledgeDocuments
from holdfast.errors import IndexUnusable, InvalidInput, KnowledgeError, KnowledgeMissing
from holdfast.knowledge import Extracted, Hit, Knowledge, KnowledgeIndex, Passage
from holdfast.knowledge.collection_files import collection_file, collections_beside
from holdfast.knowledge.collections import Collection, Collections, merged
from holdfast.knowledge.contract import Document, SearchResult
from holdfast.knowledge.extractive import extract

SHOP = {
    "returns": "You may return goods within 30 days. The refund comes to your card.",
    "delivery": "Express delivery takes one day and costs nine dollars.",
}
STAFF = {
    "holidays": "Staff have 28 days of holiday. Holidays are asked for two weeks before.",
    "returns": "Staff check returned goods for damage and note it in the list.",
}


async def opened(folder: Path, **collections: dict[str, str]) -> Collections:
    members = {}
    for name, documents in collections.items():
        index = await KnowledgeIndex.open(collection_file(folder / "k.db", name), write=True)
        for document, text in documents.items():
            await index.put(document, "", Extracted(text))
        members[name] = Collection(index)
    return Collections(members)


async def test_one_or_several_are_asked_and_the_answer_says_which(tmp_path: Path) -> None:
    async with await opened(tmp_path, default=SHOP, staff=STAFF) as collections:
        both: Knowledge = collections
        assert (await both.retrieve("how many days of holiday do staff have?")).hits[0].passage.collection == "staff"
        goods = await collections.retrieve("within how many days may I return goods?")
        assert goods.hits[0].passage.collection == ""
        only = await collections.retrieve("within how many days may I return goods?", among=["staff"])
        assert {hit.passage.collection for hit in only.hits} == {"staff"}
        with pytest.raises(KnowledgeMissing, match="there are: default, staff"):
            await collections.retrieve("x", among=["nobody"])
        documents = KnowledgeDocuments(collections)
        retrieval = await documents.search("how many days of holiday do staff have?", [])
        assert retrieval.quotes[0].quote == "Staff have 28 days of holiday."
        assert retrieval.quotes[0].collection == "staff"
        assert len(retrieval.scores) == len(retrieval.passages)
        asked = await documents.search("how many days of holiday do staff have?", [], collections=["default"])
        assert not asked.relevant


async def test_documents_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    async with await opened(tmp_path, default=SHOP, staff=STAFF) as collections:
        assert [(item.collection, item.name) for item in await collections.documents()] == [
            ("", "delivery"),
            ("", "returns"),
            ("staff", "holidays"),
            ("staff", "returns"),
        ]
        assert await collections.document_text("returns") == SHOP["returns"]
        assert await collections.document_text("returns", "staff") == STAFF["returns"]
        assert await collections.document_text("holidays", "") is None
        passage = (await collections.retrieve("damage of returned goods", among=["staff"])).hits[0].passage
        assert await collections.passage(passage.id) == passage
        assert await collections.passage("nothing") is None


class Broken:
    """A collection whose server is down."""

    async def retrieve(self, query: str, *, limit: int = 5) -> SearchResult:
        raise IndexUnusable("the server is down")

    async def passage(self, id: str) -> Passage | None:
        return None

    async def documents(self) -> list[Document]:
        return []

    async def close(self) -> None:
        pass


async def test_a_collection_that_cannot_be_used_is_left_out_and_said(tmp_path: Path) -> None:
    async with await opened(tmp_path, default=SHOP) as collections:
        collections.members["far"] = Collection(Broken())
        found = await collections.retrieve("express delivery")
        assert found.hits[0].passage.document == "delivery"
        assert found.degraded == ("collection far: the server is down",)
        with pytest.raises(KnowledgeError, match="down"):
            await collections.retrieve("express delivery", among=["far"])


def result(threshold: float, *coverages: float, name: str = "d") -> SearchResult:
    hits = tuple(Hit(Passage(f"{i}", name, "", None, 0, 1, "x"), 1.0, c) for i, c in enumerate(coverages))
    return SearchResult(hits, {"x": 1.0}, threshold)


@pytest.mark.parametrize(
    ("results", "relevant", "names"),
    [
        ({"a": result(0.5, 0.6, name="a"), "b": result(0.7, 0.65, name="b")}, True, ["a"]),
        ({"a": result(0.7, 0.65, name="a"), "b": result(0.5, 0.6, name="b")}, True, ["b"]),
        ({"a": result(0.7, 0.65, name="a"), "b": result(0.5, 0.45, name="b")}, False, ["a", "b"]),
        ({"a": result(0.5, 0.6, 0.9, name="a"), "b": result(0.5, 0.7, name="b")}, True, ["b", "a", "a"]),
        ({"a": result(0.5), "b": result(0.5)}, False, []),
    ],
)
def test_the_whole_decides_as_each_did(results: dict[str, SearchResult], relevant: bool, names: Sequence[str]) -> None:
    whole = merged(results, 5)
    assert [hit.passage.document for hit in whole.hits] == list(names)
    assert extract("x", whole.hits, whole.weights, threshold=whole.threshold).relevant == relevant


async def test_passages_and_threshold_are_each_collections_own(tmp_path: Path) -> None:
    async with await opened(tmp_path, default=SHOP, staff=STAFF) as collections:
        for name, threshold, passages in (("default", 0.99, 1), ("staff", 0.01, 2)):
            member = collections.members[name]
            collections.members[name] = Collection(member.knowledge, threshold, passages)
        assert collections.passages() == 2
        assert collections.passages(["default"]) == 1
        found = await collections.retrieve("return goods of staff in days")
        assert {hit.passage.collection for hit in found.hits} == {"staff"}
        assert found.threshold == 0.01


def test_a_collection_is_a_file_beside_the_default_one(tmp_path: Path) -> None:
    index = tmp_path / "k.db"
    assert collection_file(index) == index
    assert collection_file(index, "常见-问题") == tmp_path / "k.常见-问题.db"
    for name in ("", "a.b", "a/b", "..", "FAQ", "x" * 65, "a b"):
        with pytest.raises(InvalidInput):
            collection_file(index, name)
    for file in ("k.db", "k.faq.db", "k.faq.db-wal", "k.a.b.db", "other.faq.db", "k.db.bak"):
        (tmp_path / file).touch()
    assert list(collections_beside(index)) == ["default", "faq"]


async def test_a_set_in_three_collections_is_found_nearly_as_well_as_in_one(tmp_path: Path) -> None:
    questions = question_set("xquad/xquad.zh.json")
    names = sorted(questions.documents)
    parts = {f"part{k}": {name: questions.documents[name] for name in names[k::3]} for k in range(3)}
    async with await opened(tmp_path, **parts) as collections:
        for member in collections.members.values():
            assert isinstance(member.knowledge, KnowledgeIndex)
            await member.knowledge.calibrate()
        sample = questions.questions[::5]
        right = 0
        for question in sample:
            hits = (await collections.retrieve(question.text)).hits
            right += bool(hits) and hits[0].passage.document == question.document
    print("hit@1 over three collections", right / len(sample))
    assert right / len(sample) >= 0.91
