"""`run_turn`: one input, one handler's work, one commit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Citation, Message, Store, Turn
from holdfast.errors import ConfigError, InvalidId, TurnError, UnsupportedValue, WrongUser
from store_nodes import Nodes


async def answer(turn: Turn) -> None:
    turn.state["n"] = turn.state.get("n", 0) + 1
    turn.reply(f"{turn.state['n']}: {turn.text}")


async def test_input_and_reply_enter_the_log_together(store: Store) -> None:
    outcome = await store.run_turn("s", answer, input="hello", turn_id="t-1", user="u")
    assert outcome.reply == "1: hello"
    assert (outcome.session_id, outcome.turn_id, outcome.status, outcome.attempts) == ("s", "t-1", "completed", 1)
    assert (outcome.start, outcome.replayed, outcome.version.counter) == (0, False, 1)
    assert [(m.role, m.content, m.turn_id) for m in outcome.messages] == [
        ("user", "hello", "t-1"),
        ("assistant", "1: hello", "t-1"),
    ]
    session = await store.load("s")
    assert session is not None
    assert dict(session.state) == {"n": 1}
    assert list(session.messages) == list(outcome.messages)
    assert session.user == "u"
    assert session.version == outcome.version


async def test_turns_follow_each_other(store: Store) -> None:
    for number in range(5):
        outcome = await store.run_turn("s", answer, input=str(number))
        assert (outcome.reply, outcome.start) == (f"{number + 1}: {number}", 2 * number)
    assert [m.content for m in (await store.read_log("s")).messages] == [
        text for n in range(5) for text in (str(n), f"{n + 1}: {n}")
    ]


async def test_the_handler_sees_what_was_before_and_not_its_own_input(store: Store) -> None:
    seen: list[Any] = []

    async def look(turn: Turn) -> None:
        assert turn.input is not None
        seen.append(
            ([m.content for m in turn.messages], turn.text, turn.input.role, turn.attempt, turn.id, turn.session.total)
        )

    await store.run_turn("s", answer, input="a")
    await store.run_turn("s", look, input="b", turn_id="t")
    assert seen == [(["a", "1: a"], "b", "user", 1, "t", 2)]


async def test_a_plain_function_is_a_handler_too(store: Store) -> None:
    assert (await store.run_turn("s", lambda turn: turn.reply("plain"), input="x")).reply == "plain"


async def test_a_turn_without_input_or_without_reply(store: Store) -> None:
    outcome = await store.run_turn("s", lambda turn: turn.reply("welcome"), turn_id="greet")
    assert [m.role for m in outcome.messages] == ["assistant"]
    outcome = await store.run_turn("s", lambda turn: None, input="thanks")
    assert [m.role for m in outcome.messages] == ["user"]
    assert outcome.reply == ""
    outcome = await store.run_turn("s", lambda turn: None, turn_id="nothing")
    assert list(outcome.messages) == []
    assert (await store.run_turn("s", _never, turn_id="nothing")).replayed


async def test_any_messages_in_order_of_the_calls(store: Store) -> None:
    async def busy(turn: Turn) -> None:
        turn.append(Message("tool", "42", tool_call_id="c-1"))
        turn.reply("first", citations=(Citation("doc", quote="q"),), model="m-1")
        turn.reply("second")

    outcome = await store.run_turn("s", busy, input=Message.user("x", channel="app"))
    assert [(m.role, m.content) for m in outcome.messages] == [
        ("user", "x"),
        ("tool", "42"),
        ("assistant", "first"),
        ("assistant", "second"),
    ]
    assert outcome.reply == "first\nsecond"
    stored = (await store.read_log("s")).messages
    assert stored == list(outcome.messages)
    assert stored[0].metadata == {"channel": "app"}
    assert stored[2].citations[0].quote == "q"


async def test_nothing_is_visible_before_the_commit(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()

    async def look(turn: Turn) -> None:
        turn.state["a"] = 1
        turn.reply("soon")
        assert await other.get("s") == {}
        assert not await other.exists("s")
        assert [id_ async for id_ in other.scan()] == []

    await store.run_turn("s", look, input="x")
    assert await other.get("s") == {"a": 1}
    assert [id_ async for id_ in other.scan()] == ["s"]


async def test_state_keys_can_be_removed_and_nested_values_changed(store: Store) -> None:
    await store.set("s", {"a": 1, "cart": {"items": [1]}})

    def change(turn: Turn) -> None:
        del turn.state["a"]
        turn.state["cart"]["items"].append(2)

    await store.run_turn("s", change, input="x")
    assert await store.get("s") == {"cart": {"items": [1, 2]}}


async def test_a_turn_keeps_what_others_changed_meanwhile(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    runs = 0

    async def think(turn: Turn) -> None:
        nonlocal runs
        runs += 1
        turn.state["topic"] = "order"
        await other.update("s", {"payment": "paid"}, append=[Message("system", "paid")])
        turn.reply("done")

    await store.run_turn("s", think, input="x")
    assert runs == 1, "another key is no conflict"
    assert await store.get("s") == {"topic": "order", "payment": "paid"}
    assert [m.content for m in (await store.read_log("s")).messages] == ["paid", "x", "done"]


async def test_two_sessions_do_not_wait_for_each_other(nodes: Nodes) -> None:
    store = await nodes.open()
    both = asyncio.Barrier(2)

    async def meet(turn: Turn) -> None:
        async with asyncio.timeout(5):
            await both.wait()

    await asyncio.gather(store.run_turn("a", meet, input="x"), store.run_turn("b", meet, input="x"))


async def test_handlers_by_name(store: Store) -> None:
    @store.handler("answer")
    async def by_name(turn: Turn) -> None:
        turn.reply("by name")

    assert (await store.run_turn("s", "answer", input="x")).reply == "by name"
    assert (await store.run_turn("s", by_name, input="x")).reply == "by name"
    with pytest.raises(TurnError, match=r"'other'.*answer"):
        await store.run_turn("s", "other", input="x")
    with pytest.raises(TurnError, match="already"):
        store.handler("answer")(answer)
    with pytest.raises(InvalidId):
        store.handler("")(answer)


async def test_wrong_arguments_are_refused_before_anything_is_accepted(store: Store) -> None:
    calls: list[Any] = [
        lambda: store.run_turn("s", answer, input="x", on_busy="wait"),  # type: ignore[arg-type]
        lambda: store.run_turn("s", answer, input="x", wait=0),
        lambda: store.run_turn("s", answer, input="x", wait="long"),
        lambda: store.run_turn("s", answer, input="x", user="x" * 300),
        lambda: store.run_turn("s", answer, input="x" * 2_000_000),
    ]
    for call in calls:
        with pytest.raises((ConfigError, InvalidId, ValueError)):
            await call()
    with pytest.raises(ConfigError):
        store.turn("s", on_busy="drop")  # type: ignore[arg-type]
    assert not await store.exists("s")
    assert (await store.run_turn("s", answer, input="free", on_busy="reject")).reply == "1: free"


async def test_a_session_has_one_user(store: Store) -> None:
    await store.run_turn("s", answer, input="x", user="alice")
    with pytest.raises(WrongUser):
        await store.run_turn("s", _never, input="y", user="mallory")
    assert (await store.run_turn("s", answer, input="z")).reply == "2: z"
    assert (await store.by_user("alice")).ids == ["s"]
    assert (await store.by_user("mallory")).ids == []


async def test_a_reply_that_cannot_be_stored_is_refused_where_it_is_made(store: Store) -> None:
    def bad(turn: Turn) -> None:
        with pytest.raises(UnsupportedValue):
            turn.reply("x", score=object())
        with pytest.raises(UnsupportedValue):
            turn.reply("\udc00")
        with pytest.raises(UnsupportedValue):
            turn.reply(5)  # type: ignore[arg-type]
        turn.reply("fine")

    assert (await store.run_turn("s", bad, input="x")).reply == "fine"


async def test_a_mutated_value_that_cannot_be_stored_gives_the_turn_back(nodes: Nodes) -> None:
    store = await nodes.open(lease=60, poll=0.1)

    def bad(turn: Turn) -> None:
        turn.state["cart"] = []
        turn.state["cart"].append(object())

    with pytest.raises(UnsupportedValue, match=r"cart\[0\]"):
        await store.run_turn("s", bad, input="x", turn_id="t")
    assert not await store.exists("s")
    async with asyncio.timeout(15):  # its lease is not waited out
        assert (await store.run_turn("s", answer, input="x", turn_id="t")).reply == "1: x"


def _never(turn: Turn) -> None:
    raise AssertionError("this handler must not be called")
