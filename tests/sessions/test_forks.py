"""Forks after a failover: noticed by the node that had seen the lost side, reported, never merged silently."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_pairs import PAIRS, Pair, failover_pair
from holdfast import Message, Store, Turn
from holdfast.backends.records import Field, Record, StoredOutcome, Version
from holdfast.errors import TurnConflict
from holdfast.sessions.forks import Fork, contradicts, diverged
from store_nodes import Nodes


def record(
    counter: int, who: bytes = b"L", *, tail: list[bytes] | None = None, total: int = 0, **fields: int
) -> Record:
    version = Version(counter, who * 16)
    state = {name: Field(b"%d" % at, at) for name, at in fields.items()}
    return Record(b"life", version, "", 0, 0, 0, state, tail or [], total or len(tail or []))


@pytest.mark.parametrize(
    ("seen", "found", "what"),
    [
        (record(7), record(6, b"S"), "went back"),
        (record(7), record(7, b"S"), "another commit"),
        (record(7, tail=[b"a", b"b"]), record(9, b"S", tail=[b"a"]), "shorter"),
        (record(7, tail=[b"a", b"b"]), record(9, b"S", tail=[b"a", b"x", b"c"]), "entry 1"),
        (record(7, tail=[b"b"], total=2), record(9, b"S", tail=[b"x", b"c"], total=3), "entry 1"),
        (record(7, a=7), record(9, b"S", b=7), "field 'b'"),
        (record(7, a=7, b=3), record(9, b"S", a=5, b=3), "field 'a'"),
        (record(7, a=7), record(9, b"S", a=8), ""),  # not to be seen: a has been written again since
        (record(7, a=7, b=2), record(9, b"S", a=7), ""),  # b was removed since
        (record(7, tail=[b"a", b"b"]), record(9, b"S", tail=[b"d"], total=4), ""),
        (record(7, a=7), record(7, a=7), ""),
        (record(7, tail=[b"a"]), record(9, tail=[b"a", b"b"], a=8), ""),
    ],
)
def test_what_shows_a_fork(seen: Record, found: Record, what: str) -> None:
    shown = diverged(seen, found)
    assert what in shown
    assert bool(shown) == bool(what)


def test_another_life_is_no_fork() -> None:
    later = record(1, b"S")
    later.incarnation = b"next"
    assert diverged(record(7), later) == ""


def test_the_same_bytes_under_the_same_counter_by_another_hand_are_a_fork_only_by_version() -> None:
    found = record(8, b"S", a=7)
    assert diverged(record(7, a=7), found) == ""


@pytest.mark.parametrize(
    ("counter", "who", "start", "entries", "expected"),
    [
        (7, b"L", 1, [b"b"], False),
        (7, b"S", 1, [b"b"], True),
        (8, b"S", 2, [b"c"], False),
        (8, b"S", 1, [b"c"], True),
        (6, b"S", 0, [b"a"], False),
        (6, b"S", 0, [b"x"], True),
        (6, b"S", 1, [b"b", b"c"], True),
    ],
)
def test_an_outcome_that_is_not_of_the_seen_history(
    counter: int, who: bytes, start: int, entries: list[bytes], expected: bool
) -> None:
    stored = StoredOutcome(b"", Version(counter, who * 16), start, entries)
    assert contradicts(record(7, tail=[b"a", b"b"]), stored) == expected


# --- over a failover ---


@pytest.fixture(params=PAIRS)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with failover_pair(str(request.param)) as opened:
        yield opened


def say(text: str) -> Any:
    def handler(turn: Turn) -> None:
        turn.state["last"] = text
        turn.reply(text)

    return handler


async def split(pair: Pair, lost: int, kept: int) -> tuple[Store, Store, list[Fork]]:
    """One session: ``lost`` turns on the lost side by the first node, ``kept`` ones on the other by the second."""
    node, other = await pair.node(), await pair.node()
    await node.run_turn("s", say("common"), input="x")
    await other.load("s")
    await pair.cut()
    for number in range(lost):
        await node.run_turn("s", say(f"lost {number}"), input="x", turn_id=f"t-{number}")
    await pair.move()
    for number in range(kept):
        await other.run_turn("s", say(f"kept {number}"), input="x", turn_id=f"t-{number}")
    reports: list[Fork] = []
    node.on_fork = reports.append
    return node, other, reports


@pytest.mark.parametrize(
    ("how", "lost", "kept"),
    [
        *((how, *turns) for how in ("load", "turn", "replay") for turns in ((1, 0), (2, 1), (1, 1), (1, 3), (2, 4))),
        # these bring no messages, and what the first turns wrote is overwritten later
        *((how, *turns) for how in ("get", "update") for turns in ((1, 0), (2, 1), (1, 1))),
    ],
)
async def test_a_fork_is_reported_once_and_the_stores_record_counts(
    pair: Pair, lost: int, kept: int, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    node, other, reports = await split(pair, lost, kept)
    expected = f"kept {kept - 1}" if kept else "common"
    seen: list[Any] = []
    with caplog.at_level(logging.WARNING, "holdfast.forks"):
        if how == "turn":
            await node.run_turn("s", lambda turn: seen.append(turn.state["last"]), input="y")
        elif how == "update":

            def change(state: Any) -> None:
                seen.append(state["last"])
                state["by"] = "node"

            await node.update("s", change)
            seen = seen[-1:]  # the first time it was shown the copy, as a base that the store then refused
        elif how == "replay" and kept:
            outcome = await node.run_turn("s", say("never"), input="x", turn_id="t-0")
            assert (outcome.reply, outcome.replayed) == ("kept 0", True)
            seen.append((await node.get("s"))["last"])
        elif how == "load":
            session = await node.load("s")
            assert session is not None
            seen.append(session.state["last"])
            assert [m.content for m in session.messages][-1] == expected
        else:
            seen.append((await node.get("s"))["last"])
    assert seen == [expected]
    assert node.forks == len(reports) == 1
    assert (reports[0].session, reports[0].lost.counter) == ("s", 1 + lost)
    assert reports[0].what
    assert "'s'" in caplog.text
    assert "lost 0" not in caplog.text, "content in a log"
    for _ in range(3):
        await node.get("s")
        await node.run_turn("s", say("after"), input="z")
    assert await node.get("s") == await other.get("s")
    assert (node.forks, other.forks) == (1, 0)


async def test_a_session_loaded_on_the_lost_side_is_not_saved_over_the_other(pair: Pair) -> None:
    node, other = await pair.node(), await pair.node()
    await node.set("s", {"a": 0, "b": 0})
    await pair.cut()
    await node.update("s", {"a": "lost side"})
    session = await node.load("s")
    assert session is not None
    await pair.move()
    await other.update("s", {"a": "new side"})  # the same field, by the same counter
    session.state["a"] = f"{session.state['a']}, and more"
    with pytest.raises(TurnConflict):
        await node.save(session)
    with pytest.raises(TurnConflict):
        await node.save(session, append=[Message.user("on the lost side")])
    assert await other.get("s") == {"a": "new side", "b": 0}
    await node.get("s")
    assert node.forks == 1


async def test_an_update_by_function_meets_the_fork_between_its_load_and_its_commit(memory_nodes: Nodes) -> None:
    async with failover_pair("memory") as pair:
        node, other = await pair.node(cache_bytes=0), await pair.node()
        await node.set("s", {"n": 0})
        await pair.cut()
        await node.update("s", {"n": 10})
        shown: list[int] = []

        async def meanwhile() -> None:
            await pair.move()
            if len(shown) == 1:
                await other.update("s", {"n": 1})

        node.backend.before["commit"] = meanwhile  # type: ignore[attr-defined]  # an Interposed

        def add(state: Any) -> None:
            shown.append(state["n"])
            state["n"] += 5

        await node.update("s", add)
        assert shown == [10, 1]
        assert await other.get("s") == {"n": 6}
        assert node.forks == 1


async def test_a_turn_that_reloaded_on_the_lost_side_runs_again_on_the_other(memory_nodes: Nodes) -> None:
    async with failover_pair("memory") as pair:
        node, other = await pair.node(), await pair.node()
        await node.set("s", {"n": 0})
        shown: list[int] = []

        async def handler(turn: Turn) -> None:
            shown.append(turn.state["n"])
            if len(shown) == 1:  # granted on both sides; then another writer is only on the lost one
                await pair.cut()
                await node.update("s", {"n": 100})
            elif len(shown) == 2:
                await pair.move()
                await other.update("s", {"n": 1})
            turn.state["n"] += 5
            turn.reply(str(turn.state["n"]))

        outcome = await node.run_turn("s", handler, input="x")
        assert shown == [0, 100, 1]
        assert outcome.reply == "6"
        assert await other.get("s") == {"n": 6}
        assert node.forks == 1


async def test_a_failing_on_fork_does_not_fail_the_read(caplog: pytest.LogCaptureFixture) -> None:
    async with failover_pair("memory") as pair:
        node, _, _ = await split(pair, 1, 1)

        def fails(fork: Fork) -> None:
            raise RuntimeError("in the owner's code")

        node.on_fork = fails
        assert (await node.get("s"))["last"] == "kept 0"
    assert "in the owner's code" in caplog.text


async def test_tenants_of_a_store_share_the_reports(memory_nodes: Nodes) -> None:
    store = await memory_nodes.open()
    other = store.for_tenant("acme")
    store.on_fork = print
    assert other.on_fork is print
    assert other.forks == 0


async def test_nothing_is_a_fork_while_nothing_fails_over(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    for round_ in range(6):
        await first.run_turn("s", say(f"{round_}"), input="x")
        await second.update("s", {f"k{round_}": round_}, append=[Message.user("note")])
        await first.update("s", lambda state: state.update(n=len(state)))
        await second.set("s", {"n": round_})
        await first.load("s", tail=2)
        if round_ == 3:
            await second.delete("s")
    assert (first.forks, second.forks) == (0, 0)
