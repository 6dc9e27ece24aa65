"""What is masked, in which form, and where."""

from __future__ import annotations

import time

import pytest

from holdfast import Citation, Message, ToolCall
from holdfast.assistant.masking import Masker
from holdfast.sensitive import masked
from holdfast.sensitive.cards import find_bank_cards
from holdfast.understanding.entities.patterns import emails, id_cards, phones, plain

ID_CARD = "11010519491231002X"  # the example of GB 11643
BANK_CARD = "4111111111111111"
STATE = {"phone": "13800001234", "visits": 3, "task": {"name": "order_status"}}


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("phone", "13800001234", "138****1234"),
        ("phone", "138-0000 1234", "138****1234"),
        ("phone", "+14155550123", "+14****0123"),
        ("phone", "5551234", "55****34"),
        ("phone", "110", "****"),
        ("email", "jane@example.com", "j***@example.com"),
        ("email", "no address", "***"),
        ("id_card", ID_CARD, "110***********002X"),
        ("id_card", "1", "***"),
        ("bank_card", "4111 1111 1111 1111", "**** 1111"),
        ("bank_card", "42", "****"),
        ("text", "张三", "***"),
    ],
)
def test_masks(kind: str, value: str, shown: str) -> None:
    assert masked(kind, value) == shown


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("13800001234", "13800001234"),
        ("我的手机号是138 0000 1234。", "13800001234"),
        ("１３８ ０００0 1234", "13800001234"),
        ("138-0000-1234", "13800001234"),
        ("+86 138 0000 1234", "13800001234"),
        ("8613800001234", "13800001234"),
        ("一三八零零零零一二三四", "13800001234"),
        ("幺三八〇〇〇〇幺二三四", "13800001234"),
        ("call +1 415 555 0123 please", "+14155550123"),
    ],
)
def test_phone_numbers_are_found(text: str, number: str) -> None:
    assert [value for _, _, value in phones(plain(text))] == [number]


@pytest.mark.parametrize(
    "text", ["1380000123", "138000012345", "12345678901", "订单 HF20931", "2026-09-14 10:20:30", "七天无理由退货"]
)
def test_other_numbers_are_no_phone_numbers(text: str) -> None:
    assert not list(phones(plain(text)))


def test_check_digits_count() -> None:
    assert [value for _, _, value in id_cards(f"身份证{ID_CARD}")] == [ID_CARD]
    assert not list(id_cards("110105194912310021"))
    assert [value for _, _, value in find_bank_cards("4111 1111 1111 1111")] == [BANK_CARD]
    assert not list(find_bank_cards("4111 1111 1111 1112"))


def test_addresses_are_found_beside_chinese() -> None:
    assert [value for _, _, value in emails(plain("我的邮箱是Jane@Example.com,谢谢"))] == ["jane@example.com"]


@pytest.mark.parametrize(
    "written", ["13800001234", "138 0000 1234", "１３８００００１２３４", "138-0000-1234", "一三八零零零零一二三四"]
)
def test_a_known_value_is_masked_however_it_is_written(written: str) -> None:
    masker = Masker({"phone": "phone"})
    assert masker.text(f"号码{written}对吗", STATE, detect=False) == "号码138****1234对吗"


def test_a_state_is_masked_at_any_depth_and_inside_other_fields() -> None:
    masker = Masker({"phone": "phone", "owner": "text"})
    state = {
        **STATE,
        "note": "call 13800001234",
        "cart": [{"owner": "Jane Doe", "phone": ["13900005678", None]}],
        "said": "Jane Doe has 13900005678",
    }
    shown = masker.state(state)
    assert shown == {
        "phone": "138****1234",
        "visits": 3,
        "task": {"name": "order_status"},
        "note": "call 138****1234",
        "cart": [{"owner": "***", "phone": ["139****5678", None]}],
        "said": "*** has 139****5678",
    }
    assert state["phone"] == "13800001234"


def test_a_users_message_hides_numbers_that_no_field_knows() -> None:
    masker = Masker({"phone": "phone"})
    message = Message("user", "not 13911112222, 13800001234", metadata={"raw": "13911112222"})
    shown = masker.message(message, STATE)
    assert shown.content == "not 139****2222, 138****1234"
    assert shown.metadata == {"raw": "139****2222"}


def test_a_document_keeps_its_own_numbers_in_a_reply() -> None:
    masker = Masker({"phone": "phone"})
    message = Message("assistant", "Our hotline is 13911112222.", citations=(Citation("a.md", "13911112222"),))
    assert masker.message(message, STATE) == message


def test_a_tools_arguments_are_masked() -> None:
    shown = Masker({"phone": "phone"}).message(
        Message("assistant", tool_calls=(ToolCall("1", "find_order", {"phone": "13800001234"}),)), STATE
    )
    assert shown.tool_calls[0].arguments == {"phone": "138****1234"}


def test_nothing_is_masked_that_is_not_called_sensitive() -> None:
    masker = Masker({})
    assert masker.state(STATE) == STATE
    assert masker.text("13800001234", STATE) == "13800001234"


def test_a_kind_is_looked_for_only_where_a_field_has_it() -> None:
    masker = Masker({"mail": "email"})
    assert masker.text("jane@example.com 13800001234", {}) == "j***@example.com 13800001234"


def test_hundreds_of_numbers_in_one_message_cost_little() -> None:
    masker = Masker({"phone": "phone"})
    said = " ".join(str(13800000000 + place * 7919) for place in range(600))
    started = time.process_time()
    for _ in range(20):  # as many earlier messages are shown to a model
        known = masker.known({}, said)
        assert masker.replaced("where is my order HF20931? " * 100, known, detect=True).startswith("where")
    assert time.process_time() - started < 2.0
    assert len(known) == 600
    assert "13800007919" not in masker.replaced("it is 138-0000 7919", known)


def test_case_does_not_count_for_any_letter() -> None:
    masker = Masker({"secret": "text"})
    for text in ("it is \u017fil\u212a", "it is SILK", "it is s\u0131lk", "it is S\u0130LK"):
        assert masker.text(text, {"secret": "silk"}) == "it is ***"
