"""Queries from turns, and the extractive answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.knowledge import Hit, KnowledgeIndex, Passage, answer, extract, query_from_turns
from holdfast.knowledge.query import MOST_TERMS, is_follow_up, parse
from holdfast.knowledge.readers import extract_text

SHIPPING = """# Shipping

Standard delivery takes 3 to 5 days. It costs $4.90. Express delivery takes one day and costs $9.90.

## Islands

Delivery to islands takes two more days.
"""
RETURNS = "# 退货\n\n签收后 7 天内可以退货。退款在 2 个工作日内原路退回。\n\n## 保修\n\n帐篷保修 5 年。"


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[KnowledgeIndex]:
    async with await KnowledgeIndex.open(tmp_path / "index.db", write=True) as opened:
        yield opened


@pytest.fixture
async def shop(index: KnowledgeIndex) -> KnowledgeIndex:
    for name, text in (("shipping.md", SHIPPING), ("退货.md", RETURNS)):
        await index.put(name, "", extract_text(name, text.encode()))
    return index


async def test_the_best_sentence_is_quoted_verbatim_with_its_place(shop: KnowledgeIndex) -> None:
    found = await answer(shop, "How long does express delivery take?")
    assert found.relevant
    assert found.quotes[0].text == "Express delivery takes one day and costs $9.90."
    for quote in found.quotes:
        text = await shop.document_text(quote.document)
        assert text is not None
        assert text[quote.start : quote.end] == quote.text
        passage = await shop.passage(quote.passage)
        assert passage is not None
        assert passage.start <= quote.start < quote.end <= passage.end
    chinese = await answer(shop, "退款多久可以退回？")
    assert chinese.quotes[0].text == "退款在 2 个工作日内原路退回。"
    assert chinese.quotes[0].title == "退货"


@pytest.mark.parametrize(
    "question", ["Who wrote Hamlet?", "今天天气怎么样？", "", "😀", "What is the capital of France?"]
)
async def test_nothing_relevant_is_said(shop: KnowledgeIndex, question: str) -> None:
    found = await answer(shop, question)
    assert not found.relevant
    assert found.quotes == ()
    assert found.coverage < shop.threshold


def test_an_index_without_weights_is_served_too() -> None:
    passage = Passage("p", "d", "T", 3, 100, 140, "Boots cost $60. Tents cost $90 at least.")
    found = extract("What do tents cost?", [Hit(passage, 1.0, 0.9)], {}, threshold=0.5)
    assert (found.quotes[0].text, found.quotes[0].start, found.quotes[0].page) == ("Tents cost $90 at least.", 116, 3)
    assert not extract("What do tents cost?", [Hit(passage, 1.0, 0.4)], {}, threshold=0.5).relevant
    assert extract("x", [], {}, threshold=0.5).quotes == ()


async def test_no_more_quotes_than_asked_and_none_twice(shop: KnowledgeIndex) -> None:
    assert len((await answer(shop, "delivery days", limit=1)).quotes) == 1
    hits = await shop.search("delivery days")
    twice = extract(
        "delivery days", [*hits, *hits], (await shop.retrieve("delivery days")).weights, threshold=0.1, limit=10
    )
    assert len({(q.document, q.start) for q in twice.quotes}) == len(twice.quotes)


def test_a_query_is_made_from_the_last_two_turns() -> None:
    assert query_from_turns([]) == ""
    assert query_from_turns(["only one"]) == "only one"
    assert query_from_turns(["a", "b\nc", "d"]) == "d\nb c"
    assert query_from_turns(["a", " "]) == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("and for children?", True),
        ("那退款呢？", True),
        ("What about gift cards?", True),
        ("它多少钱？", True),
        ("How many days do I have to return a damaged tent?", False),
        ("新疆的订单需要多少天才能送到？", False),
    ],
)
def test_a_short_question_that_leans_on_the_former_is_known(text: str, expected: bool) -> None:
    assert is_follow_up(text) is expected


def test_the_latest_turn_weighs_more() -> None:
    query = parse(query_from_turns(["How long does delivery to islands take?", "and what does it cost?"]))
    assert query.asked == {"cost"}
    assert 0 < query.terms["island"] < query.terms["cost"]
    assert "那退" not in parse("那退款呢？").terms
    assert len(parse("\n".join([" ".join(f"w{i}" for i in range(500))] * 2)).terms) <= 2 * MOST_TERMS


async def test_a_follow_up_is_answered_from_the_former_topic(shop: KnowledgeIndex, tmp_path: Path) -> None:
    query = query_from_turns(["Do you deliver to islands?", "and how long does it take?"])
    assert (await shop.search(query))[0].passage.title == "Shipping › Islands"
    query = query_from_turns(["帐篷可以退货吗？", "那保修呢？"])
    assert (await shop.search(query))[0].passage.text == "帐篷保修 5 年。"
