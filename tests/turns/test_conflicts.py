"""Both sides changed the same key: the turn is run again, from its journal, on what is there now."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Turn
from holdfast.errors import TurnConflict
from store_nodes import Nodes


async def test_a_conflicting_turn_is_run_again_from_its_journal(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"n": 1})
    runs: list[int] = []
    effects: list[int] = []

    async def handler(turn: Turn) -> None:
        runs.append(turn.state["n"])
        await turn.step("effect", effects.append, 1)
        if len(runs) == 1:
            await other.update("s", {"n": 10})
        turn.state["n"] += 1
        turn.reply(str(turn.state["n"]))

    outcome = await store.run_turn("s", handler, input="x")
    assert (outcome.reply, outcome.attempts) == ("11", 1)
    assert runs == [1, 10]
    assert effects == [1]
    assert await other.get("s") == {"n": 11}
    assert [m.content for m in (await store.read_log("s")).messages] == ["x", "11"]


@pytest.mark.parametrize("strict", [False, True])
async def test_strict_counts_what_was_only_read(nodes: Nodes, strict: bool) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"limit": 1})
    runs = 0

    async def handler(turn: Turn) -> None:
        nonlocal runs
        runs += 1
        limit = turn.state["limit"]
        if runs == 1:
            await other.update("s", {"limit": 5})
        turn.state["granted"] = limit
        turn.reply(str(limit))

    outcome = await store.run_turn("s", handler, input="x", strict=strict)
    assert (outcome.reply, runs) == (("5", 2) if strict else ("1", 1))


async def test_set_beside_a_turn_reruns_it_only_where_both_changed_a_key(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"a": 1, "b": 1})
    runs = 0

    async def handler(turn: Turn) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            await other.set("s", {"a": 1, "b": 2})
        turn.state["c"] = 3
        turn.reply("x")

    await store.run_turn("s", handler, input="x")
    assert runs == 1
    assert await store.get("s") == {"a": 1, "b": 2, "c": 3}


async def test_it_is_run_again_a_bounded_number_of_times(nodes: Nodes) -> None:
    store, other = await nodes.open(conflict_retries=2), await nodes.open()
    runs = 0

    async def handler(turn: Turn) -> None:
        nonlocal runs
        runs += 1
        await other.update("s", {"n": runs * 100})
        turn.state["n"] = turn.state.get("n", 0) + 1

    with pytest.raises(TurnConflict, match="3 times") as caught:
        await store.run_turn("s", handler, input="x", turn_id="t")
    assert caught.value.names == ("n",)
    assert runs == 3
    assert await store.get("s") == {"n": 300}
    outcome = await store.run_turn("s", lambda turn: turn.reply("free"), input="x", turn_id="t", on_busy="reject")
    assert outcome.reply == "free"


async def test_no_retries_is_a_setting(nodes: Nodes) -> None:
    store, other = await nodes.open(conflict_retries=0), await nodes.open()

    async def handler(turn: Turn) -> None:
        await other.update("s", {"n": 100})
        turn.state["n"] = 1

    with pytest.raises(TurnConflict):
        await store.run_turn("s", handler, input="x")


async def test_both_setting_the_same_removal(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"n": 1})
    runs = 0

    async def handler(turn: Turn) -> None:
        nonlocal runs
        runs += 1
        turn.state.pop("n", None)
        if runs == 1:
            await other.update("s", {}, remove=["n"])
        turn.reply("gone")

    await store.run_turn("s", handler, input="x")
    assert runs == 2
    assert await store.get("s") == {}


async def test_a_context_cannot_be_run_again(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"n": 1})
    with pytest.raises(TurnConflict) as caught:
        async with store.turn("s", input="x", turn_id="t") as turn:
            turn.state["n"] += 1
            await other.update("s", {"n": 10})
    assert caught.value.names == ("n",)
    seen: list[Any] = []
    await store.run_turn("s", lambda turn: seen.append(turn.state["n"]), input="x", turn_id="t", on_busy="reject")
    assert seen == [10]
