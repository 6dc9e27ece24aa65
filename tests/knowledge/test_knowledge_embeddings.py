"""Vectors beside the words: kept in the index, fused, judged; and what happens when their endpoint fails."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from embeddings_server import EmbeddingsServer, Hashed, Noise, embeddings_server, hashed

from holdfast.errors import EmbeddingError
from holdfast.knowledge import Extracted, KnowledgeIndex
from holdfast.knowledge.adding import add
from holdfast.knowledge.embedding import RESTS, QueryEmbedding
from holdfast.knowledge.fusion import Agreement, fused
from holdfast.knowledge.openai_embedder import OpenAIEmbedder

SHOP = {
    "delivery": "A parcel takes three working days. Express delivery costs nine dollars.",
    "returns": "You may send goods back within thirty days. The refund comes to your card.",
    "warranty": "A broken machine is repaired free of charge for two years.",
}


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with embeddings_server() as served:
        yield served


@pytest.fixture
async def embedder(server: EmbeddingsServer) -> AsyncIterator[OpenAIEmbedder]:
    made = OpenAIEmbedder("tiny", base_url=server.url, api_key="k-1", timeout=2, retries=0)
    yield made
    await made.aclose()


async def filled(path: Path, embedder: OpenAIEmbedder | Hashed | None, timeout: float = 2.0) -> KnowledgeIndex:
    index = await KnowledgeIndex.open(path, write=True, embedder=embedder, embed_timeout=timeout)
    for name, text in SHOP.items():
        await index.put(name, "", Extracted(text))
    return index


def vectors_in(index: KnowledgeIndex) -> list[tuple[str, int]]:
    return index._file._read(lambda db: db.execute("SELECT embedder, length(vector) FROM vector").fetchall())


async def test_vectors_find_what_shares_no_word(
    tmp_path: Path, server: EmbeddingsServer, embedder: OpenAIEmbedder
) -> None:
    async with await filled(tmp_path / "x.db", embedder) as index:
        assert await index.embed() == 3
        assert vectors_in(index) == [("tiny", 4 * 256)] * 3
        assert server.keys[0] == "Bearer k-1"
        found = await index.retrieve("machinery reparations")
        assert found.hits[0].passage.document == "warranty"
        assert len(found.hits) == 3  # neighbours of the vector, whatever the words say
        assert found.degraded == ()
        assert await index.embed() == 0  # nothing is made twice
    async with await KnowledgeIndex.open(tmp_path / "x.db") as plain:
        assert len(await plain.search("machinery reparations")) < 3


async def test_batches_keep_their_order_whatever_order_the_server_answers_in(
    server: EmbeddingsServer, embedder: OpenAIEmbedder
) -> None:
    server.shuffled = True
    assert await embedder.embed(["a", "b", "c"]) == [hashed("a"), hashed("b"), hashed("c")]
    assert embedder.dimensions == 256


async def test_only_what_changed_is_embedded_again(
    tmp_path: Path, server: EmbeddingsServer, embedder: OpenAIEmbedder
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nFirst text.\n\n# B\n\nSecond text.")
    (folder / "b.md").write_text("# C\n\nThird text.")
    async with await KnowledgeIndex.open(tmp_path / "x.db", write=True, embedder=embedder) as index:
        assert (await add(index, [folder])).vectors == 3
        server.asked.clear()
        (folder / "a.md").write_text("# A\n\nFirst text.\n\n# B\n\nAnother text.")
        assert (await add(index, [folder / "a.md"])).vectors == 1
        assert server.asked == [["A › B\nAnother text."]]
        await index.remove("b.md")
        assert len(vectors_in(index)) == 2


async def test_vectors_in_memory_follow_the_file(tmp_path: Path) -> None:
    """Updates, removals and additions between two looks leave what a first look finds."""
    async with await filled(tmp_path / "x.db", Hashed()) as index:
        await index.embed()
        await index.retrieve("express delivery")
        await index.put("returns", "", Extracted("Goods are taken back for ninety days."))
        await index.remove("delivery")
        await index.put("hours", "", Extracted("The shop is open from nine to five."))
        await index.embed()
        async with await KnowledgeIndex.open(tmp_path / "x.db", embedder=Hashed()) as fresh:
            for question in ("opening hours", "take goods back", "repair of machines"):
                found = await index.retrieve(question)
                assert found == await fresh.retrieve(question)
                assert len(found.hits) == 3


async def test_another_model_is_noticed_and_its_vectors_replace_the_old_ones(tmp_path: Path) -> None:
    async with await filled(tmp_path / "x.db", Hashed("old")) as index:
        await index.embed()
    async with await KnowledgeIndex.open(tmp_path / "x.db", write=True, embedder=Hashed("new", 64)) as index:
        found = await index.retrieve("express delivery")
        assert found.hits[0].passage.document == "delivery"
        assert found.degraded == ("the index has no vectors of new",)
        assert await index.embed() == 3
        assert (await index.retrieve("express delivery")).degraded == ()
        assert vectors_in(index) == [("new", 256)] * 3


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"status": 500}, "refused", "500"),
        ({"status": 401}, "refused", "401"),
        ({"body": b"<html>"}, "garbled", "cannot be read"),
        ({"body": {"data": None}}, "garbled", "tiny"),
        ({"body": {"data": [{"index": 0, "embedding": ["x"]}]}}, "garbled", "cannot be read"),
        ({"body": {"data": []}}, "garbled", "0 vectors for 1"),
        ({"body": {"data": [{"index": 7, "embedding": [1.0]}]}}, "garbled", "cannot be read"),
        ({"body": {"data": [{"index": 0, "embedding": [0.0] * 256}]}}, "", "is none"),
        ({"dimensions": 17}, "garbled", "17 dimensions, not 256"),
    ],
    ids=str,
)
async def test_what_an_endpoint_gets_wrong_leaves_the_words_result(
    tmp_path: Path,
    server: EmbeddingsServer,
    embedder: OpenAIEmbedder,
    change: dict[str, object],
    reason: str,
    says: str,
) -> None:
    async with await filled(tmp_path / "x.db", embedder) as index:
        await index.embed()
        for name, value in change.items():
            setattr(server, name, value)
        if reason:
            with pytest.raises(EmbeddingError) as raised:
                await embedder.embed(["x"])
            assert raised.value.reason == reason
        found = await index.retrieve("express delivery")
        assert found.hits[0].passage.document == "delivery"
        assert len(found.degraded) == 1
        assert says in found.degraded[0]


async def test_a_query_vector_of_another_size_is_not_compared(tmp_path: Path) -> None:
    async with await filled(tmp_path / "x.db", Hashed()) as index:
        await index.embed()
    async with await KnowledgeIndex.open(tmp_path / "x.db", embedder=Hashed(dimensions=8)) as index:
        found = await index.retrieve("express delivery")
        assert found.hits[0].passage.document == "delivery"
        assert found.degraded == ("hashed made a vector of 8 dimensions, the index has 256",)


async def test_a_slow_endpoint_costs_a_question_its_timeout_once(
    tmp_path: Path, server: EmbeddingsServer, embedder: OpenAIEmbedder
) -> None:
    async with await filled(tmp_path / "x.db", embedder, timeout=0.2) as index:
        await index.embed()
        server.delay = 1.0
        before = len(server.asked)
        found = await index.retrieve("express delivery")
        assert found.degraded == ("tiny made no vector within 0.2 s",)
        again = await index.retrieve("express delivery")
        assert "not asked again" in again.degraded[0]
        assert [hit.passage.document for hit in again.hits] == [hit.passage.document for hit in found.hits]
        assert len(server.asked) - before <= 1


async def test_an_endpoint_is_asked_again_after_its_rest() -> None:
    now = 0.0

    class Failing(Hashed):
        calls = 0

        async def embed(self, texts: object) -> list[list[float]]:
            self.calls += 1
            raise EmbeddingError("down", "unreachable")

    failing = Failing()
    query = QueryEmbedding(failing, clock=lambda: now)
    assert (await query.near("x"))[1] == "down"
    now = RESTS - 0.1
    await query.near("x")
    assert failing.calls == 1
    now = RESTS + 0.1
    await query.near("x")
    assert failing.calls == 2
    assert await query.near("") == (None, "")


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    embedder = OpenAIEmbedder("tiny", base_url=f"http://127.0.0.1:{port}/v1", retries=0)
    (tmp_path / "a.md").write_text("# A\n\nExpress delivery costs nine dollars.")
    async with await KnowledgeIndex.open(tmp_path / "x.db", write=True, embedder=embedder) as index:
        report = await add(index, [tmp_path / "a.md"])
        assert report.added == ["a.md"]
        assert "cannot be reached" in report.degraded
        assert (await index.search("express delivery"))[0].passage.document == "a.md"
    await embedder.aclose()


def many(count: int) -> dict[str, str]:
    """Documents with words of their own."""
    words = ["harbour", "lantern", "copper", "meadow", "violin", "saddle", "granite", "orchard", "candle", "river"]
    return {
        f"{i}": f"Number {i * 7919 % 1000} {words[i % 10]} stands beside the {words[i // 10 % 10]} of street {i * 31 % 97}."
        f" The {words[i * 3 % 10]} {i * 104729 % 991} was painted in the year {1500 + i * 13 % 500} by hand."
        for i in range(count)
    }


async def test_vectors_that_say_nothing_are_judged_and_left_out(tmp_path: Path) -> None:
    async with await KnowledgeIndex.open(tmp_path / "x.db", write=True, embedder=Noise()) as index:
        for name, text in many(80).items():
            await index.put(name, "", Extracted(text))
        await index.embed()
        found = await index.retrieve("who painted the violin of street 31")
        assert "of the collection's own sentences and are not used" in found.degraded[0]
    async with await KnowledgeIndex.open(tmp_path / "x.db", write=True, embedder=Hashed("better")) as index:
        await index.embed()
        assert (await index.retrieve("who painted the violin of street 31")).degraded == ()


def test_fusion_is_by_reciprocal_rank() -> None:
    scored = [(5.0, 1), (4.9, 2), (1.0, 3)]
    both = fused(scored, [3, 4])
    assert [item for _, item in both] == [3, 1, 2, 4]
    assert both[0][0] == pytest.approx(5.0 * (1 / 61 + 1 / 63) / (2 / 61))
    assert both[2][1] == 2


def test_a_decisive_passage_stays_first() -> None:
    assert [item for _, item in fused([(5.0, 1), (4.0, 2)], [2, 3, 4])] == [1, 2, 3, 4]
    assert [item for _, item in fused([(5.0, 1)], [2])] == [1, 2]
    assert [item for _, item in fused([], [2, 3])] == [2, 3]


def test_vectors_that_miss_what_the_words_find_surely_are_noticed() -> None:
    agreement = Agreement()
    for i in range(24):
        agreement.note([(5.0, 1), (1.0, 2)], [1] if i % 2 else [3])
    assert agreement.share is None  # too few to say
    agreement.note([(5.0, 1), (4.9, 2)], [3])  # not decisive
    assert agreement.share is None
    agreement.note([(5.0, 1), (1.0, 2)], [1])
    assert agreement.share == pytest.approx(13 / 25)
