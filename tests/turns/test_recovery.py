"""Recovery in one process: what is taken over, in which order, what is left alone, and what becomes of turns that always fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from holdfast import Message, Store, Turn
from holdfast.backends.records import BeginRequest, Birth, Granted, Queued
from holdfast.errors import (
    ConfigError,
    StoreUnavailable,
    TurnAbandoned,
    TurnBusy,
    TurnError,
    TurnFailed,
    TurnMismatch,
    TurnNotFound,
)
from holdfast.testing.calls import new_token
from holdfast.turns.accepting import fingerprint
from holdfast.turns.failures import Failure
from holdfast.turns.recovery import RecoveryLoop
from store_nodes import Nodes, eventually


@pytest.fixture
async def node(nodes: Nodes) -> AsyncIterator[Store]:
    store = await nodes.open(lease=2, poll=0.1)
    store.handlers.register("echo", echo)
    yield store


def echo(turn: Turn) -> None:
    turn.reply(f"echo: {turn.input.content if turn.input else 'nothing'}")


def request_of(store: Store, turn_id: str, text: str, handler: str) -> BeginRequest:
    message, codec = Message("user", text), store.message_codec
    return BeginRequest(
        turn_id,
        new_token(),
        fingerprint(message, codec),
        codec.encode(message, turn_id),
        handler,
        Birth(),
        lease_ms=60_000,
        place_ms=60_000,
        tail=0,
    )


async def abandoned(store: Store, session: str, turn_id: str, text: str, handler: str, *, let_go: bool = True) -> bytes:
    """A turn that was accepted and granted, and whose runner is gone; returns the runner's token."""
    request = request_of(store, turn_id, text, handler)
    assert isinstance(await store.backend.begin(store.key(session), request), Granted)
    if let_go:
        await store.backend.release(store.key(session), turn_id, token=request.token, withdraw=False)
    return request.token


async def accepted(store: Store, session: str, turn_id: str, text: str, handler: str) -> None:
    """A turn that waited behind another, and whose caller is gone."""
    request = request_of(store, turn_id, text, handler)
    assert isinstance(await store.backend.begin(store.key(session), request), Queued)
    await store.backend.release(store.key(session), turn_id, token=request.token, withdraw=False)


async def said(store: Store, session: str) -> list[str]:
    return [message.content async for message in store.messages(session)] if await store.exists(session) else []


async def test_a_turn_that_was_left_behind_is_run(node: Store) -> None:
    await abandoned(node, "s", "t", "hello", "echo")
    assert await node.recover() == 1
    assert await said(node, "s") == ["hello", "echo: hello"]
    assert await node.recover() == 0
    outcome = await node.run_turn("s", "echo", input="hello", turn_id="t")
    assert (outcome.replayed, outcome.attempts) == (True, 2)


async def test_its_recorded_steps_are_not_run_again(nodes: Nodes, node: Store) -> None:
    calls: list[str] = []
    fail = True

    async def handler(turn: Turn) -> None:
        await turn.step("charge", calls.append, "charged")
        if fail:
            raise RuntimeError("no")
        turn.reply("done")

    node.handlers.register("charge", handler)
    with pytest.raises(RuntimeError):
        await node.run_turn("s", "charge", input="x", turn_id="t")
    fail = False
    assert await node.recover() == 1
    assert (await said(node, "s"), calls) == (["x", "done"], ["charged"])


async def test_a_living_lease_is_left_alone(nodes: Nodes, node: Store) -> None:
    other = await nodes.open(lease=2, poll=0.1)
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await go.wait()
        turn.reply("slow")

    for store in (node, other):
        store.handlers.register("slow", slow)
    task = asyncio.create_task(other.run_turn("s", "slow", input="x", turn_id="t"))
    await started.wait()
    assert await node.recover() == 0
    go.set()
    assert (await task).attempts == 1


async def test_of_many_nodes_one_takes_a_turn(nodes: Nodes) -> None:
    stores = [await nodes.open(lease=2, poll=0.1) for _ in range(4)]
    calls: list[str] = []

    async def handler(turn: Turn) -> None:
        calls.append(turn.session.id)
        await asyncio.sleep(0.01)
        turn.reply("done")

    for store in stores:
        store.handlers.register("once", handler)
    sessions = [f"s-{number}" for number in range(10)]
    for session in sessions:
        await abandoned(stores[0], session, "t", "x", "once")
    taken = await asyncio.gather(*[store.recover() for store in stores])
    assert sum(taken) == len(sessions)
    assert sorted(calls) == sessions


async def test_an_unknown_handler_is_left_alone_and_told_once(node: Store, caplog: pytest.LogCaptureFixture) -> None:
    await abandoned(node, "s", "t", "hello", "elsewhere")
    async with node.recovering(every=0.02) as loop:
        await asyncio.sleep(0.3)
        assert loop.taken == 0
    assert [turn.attempt for turn in await node.backend.overdue(limit=1000) if turn.key == node.key("s")] == [1]
    assert len([record for record in caplog.records if "'elsewhere'" in record.getMessage()]) == 1


