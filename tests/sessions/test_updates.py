"""`update` beside others: nobody's change is lost, and nothing of a former life is written into the next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Message, Store
from holdfast.errors import OutcomeUnknown, SessionNotFound, TurnConflict
from store_nodes import Nodes


def add(state: Any) -> None:
    state["n"] = state.get("n", 0) + 1


async def test_values_by_name_merge(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    await asyncio.gather(*[(first, second)[n % 2].update("s", {f"k{n}": n}) for n in range(20)])
    assert await first.get("s") == {f"k{n}": n for n in range(20)}


async def test_functions_are_repeated_until_nobody_was_faster(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    await asyncio.gather(*[(first, second)[n % 2].update("s", add) for n in range(20)])
    assert await first.get("s") == {"n": 20}


async def test_a_function_that_only_reads_a_key_may_decide_on_an_old_value_unless_strict(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(cache_bytes=0)
    other = await memory_nodes.open()

    async def prepare() -> None:
        await store.set("s", {"limit": 1, "used": 0})
        once = iter([True])

        async def raise_limit() -> None:
            if next(once, False):
                await other.update("s", {"limit": 5})

        between.before["commit"] = raise_limit

    def use(state: Any) -> None:
        state["used"] = state["limit"]

    await prepare()
    await store.update("s", use)
    assert (await store.get("s"))["used"] == 1
    between.before.clear()
    await prepare()
    await store.update("s", use, strict=True)
    assert (await store.get("s"))["used"] == 5


async def test_removal_and_append_in_one_step(store: Store) -> None:
    await store.set("s", {"a": 1, "b": 2})
    version = await store.update(
        "s", {"c": 3}, remove=["a", "missing"], append=[Message.user("x"), Message.assistant("y")]
    )
    assert await store.get("s") == {"b": 2, "c": 3}
    assert version.counter == 2
    await store.update("s", lambda state: None, remove=["b"])
    assert await store.get("s") == {"c": 3}
    await store.update("s", {"b": 1}, remove=["b"])
    assert await store.get("s") == {"c": 3, "b": 1}, "a value that is given wins over its removal"


async def test_without_create_a_missing_session_is_an_error(store: Store) -> None:
    for changes in ({"a": 1}, add):
        with pytest.raises(SessionNotFound) as caught:
            await store.update("s", changes, create=False)
        assert "s" in str(caught.value)
    assert not await store.exists("s")


async def test_a_function_that_raises_writes_nothing(store: Store) -> None:
    def broken(state: Any) -> None:
        state["a"] = 1
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await store.update("s", broken)
    assert not await store.exists("s")


async def test_a_change_made_on_a_former_life_is_not_written_into_the_next(memory_nodes: Nodes) -> None:
    """The counters of both lives are equal, so only the incarnation tells them apart."""
    store, between = await memory_nodes.interposed(cache_bytes=0)
    other = await memory_nodes.open()
    for create in (True, False):
        await store.set("s", {"n": 1})
        seen: list[int] = []
        once = iter([True])

        async def reborn(once: Any = once) -> None:
            if next(once, False):
                await other.delete("s")
                await other.set("s", {"n": 100})

        def add_seen(state: Any, seen: list[int] = seen) -> None:
            seen.append(state["n"])
            add(state)

        between.before["commit"] = reborn
        await store.update("s", add_seen, create=create)
        between.before.clear()
        assert seen == [1, 100]
        assert await store.get("s") == {"n": 101}
        await store.delete("s")


async def test_a_change_made_on_a_session_that_is_deleted_meanwhile(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed()
    other = await memory_nodes.open()

    async def gone() -> None:
        await other.delete("s")

    await store.set("s", {"n": 41})
    between.before["commit"] = gone
    with pytest.raises(SessionNotFound):
        await store.update("s", add, create=False)
    between.before.clear()
    assert not await store.exists("s")


async def test_meeting_faster_writers_until_the_deadline_is_a_typed_error(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(timeout=0.2)
    other = await memory_nodes.open()
    await store.set("s", {"n": 0})

    async def faster() -> None:
        await other.update("s", add)

    between.before["commit"] = faster
    with pytest.raises(TurnConflict, match="faster"):
        await store.update("s", add)


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_reply_is_followed_up(nodes: Nodes, applied: bool) -> None:
    """The reply of every second commit is lost, before or after it was applied; `update` says what is so."""
    store, between = await nodes.interposed(settle=2)
    turn = iter(range(100))

    async def lose() -> None:
        if next(turn) % 2 == 0:
            raise OutcomeUnknown("lost on purpose")

    (between.after if applied else between.before)["commit"] = lose
    done = 0
    for _ in range(10):
        try:
            await store.update("s", add)
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be this
            assert not applied
            assert "ruled out" in str(error)
        else:
            done += 1
    between.after.clear()
    between.before.clear()
    assert await store.get("s") == {"n": done}
    assert done == (10 if applied else 5)


async def test_a_store_that_stays_silent_is_an_unknown_outcome(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(settle=0.2)

    async def lose() -> None:
        raise OutcomeUnknown("lost on purpose")

    between.before["commit"] = lose
    between.before["resolve"] = lose
    with pytest.raises(OutcomeUnknown, match="not known"):
        await store.update("s", {"a": 1})
