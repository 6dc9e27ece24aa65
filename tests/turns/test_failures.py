"""Handlers that fail: the turn is given back at once; after its last attempt it is failed for good, and says so for ever."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Store, Turn
from holdfast.errors import OutcomeUnknown, StoreUnavailable, TurnFailed
from store_nodes import Nodes, eventually


def broken(turn: Turn) -> None:
    turn.state["half"] = True
    turn.reply("half")
    raise RuntimeError("no")


async def test_a_failed_attempt_writes_nothing_and_gives_the_turn_back(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    with pytest.raises(RuntimeError):
        await first.run_turn("s", broken, input="x", turn_id="t")
    assert not await second.exists("s")
    outcome = await second.run_turn("s", lambda turn: turn.reply("ok"), input="x", turn_id="t", on_busy="reject")
    assert (outcome.reply, outcome.attempts) == ("ok", 2)
    assert (await first.read_log("s")).total == 2


async def test_without_an_id_it_is_withdrawn(nodes: Nodes) -> None:
    store = await nodes.open()
    for _ in range(10):
        with pytest.raises(RuntimeError):
            await store.run_turn("s", broken, input="x")
    assert not await store.exists("s")
    assert [turn for turn in await store.backend.overdue() if turn.key == store.key("s")] == []


async def test_after_its_last_attempt_a_turn_has_failed_for_good(nodes: Nodes) -> None:
    first, second = await nodes.open(max_attempts=3), await nodes.open(max_attempts=3)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await first.run_turn("s", broken, input="x", turn_id="t")
    for store in (first, second):
        with pytest.raises(TurnFailed, match="RuntimeError: no") as caught:
            await store.run_turn("s", broken, input="x", turn_id="t")
        outcome = caught.value.outcome
        assert (outcome.status, outcome.attempts, outcome.replayed) == ("failed", 3, True)
        assert outcome.error == "RuntimeError: no"
        assert [m.content for m in outcome.messages] == ["x"]
    assert [m.content for m in (await second.read_log("s")).messages] == ["x"], "the input is kept, nothing else"
    assert await second.get("s") == {}
    assert (await second.run_turn("s", lambda turn: turn.reply("ok"), input="y")).reply == "ok"


async def test_attempts_that_died_without_a_word_count_too(nodes: Nodes) -> None:
    store, between = await nodes.interposed(max_attempts=2, lease=0.2, poll=0.05)
    calls = 0

    async def dies(turn: Turn) -> None:
        nonlocal calls
        calls += 1
        await store.leases.close()
        await asyncio.Event().wait()

    async def silent() -> None:
        raise StoreUnavailable("this node is dead")

    for _ in range(2):
        between.before["release"] = silent
        task = asyncio.create_task(store.run_turn("s", dies, input="x", turn_id="t"))
        seen = calls
        await eventually(lambda seen=seen: calls > seen)  # type: ignore[misc]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    between.before.clear()
    commits = between.calls["commit"]
    with pytest.raises(TurnFailed, match="given up after 2 attempts"):
        await store.run_turn("s", dies, input="x", turn_id="t")
    assert calls == 2
    assert between.calls["commit"] == commits + 2, "one failure is written once, and noted once"


async def test_a_store_that_is_away_costs_no_attempt_for_good(nodes: Nodes) -> None:
    """What the store's failure ended is not the handler's fault: the turn stays to be run."""
    store, between = await nodes.interposed(max_attempts=1, settle=0.1, timeout=1)

    async def silent() -> None:
        raise OutcomeUnknown("lost on purpose")

    between.before["commit"] = between.before["resolve"] = silent
    with pytest.raises(OutcomeUnknown):
        await store.run_turn("s", lambda turn: turn.reply("x"), input="x", turn_id="t")
    between.before.clear()
    assert not await store.exists("s")


async def test_an_error_of_the_handler_survives_a_store_that_is_away(nodes: Nodes) -> None:
    store, between = await nodes.interposed()

    async def silent() -> None:
        raise OutcomeUnknown("lost on purpose")

    between.before["release"] = silent
    with pytest.raises(RuntimeError, match="no"):
        await store.run_turn("s", broken, input="x", turn_id="t")


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_reply_of_each_call_is_followed_up(nodes: Nodes, applied: bool) -> None:
    """Each call's first reply is lost, before or after it was applied: the turn still runs once, and is in once."""
    for name in ("begin", "record", "commit"):
        store, between = await nodes.interposed(settle=3, poll=0.05)
        left = [1]

        async def lose(left: list[int] = left) -> None:
            if left and left.pop():
                raise OutcomeUnknown("lost on purpose")

        (between.after if applied else between.before)[name] = lose
        calls: list[int] = []

        async def handler(turn: Turn, calls: list[int] = calls) -> None:
            await turn.step("effect", calls.append, 1)
            turn.state["n"] = turn.state.get("n", 0) + 1
            turn.reply("ok")

        outcome = await store.run_turn(name, handler, input="x", turn_id="t")
        assert outcome.reply == "ok"
        assert calls == [1]
        assert await store.get(name) == {"n": 1}
        assert (await store.read_log(name)).total == 2


async def test_a_commit_refused_for_a_while_is_sent_again(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(settle=5)
    left = [1, 1, 1]

    async def away() -> None:
        if left:
            left.pop()
            raise StoreUnavailable("away on purpose")

    between.before["commit"] = away
    calls = 0

    def handler(turn: Turn) -> None:
        nonlocal calls
        calls += 1
        turn.reply("worth waiting for")

    assert (await store.run_turn("s", handler, input="x")).reply == "worth waiting for"
    assert calls == 1


async def test_accepted_or_not_is_said(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(settle=0.2)

    async def refused() -> None:
        raise StoreUnavailable("refused on purpose")

    async def lost() -> None:
        raise OutcomeUnknown("lost on purpose")

    between.before["begin"] = refused
    with pytest.raises(StoreUnavailable):
        await store.run_turn("s", broken, input="x", turn_id="t")
    between.before["begin"] = lost
    with pytest.raises(OutcomeUnknown, match="same turn id"):
        await store.run_turn("s", broken, input="x", turn_id="t")


async def test_turns_of_a_failing_handler_do_not_disturb_their_neighbours(store: Store) -> None:
    good = [store.run_turn("s", lambda turn: turn.reply("ok"), input=str(n)) for n in range(5)]
    bad = [store.run_turn("s", broken, input=f"bad {n}") for n in range(5)]
    results = await asyncio.gather(
        *[call for pair in zip(good, bad, strict=True) for call in pair], return_exceptions=True
    )
    assert sum(isinstance(result, RuntimeError) for result in results) == 5
    assert (await store.read_log("s")).total == 10
