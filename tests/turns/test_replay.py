"""A turn id is one turn: finished it is replayed, running it is joined, with another input it is refused."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from holdfast import Message, Store, Turn
from holdfast.errors import QueueTimeout, TurnMismatch
from store_nodes import Nodes


async def answer(turn: Turn) -> None:
    turn.state["n"] = turn.state.get("n", 0) + 1
    turn.reply(f"answer {turn.state['n']} 😀")


def never(turn: Turn) -> None:
    raise AssertionError("a finished turn's handler was called")


async def test_a_finished_turn_is_replayed_on_any_node(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    outcome = await first.run_turn("s", answer, input="x", turn_id="t")
    for store in (first, second):
        again = await store.run_turn("s", never, input="x", turn_id="t")
        assert again.replayed
        assert again.reply.encode() == outcome.reply.encode()
        assert list(again.messages) == list(outcome.messages)
        assert (again.version, again.start, again.status, again.attempts) == (outcome.version, 0, "completed", 1)
    assert await first.get("s") == {"n": 1}


async def test_an_old_turn_is_replayed_behind_newer_ones(store: Store) -> None:
    for number in range(30):
        await store.run_turn("s", answer, input=str(number), turn_id=f"t-{number}")
    for number in (0, 17, 29):
        again = await store.run_turn("s", never, input=str(number), turn_id=f"t-{number}")
        assert (again.reply, again.start) == (f"answer {number + 1} 😀", 2 * number)


async def test_a_replay_needs_no_turn_of_its_own(nodes: Nodes) -> None:
    """A finished turn is answered while another turn runs."""
    store, other = await nodes.open(), await nodes.open()
    await store.run_turn("s", answer, input="x", turn_id="t")

    async def slow(turn: Turn) -> None:
        again = await other.run_turn("s", never, input="x", turn_id="t", wait=0.5)
        turn.reply("saw " + again.reply)

    assert (await store.run_turn("s", slow, input="y")).reply == "saw answer 1 😀"


async def test_a_running_turn_is_joined(nodes: Nodes) -> None:
    stores = [await nodes.open(poll=0.1) for _ in range(3)]
    started, go = asyncio.Event(), asyncio.Event()
    calls = 0

    async def slow(turn: Turn) -> None:
        nonlocal calls
        calls += 1
        started.set()
        await go.wait()
        turn.reply("one answer")

    tasks = [asyncio.create_task(stores[n % 3].run_turn("s", slow, input="x", turn_id="t")) for n in range(9)]
    await started.wait()
    await asyncio.sleep(0.05)
    go.set()
    outcomes = await asyncio.gather(*tasks)
    assert calls == 1
    assert {outcome.reply for outcome in outcomes} == {"one answer"}
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 8
    assert (await stores[0].read_log("s")).total == 2


async def test_joining_ends_by_its_own_deadline_and_disturbs_nobody(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open(poll=0.1)
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await go.wait()
        turn.reply("done")

    task = asyncio.create_task(first.run_turn("s", slow, input="x", turn_id="t"))
    await started.wait()
    with pytest.raises(QueueTimeout, match="still runs"):
        await second.run_turn("s", never, input="x", turn_id="t", wait=0.2)
    go.set()
    assert (await task).reply == "done"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x", "y"),
        ("x", None),
        (None, "x"),
        ("x", Message.user("x", channel="web")),
        (Message.user("x", a=1), Message.user("x", a=2)),
        (Message("system", "x"), "x"),
    ],
)
async def test_the_same_id_with_another_input_is_refused(store: Store, first: Any, second: Any) -> None:
    await store.run_turn("s", answer, input=first, turn_id="t")
    with pytest.raises(TurnMismatch):
        await store.run_turn("s", never, input=second, turn_id="t")
    assert (await store.run_turn("s", never, input=first, turn_id="t")).replayed


async def test_the_same_id_with_another_input_is_refused_while_it_runs(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()

    async def slow(turn: Turn) -> None:
        with pytest.raises(TurnMismatch):
            await second.run_turn("s", never, input="y", turn_id="t")
        turn.reply("ok")

    assert (await first.run_turn("s", slow, input="x", turn_id="t")).reply == "ok"


@pytest.mark.parametrize(
    "message",
    [
        Message.user("x", b=1, a={"z": 1, "y": [2**70, Decimal("1.5"), {"p", "q", "r"}]}),
        Message("user", "x", created_at=5.0),
        Message("user", "x"),
    ],
)
async def test_the_same_input_is_the_same_whatever_its_time_and_order_of_keys(store: Store, message: Message) -> None:
    await store.run_turn("s", answer, input=message, turn_id="t")
    turned = Message(message.role, message.content, metadata=dict(reversed(message.metadata.items())), created_at=99.0)
    assert (await store.run_turn("s", never, input=turned, turn_id="t")).replayed


async def test_turn_ids_belong_to_their_session(store: Store) -> None:
    await store.run_turn("a", answer, input="x", turn_id="t")
    assert not (await store.run_turn("b", answer, input="y", turn_id="t")).replayed


async def test_turns_without_an_id_are_never_the_same(store: Store) -> None:
    await store.run_turn("s", answer, input="x")
    assert (await store.run_turn("s", answer, input="x")).reply == "answer 2 😀"


async def test_after_delete_an_id_may_be_used_again(store: Store) -> None:
    await store.run_turn("s", answer, input="x", turn_id="t")
    await store.delete("s")
    outcome = await store.run_turn("s", answer, input="y", turn_id="t")
    assert (outcome.reply, outcome.replayed, outcome.start) == ("answer 1 😀", False, 0)
