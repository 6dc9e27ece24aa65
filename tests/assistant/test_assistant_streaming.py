"""Pieces of an answer: joined without a gap, citations checked, values masked, however they are cut."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast import Citation, Message
from holdfast.assistant.citing import CheckedCitations
from holdfast.assistant.masking import Masker
from holdfast.assistant.models.checking import is_garbled
from holdfast.assistant.speaker import Speaker

PASSAGES = [Citation("a.md"), Citation("b.md"), Citation("c.md")]
CUTS = st.lists(st.integers(1, 6), min_size=1, max_size=80)


class FakeTurn:
    """As much of a turn as a speaker needs."""

    def __init__(self, text: str = "", **state: Any) -> None:
        self.text = text
        self.state = state
        self.emitted: list[tuple[str, dict[str, Any]]] = []
        self.replies: list[str] = []

    def emit(self, kind: str, **data: Any) -> None:
        self.emitted.append((kind, data))

    def append(self, message: Message) -> None:
        self.replies.append(message.content)


def cut_up(text: str, cuts: list[int]) -> list[str]:
    pieces, at = [], 0
    for n in range(len(text)):
        size = cuts[n % len(cuts)]
        pieces.append(text[at : at + size])
        at += size
        if at >= len(text):
            break
    return pieces


def checked(pieces: list[str]) -> tuple[str, list[str], int]:
    cited: list[Citation] = []

    def cite(citation: Citation) -> int:
        if citation not in cited:
            cited.append(citation)
        return cited.index(citation) + 1

    filter = CheckedCitations(PASSAGES, cite)
    text = "".join(filter.feed(piece) for piece in pieces) + filter.end()
    return text, [citation.document for citation in cited], filter.dropped


@given(CUTS)
def test_citations_are_renumbered_and_unknown_ones_dropped_wherever_the_text_is_cut(cuts: list[int]) -> None:
    text = "First [3]. Second[1, 9]; 第三【3】, a[i] = [x](y) and [0] end [7][8]"
    said, documents, dropped = checked(cut_up(text, cuts))
    assert said == "First [1]. Second [2]; 第三 [1], a[i] = [x](y) and end"
    assert documents == ["c.md", "a.md"]
    assert dropped == 4


@given(CUTS)
def test_a_bracket_that_is_never_closed_is_left_out(cuts: list[int]) -> None:
    assert checked(cut_up("It is so [1", cuts))[0] == "It is so"


@given(st.text(alphabet="ab 1[]【】,\n", max_size=60), CUTS)
def test_no_text_is_lost_or_doubled(text: str, cuts: list[int]) -> None:
    assert checked(cut_up(text, cuts)) == checked([text])


@given(CUTS)
def test_a_sensitive_value_is_masked_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    turn = FakeTurn("or 139 1111 2222?", phone="13800001234", mail="jane@example.com")
    speaker = Speaker(turn, Masker({"phone": "phone", "mail": "email"}))  # type: ignore[arg-type]  # a stand-in
    for piece in cut_up("您的号码 138 0000 1234 和 13911112222, mail jane@example.com. OK 5 apples", cuts):
        speaker.stream(piece)
    speaker.commit()
    assert turn.replies == ["您的号码 138****1234 和 139****2222, mail j***@example.com. OK 5 apples"]
    assert "".join(data["text"] for kind, data in turn.emitted if kind == "token") == turn.replies[0]


def test_a_value_that_turns_up_between_two_paragraphs_is_masked_in_the_second() -> None:
    turn = FakeTurn()
    speaker = Speaker(turn, Masker({"card": "text"}))  # type: ignore[arg-type]  # a stand-in
    speaker.say("One moment.")
    turn.state["card"] = "blue-7"
    speaker.paragraph()
    speaker.say("It is blue-7.")
    assert speaker.text == "One moment.\n\nIt is ***."


def test_words_are_streamed_as_they_come() -> None:
    turn = FakeTurn()
    speaker = Speaker(turn, Masker({}))  # type: ignore[arg-type]  # a stand-in
    for piece in ("One", " two", " three"):
        speaker.stream(piece)
    assert speaker.text == "One two "


def test_what_is_no_text() -> None:
    assert not is_garbled("Ordinary text, 中文,emoji 👩‍💻, tabs\t and\r\n lines")
    for text in ("\x00", "a\x1bb", "\x7f", "\ufffd", "\ud800", "\x85"):
        assert is_garbled(text)
