"""Turns that wait for something outside: parked, held by no node, gone on with by any."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Turn
from holdfast.errors import (
    ConfigError,
    InvalidId,
    OutcomeUnknown,
    SignalTimeout,
    StepMisuse,
    TurnNotFound,
    TurnParked,
)
from store_nodes import Nodes, eventually


class Approving:
    """A handler that counts what it did, and asks a person before it goes on."""

    def __init__(self, timeout: float = 3600) -> None:
        self.runs = 0
        self.drafts = 0
        self.timeout = timeout

    async def draft(self) -> str:
        self.drafts += 1
        return f"draft {self.drafts}"

    async def __call__(self, turn: Turn) -> None:
        self.runs += 1
        draft = await turn.step("draft", self.draft)
        try:
            approved = await turn.wait_for("approval", timeout=self.timeout)
        except SignalTimeout:
            approved = {"by": "nobody"}
        turn.state["approved"] = approved
        turn.reply(f"{draft} approved by {approved['by']}")


async def test_a_parked_turn_goes_on_on_any_node_when_it_is_signalled(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    handler = Approving()
    for store in (first, second):
        store.handler("work")(handler)
    with pytest.raises(TurnParked) as parked:
        await first.run_turn("s", "work", input="write to Ann", turn_id="t")
    assert (parked.value.turn_id, parked.value.waiting_for) == ("t", "approval")
    assert 3500 < parked.value.left <= 3600
    assert first.leases.count == 0
    assert (await first.run_turn("s", lambda turn: turn.reply("meanwhile"), input="hello")).reply == "meanwhile"
    with pytest.raises(TurnParked):
        await second.run_turn("s", "work", input="write to Ann", turn_id="t")
    assert await second.recover() == 0
    assert await second.signal("s", "approval", {"by": "Bob"}) == "t"
    assert await second.recover() == 1
    outcome = await first.run_turn("s", "work", input="write to Ann", turn_id="t")
    assert (outcome.reply, outcome.attempts) == ("draft 1 approved by Bob", 1)
    assert (handler.runs, handler.drafts) == (2, 1)
    assert (await first.get("s"))["approved"] == {"by": "Bob"}


async def test_a_signal_that_comes_before_the_turn_waits_is_kept(nodes: Nodes) -> None:
    store = await nodes.open()
    handler = Approving()

    async def slow(turn: Turn) -> None:
        await store.signal("s", "approval", {"by": "Ann"})
        await store.signal("s", "approval", {"by": "a second one, too late"})
        await handler(turn)

    outcome = await store.run_turn("s", slow, input="x", turn_id="t")
    assert outcome.reply == "draft 1 approved by Ann"
    assert handler.runs == 1


async def test_a_turn_goes_on_without_a_signal_when_the_time_is_up(nodes: Nodes) -> None:
    store = await nodes.open()
    handler = Approving(timeout=0.2)
    store.handler("work")(handler)
    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")
    outcome = await store.join_turn("s", "t", "work")
    assert outcome.reply == "draft 1 approved by nobody"
    assert await store.run_turn("s", lambda turn: None, input="y")  # nothing is left behind
    with pytest.raises(TurnNotFound):
        await store.signal("s", "approval", {"by": "late"})


async def test_whoever_joins_a_parked_turn_gets_its_outcome(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    handler = Approving()
    for store in (first, second):
        store.handler("work")(handler)
    with pytest.raises(TurnParked):
        await first.run_turn("s", "work", input="x", turn_id="t")
    joining = asyncio.create_task(second.join_turn("s", "t", "work"))
    await asyncio.sleep(0.05)
    assert not joining.done()
    await first.signal("s", "approval", {"by": "Ann"}, turn_id="t")
    assert (await asyncio.wait_for(joining, 10)).reply == "draft 1 approved by Ann"


async def test_a_joiner_hears_after_its_wait_that_the_turn_is_parked(nodes: Nodes) -> None:
    store = await nodes.open()
    store.handler("work")(Approving())
    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")
    with pytest.raises(TurnParked):
        await store.join_turn("s", "t", "work", wait=0.2)


async def test_recovery_goes_on_with_a_signalled_turn_at_once(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    handler = Approving()
    store.handler("work")(handler)
    async with store.recovering(every=30):
        with pytest.raises(TurnParked):
            await store.run_turn("s", "work", input="x", turn_id="t")
        await store.signal("s", "approval", {"by": "Ann"})
        await eventually(lambda: handler.runs == 2)
        outcome = await store.join_turn("s", "t", "work")
        assert outcome.reply == "draft 1 approved by Ann"
        assert between.calls["overdue"] == 1


async def test_a_turn_may_wait_several_times_and_sleep(nodes: Nodes) -> None:
    store = await nodes.open()
    calls: list[str] = []

    @store.handler("work")
    async def work(turn: Turn) -> None:
        calls.append("run")
        first = await turn.wait_for("one")
        await turn.sleep("a while", 0.1)
        second = await turn.wait_for("two")
        turn.reply(f"{first}, {second}")

    for name in ("one", "two"):
        for _ in range(2):
            with pytest.raises(TurnParked) as parked:
                await store.run_turn("s", "work", input="x", turn_id="t")
                await asyncio.sleep(0.2)
            if parked.value.waiting_for == "a while":
                await asyncio.sleep(0.15)
        await store.signal("s", name, name)
    assert (await store.join_turn("s", "t", "work")).reply == "one, two"


async def test_a_handler_cannot_swallow_its_parking(nodes: Nodes) -> None:
    store = await nodes.open()

    @store.handler("work")
    async def work(turn: Turn) -> None:
        try:
            turn.reply(await turn.wait_for("approval"))
        except BaseException:  # noqa: BLE001 - what a careless handler does
            turn.reply("went on as if nothing was")

    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")
    assert not await store.exists("s")
    await store.signal("s", "approval", "yes")
    assert (await store.join_turn("s", "t", "work")).reply == "yes"


async def test_a_group_of_tasks_may_wait(nodes: Nodes) -> None:
    store = await nodes.open()

    @store.handler("work")
    async def work(turn: Turn) -> None:
        async def other() -> None:
            await asyncio.sleep(5)

        async with asyncio.TaskGroup() as group:
            group.create_task(other())
            waiting = group.create_task(turn.wait_for("approval"))
            await waiting
            raise AssertionError("not here the first time")

    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")


@pytest.mark.parametrize("value", [None, "", 0, False, {"a": [1, b"2"]}, "yes"])
async def test_any_value_may_be_signalled(nodes: Nodes, value: Any) -> None:
    store = await nodes.open()

    @store.handler("work")
    async def work(turn: Turn) -> None:
        turn.state["got"] = [await turn.wait_for("it")]

    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")
    await store.signal("s", "it", value)
    await store.join_turn("s", "t", "work")
    assert (await store.get("s"))["got"] == [value]


async def test_waiting_that_nobody_could_go_on_with_is_refused(nodes: Nodes) -> None:
    store = await nodes.open()
    with pytest.raises(StepMisuse):
        async with store.turn("s", input="x") as turn:
            await turn.wait_for("approval")

    async def twice(turn: Turn) -> None:
        await store.signal("s", "it", 1)
        await turn.wait_for("it")
        await turn.wait_for("it")

    with pytest.raises(StepMisuse):
        await store.run_turn("s", twice, input="x")

    async def reserved(turn: Turn) -> None:
        await turn.step("\x1fcancel", lambda: None)

    with pytest.raises(StepMisuse):
        await store.run_turn("s", reserved, input="x")


async def test_a_signal_needs_a_turn(nodes: Nodes) -> None:
    store = await nodes.open()
    for call in (
        store.signal("s", "approval"),
        store.signal("s", "approval", turn_id="t"),
    ):
        with pytest.raises(TurnNotFound):
            await call


async def test_a_park_whose_reply_is_lost_is_a_park(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    store.handler("work")(Approving())
    lost = [OutcomeUnknown("the reply never came")]

    async def lose() -> None:
        if lost:
            raise lost.pop()

    between.after["park"] = lose
    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")
    await store.signal("s", "approval", {"by": "Ann"})
    outcome = await store.join_turn("s", "t", "work")
    assert (outcome.reply, outcome.attempts) == ("draft 1 approved by Ann", 1)


async def test_a_signal_whose_reply_is_lost_is_given_to_nobody_else(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    store.handler("work")(Approving())
    for turn_id in ("t1", "t2"):
        with pytest.raises(TurnParked):
            await store.run_turn("s", "work", input="x", turn_id=turn_id)
    lost = [OutcomeUnknown("the reply never came") for _ in range(2)]

    async def lose() -> None:
        if lost:
            raise lost.pop()

    between.after["signal"] = lose
    with pytest.raises(OutcomeUnknown):
        await store.signal("s", "approval", {"by": "Ann"})
    assert await store.signal("s", "approval", {"by": "Ann"}, turn_id="t1") == "t1"
    assert (await store.join_turn("s", "t1", "work")).reply == "draft 1 approved by Ann"
    with pytest.raises(TurnParked):
        await store.join_turn("s", "t2", "work", wait=0.1)


async def test_whoever_joins_sees_a_turn_through_all_of_its_waits(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    told: list[tuple[str, str]] = []

    async def work(turn: Turn) -> None:
        for name in ("one", "two", "three"):
            turn.emit("token", text=f"{name}?")
            await turn.wait_for(name)
        turn.reply("done")

    for node in (store, other):
        node.handler("work")(work)

    def tell(kind: str, data: dict[str, Any]) -> None:
        told.append((kind, data.get("text", data.get("waiting_for", ""))))

    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t")
    joining = asyncio.create_task(other.join_turn("s", "t", "work", on_event=tell, stream=True))
    for waits, name in enumerate(("one", "two", "three"), 1):
        await eventually(lambda waits=waits: [kind for kind, _ in told].count("parked") == waits)  # type: ignore[misc]
        await store.signal("s", name)
    assert (await joining).reply == "done"
    assert [text for kind, text in told if kind == "parked"] == ["", "two", "three"]
    assert [text for kind, text in told if kind == "token"] == ["one?", "two?"] + ["one?", "two?", "three?"] * 2


async def test_what_a_parked_turn_had_said_is_told_before_that_it_waits(nodes: Nodes) -> None:
    store, between = await nodes.interposed(event_group=0.01)
    kinds: list[str] = []

    @store.handler("work")
    async def work(turn: Turn) -> None:
        turn.emit("token", text="May I?")
        await eventually(lambda: between.calls["append_events"] > 0)
        await turn.wait_for("approval")

    with pytest.raises(TurnParked):
        await store.run_turn("s", "work", input="x", turn_id="t", stream=True)
    with pytest.raises(TurnParked):
        await store.join_turn("s", "t", "work", wait=0.2, stream=True, on_event=lambda kind, _: kinds.append(kind))
    assert kinds == ["attempt", "token", "parked"]


async def test_a_wait_has_to_have_a_limit(memory_nodes: Nodes) -> None:
    store = await memory_nodes.open()

    async def work(turn: Turn) -> None:
        await turn.wait_for("approval", timeout=None)  # type: ignore[arg-type]  # what it refuses

    with pytest.raises(ConfigError, match="without a limit"):
        await store.run_turn("s", work, input="x", turn_id="t")


@pytest.mark.parametrize("wrong", [5, "x" * 257, "\ud800"])
async def test_a_signal_for_what_is_no_turn_id(nodes: Nodes, wrong: Any) -> None:
    store = await nodes.open()
    with pytest.raises(InvalidId):
        await store.signal("s", "approval", turn_id=wrong)
