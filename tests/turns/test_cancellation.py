"""Cancelled anywhere: the session stays whole, and is free at once.

Every call to the backend gives the loop away before and after, as a networked one does; the caller is cancelled after k
steps of the loop, for every k until it gets through. Afterwards the log holds whole turns only, the state agrees with it, and
the next turn does not have to wait for a lease to run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from holdfast import Store, Turn
from store_nodes import Nodes


async def work(turn: Turn) -> None:
    await turn.step("a", lambda: 1)
    await asyncio.sleep(0)
    turn.state["n"] = turn.state.get("n", 0) + 1
    turn.reply("ok")


async def by_run_turn(store: Store, turn_id: str | None) -> None:
    await store.run_turn("s", work, input="x", turn_id=turn_id)


async def by_context(store: Store, turn_id: str | None) -> None:
    async with store.turn("s", input="x", turn_id=turn_id) as turn:
        await work(turn)


async def by_failing_handler(store: Store, turn_id: str | None) -> None:
    def fail(turn: Turn) -> None:
        raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        await store.run_turn("s", fail, input="x", turn_id=turn_id)


async def by_failing_context(store: Store, turn_id: str | None) -> None:
    with suppress(ZeroDivisionError):
        async with store.turn("s", input="x", turn_id=turn_id):
            raise ZeroDivisionError


Call = Callable[[Store, str | None], Awaitable[None]]


async def cancelled_after(steps: int, call: Awaitable[None]) -> bool:
    """Runs ``call`` for so many steps of the loop, then cancels it; True where it was through before."""
    task = asyncio.ensure_future(call)
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            break
    done = task.done()
    task.cancel()
    result = await asyncio.gather(task, return_exceptions=True)
    assert done or isinstance(result[0], asyncio.CancelledError | None), result
    return done


async def check_whole(store: Store) -> int:
    log = (await store.read_log("s", limit=10_000)).messages if await store.exists("s") else []
    roles = [m.role for m in log]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    ids = [m.turn_id for m in log]
    assert ids[::2] == ids[1::2]
    assert len(set(ids[::2])) == len(ids[::2])
    count = int((await store.get("s")).get("n", 0))
    assert count == len(ids) // 2
    return count


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("call", [by_run_turn, by_context, by_failing_handler, by_failing_context])
async def test_at_every_await(memory_nodes: Nodes, call: Call, named: bool) -> None:
    store, between = await memory_nodes.interposed(pauses=2, wait=5, lease=60)
    other = await memory_nodes.open()
    for steps in range(200):
        done = await cancelled_after(steps, call(store, f"t-{steps}" if named else None))
        between.pauses = 0
        for _ in range(20):
            await asyncio.sleep(0)  # what was given back in the background arrives
        outcome = await other.run_turn("s", work, input="next", on_busy="reject")
        assert outcome.reply == "ok", f"cancelled after {steps} steps"
        await check_whole(other)
        if named and call in (by_run_turn, by_context):
            again = await other.run_turn("s", work, input="x", turn_id=f"t-{steps}", on_busy="reject")
            assert again.reply == "ok"
            await check_whole(other)
        between.pauses = 2
        if done:
            break
    else:
        raise AssertionError("never got through")
    assert steps > 10, "nothing was cancelled half-way"
    pending = [turn for turn in await other.backend.overdue() if turn.key == other.key("s")]
    if not named:
        assert pending == [], "an input that nobody can name was left behind"


async def test_a_waiter_at_every_await(memory_nodes: Nodes) -> None:
    """The same for a turn that waits behind another."""
    store, between = await memory_nodes.interposed(wait=5, lease=60, poll=0.01)
    for steps in range(60):
        go = asyncio.Event()

        async def hold(turn: Turn, go: asyncio.Event = go) -> None:
            await go.wait()
            turn.state["n"] = turn.state.get("n", 0) + 1
            turn.reply("held")

        first = asyncio.create_task(store.run_turn("s", hold, input="first"))
        for _ in range(5):
            await asyncio.sleep(0)
        between.pauses = 2
        await cancelled_after(steps, by_run_turn(store, None))
        between.pauses = 0
        for _ in range(20):
            await asyncio.sleep(0)
        go.set()
        await first
        outcome = await store.run_turn("s", work, input="next", on_busy="reject")
        assert outcome.reply == "ok", f"cancelled after {steps} steps"
    assert await check_whole(store) == 120


@pytest.mark.parametrize("what", ["set", "update", "function", "create", "save", "delete", "touch"])
async def test_other_writes_at_every_await(memory_nodes: Nodes, what: str) -> None:
    store, _ = await memory_nodes.interposed(pauses=2)
    other = await memory_nodes.open()

    async def call() -> None:
        match what:
            case "set":
                await store.set("s", {"a": 1, "b": 1})
            case "update":
                await store.update("s", {"a": 1, "b": 1})
            case "function":
                await store.update("s", lambda state: state.update(a=1, b=1))
            case "create":
                await store.create("s", {"a": 1, "b": 1})
            case "delete":
                await store.delete("s")
            case "touch":
                await store.touch("s")
            case "save":
                session = await store.load("s")
                if session is not None:
                    session.state.update(a=1, b=1)
                    await store.save(session)

    for steps in range(100):
        await other.delete("s")
        if what != "create":
            await other.set("s", {"a": 0, "b": 0})
        done = await cancelled_after(steps, call())
        state = await other.get("s")
        assert state in ({"a": 0, "b": 0}, {"a": 1, "b": 1}, {}), "half of a write"
        assert await store.get("s") == state, "a cached copy that is not what the store holds"
        if done:
            return
    raise AssertionError("never got through")


async def test_cancelled_twice_while_giving_back(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(pauses=3, lease=60)
    other = await memory_nodes.open()
    for gap in range(12):
        started = asyncio.Event()

        async def slow(turn: Turn, started: asyncio.Event = started) -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(store.run_turn("s", slow, input="x"))
        await started.wait()
        task.cancel()
        for _ in range(gap):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(30):
            await asyncio.sleep(0)
        outcome: Any = await other.run_turn("s", work, input="next", on_busy="reject")
        assert outcome.reply == "ok"
    assert between.calls["begin"] == 12
