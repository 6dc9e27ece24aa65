"""Turns that are followed from other nodes: each event once, in order, also over the death of the node that runs them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Turn
from holdfast.errors import OutcomeUnknown, StoreUnavailable
from holdfast.turns.events import decoded_events, said
from store_nodes import Nodes, eventually

Events = list[tuple[str, dict[str, Any]]]


def texts(events: Events) -> str:
    """What a reader has in front of them."""
    said = ""
    for kind, data in events:
        if kind == "attempt":
            said = ""
        elif kind == "token":
            said += data["text"]
    return said


class Writing:
    """A handler that waits between its words to be told to go on."""

    def __init__(self, words: int = 5) -> None:
        self.words = words
        self.said = 0
        self.go_on = asyncio.Event()

    async def __call__(self, turn: Turn) -> None:
        words = [f"word-{turn.attempt}-{n} " for n in range(self.words)]
        for n, word in enumerate(words):
            turn.emit("token", text=word)
            self.said += 1
            if n == 1:
                await self.go_on.wait()
        turn.reply("".join(words))


async def test_a_turn_is_followed_on_another_node_from_its_start(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    writing = Writing()
    for store in (first, second):
        store.handler("write")(writing)
    running = asyncio.create_task(first.run_turn("s", "write", input="x", turn_id="t"))
    await eventually(lambda: writing.said == 2)
    events: Events = []
    following = asyncio.create_task(
        second.join_turn("s", "t", "write", stream=True, on_event=lambda *event: events.append(event))
    )
    await eventually(lambda: texts(events) == "word-1-0 word-1-1 ", 10)
    writing.go_on.set()
    outcome = await following
    assert texts(events) == outcome.reply == (await running).reply
    assert [kind for kind, _ in events] == ["attempt", *["token"] * 5]


async def test_a_turn_that_nobody_follows_writes_no_events(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    writing = Writing()
    writing.go_on.set()
    events: Events = []
    await store.run_turn("s", writing, input="x", on_event=lambda *event: events.append(event))
    assert texts(events) == "".join(f"word-1-{n} " for n in range(5))
    assert between.calls["append_events"] == 0


async def test_events_are_written_together(nodes: Nodes) -> None:
    store, between = await nodes.interposed(event_group=0.03)

    async def chatty(turn: Turn) -> None:
        for n in range(100):
            turn.emit("token", text=f"{n} ")
            await asyncio.sleep(0.005)
        turn.reply("".join(f"{n} " for n in range(100)))

    await store.run_turn("s", chatty, input="x", turn_id="t", stream=True)
    assert 2 <= between.calls["append_events"] <= 8


async def test_a_short_turn_leaves_its_events_to_the_outcome(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    writing = Writing()
    writing.go_on.set()
    await store.run_turn("s", writing, input="x", turn_id="t", stream=True)
    assert between.calls["append_events"] == 0


async def test_events_can_be_read_after_the_end(nodes: Nodes) -> None:
    (first, between), second = await nodes.interposed(), await nodes.open()
    writing = Writing()
    for store in (first, second):
        store.handler("write")(writing)
    running = asyncio.create_task(first.run_turn("s", "write", input="x", turn_id="t", stream=True))
    await eventually(lambda: between.calls["append_events"] > 0, 10)
    writing.go_on.set()
    outcome = await running
    events: Events = []
    again = await second.join_turn("s", "t", "write", stream=True, on_event=lambda *event: events.append(event))
    assert again.replayed
    assert texts(events) == outcome.reply


async def test_a_takeover_is_followed_too(nodes: Nodes) -> None:
    first, between = await nodes.interposed(lease=1)
    second, third = await nodes.open(lease=1), await nodes.open(lease=1)
    writing = Writing()
    for store in (first, second, third):
        store.handler("write")(writing)
    running = asyncio.create_task(first.run_turn("s", "write", input="x", turn_id="t", stream=True))
    await eventually(lambda: writing.said == 2)
    seen: list[Events] = [[], []]
    following = [
        asyncio.create_task(
            store.join_turn("s", "t", "write", stream=True, on_event=lambda *event, to=events: to.append(event))
        )
        for store, events in zip((second, third), seen, strict=True)
    ]
    await eventually(lambda: all(texts(events) == "word-1-0 word-1-1 " for events in seen), 10)
    between.dead = True
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await eventually(lambda: writing.said == 4, 20)
    writing.go_on.set()
    outcomes = await asyncio.gather(*following)
    expected = "".join(f"word-2-{n} " for n in range(5))
    assert [outcome.reply for outcome in outcomes] == [expected] * 2
    for events in seen:
        assert texts(events) == expected
        assert [kind for kind, _ in events].count("attempt") == 2


async def test_a_slow_store_does_not_slow_the_turn(nodes: Nodes) -> None:
    store, between = await nodes.interposed(event_group=0.01)
    slow = asyncio.Event()
    between.before["append_events"] = slow.wait

    async def chatty(turn: Turn) -> None:
        for n in range(20):
            turn.emit("token", text=f"{n} ")
            await asyncio.sleep(0.005)
        slow.set()
        turn.reply("done")

    outcome = await asyncio.wait_for(store.run_turn("s", chatty, input="x", stream=True), 10)
    assert outcome.reply == "done"


async def test_events_that_cannot_be_stored_are_left_out(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    go_on = asyncio.Event()

    async def odd(turn: Turn) -> None:
        turn.emit("token", text="a")
        turn.emit("odd", value=object())
        turn.emit("token", text="b")
        await go_on.wait()
        turn.reply("ab")

    for store in (first, second):
        store.handler("odd")(odd)
    running = asyncio.create_task(first.run_turn("s", "odd", input="x", turn_id="t"))
    events: Events = []
    await asyncio.sleep(0.1)
    following = asyncio.create_task(
        second.join_turn("s", "t", "odd", stream=True, on_event=lambda *event: events.append(event))
    )
    await eventually(lambda: texts(events) == "ab", 10)
    go_on.set()
    assert (await following).reply == (await running).reply == "ab"


async def test_what_goes_beyond_the_limit_is_told_by_the_outcome(nodes: Nodes) -> None:
    first, second = await nodes.open(event_bytes=200, event_group=0.01), await nodes.open()

    async def much(turn: Turn) -> None:
        for n in range(50):
            turn.emit("token", text=f"{n:04} ")
            await asyncio.sleep(0.01)
        turn.reply("".join(f"{n:04} " for n in range(50)))

    for store in (first, second):
        store.handler("much")(much)
    outcome = await first.run_turn("s", "much", input="x", turn_id="t", stream=True)
    events: Events = []
    again = await second.join_turn("s", "t", "much", stream=True, on_event=lambda *event: events.append(event))
    assert again.reply == outcome.reply
    assert 0 < len(texts(events)) < len(outcome.reply)


async def test_a_follower_is_told_which_attempt_it_is(memory_nodes: Nodes) -> None:
    first, second = await memory_nodes.open(), await memory_nodes.open()
    writing = Writing()

    async def fail(turn: Turn) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await first.run_turn("s", fail, input="x", turn_id="t")
    running = asyncio.create_task(first.run_turn("s", writing, input="x", turn_id="t"))
    await eventually(lambda: writing.said == 2)
    events: Events = []
    following = asyncio.create_task(
        second.join_turn("s", "t", writing, stream=True, on_event=lambda *event: events.append(event))
    )
    await eventually(lambda: len(events) == 3)
    writing.go_on.set()
    await asyncio.gather(running, following)
    assert (events[0][0], events[0][1]["number"]) == ("attempt", 2)


async def test_what_the_store_refused_for_a_moment_is_written_later(nodes: Nodes) -> None:
    """Else a follower would read a text with a hole in it, until the turn's end."""
    (first, between), second = await nodes.interposed(event_group=0.01), await nodes.open()
    words, go_on = [f"{n} " for n in range(6)], asyncio.Event()
    refused = 0

    async def write(turn: Turn) -> None:
        for n, word in enumerate(words):
            turn.emit("token", text=word)
            await asyncio.sleep(0.15)
            if n == 1:
                between.before["append_events"] = refuse
        await go_on.wait()
        turn.reply("".join(words))

    async def refuse() -> None:
        nonlocal refused
        refused += 1
        if refused == 2:
            del between.before["append_events"]
        raise StoreUnavailable("for a moment")

    for store in (first, second):
        store.handler("write")(write)
    running = asyncio.create_task(first.run_turn("s", "write", input="x", turn_id="t", stream=True))
    await asyncio.sleep(0.05)
    events: Events = []
    following = asyncio.create_task(
        second.join_turn("s", "t", "write", stream=True, on_event=lambda *event: events.append(event))
    )
    await eventually(lambda: texts(events).endswith(words[-1]))
    assert texts(events) == "".join(words)
    assert refused == 2
    go_on.set()
    await asyncio.gather(running, following)
    assert texts(events) == "".join(words)


