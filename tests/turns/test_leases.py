"""Leases: kept while the handler works, lost when another holder overtakes, and then nothing of the loser is written."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from holdfast import Store, Turn
from holdfast.backends.records import Granted
from holdfast.errors import SessionGone, StoreUnavailable, TurnOvertaken
from holdfast.testing.calls import asking
from store_nodes import Nodes, eventually


async def test_a_handler_may_take_longer_than_its_lease(nodes: Nodes) -> None:
    first, second = await nodes.open(lease=0.9, poll=0.05), await nodes.open(lease=0.9, poll=0.05)
    started = asyncio.Event()

    async def long(turn: Turn) -> None:
        started.set()
        await asyncio.sleep(2)
        turn.reply("long")

    task = asyncio.create_task(first.run_turn("s", long, input="x"))
    await started.wait()
    after = await second.run_turn("s", lambda turn: turn.reply("after"), input="y")
    outcome = await task
    assert (outcome.reply, outcome.attempts) == ("long", 1)
    assert after.start == 2


async def test_short_turns_cost_no_renewal(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed()
    for _ in range(20):
        await store.run_turn("s", lambda turn: turn.reply("ok"), input="x")
    assert between.calls["renew"] == 0
    assert between.calls["begin"] == between.calls["commit"] == 20
    assert between.calls["release"] == between.calls["load"] == 0


async def overtake(store: Store, session_id: str, turn_id: str) -> bytes:
    """Takes the turn from its holder as another node's recovery would, once the lease has run out; the new token."""
    request = asking(turn_id, takeover=True)
    while True:
        reply = await store.backend.begin(store.key(session_id), request)
        if isinstance(reply, Granted):
            assert reply.steps == [] or reply.steps[0][0] == "effect"
            return request.token
        await asyncio.sleep(0.02)


async def test_an_overtaken_handler_is_cancelled_and_never_commits(nodes: Nodes) -> None:
    """The first node stops renewing; the second finishes the turn; the first comes back and has to learn it from the store."""
    first, between = await nodes.interposed(lease=0.5, poll=0.05)
    second = await nodes.open(lease=0.5, poll=0.05)
    cut, cancelled, ran = asyncio.Event(), 0, list[str]()

    async def unreachable() -> None:
        if not cut.is_set():
            raise StoreUnavailable("cut off on purpose")

    between.before["renew"] = unreachable

    async def slow(turn: Turn) -> None:
        nonlocal cancelled
        ran.append("first")
        turn.state["by"] = "first"
        turn.reply("first")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    def fast(turn: Turn) -> None:
        ran.append("second")
        turn.state["by"] = "second"
        turn.reply("second")

    task = asyncio.create_task(first.run_turn("s", slow, input="x", turn_id="t"))
    await eventually(lambda: ran == ["first"])
    outcome = await second.run_turn("s", fast, input="x", turn_id="t")
    assert (outcome.reply, outcome.attempts) == ("second", 2)
    cut.set()
    async with asyncio.timeout(5):
        late = await task
    assert cancelled == 1
    assert late.replayed
    assert late.reply == "second"
    assert task.cancelling() == 0
    assert ran == ["first", "second"]
    assert await first.get("s") == {"by": "second"}
    assert (await first.read_log("s")).total == 2


