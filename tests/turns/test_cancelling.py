"""Turns that are cancelled: by their user, from any node, and by a newer message."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from holdfast import Store, Turn
from holdfast.errors import StoreUnavailable, TurnConflict, TurnFinished, TurnNotFound, TurnParked
from holdfast.turns import marks
from store_nodes import Nodes, eventually


async def log_of(store: Store) -> list[tuple[str, str]]:
    """Role and content of the whole log."""
    return [(message.role, message.content) async for message in store.messages("s")]


class Talking:
    """A handler that says a word every few milliseconds, until it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, turn: Turn) -> None:
        turn.state["unfinished"] = True
        self.started.set()
        try:
            for n in range(2000):
                turn.emit("token", text=f"{n} ")
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        turn.reply("all of it")


async def test_a_turn_is_cancelled_from_another_node_and_keeps_what_was_said(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    talking = Talking()
    for store in (first, second):
        store.handler("talk")(talking)
    running = asyncio.create_task(first.run_turn("s", "talk", input="talk", turn_id="t"))
    await talking.started.wait()
    await asyncio.sleep(0.4)
    outcome = await second.cancel_turn("s", "t", "talk")
    assert outcome.status == "cancelled"
    assert outcome.reply.startswith("0 1 2 ")
    assert outcome.messages[1].metadata == {"cancelled": True}
    own = await running
    assert (own.status, own.reply, own.messages[0].content) == ("cancelled", outcome.reply, "talk")
    assert talking.cancelled == 1
    assert "unfinished" not in await first.get("s")
    again = await first.run_turn("s", "talk", input="talk", turn_id="t")
    assert (again.status, again.replayed, again.reply) == ("cancelled", True, outcome.reply)
    assert (await second.cancel_turn("s", "t", "talk")).status == "cancelled"
    assert first.leases.count == 0


async def test_a_young_turn_hears_of_its_cancelling_too(nodes: Nodes) -> None:
    store = await nodes.open()
    talking = Talking()
    store.handler("talk")(talking)
    running = asyncio.create_task(store.run_turn("s", "talk", input="talk", turn_id="t"))
    await talking.started.wait()
    assert (await store.cancel_turn("s", "t", "talk")).status == "cancelled"
    assert (await running).status == "cancelled"


async def test_a_finished_turn_stays_as_it_is(nodes: Nodes) -> None:
    store = await nodes.open()
    store.handler("say")(lambda turn: turn.reply("done"))
    await store.run_turn("s", "say", input="x", turn_id="t")
    outcome = await store.cancel_turn("s", "t", "say")
    assert (outcome.status, outcome.reply) == ("completed", "done")
    with pytest.raises(TurnNotFound):
        await store.cancel_turn("s", "another", "say")


async def test_a_waiting_turn_that_is_cancelled_never_runs(nodes: Nodes) -> None:
    store = await nodes.open()
    talking = Talking()
    store.handler("talk")(talking)
    ran: list[str] = []
    store.handler("say")(lambda turn: ran.append(turn.id))
    first = asyncio.create_task(store.run_turn("s", "talk", input="talk", turn_id="t1"))
    await talking.started.wait()
    second = asyncio.create_task(store.run_turn("s", "say", input="x", turn_id="t2"))
    await asyncio.sleep(0.1)
    cancelling = asyncio.create_task(store.cancel_turn("s", "t2", "say", wait=20))
    await asyncio.sleep(0.1)
    await store.cancel_turn("s", "t1", "talk")
    assert (await cancelling).status == (await second).status == "cancelled"
    assert (await first).status == "cancelled"
    assert ran == []
    assert (await log_of(store))[-1] == ("user", "x")


async def test_a_parked_turn_is_cancelled_at_once(nodes: Nodes) -> None:
    store = await nodes.open()

    @store.handler("ask")
    async def ask(turn: Turn) -> None:
        turn.emit("token", text="May I?")
        await turn.wait_for("approval")

    with pytest.raises(TurnParked):
        await store.run_turn("s", "ask", input="x", turn_id="t", stream=True)
    outcome = await store.cancel_turn("s", "t", "ask")
    assert outcome.status == "cancelled"


async def test_the_turn_of_a_dead_node_is_cancelled_with_what_it_had_said(nodes: Nodes) -> None:
    (first, between), second = await nodes.interposed(lease=1), await nodes.open(lease=1)
    talking = Talking()
    for store in (first, second):
        store.handler("talk")(talking)
    running = asyncio.create_task(
        first.run_turn("s", "talk", input="talk", turn_id="t", stream=True, on_event=lambda *_: None)
    )
    await talking.started.wait()
    await eventually(lambda: between.calls["append_events"] > 2)
    between.dead = True
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    outcome = await second.cancel_turn("s", "t", "talk", wait=20)
    assert outcome.status == "cancelled"
    assert outcome.reply.startswith("0 1 ")


async def test_a_newer_message_interrupts_the_one_that_runs(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    talking = Talking()
    older = asyncio.create_task(first.run_turn("s", talking, input="tell me all", turn_id="t1"))
    await talking.started.wait()
    await asyncio.sleep(0.3)
    newer = await second.run_turn("s", lambda turn: turn.reply("short"), input="no, short", on_busy="interrupt")
    assert newer.reply == "short"
    said = await older
    assert said.status == "cancelled"
    assert said.reply.startswith("0 1 ")
    contents = [content for _, content in await log_of(first)]
    assert contents == ["tell me all", said.reply, "no, short", "short"]


async def test_the_newest_of_several_interrupts_all_before_it(nodes: Nodes) -> None:
    store = await nodes.open()
    talking = Talking()
    running = [asyncio.create_task(store.run_turn("s", talking, input="1", turn_id="t1"))]
    await talking.started.wait()
    for n in (2, 3):
        running.append(
            asyncio.create_task(store.run_turn("s", talking, input=str(n), turn_id=f"t{n}", on_busy="interrupt"))
        )
        await asyncio.sleep(0.05)
    last = await store.run_turn("s", lambda turn: turn.reply("last"), input="4", on_busy="interrupt")
    assert last.reply == "last"
    assert [(await task).status for task in running] == ["cancelled"] * 3
    assert [content for role, content in await log_of(store) if role == "user"] == ["1", "2", "3", "4"]


async def test_a_handler_that_swallows_the_cancelling_is_cancelled_all_the_same(nodes: Nodes) -> None:
    store = await nodes.open()
    started = asyncio.Event()

    @store.handler("stubborn")
    async def stubborn(turn: Turn) -> None:
        started.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            turn.reply("I will be heard")

    running = asyncio.create_task(store.run_turn("s", "stubborn", input="x", turn_id="t"))
    await started.wait()
    assert (await store.cancel_turn("s", "t", "stubborn")).status == "cancelled"
    assert (await running).reply == ""
    assert running.cancelling() == 0


async def test_a_caller_that_is_cancelled_gives_the_turn_back_as_ever(nodes: Nodes) -> None:
    store = await nodes.open()
    talking = Talking()
    running = asyncio.create_task(store.run_turn("s", talking, input="x", turn_id="t"))
    await talking.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    outcome = await store.run_turn("s", lambda turn: turn.reply(f"attempt {turn.attempt}"), input="x", turn_id="t")
    assert outcome.reply == "attempt 2"


async def test_a_block_cannot_be_cancelled_and_a_cancelled_turn_not_entered(nodes: Nodes) -> None:
    store = await nodes.open()
    store.handler("say")(lambda turn: None)
    async with store.turn("s", input="x", turn_id="t1") as turn:
        waiting = asyncio.create_task(store.run_turn("s", "say", input="y", turn_id="t2"))
        await asyncio.sleep(0.1)
        await store.backend.signal(store.key("s"), "\x1fcancel", b"", turn_id="t1")
        await store.backend.signal(store.key("s"), "\x1fcancel", b"", turn_id="t2")
        await asyncio.sleep(0.5)
        turn.reply("whole")
    assert turn.outcome is not None
    assert turn.outcome.reply == "whole"
    assert (await waiting).status == "cancelled"
    with pytest.raises(TurnFinished):
        async with store.turn("s", input="y", turn_id="t2"):
            raise TurnConflict("never here")


async def test_a_turn_that_is_cancelled_before_it_waits_does_not_wait(nodes: Nodes) -> None:
    store = await nodes.open()

    async def ask(turn: Turn) -> None:
        await store.backend.signal(turn.key, marks.CANCEL, b"", turn_id=turn.id)  # not heard of yet
        await turn.wait_for("approval")

    outcome = await store.run_turn("s", ask, input="x", turn_id="t")
    assert outcome.status == "cancelled"
    assert store.leases.count == 0
    assert await store.run_turn("s", lambda turn: None, input="y", on_busy="reject")


async def test_a_turn_that_parks_while_it_is_cancelled_is_ended(nodes: Nodes) -> None:
    (first, between), second = await nodes.interposed(), await nodes.open()
    parking, go_on = asyncio.Event(), asyncio.Event()

    async def held_up() -> None:
        parking.set()
        await go_on.wait()

    between.before["park"] = held_up

    async def ask(turn: Turn) -> None:
        await turn.wait_for("approval")

    for store in (first, second):
        store.handler("ask")(ask)
    running = asyncio.create_task(first.run_turn("s", "ask", input="x", turn_id="t"))
    await parking.wait()
    cancelling = asyncio.create_task(second.cancel_turn("s", "t", "ask"))
    await asyncio.sleep(0.1)
    go_on.set()
    with pytest.raises(TurnParked):
        await running
    assert (await cancelling).status == "cancelled"


async def test_a_turn_that_could_not_be_parked_hears_of_its_cancelling(nodes: Nodes) -> None:
    store, between = await nodes.interposed()

    async def down() -> None:
        del between.before["park"]
        raise StoreUnavailable("for a moment")

    between.before["park"] = down
    talking = Talking()

    @store.handler("ask")
    async def ask(turn: Turn) -> None:
        with suppress(StoreUnavailable):
            await turn.wait_for("approval")
        await talking(turn)

    running = asyncio.create_task(store.run_turn("s", "ask", input="x", turn_id="t"))
    await talking.started.wait()
    assert (await store.cancel_turn("s", "t", "ask")).status == (await running).status == "cancelled"


async def test_words_that_cannot_be_kept_do_not_keep_a_turn_from_ending(memory_nodes: Nodes) -> None:
    store = await memory_nodes.open(max_value_bytes=1000)
    started = asyncio.Event()

    @store.handler("talk")
    async def talk(turn: Turn) -> None:
        turn.emit("token", text="x" * 2000)
        started.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(store.run_turn("s", "talk", input="x", turn_id="t"))
    await started.wait()
    assert (await store.cancel_turn("s", "t", "talk")).status == "cancelled"
    own = await running
    assert (own.status, own.reply) == ("cancelled", "")


async def test_the_session_is_free_when_the_caller_of_a_cancelled_turn_leaves(nodes: Nodes) -> None:
    (first, between), second = await nodes.interposed(lease=60), await nodes.open()
    talking, ending = Talking(), asyncio.Event()

    async def held_up() -> None:
        ending.set()
        await asyncio.Event().wait()

    between.before["commit"] = held_up
    for store in (first, second):
        store.handler("talk")(talking)
    running = asyncio.create_task(first.run_turn("s", "talk", input="x", turn_id="t"))
    await talking.started.wait()
    cancelling = asyncio.create_task(second.cancel_turn("s", "t", "talk", wait=10))
    await ending.wait()
    running.cancel()
    assert (await cancelling).status == "cancelled"
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_caller_is_not_left_cancelled(nodes: Nodes) -> None:
    store = await nodes.open()
    talking = Talking()
    store.handler("talk")(talking)

    async def calling() -> str:
        async with asyncio.timeout(20):
            outcome = await store.run_turn("s", "talk", input="x", turn_id="t")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        return outcome.status

    caller = asyncio.create_task(calling())
    await talking.started.wait()
    await store.cancel_turn("s", "t", "talk")
    assert await caller == "cancelled"
