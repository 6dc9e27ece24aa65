"""A failover that loses the last writes: what was granted on the lost side never commits or journals on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_pairs import PAIRS, Pair, failover_pair
from holdfast import Turn
from holdfast.backends import rules
from holdfast.backends.contract import Backend
from holdfast.backends.records import Committed, Fenced, Gone, Granted
from holdfast.errors import SessionGone
from holdfast.testing.calls import KEY, LONG_MS, asking, begin, ending, finish, got, granted, put, record_of


@pytest.fixture(params=PAIRS)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with failover_pair(str(request.param)) as opened:
        yield opened


async def both_granted(pair: Pair, lost_turn: str, kept_turn: str) -> tuple[Backend, Granted, Granted]:
    """One turn is granted on the lost side, one on the other, by the same count; returns the other side too."""
    first, _ = (await pair.node(), None)
    await first.backend.commit(KEY, ending_nothing())
    await pair.cut()
    old, new = pair.backends()
    lost = got(await old.begin(KEY, asking(lost_turn, token=b"lost side", text=b"in")), Granted)
    kept = got(await new.begin(KEY, asking(kept_turn, token=b"new side.", text=b"in")), Granted)
    number = lost.fence >> rules.FENCE_BITS
    assert number == kept.fence >> rules.FENCE_BITS, "this shows nothing: the counts differ"
    assert lost.incarnation == kept.incarnation
    return new, lost, kept


def ending_nothing() -> Any:
    from holdfast.testing.calls import update

    return update({"a": b"0"})


@pytest.mark.parametrize("lost_turn", ["t", "1-the-same-end", "another"])
async def test_a_grant_of_the_lost_side_is_worth_nothing_where_its_number_was_given_again(
    pair: Pair, lost_turn: str
) -> None:
    """The same turn retried on the new side; another one whose id has the same length and end; any other one."""
    kept_turn = "2-the-same-end" if lost_turn.endswith("end") else "t"
    new, lost, kept = await both_granted(pair, lost_turn, kept_turn)
    assert await new.commit(KEY, ending(lost_turn, lost, {"a": b"lost side"})) == Fenced()
    for turn_id in (lost_turn, kept_turn):
        late = await new.record(KEY, turn_id, fence=lost.fence, name="s", value=b"lost side", lease_ms=LONG_MS)
        assert late == Fenced()
        assert await new.renew(KEY, turn_id, fence=lost.fence, lease_ms=LONG_MS) == Fenced()
    await new.release(KEY, kept_turn, token=b"lost side", withdraw=True)
    again = got(await new.begin(KEY, asking(kept_turn, token=b"new side.", text=b"in")), Granted)
    assert (again.fence, again.steps) == (kept.fence, [])
    await finish(new, kept_turn, kept, {"a": b"new side"})
    record = await record_of(new)
    assert record.fields["a"].value == b"new side"
    assert record.tail == [b"in", b"reply to " + kept_turn.encode()]


async def test_settling_a_commit_of_the_lost_side_cannot_make_it_apply(pair: Pair) -> None:
    new, lost, kept = await both_granted(pair, "t", "t")
    await new.resolve(KEY, "t", fence=lost.fence)  # it may take the turn from its holder, who begins again then
    assert await new.commit(KEY, ending("t", lost)) == Fenced()
    reply = await new.commit(KEY, ending("t", kept))
    if not isinstance(reply, Committed):
        assert reply == Fenced()
        await finish(new, "t", await granted(new, "t", text=b"in"))
    assert (await record_of(new)).tail == [b"in", b"reply to t"]


async def test_a_session_born_on_both_sides_is_two(pair: Pair) -> None:
    await pair.cut()
    old, new = pair.backends()
    lost = got(await old.begin(KEY, asking("t", token=b"lost side", text=b"in")), Granted)
    assert await new.commit(KEY, ending("t", lost)) == Gone()
    kept = got(await new.begin(KEY, asking("t", token=b"new side.", text=b"in")), Granted)
    assert lost.incarnation != kept.incarnation
    assert await new.commit(KEY, ending("t", lost)) == Gone()
    await finish(new, "t", kept)


async def test_fences_without_random_bits_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "fence_of", lambda number, token: number << rules.FENCE_BITS)
    async with failover_pair("memory") as pair:
        with pytest.raises(AssertionError):
            await test_a_grant_of_the_lost_side_is_worth_nothing_where_its_number_was_given_again(pair, "t")


@pytest.mark.parametrize("there_before", [True, False])
async def test_a_turn_that_a_failover_lost_ends_with_an_error_and_can_be_sent_again(
    pair: Pair, there_before: bool
) -> None:
    node, other = await pair.node(wait=5), await pair.node(wait=5)
    if there_before:
        await node.set("s", {"n": 0})
    await pair.cut()
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await go.wait()
        turn.state["n"] = "lost side"
        turn.reply("lost side")

    task = asyncio.create_task(node.run_turn("s", slow, input="x", turn_id="t"))
    await started.wait()
    await pair.move()
    go.set()
    with pytest.raises(SessionGone):
        await task
    assert (await other.get("s")).get("n") in (0, None)
    outcome = await other.run_turn("s", lambda turn: turn.reply("again"), input="x", turn_id="t")
    assert (outcome.reply, outcome.replayed) == ("again", False)
    assert (await node.run_turn("s", slow, input="x", turn_id="t")).reply == "again"
    assert [message.content async for message in other.messages("s")] == ["x", "again"]


async def test_of_two_nodes_that_run_one_turn_on_two_sides_one_writes(pair: Pair) -> None:
    node, other = await pair.node(wait=5, poll=0.05), await pair.node(wait=5, poll=0.05)
    await node.set("s", {"n": 0})
    await pair.cut()
    started, go = asyncio.Event(), asyncio.Event()

    def by(name: str, gate: asyncio.Event) -> Any:
        async def handler(turn: Turn) -> None:
            started.set()
            await gate.wait()
            await turn.step("who", lambda: name)
            turn.reply(await turn.step("again", lambda: name))

        return handler

    task = asyncio.create_task(node.run_turn("s", by("lost side", go), input="x", turn_id="t"))
    await started.wait()
    await pair.move()
    started.clear()
    kept = asyncio.Event()
    second = asyncio.create_task(other.run_turn("s", by("new side", kept), input="x", turn_id="t"))
    await started.wait()
    go.set()
    await asyncio.sleep(0.1)  # the first one tries to go on, and waits for the second one then
    kept.set()
    assert [(await task).reply, (await second).reply] == ["new side", "new side"]
    assert [message.content async for message in other.messages("s")] == ["x", "new side"]


async def test_a_lost_begin_and_its_successor_over_redis_have_one_number_and_two_fences(pair: Pair) -> None:
    _, lost, kept = await both_granted(pair, "t", "t")
    assert lost.fence != kept.fence
    assert lost.fence < 1 << 53
    assert got(await begin(pair.backends()[1], "t", token=b"new side.", text=b"in"), Granted).fence == kept.fence
    await put(pair.backends()[1], {"b": b"1"})