@pytest.mark.parametrize("what", ["commit", "step"])
async def test_an_overtaken_handler_that_is_not_told_is_fenced(nodes: Nodes, what: str) -> None:
    first, between = await nodes.interposed(lease=0.4, poll=0.05)
    second = await nodes.open(lease=0.4, poll=0.05)
    started, go = asyncio.Event(), asyncio.Event()

    async def unreachable() -> None:
        raise StoreUnavailable("cut off on purpose")

    between.before["renew"] = unreachable
    calls: list[str] = []

    async def slow(turn: Turn) -> None:
        started.set()
        await go.wait()
        if what == "step":
            await turn.step("late", calls.append, "effect")
            calls.append("went on")
        turn.state["by"] = "first"
        turn.reply("first")

    task = asyncio.create_task(first.run_turn("s", slow, input="x", turn_id="t"))
    await started.wait()
    token = await overtake(second, "s", "t")
    go.set()
    await asyncio.sleep(0.1)
    assert not await second.exists("s"), "the overtaken holder wrote"
    assert "went on" not in calls
    again = await second.backend.begin(
        second.key("s"), msgspec.structs.replace(asking("t", takeover=True), token=token)
    )
    assert isinstance(again, Granted), "the overtaker lost its turn to the overtaken"
    assert (again.steps, again.attempt) == ([], 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_merely_overslept_may_commit(nodes: Nodes) -> None:
    store, between = await nodes.interposed(lease=0.3, poll=0.05)

    async def unreachable() -> None:
        raise StoreUnavailable("cut off on purpose")

    between.before["renew"] = unreachable

    async def slow(turn: Turn) -> None:
        await asyncio.sleep(0.8)
        await turn.step("late", lambda: 1)
        turn.reply("late, and nobody minded")

    outcome = await store.run_turn("s", slow, input="x")
    assert (outcome.reply, outcome.attempts) == ("late, and nobody minded", 1)


async def test_a_turn_that_lost_its_lease_runs_again_where_nobody_finished_it(nodes: Nodes) -> None:
    """Overtaken by a node that then gave up: the first one takes over again, with its journal."""
    first, between = await nodes.interposed(lease=0.4, poll=0.05)
    second = await nodes.open()
    attempts: list[int] = []
    effects: list[int] = []
    block = asyncio.Event()

    async def unreachable() -> None:
        if len(attempts) == 1 and not block.is_set():
            raise StoreUnavailable("cut off on purpose")

    between.before["renew"] = unreachable

    async def handler(turn: Turn) -> None:
        attempts.append(turn.attempt)
        await turn.step("effect", effects.append, turn.attempt)
        if turn.attempt == 1:
            await asyncio.Event().wait()
        turn.reply("at last")

    task = asyncio.create_task(first.run_turn("s", handler, input="x", turn_id="t"))
    await eventually(lambda: effects == [1])
    token = await overtake(second, "s", "t")
    await second.backend.release(second.key("s"), "t", token=token, withdraw=False)
    block.set()
    async with asyncio.timeout(10):
        outcome = await task
    assert (outcome.reply, outcome.attempts, outcome.replayed) == ("at last", 3, False)
    assert attempts == [1, 3]
    assert effects == [1]


@pytest.mark.parametrize("reborn", [False, True])
async def test_a_session_deleted_under_a_running_turn_stays_deleted(nodes: Nodes, reborn: bool) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"old": 1})

    async def handler(turn: Turn) -> None:
        await turn.step("before", lambda: 1)
        await other.delete("s")
        if reborn:
            await other.set("s", {"new": 2})
        turn.state["late"] = 3
        turn.reply("too late")

    with pytest.raises(SessionGone):
        await store.run_turn("s", handler, input="x", turn_id="t")
    assert await other.get("s") == ({"new": 2} if reborn else {})
    assert await other.exists("s") is reborn
    fresh = await store.run_turn("s", lambda turn: turn.reply("fresh"), input="y", turn_id="t", on_busy="reject")
    assert (fresh.reply, fresh.start) == ("fresh", 0)


@pytest.mark.parametrize("reborn", [False, True])
async def test_a_step_in_a_deleted_session_is_not_journaled(nodes: Nodes, reborn: bool) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"old": 1})
    went_on: list[int] = []

    async def handler(turn: Turn) -> None:
        await other.delete("s")
        if reborn:
            await other.set("s", {"new": 2})
        await turn.step("late", lambda: 1)
        went_on.append(1)

    with pytest.raises(SessionGone):
        await store.run_turn("s", handler, input="x", turn_id="t")
    assert went_on == []
    assert await other.exists("s") is reborn


async def test_a_context_whose_lease_is_lost_says_so(nodes: Nodes) -> None:
    first, between = await nodes.interposed(lease=0.4, poll=0.05)
    second = await nodes.open()
    go = False

    async def unreachable() -> None:
        if not go:
            raise StoreUnavailable("cut off on purpose")

    between.before["renew"] = unreachable
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TurnOvertaken):
        async with first.turn("s", input="x", turn_id="t") as turn:
            turn.state["by"] = "first"
            await overtake(second, "s", "t")
            go = True
            await asyncio.sleep(5)
    assert task.cancelling() == 0
    assert not await second.exists("s")


async def test_a_lease_found_lost_while_the_commit_is_under_way(nodes: Nodes) -> None:
    """A renewal that arrives after the commit finds no lease any more. That is no reason to tell the caller that it failed."""
    store, between = await nodes.interposed(lease=0.3, poll=0.05)

    async def slow_reply() -> None:
        await asyncio.sleep(0.8)

    between.after["commit"] = slow_reply
    async with store.turn("s", input="x", turn_id="t") as turn:
        turn.reply("committed")
    assert turn.outcome is not None
    assert turn.outcome.reply == "committed"
    calls = 0

    def handler(turn: Turn) -> None:
        nonlocal calls
        calls += 1
        turn.reply("committed too")

    outcome = await store.run_turn("s", handler, input="y", turn_id="u")
    assert (outcome.reply, calls) == ("committed too", 1)


async def test_cancelling_from_outside_is_told_from_a_lost_lease(nodes: Nodes) -> None:
    store = await nodes.open(lease=0.4, poll=0.05)
    started = asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.run_turn("s", slow, input="x", turn_id="t"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await store.run_turn("s", slow, input="x", turn_id="t")
    outcome: Any = await store.run_turn("s", lambda turn: turn.reply("third"), input="x", turn_id="t", wait=1)
    assert outcome.reply == "third"


async def test_a_store_that_is_closed_gives_its_running_turns_to_others_at_once(nodes: Nodes) -> None:
    first, second = await nodes.open(lease=30, poll=0.05), await nodes.open(lease=30, poll=0.05)
    started = asyncio.Event()

    async def long(turn: Turn) -> None:
        started.set()
        await asyncio.sleep(5)

    task = asyncio.create_task(first.run_turn("s", long, input="x", turn_id="t-1"))
    await started.wait()
    await first.close()
    async with asyncio.timeout(5):
        outcome = await second.run_turn("s", lambda turn: turn.reply("second"), input="x", turn_id="t-1")
    assert (outcome.reply, outcome.attempts) == ("second", 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
