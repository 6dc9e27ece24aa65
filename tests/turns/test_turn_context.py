"""`async with store.turn(...)`: the short form, which cannot be run again."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Store
from holdfast.errors import SessionGone, TurnFinished, UnsupportedValue
from store_nodes import Nodes


async def test_it_commits_at_the_end(store: Store) -> None:
    async with store.turn("s", input="hello", turn_id="t", user="u") as turn:
        assert turn.text == "hello"
        assert turn.outcome is None
        turn.state["n"] = 1
        turn.reply("hi")
    assert turn.outcome is not None
    assert (turn.outcome.reply, turn.outcome.start, turn.outcome.replayed) == ("hi", 0, False)
    assert await store.get("s") == {"n": 1}
    assert [m.content for m in (await store.read_log("s")).messages] == ["hello", "hi"]


async def test_a_finished_turn_is_not_entered(store: Store) -> None:
    async with store.turn("s", input="hello", turn_id="t") as turn:
        turn.reply("hi")
    with pytest.raises(TurnFinished) as caught:
        async with store.turn("s", input="hello", turn_id="t"):
            raise AssertionError("entered")
    assert caught.value.outcome.reply == "hi"
    assert caught.value.outcome.replayed


async def test_an_exception_gives_the_turn_back_and_writes_nothing(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    with pytest.raises(ZeroDivisionError):
        async with first.turn("s", input="x", turn_id="t") as turn:
            turn.state["half"] = 1
            turn.reply("half")
            raise ZeroDivisionError
    assert not await second.exists("s")
    async with second.turn("s", input="x", turn_id="t", on_busy="reject") as turn:
        assert turn.attempt == 2
        turn.reply("whole")
    assert (await first.read_log("s")).total == 2


async def test_a_value_that_cannot_be_stored_gives_the_turn_back_at_once(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    with pytest.raises(UnsupportedValue):
        async with first.turn("s", input="x", turn_id="t") as turn:
            turn.state["cart"] = []
            turn.state["cart"].append(object())
    async with second.turn("s", input="x", turn_id="t", on_busy="reject") as turn:
        turn.reply("whole")


async def test_steps_are_journaled_here_too(nodes: Nodes) -> None:
    store = await nodes.open()
    calls: list[int] = []
    with pytest.raises(ZeroDivisionError):
        async with store.turn("s", input="x", turn_id="t") as turn:
            await turn.step("a", calls.append, 1)
            raise ZeroDivisionError
    async with store.turn("s", input="x", turn_id="t") as turn:
        await turn.step("a", calls.append, 2)
    assert calls == [1]


async def test_a_session_deleted_meanwhile(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"a": 1})
    with pytest.raises(SessionGone):
        async with store.turn("s", input="x") as turn:
            await other.delete("s")
            turn.reply("late")
    assert not await other.exists("s")


async def test_cancelled_inside_the_turn_is_given_back(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    entered = asyncio.Event()

    async def work() -> None:
        async with store.turn("s", input="x", turn_id="t") as turn:
            turn.reply("never")
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = await other.run_turn("s", lambda turn: turn.reply("now"), input="x", turn_id="t", wait=1)
    assert outcome.reply == "now"
    assert (await other.read_log("s")).total == 2


async def test_turns_of_two_contexts_follow_each_other(nodes: Nodes) -> None:
    store = await nodes.open()

    async def one(number: int) -> None:
        async with store.turn("s", input=str(number)) as turn:
            turn.state["n"] = turn.state.get("n", 0) + 1
            await asyncio.sleep(0)
            turn.reply("ok")

    await asyncio.gather(*[one(number) for number in range(10)])
    assert await store.get("s") == {"n": 10}
