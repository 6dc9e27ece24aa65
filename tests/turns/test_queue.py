"""The queue: in order of arrival across nodes, nobody stalled by the dead, nobody waiting past the deadline."""

from __future__ import annotations

import asyncio
import time

import pytest

from holdfast import Store, Turn
from holdfast.backends.records import Queued
from holdfast.errors import QueueTimeout, TurnBusy
from holdfast.testing.calls import asking
from store_nodes import Nodes, eventually


class Gate:
    """A handler that waits until it is told to go on."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, turn: Turn) -> None:
        self.started.set()
        await self.go.wait()
        turn.reply(f"{turn.text} done")


async def queued(store: Store, session_id: str, count: int) -> None:
    """Waits until ``count`` turns stand in the queue. The one who looks leaves at once."""
    while True:
        request = asking("looking", place_ms=60_000, text=b"x")
        reply = await store.backend.begin(store.key(session_id), request)
        await store.backend.release(store.key(session_id), "looking", token=request.token, withdraw=True)
        if isinstance(reply, Queued) and reply.ahead >= count + 1:
            return
        await asyncio.sleep(0.005)


async def test_in_order_of_arrival_across_nodes(nodes: Nodes) -> None:
    stores = [await nodes.open(poll=0.1) for _ in range(2)]
    gate, order = Gate(), list[str]()
    first = asyncio.create_task(stores[0].run_turn("s", gate, input="first"))
    await gate.started.wait()

    async def note(turn: Turn) -> None:
        order.append(turn.text)
        turn.reply("noted")

    waiting = []
    async with asyncio.timeout(30):
        for number in range(8):
            waiting.append(asyncio.create_task(stores[number % 2].run_turn("s", note, input=str(number))))
            await queued(stores[0], "s", number + 1)
        gate.go.set()
        await asyncio.gather(first, *waiting)
    assert order == [str(n) for n in range(8)]
    log = (await stores[1].read_log("s")).messages
    assert [m.content for m in log if m.role == "user"] == ["first", *order]


async def test_handing_over_needs_no_poll(nodes: Nodes) -> None:
    """With a poll of 20 s, ten turns from two nodes pass in far less: the store's hints hand over."""
    stores = [await nodes.open(poll=20, lease=60) for _ in range(2)]
    started = time.monotonic()
    await asyncio.gather(*[stores[n % 2].run_turn("s", lambda turn: turn.reply("ok"), input=str(n)) for n in range(10)])
    assert time.monotonic() - started < 15


async def test_without_hints_polling_is_enough(memory_nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.backends.memory import MemoryBackend

    monkeypatch.setattr(MemoryBackend, "_notify", lambda *args: None)
    store = await memory_nodes.open(poll=0.02, lease=60)
    async with asyncio.timeout(10):
        await asyncio.gather(*[store.run_turn("s", lambda turn: turn.reply("ok"), input=str(n)) for n in range(10)])
    assert (await store.read_log("s")).total == 20


async def test_reject_does_not_wait(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    gate = Gate()
    task = asyncio.create_task(first.run_turn("s", gate, input="x"))
    await gate.started.wait()
    with pytest.raises(TurnBusy):
        await second.run_turn("s", gate, input="y", on_busy="reject", turn_id="t")
    with pytest.raises(TurnBusy):
        async with second.turn("s", input="y", on_busy="reject"):
            raise AssertionError("entered a busy session")
    gate.go.set()
    await task
    assert (await second.run_turn("s", gate, input="other", on_busy="reject", turn_id="t")).reply == "other done"


@pytest.mark.parametrize("turn_id", [None, "t"])
async def test_who_waits_in_vain_leaves_by_the_deadline(nodes: Nodes, turn_id: str | None) -> None:
    first, second = await nodes.open(), await nodes.open(poll=0.1)
    gate = Gate()
    task = asyncio.create_task(first.run_turn("s", gate, input="x"))
    await gate.started.wait()
    started = time.monotonic()
    with pytest.raises(QueueTimeout, match=r"behind 1 other"):
        await second.run_turn("s", gate, input="y", wait=0.3, turn_id=turn_id)
    assert 0.25 < time.monotonic() - started < 5
    gate.go.set()
    await task
    third = await second.run_turn("s", lambda turn: turn.reply("third"), input="z", on_busy="reject")
    assert third.reply == "third", "who left holds nobody up"
    if turn_id:
        assert (await second.run_turn("s", gate, input="y", turn_id="t")).reply == "y done"


async def test_a_dead_head_stalls_nobody(nodes: Nodes) -> None:
    """The head of the queue died with its node: it never asks again. Whoever is next runs when its place has run out."""
    store, between = await nodes.interposed(poll=0.1, lease=1)
    gate = Gate()
    task = asyncio.create_task(store.run_turn("s", gate, input="x"))
    await gate.started.wait()
    dead = asking("dead", place_ms=800, text=b"x", lease_ms=1000)
    assert isinstance(await between.inner.begin(store.key("s"), dead), Queued)
    behind = asyncio.create_task(store.run_turn("s", lambda turn: turn.reply("next"), input="y"))
    await queued(store, "s", 2)
    gate.go.set()
    await task
    asked = between.calls["begin"]
    async with asyncio.timeout(5):
        assert (await behind).reply == "next"
    assert between.calls["begin"] - asked < 30, "the waiting turn asked again and again instead of at its poll"


async def test_a_dead_holder_stalls_nobody_longer_than_its_lease(nodes: Nodes) -> None:
    store = await nodes.open(poll=0.1)
    dead = asking("dead", lease_ms=500, text=b"x")
    await store.backend.begin(store.key("s"), dead)
    started = time.monotonic()
    outcome = await store.run_turn("s", lambda turn: turn.reply("alive"), input="y")
    assert outcome.reply == "alive"
    assert 0.3 < time.monotonic() - started < 5


async def test_a_cancelled_waiter_leaves_the_queue(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open(poll=0.1)
    gate = Gate()
    task = asyncio.create_task(first.run_turn("s", gate, input="x"))
    await gate.started.wait()
    waiting = [asyncio.create_task(second.run_turn("s", gate, input=str(n))) for n in range(3)]
    async with asyncio.timeout(10):
        await queued(first, "s", 3)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    gate.go.set()
    await task
    assert (await second.run_turn("s", gate, input="after", on_busy="reject")).reply == "after done"
    assert [m.content for m in (await first.read_log("s")).messages if m.role == "user"] == ["x", "after"]


async def test_many_callers_on_two_nodes_all_get_their_own_answer(nodes: Nodes) -> None:
    stores = [await nodes.open(poll=0.1) for _ in range(2)]

    async def count(turn: Turn) -> None:
        turn.state["n"] = turn.state.get("n", 0) + 1
        turn.reply(f"{turn.text}:{turn.state['n']}")

    outcomes = await asyncio.gather(*[stores[n % 2].run_turn("s", count, input=str(n)) for n in range(40)])
    assert [outcome.reply.split(":")[0] for outcome in outcomes] == [str(n) for n in range(40)]
    assert sorted(int(outcome.reply.split(":")[1]) for outcome in outcomes) == list(range(1, 41))


async def test_eventually_itself_fails() -> None:
    with pytest.raises(AssertionError):
        await eventually(lambda: False, within=0.01)