async def test_another_tenants_turns_are_taken_only_when_asked(node: Store) -> None:
    other = node.for_tenant(f"{node.settings.tenant}-other")
    await abandoned(other, "s", "t", "hello", "echo")
    assert await node.recover() == 0
    assert await node.recover(all_tenants=True) >= 1
    assert await said(other, "s") == ["hello", "echo: hello"]


async def test_turns_of_one_session_keep_their_order(node: Store) -> None:
    """The one that ran goes first, though the place of the one behind it ran out earlier."""
    ran = await abandoned(node, "s", "t1", "first", "echo", let_go=False)
    await accepted(node, "s", "t2", "second", "echo")
    await asyncio.sleep(0.01)
    await node.backend.release(node.key("s"), "t1", token=ran, withdraw=False)
    assert await node.recover() == 2
    assert await said(node, "s") == ["first", "echo: first", "second", "echo: second"]


async def test_five_attempts_that_fail_are_a_failure_that_is_told(node: Store) -> None:
    calls = []

    def broken(turn: Turn) -> None:
        calls.append(turn.attempt)
        raise RuntimeError("no luck")

    node.handlers.register("broken", broken)
    node.failure_text = lambda turn: f"Sorry about {turn.input.content if turn.input else ''!r}."
    await abandoned(node, "s", "t", "hello", "broken")
    for _ in range(6):
        await node.recover()
    assert calls == [2, 3, 4, 5]
    assert await said(node, "s") == ["hello", "Sorry about 'hello'."]
    with pytest.raises(TurnFailed) as caught:
        await node.run_turn("s", "broken", input="hello", turn_id="t")
    assert caught.value.outcome.reply == "Sorry about 'hello'."
    (failure,) = await failures(node)
    assert failure == Failure("s", "t", "broken", "RuntimeError: no luck", 5, failure.at)
    assert failure.at > 1.6e9


async def test_a_turn_that_raised_here_rests_before_the_loop_tries_again(node: Store) -> None:
    calls = []

    def broken(turn: Turn) -> None:
        calls.append(turn.attempt)
        raise RuntimeError("no")

    node.handlers.register("broken", broken)
    await abandoned(node, "s", "t", "x", "broken")
    async with node.recovering(every=0.02, rest=600):
        await eventually(lambda: calls == [2])
        await asyncio.sleep(0.3)
    assert calls == [2]
    assert await node.recover() == 1, "asked for, it does not wait"


async def test_a_failed_turn_can_be_tried_anew(node: Store) -> None:
    good = False

    def moody(turn: Turn) -> None:
        if not good:
            raise RuntimeError("no")
        turn.reply(f"at last: {turn.input.content if turn.input else ''}")

    node.handlers.register("moody", moody)
    node.failure_text = lambda turn: "Sorry."
    await abandoned(node, "s", "t", "hello", "moody")
    for _ in range(5):
        await node.recover()
    good = True
    again = await node.failures.retry("s", "t")
    assert again == "t~2"
    assert await failures(node) == []
    assert await node.recover() == 1
    assert await said(node, "s") == ["hello", "Sorry.", "hello", "at last: hello"]
    with pytest.raises(TurnNotFound):
        await node.failures.retry("s", "t")


async def test_discarding(node: Store) -> None:
    def broken(turn: Turn) -> None:
        raise RuntimeError("no")

    node.handlers.register("broken", broken)
    await abandoned(node, "failed", "t", "x", "broken")
    for _ in range(5):
        await node.recover()
    assert await node.failures.discard("failed", "t") == "failed"
    assert await failures(node) == []
    await abandoned(node, "pending", "t", "x", "echo")
    assert await node.failures.discard("pending", "t") == "pending"
    assert await node.recover() == 0
    assert not await node.exists("pending")
    with pytest.raises(TurnNotFound):
        await node.failures.discard("pending", "t")
    await abandoned(node, "running", "t", "x", "echo", let_go=False)
    with pytest.raises(TurnBusy):
        await node.failures.discard("running", "t")
    await node.run_turn("done", "echo", input="x", turn_id="t")
    with pytest.raises(TurnError, match="completed"):
        await node.failures.discard("done", "t")


async def test_a_note_without_a_failure_is_not_shown(node: Store) -> None:
    """The node died between the note and the failing commit."""
    await node.failures.note(node.key("s"), "t", "echo", 5)
    assert await failures(node) == []
    await node.run_turn("s", "echo", input="x", turn_id="t")
    assert await failures(node) == []


async def test_joining_waits_for_a_turn_and_takes_it_over(nodes: Nodes, node: Store) -> None:
    with pytest.raises(TurnNotFound):
        await node.join_turn("s", "t", "echo")
    other = await nodes.open(lease=2, poll=0.1)
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await go.wait()
        turn.reply("slow")

    task = asyncio.create_task(other.run_turn("s", slow, input="x", turn_id="t"))
    await started.wait()
    joined = asyncio.create_task(node.join_turn("s", "t", "echo"))
    await asyncio.sleep(0.05)
    go.set()
    await task
    assert (await joined).reply == "slow"
    await abandoned(node, "s", "t2", "hello", "echo")
    assert (await node.join_turn("s", "t2", "echo")).reply == "echo: hello"


