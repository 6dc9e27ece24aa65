"""What a stream shows, joined, is what the whole text masked shows, wherever it was cut; and little is held back."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentences import sentences

from holdfast.sensitive import StreamMasker, find, mask
from holdfast.sensitive.segments import LONGEST

_PIECES = st.sampled_from(
    [
        *"0123456789 -.·,，。：:@+()（）xXE\n\u200b０１８一三零幺的是号路市区王张伟",
        *("138", "13800138000", "1３8 0013 8000", "110101199003078515", "4111 1111 1111 1111", "jane@example.com"),
        *(
            "我叫",
            "张伟",
            "收",
            "先生",
            "护照",
            "订单号",
            "北京市海淀区",
            "中关村大街27号",
            "my name is ",
            "John Smith",
            "Mr. ",
        ),
        *("221B Baker Street, London", "https://x.example/?a=", "the ", "to ", "E12345678", "passport ", "order "),
        *("call me at ", "+1 (415) 555-2671", "a" * 90, "1" * 40, "汉" * 60, " " * 20, "😀", "\ud7ff"),
    ]
)
TEXTS = st.one_of(
    st.lists(_PIECES, max_size=30).map("".join),
    st.integers(0, 5000).map(lambda seed: " ".join(one.text for one in sentences(4, seed))),
)


def streamed(text: str, cuts: list[int]) -> str:
    masker = StreamMasker()
    places = sorted({0, *(cut % (len(text) + 1) for cut in cuts), len(text)})
    shown = [masker.feed(text[start:end]) for start, end in itertools.pairwise(places)]
    return "".join([*shown, masker.flush()])


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 3000), max_size=12))
@example("my card is 4111 1111 1111 1111 and 13800138000", [11, 13, 17, 38])
def test_any_cut_of_any_text_shows_what_the_whole_shows(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts) == mask(text)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_character_by_character_too_and_little_is_held(text: str) -> None:
    masker = StreamMasker()
    shown = []
    for character in text:
        shown.append(masker.feed(character))
        assert masker.held <= LONGEST + 1
    assert "".join([*shown, masker.flush()]) == mask(text)


def test_no_value_of_the_generated_sentences_passes_in_pieces() -> None:
    rng = random.Random(5)
    for sentence in sentences(600, 11):
        cuts = [rng.randrange(len(sentence.text) + 1) for _ in range(8)]
        shown = streamed(sentence.text, cuts)
        for spot in find(sentence.text):
            written = sentence.text[spot.start : spot.end]
            assert written not in shown or mask(written) == written


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("Thank you for your message. Your order has left our warehouse and it should be with you on Friday. " * 5, 16),
        ("您好，您的订单已经发货，预计明天送达，请您注意查收。如果还有问题，请联系我们的客服。" * 5, 8),
    ],
)
def test_plain_talk_is_hardly_held_back(text: str, most: int) -> None:
    masker, held = StreamMasker(), []
    for character in text:
        masker.feed(character)
        held.append(masker.held)
    assert sum(held) / len(held) <= most


def test_a_stream_of_some_kinds_leaves_the_others() -> None:
    masker = StreamMasker(["email"])
    assert (
        masker.feed("13800138000 jane@exam") + masker.feed("ple.com") + masker.flush() == "13800138000 j***@example.com"
    )