async def test_a_chunk_that_was_written_twice_is_told_once(nodes: Nodes) -> None:
    (first, between), second = await nodes.interposed(event_group=0.01), await nodes.open()
    writing = Writing()

    async def lost() -> None:
        del between.after["append_events"]
        raise OutcomeUnknown("no reply")

    between.after["append_events"] = lost
    for store in (first, second):
        store.handler("write")(writing)
    running = asyncio.create_task(first.run_turn("s", "write", input="x", turn_id="t", stream=True))
    await eventually(lambda: between.calls["append_events"] == 2)
    outcome = await second.cancel_turn("s", "t", "write")
    assert outcome.reply == (await running).reply == "word-1-0 word-1-1 "
    kept = await second.backend.read_events(second.key("s"), "t")
    assert len(kept.chunks) == 2
    assert said(decoded_events(second.codec, kept)) == "word-1-0 word-1-1 "


async def test_a_turn_that_was_silent_for_long_can_be_followed_from_its_start(nodes: Nodes) -> None:
    first = await nodes.open(event_group=0.01, event_keep=0.5)
    second, third = await nodes.open(poll=0.1), await nodes.open(poll=0.1)
    go_on, ends = asyncio.Event(), asyncio.Event()

    async def work(turn: Turn) -> None:
        turn.emit("token", text="before ")
        await go_on.wait()
        turn.emit("token", text="after")
        await ends.wait()
        turn.reply("before after")

    for store in (first, second, third):
        store.handler("work")(work)
    running = asyncio.create_task(first.run_turn("s", "work", input="x", turn_id="t", stream=True))
    await asyncio.sleep(0.3)
    seen: list[Events] = [[], []]

    def follow(number: int) -> asyncio.Task[Any]:
        node = (second, third)[number]
        return asyncio.create_task(
            node.join_turn("s", "t", "work", stream=True, on_event=lambda *event: seen[number].append(event))
        )

    following = [follow(0)]
    await eventually(lambda: texts(seen[0]) == "before ")
    await asyncio.sleep(1)
    go_on.set()
    await eventually(lambda: texts(seen[0]) == "before after")
    following.append(follow(1))
    await eventually(lambda: texts(seen[1]) == "before after")
    ends.set()
    await asyncio.gather(running, *following)
    for events in seen:
        assert [kind for kind, _ in events] == ["attempt", "token", "token"]