async def test_stopping_gives_back_what_does_not_end(nodes: Nodes, node: Store) -> None:
    started = asyncio.Event()
    endless = True

    async def handler(turn: Turn) -> None:
        started.set()
        if endless:
            await asyncio.Event().wait()
        turn.reply("done")

    node.handlers.register("endless", handler)
    for number in range(3):
        await abandoned(node, f"s-{number}", "t", "x", "endless")
    async with node.recovering(every=0.02, parallel=1, drain=0.05):
        await started.wait()
    endless = False
    async with asyncio.timeout(10):
        done = 0
        while done < 3:  # the lease is given back beside the end of the loop
            done += await node.recover()


async def test_a_store_out_of_reach_is_asked_less_and_less(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    store, between = await nodes.interposed(lease=2, poll=0.1)
    store.handlers.register("echo", echo)
    await abandoned(store, "s", "t", "hello", "echo")

    async def cut() -> None:
        raise StoreUnavailable("cut off on purpose")

    between.before["overdue"] = cut
    async with store.recovering(every=0.02) as loop:
        await asyncio.sleep(1.0)
        assert 2 <= between.calls["overdue"] <= 10, "50 at the usual pace"
        del between.before["overdue"]
        await eventually(lambda: loop.taken == 1)
    assert len([r for r in caplog.records if r.name == "holdfast.recovery" and r.levelno == logging.WARNING]) == 1


async def test_what_is_not_for_this_node_hides_nothing(node: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.turns.recovery._PAGE", 5)
    for number in range(7):
        await abandoned(node, f"foreign-{number}", "t", "x", "elsewhere")
    await abandoned(node, "mine", "t", "hello", "echo")
    async with node.recovering(every=0.02) as loop:
        await eventually(lambda: loop.taken == 1)


async def test_wrong_settings(node: Store) -> None:
    with pytest.raises(ConfigError):
        RecoveryLoop(node, every=0)
    with pytest.raises(ConfigError):
        node.recovering(parallel=0)


async def failures(store: Store) -> list[Failure]:
    return [failure async for failure in store.failures.list()]


async def test_an_accepted_turn_is_run_by_whoever_recovers(node: Store) -> None:
    async with node.recovering(every=30):
        assert await node.accept_turn("s", "echo", input="hello", turn_id="t")
        outcome = await node.join_turn("s", "t", "echo")
    assert (outcome.reply, outcome.messages[0].content) == ("echo: hello", "hello")
    assert not await node.accept_turn("s", "echo", input="hello", turn_id="t")
    with pytest.raises(TurnMismatch):
        await node.accept_turn("s", "echo", input="other", turn_id="t")
    with pytest.raises(TurnError):
        await node.accept_turn("s", "unknown", input="x", turn_id="u")


async def test_accepting_a_turn_again_takes_none_of_its_attempts(nodes: Nodes) -> None:
    node = await nodes.open(max_attempts=2)
    node.handler("echo")(lambda turn: turn.reply(f"attempt {turn.attempt}"))
    for _ in range(5):
        assert await node.accept_turn("s", "echo", input="hello", turn_id="t", ttl="1h")
    await node.recover()
    assert (await node.join_turn("s", "t", "echo")).reply == "attempt 1"


async def test_a_turn_whose_handler_abandons_it_has_failed_for_good(nodes: Nodes) -> None:
    node = await nodes.open()

    def abandon(turn: Turn) -> None:
        raise TurnAbandoned("no use")

    node.handler("hopeless")(abandon)
    with pytest.raises(TurnAbandoned):
        await node.run_turn("s", "hopeless", input="x", turn_id="t")
    with pytest.raises(TurnFailed, match="no use"):
        await node.run_turn("s", "hopeless", input="x", turn_id="t")
    assert [(one.turn_id, one.attempts) for one in await failures(node)] == [("t", 1)]


async def test_deliveries_are_recovered_with_the_stores_own_turns_and_seen_by_nobody_else(nodes: Nodes) -> None:
    node = await nodes.open()
    node.handler("echo")(lambda turn: turn.reply(turn.text))
    await node.deliveries.accept_turn("d", "echo", input="hello", turn_id="t")
    assert await node.for_tenant("another").recover() == 0
    assert await node.recover() == 1
    assert not await node.exists("d")
    assert [one async for one in node.scan()] == []


async def test_a_loop_that_is_told_to_look_and_to_stop_at_once_stops(store: Store) -> None:
    for pauses in range(4):  # the cancellation may meet the wait in any of its steps
        loop = store.recovering(every=60)
        loop.start()
        await asyncio.sleep(0.01)
        loop.look_soon()
        for _ in range(pauses):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await loop.stop()
