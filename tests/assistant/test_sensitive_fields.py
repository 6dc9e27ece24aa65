"""Which fields are sensitive, who sees them in clear, and what is masked before it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Sensitive
from holdfast.assistant.masking import Masker
from holdfast.assistant.speaker import Speaker
from holdfast.config import MaskingSection
from holdfast.errors import ConfigError

STATE: dict[str, Any] = {
    "phone": "13800001234",
    "order": {"phone": "13911112222", "lines": [{"phone": "13733334444", "card_number": "x-77"}]},
    "card_number": "top",
    "name": "Jane Doe",
}


@pytest.mark.parametrize(
    ("key", "masks"),
    [
        ("phone", {"13800001234", "13911112222", "13733334444"}),
        ("order.phone", {"13911112222"}),
        ("order.*.phone", {"13911112222", "13733334444"}),
        ("order.lines.phone", {"13733334444"}),
        ("*.phone", {"13800001234", "13911112222", "13733334444"}),
        ("lines.phone", set()),
    ],
)
def test_names_and_paths(key: str, masks: set[str]) -> None:
    shown = str(Masker({key: "phone"}, MaskingSection(detect=())).state(STATE))
    everything = {"13800001234", "13911112222", "13733334444"}
    assert {number for number in everything if number not in shown} == masks


def test_a_role_sees_what_the_config_lets_it_see() -> None:
    clear = {"roles": {"admin": ["phone"], "operator": ["name"]}}
    masker = Masker({"phone": "phone", "name": "name"}, MaskingSection(clear=clear))  # type: ignore[arg-type]
    assert masker.for_role("user") is masker
    assert masker.for_role("nobody") is masker
    admin, operator = masker.for_role("admin"), masker.for_role("operator")
    assert masker.for_role("admin") is admin
    assert admin.state(STATE)["phone"] == "13800001234" and admin.state(STATE)["name"] == "J***"
    assert operator.state(STATE)["phone"] == "138****1234" and operator.state(STATE)["name"] == "Jane Doe"
    assert admin.text("13955556666 of Jane Doe", STATE) == "13955556666 of J***"


def test_everything_in_clear() -> None:
    masker = Masker({"phone": "phone"}).clearing(["*"])
    assert masker.state(STATE) == STATE
    assert masker.text("13955556666", STATE) == "13955556666"


def test_a_short_value_does_not_spoil_what_a_tool_is_given() -> None:
    state = {"pin": "42", "phone": "13800001234"}
    masker = Masker({"pin": "text", "phone": "phone"})
    given = {"order": "HF42042", "pin_again": "42", "about": "of 13800001234"}
    assert masker.arguments("t", (), given, state) == {
        "order": "HF42042",
        "pin_again": "***",
        "about": "of 138****1234",
    }


def test_what_is_looked_for_is_what_the_config_says() -> None:
    masker = Masker({"secret": "text"}, MaskingSection(detect=("email",)))
    assert masker.text("jane@example.com 13800001234", {}) == "j***@example.com 13800001234"
    assert masker.accepted("jane@example.com") == "jane@example.com"
    stores = Masker({}, MaskingSection(detect=("email",), before_store=True))
    assert stores.accepted("I am jane@example.com") == "I am j***@example.com"


def test_a_kind_that_is_not_there_is_named_with_its_field() -> None:
    with pytest.raises(ConfigError, match=r"sensitive\.code: the kind of sensitive values 'nowhere:KIND'"):
        Masker({"code": "nowhere:KIND"})


def test_what_was_masked_once_is_not_masked_again() -> None:
    masker = Masker({"phone": "phone", "name": "name"})
    once = masker.state(STATE)
    assert masker.state(once) == once


class _Turn:
    def __init__(self, **state: Any) -> None:
        self.state = state
        self.text = ""
        self.said = ""

    def emit(self, kind: str, **data: Any) -> None:
        self.said += data["text"]

    def append(self, message: Any) -> None: ...


def test_a_value_of_many_words_is_not_streamed_in_pieces() -> None:
    turn = _Turn(address="北京市海淀区中关村大街27号", owner="Jane van der Berg", phone="13800001234")
    speaker = Speaker(turn, Masker({"address": "address", "owner": "name", "phone": "phone"}))  # type: ignore[arg-type]
    text = (
        "Hi Jane van der Berg, it goes to 北京市海淀区中关村大街27号 (138 0000 1234); Jane van Dyke knows 北京市海淀区."
    )
    for character in text:
        speaker.stream(character)
    speaker.flush()
    assert turn.said == "Hi J***, it goes to 北京市*** (138****1234); Jane van Dyke knows 北京市海淀区."


@pytest.mark.parametrize(
    "state",
    [
        {"order": {"secret": "blue 42"}},
        {"orders": [{"contact": {"secret": "blue 42"}}]},
        {"order": {"note": Sensitive("blue 42", "text")}},
        {"note": Sensitive("blue 42", "text")},
        {"secret": ["red", "blue 42"]},
    ],
)
def test_a_value_is_known_in_texts_wherever_it_stands_in_the_state(state: dict[str, Any]) -> None:
    masker = Masker({"secret": "text"})
    assert masker.text("you said blue 42", state, detect=False) == "you said ***"
    assert "blue 42" not in repr(masker.state({**state, "summary": "it was blue 42"}))
