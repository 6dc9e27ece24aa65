"""Unconfirmed copies: only for who asks, always marked, never for another user."""

from __future__ import annotations

import time
from typing import Any

import pytest

from holdfast import Message, Store
from holdfast.errors import OutcomeUnknown, StoreFull, StoreTimeout, StoreUnavailable, WrongUser
from store_nodes import Interposed, Nodes


def raising(error: Exception) -> Any:
    async def hook() -> None:
        raise error

    return hook


async def cut_off(nodes: Nodes, **options: Any) -> tuple[Store, Interposed]:
    """A node that knows session "s" of ann, and can be cut off with `between.before`."""
    store, between = await nodes.interposed(**options)
    await store.create("s", {"n": 1}, user="ann")
    await store.update("s", {"n": 2}, append=[Message.user("a"), Message.user("b")])
    await store.load("s")
    return store, between


@pytest.mark.parametrize("error", [StoreUnavailable("cut off"), StoreTimeout("frozen")])
async def test_a_copy_is_marked_with_its_age(memory_nodes: Nodes, error: Exception) -> None:
    store, between = await cut_off(memory_nodes)
    fresh = await store.load("s", allow_stale=True)
    assert fresh is not None
    assert (fresh.stale, fresh.age) == (False, 0.0)
    between.before["load"] = raising(error)
    session = await store.load("s", allow_stale=True, user="ann")
    assert session is not None
    assert session.stale
    assert 0 < session.age < 60
    assert (dict(session.state), [m.content for m in session.messages]) == ({"n": 2}, ["a", "b"])
    older = await store.load("s", allow_stale=True, tail=1)
    assert older is not None
    assert older.age >= session.age
    assert [m.content for m in older.messages] == ["b"]


async def test_nobody_gets_it_who_did_not_ask(memory_nodes: Nodes) -> None:
    store, between = await cut_off(memory_nodes)
    between.before["load"] = raising(StoreUnavailable("cut off"))
    for read in (store.load("s"), store.get("s"), store.exists("s"), store.load("s", allow_stale=False)):
        with pytest.raises(StoreUnavailable):
            await read
    with pytest.raises(WrongUser):
        await store.load("s", allow_stale=True, user="bob")


@pytest.mark.parametrize("why", ["unknown session", "longer tail", "deleted here", "other error", "no cache", "closed"])
async def test_without_a_copy_the_error_passes_through(memory_nodes: Nodes, why: str) -> None:
    store, between = await cut_off(memory_nodes, **({"cache_bytes": 0} if why == "no cache" else {}))
    session, tail = "s", 2
    error: Exception = StoreUnavailable("cut off")
    if why == "unknown session":
        session = "another"
    elif why == "longer tail":
        await store.delete("s")
        await store.update("s", {}, append=[Message.user(str(n)) for n in range(9)])
        await store.load("s", tail=2)
        tail = 5
    elif why == "deleted here":
        await store.delete("s")
    elif why == "other error":
        error = StoreFull("full")
    elif why == "closed":
        await store.close()
    between.before["load"] = raising(error)
    with pytest.raises(type(error)):
        await store.load(session, allow_stale=True, tail=tail)


async def test_a_copy_without_this_nodes_own_write_is_not_shown(memory_nodes: Nodes) -> None:
    store, between = await cut_off(memory_nodes, settle=0.1)
    other = await memory_nodes.open()
    await other.update("s", {"m": 1})
    await store.update("s", {"n": 3})  # merged with what the other wrote: nobody here knows the whole
    between.before["load"] = raising(StoreUnavailable("cut off"))
    with pytest.raises(StoreUnavailable):
        await store.load("s", allow_stale=True)
    between.before.clear()
    await store.load("s")
    between.after["commit"] = raising(OutcomeUnknown("lost"))
    between.before["resolve"] = between.before["load"] = raising(StoreUnavailable("cut off"))
    with pytest.raises(OutcomeUnknown):
        await store.update("s", {"n": 4})
    with pytest.raises(StoreUnavailable):
        await store.load("s", allow_stale=True)


async def test_an_old_copy_is_not_shown(memory_nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    store, between = await cut_off(memory_nodes, cache_age=60)
    between.before["load"] = raising(StoreUnavailable("cut off"))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 50)
    session = await store.load("s", allow_stale=True)
    assert session is not None
    assert 49 < session.age < 51
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    with pytest.raises(StoreUnavailable):
        await store.load("s", allow_stale=True)


async def test_a_session_that_must_have_expired_is_not_shown(
    memory_nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, between = await cut_off(memory_nodes, ttl=20)
    between.before["load"] = raising(StoreUnavailable("cut off"))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 19)
    assert await store.load("s", allow_stale=True) is not None
    monkeypatch.setattr(time, "monotonic", lambda: now + 20.5)
    with pytest.raises(StoreUnavailable):
        await store.load("s", allow_stale=True)


async def test_a_stale_session_is_saved_only_on_its_own_base(memory_nodes: Nodes) -> None:
    store, between = await cut_off(memory_nodes)
    other = await memory_nodes.open()
    await other.update("s", {"m": 1})
    between.before["load"] = raising(StoreTimeout("frozen"))
    session = await store.load("s", allow_stale=True)
    assert session is not None
    session.state["n"] = 5
    await store.save(session)
    assert await other.get("s") == {"n": 5, "m": 1}
