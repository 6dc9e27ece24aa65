"""Sentences, passages and terms."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.knowledge.contract import Extracted, Heading
from holdfast.knowledge.sentences import sentences
from holdfast.knowledge.splitting import LIMIT, SENTENCE_LIMIT, split
from holdfast.knowledge.terms import query_terms, terms
from holdfast.knowledge.variants import distance

PIECES = st.sampled_from(
    [
        "Hello",
        " ",
        ". ",
        "。",
        "！",
        "？",
        "\n",
        "\n\n",
        "Mr. ",
        "3.5",
        "你好",
        "退款",
        "，",
        "word ",
        "e.g. ",
        "“",
        "”",
        "x" * 300,
    ]
)
TEXTS = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=120).map("".join))


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs $4.90. Is it new? Yes!", ["It costs $4.90.", "Is it new?", "Yes!"]),
        ("Mr. Smith lives in the U.S. with Dr. No. He left.", ["Mr. Smith lives in the U.S. with Dr. No.", "He left."]),
        ("See Fig. 3 and no. 5, e.g. this. J. R. Tolkien.", ["See Fig. 3 and no. 5, e.g. this.", "J. R. Tolkien."]),
        ("运费8元。满99元免运费！还有吗？有……好", ["运费8元。", "满99元免运费！", "还有吗？", "有……", "好"]),
        ("他说：“可以。”然后走了。", ["他说：“可以。”", "然后走了。"]),
        ("- one\n- two", ["- one", "- two"]),
        (" \n \n", []),
    ],
)
def test_sentences_end_where_readers_see_them_end(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


@given(TEXTS)
def test_sentences_are_in_order_and_lose_nothing_but_white_space(text: str) -> None:
    spans = list(sentences(text))
    assert all(one.end <= two.start for one, two in pairwise(spans))
    assert "".join("".join(parts(text)).split()) == "".join(text.split())


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 400), max_size=3), st.lists(st.integers(0, 400), max_size=3))
def test_passages_stand_where_they_say_and_lose_nothing(text: str, heads: list[int], pages: list[int]) -> None:
    starts = sorted({at for at in heads if at + 3 <= len(text) and text[at : at + 3].strip()})
    headings = [Heading(at, at + 3, 1) for i, at in enumerate(starts) if not i or at >= starts[i - 1] + 3]
    headings = [h for i, h in enumerate(headings) if not i or h.start >= headings[i - 1].end]
    document = Extracted(text, "T", headings, sorted({p for p in pages if p < len(text)} | {0}))
    kept = "".join(text[h.start : h.end] for h in headings)
    found = ""
    before = 0
    for (start, end), title, page in split(document):
        passage = text[start:end]
        assert before <= start < end <= len(text)
        assert passage == passage.strip()
        assert title.startswith("T")
        assert page is not None
        found += passage
        before = end
    assert sorted("".join((found + kept).split())) == sorted("".join(text.split()))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.booleans())
def test_a_sentence_is_never_cut_unless_it_is_huge(lengths: list[int], chinese: bool) -> None:
    text = "".join("字" * n + "。" if chinese else "A" + "x" * n + ". " for n in lengths)
    ends = {span.end for span in sentences(text)}
    passages = list(split(Extracted(text)))
    assert all(span.end in ends for span, _, _ in passages)
    assert all(span.end - span.start <= LIMIT * 1.5 for span, _, _ in passages)


def test_a_huge_sentence_is_cut_at_spaces() -> None:
    text = "word " * 20_000
    spans = [span for span, _, _ in split(Extracted(text))]
    assert all(text[start:end].split()[-1] == "word" and end - start <= SENTENCE_LIMIT for start, end in spans)


def test_passages_carry_their_headings_and_pages() -> None:
    text = "Shop\n\nReturns\n\nWithin 30 days.\n\nFor shoes\n\nWithin 60 days.\n\nPayment\n\nCards."
    heads = [Heading(text.index(h), text.index(h) + len(h), level) for h, level in (("Shop", 1), ("Returns", 2))]
    heads += [Heading(text.index(h), text.index(h) + len(h), level) for h, level in (("For shoes", 3), ("Payment", 2))]
    found = [(text[s.start : s.end], t, p) for s, t, p in split(Extracted(text, "Shop", heads, (0, text.index("For"))))]
    assert found == [
        ("Within 30 days.", "Shop › Returns", 1),
        ("Within 60 days.", "Shop › Returns › For shoes", 2),
        ("Cards.", "Shop › Payment", 2),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The policies, shipped", ["policy", "ship"]),
        ("退款７天", ["退款", "款", "7", "天"]),
        ("ＡＢＣ１２３ Café", ["abc123", "cafe"]),
        ("WH-1000XM5", ["wh", "1000xm5", "wh1000xm5"]),
        ("$1,234.50", ["1234", "50", "123450"]),
        ("iPhone手机壳", ["iphon", "手机", "机壳", "壳"]),
        ("children's stories", ["child", "story"]),
        ("\0 ​ 😀 ---", []),
    ],
)
def test_terms_are_normalised(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("one", "two"),
    [("stored", "storing"), ("returns", "returned"), ("cities", "city"), ("Straße", "STRASSE"), ("naïve", "naive")],
)
def test_forms_of_a_word_meet(one: str, two: str) -> None:
    assert terms(one) == terms(two)


def test_a_question_is_its_informative_terms() -> None:
    assert query_terms("请问退款需要多少天？") == ["退款", "天"]
    assert query_terms("How long does the refund take?") == ["refund"]
    assert query_terms("what is it") == []
    assert query_terms("什么") == ["什么"]


@given(st.text(max_size=300))
def test_terms_are_safe_to_store_and_to_quote(text: str) -> None:
    for term in terms(text) + query_terms(text):
        assert term
        assert not set(term) & set(" \"'\0\n*")


@pytest.mark.parametrize(
    ("one", "two", "edits"), [("gandhi", "ghandi", 2), ("return", "retrun", 1), ("abc", "abc", 0), ("a", "xyz", 3)]
)
def test_spelling_distance(one: str, two: str, edits: int) -> None:
    assert distance(one, two, 2) == edits
