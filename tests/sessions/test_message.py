"""Messages: checked when they are added, equal when they are read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from holdfast import Citation, Message, Store, ToolCall
from holdfast.errors import CorruptRecord, LimitExceeded, UnsupportedValue
from holdfast.sessions.codec import Codec
from holdfast.sessions.message import MessageCodec

codec = MessageCodec(Codec())

FULL = Message(
    "assistant",
    "Ihre Bestellung 订单 😀",
    turn_id="t-1",
    created_at=1767268800.5,
    tool_calls=(ToolCall("c-1", "find_order", {"id": 7, "price": Decimal("1.5")}),),
    tool_call_id="c-0",
    citations=(Citation("doc", "quote", "title", 3, 10, 20, "https://example.org"),),
    metadata={"model": "m", "scores": [0.5, None]},
)


def test_every_field_comes_back() -> None:
    assert codec.decode(codec.encode(FULL)) == FULL


def test_turn_and_time_are_filled_in() -> None:
    back = codec.decode(codec.encode(Message.user("hi", channel="web"), "t-9"))
    assert (back.role, back.content, back.turn_id, back.metadata) == ("user", "hi", "t-9", {"channel": "web"})
    assert back.created_at > 1_700_000_000


BROKEN: list[tuple[Message, str]] = [
    (Message("boss", "x"), "message.role"),  # type: ignore[arg-type]
    (Message("user", 5), "message.content"),  # type: ignore[arg-type]
    (Message("user", "\ud800"), "message.content"),
    (Message("user", "x", metadata={"a": [object()]}), "message.metadata.a[0]"),
    (Message("user", "x", metadata={"a": float("nan")}), "message.metadata.a"),
    (Message("assistant", "x", tool_calls=(ToolCall("1", "f", {"a": {1: 2}}),)), "message.tool_calls[0].arguments.a"),
    (Message("user", "x", created_at="yesterday"), "message"),  # type: ignore[arg-type]
    (Message("user", "x", turn_id=7), "message"),  # type: ignore[arg-type]
    (Message("user", "x", metadata=[1]), "message"),  # type: ignore[arg-type]
    (Message("tool", "x", tool_call_id=5), "message"),  # type: ignore[arg-type]
    (Message("tool", "x", tool_call_id="\ud800"), "message"),
    (Message("assistant", "x", citations=(Citation("doc", page="three"),)), "message"),  # type: ignore[arg-type]
    (Message("assistant", "x", citations=(Citation("doc", quote="\ud800"),)), "message"),
    (Message("assistant", "x", citations=("doc",)), "message"),  # type: ignore[arg-type]
    (Message("assistant", "x", tool_calls=(ToolCall(1, "f"),)), "message"),  # type: ignore[arg-type]
    (Message("assistant", "x", tool_calls=(ToolCall("1", None),)), "message"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("message", "path"), BROKEN)
def test_a_message_that_could_not_be_read_back_is_refused(message: Message, path: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        codec.encode(message)
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize("message", [message for message, _ in BROKEN if not message.turn_id])
async def test_such_a_message_as_input_is_refused_and_nothing_is_accepted(store: Store, message: Message) -> None:
    with pytest.raises(UnsupportedValue):
        await store.run_turn("s", lambda turn: None, input=message, turn_id="t")
    with pytest.raises(UnsupportedValue):
        await store.update("s", {"a": 1}, append=[message])
    assert not await store.exists("s")
    outcome = await store.run_turn("s", lambda turn: turn.reply("yes"), input="fine", turn_id="t")
    assert outcome.reply == "yes"


@pytest.mark.parametrize("bad", [5, b"bytes", ["x"], {"role": "user"}])
async def test_an_input_is_text_or_a_message(store: Store, bad: Any) -> None:
    with pytest.raises(UnsupportedValue):
        await store.run_turn("s", lambda turn: None, input=bad)


async def test_half_a_surrogate_as_input_is_refused(store: Store) -> None:
    with pytest.raises(UnsupportedValue):
        await store.run_turn("s", lambda turn: None, input="\ud800", turn_id="t")


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(LimitExceeded):
        codec.encode(Message("user", "x" * 2_000_000))
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(LimitExceeded):
        codec.encode(Message("user", "x", metadata={"deep": deep}))


def test_damaged_entries_are_errors() -> None:
    entry = codec.encode(FULL)
    for cut in range(len(entry)):
        with pytest.raises(CorruptRecord):
            codec.decode(entry[:cut])
    with pytest.raises(CorruptRecord):
        codec.decode(Codec().encode([1, 2]))
    with pytest.raises(CorruptRecord):
        codec.decode(Codec().encode({"r": "emperor"}))


async def test_messages_come_back_in_order_with_everything_they_had(store: Store) -> None:
    await store.update("s", {}, append=[FULL, Message.user("second")])
    page = await store.read_log("s")
    assert page.messages[0] == FULL
    assert page.messages[1].content == "second"
