"""The everyday verbs: get, set, delete, exists, touch, create, load, save, scan, by_user."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from holdfast import Message, Store
from holdfast.errors import (
    ConfigError,
    LimitExceeded,
    SessionExists,
    SessionNotFound,
    StoreClosed,
    TurnConflict,
    UnsupportedValue,
    WrongUser,
)
from store_nodes import Nodes


async def test_set_get_delete(store: Store) -> None:
    assert await store.get("s") == {}
    assert not await store.exists("s")
    first = await store.set("s", {"logged_in": True, "phone": "138****1234"})
    assert await store.get("s") == {"logged_in": True, "phone": "138****1234"}
    assert await store.exists("s")
    second = await store.set("s", {"phone": "139"})
    assert second.counter == first.counter + 1
    assert await store.get("s") == {"phone": "139"}
    assert await store.delete("s")
    assert not await store.delete("s")
    assert await store.get("s") == {}


async def test_setting_nothing_makes_an_empty_session(store: Store) -> None:
    await store.set("s", {})
    assert await store.exists("s")
    assert await store.get("s") == {}


async def test_set_keeps_the_messages(store: Store) -> None:
    await store.update("s", {"a": 1}, append=[Message.user("hello")])
    await store.set("s", {"b": 2})
    session = await store.load("s")
    assert session is not None
    assert dict(session.state) == {"b": 2}
    assert [message.content for message in session.messages] == ["hello"]


async def test_a_value_that_cannot_be_stored_changes_nothing(store: Store) -> None:
    await store.set("s", {"a": 1})
    bad: list[dict[str, Any]] = [
        {"a": 2, "b": object()},
        {"a": 2, "b": float("nan")},
        {"a": 2, "b": "x" * 10_000_000},
        {"a": 2, "b": _nested(100)},
        {"a": 2, **{f"k{n}": n for n in range(1000)}},
    ]
    for data in bad:
        with pytest.raises((UnsupportedValue, LimitExceeded)):
            await store.set("s", data)
        with pytest.raises((UnsupportedValue, LimitExceeded)):
            await store.update("s", data)
        with pytest.raises((UnsupportedValue, LimitExceeded)):
            await store.update("s", lambda state, data=data: state.update(data))  # type: ignore[misc]
        with pytest.raises((UnsupportedValue, LimitExceeded)):
            await store.create("new", data)
        with pytest.raises((UnsupportedValue, LimitExceeded)):
            await store.run_turn("s", lambda turn, data=data: turn.state.update(data), input="x")  # type: ignore[misc]
    assert await store.get("s") == {"a": 1}
    assert not await store.exists("new")
    session = await store.load("s")
    assert session is not None
    assert session.total == 0
    assert (await store.run_turn("s", lambda turn: turn.reply("free"), input="x")).reply == "free"


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


async def test_a_value_of_ten_megabytes_is_a_matter_of_the_setting(nodes: Nodes) -> None:
    store = await nodes.open(max_value_bytes=11_000_000)
    blob = bytes(range(256)) * 40_000
    await store.set("s", {"blob": blob})
    assert (await (await nodes.open()).get("s"))["blob"] == blob


async def test_create_gives_an_id_that_cannot_be_guessed(store: Store) -> None:
    session = await store.create(state={"a": 1}, user="u-1")
    assert len(session.id) == 43
    assert (dict(session.state), session.user, session.total) == ({"a": 1}, "u-1", 0)
    assert session.version is not None
    assert session.version.counter == 1
    assert session.created_at is not None
    assert abs(session.created_at - time.time()) < 60
    assert session.expires_at is None


async def test_create_meets_a_living_session(store: Store) -> None:
    await store.create("s")
    with pytest.raises(SessionExists):
        await store.create("s")
    await store.delete("s")
    await store.create("s", {"b": 1})
    assert await store.get("s") == {"b": 1}


async def test_of_many_that_create_one_id_one_wins(nodes: Nodes) -> None:
    stores = [await nodes.open() for _ in range(3)]
    results = await asyncio.gather(*[stores[n % 3].create("s", {"by": n}) for n in range(12)], return_exceptions=True)
    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert all(isinstance(result, SessionExists) for result in results if isinstance(result, BaseException))
    assert await stores[0].get("s") == dict(won[0].state)


async def test_save_commits_what_was_changed(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"a": 1, "b": [1]})
    session = await store.load("s")
    assert session is not None
    session.state["b"].append(2)
    await other.update("s", {"c": 3})  # another key: no conflict
    await store.save(session, append=[Message.user("hi")])
    assert await other.get("s") == {"a": 1, "b": [1, 2], "c": 3}


async def test_save_meets_another_writer_of_the_same_key(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"a": 1})
    session = await store.load("s")
    assert session is not None
    session.state["a"] = 2
    await other.update("s", {"a": 3})
    with pytest.raises(TurnConflict) as caught:
        await store.save(session)
    assert caught.value.names == ("a",)
    assert await store.get("s") == {"a": 3}


async def test_a_strict_save_meets_any_writer(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.set("s", {"a": 1})
    session = await store.load("s")
    assert session is not None
    session.state["a"] = 2
    await other.update("s", {"b": 3})
    with pytest.raises(TurnConflict):
        await store.save(session, strict=True)


async def test_save_brings_no_deleted_session_back(store: Store) -> None:
    await store.set("s", {"a": 1})
    session = await store.load("s")
    assert session is not None
    session.state["a"] = 2
    await store.delete("s")
    with pytest.raises(SessionNotFound):
        await store.save(session)
    assert not await store.exists("s")
    await store.set("s", {"a": 1})  # the next life, with equal counters
    with pytest.raises(SessionNotFound):
        await store.save(session)
    assert await store.get("s") == {"a": 1}


async def test_touch_moves_the_expiry_and_nothing_else(store: Store) -> None:
    assert not await store.touch("s")
    assert not await store.exists("s")
    version = await store.set("s", {"a": 1}, ttl="1h")
    assert await store.touch("s")
    before = await store.load("s")
    assert before is not None
    assert before.version == version
    assert await store.touch("s", ttl="2h")
    after = await store.load("s")
    assert after is not None
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert 3500 < after.expires_at - before.expires_at < 3700
    assert after.version is not None
    assert after.version.counter == version.counter + 1  # a new ttl is part of what a copy may not get wrong
    assert (dict(after.state), after.ttl) == ({"a": 1}, 7200)


async def test_sessions_of_another_user_are_out_of_reach(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    await store.create("s", {"card": 1}, user="alice")
    seen: list[Any] = []
    for node in (store, other, store):
        calls: list[Any] = [
            lambda node=node: node.update("s", lambda state: seen.append(dict(state)), user="mallory"),
            lambda node=node: node.get("s", user="mallory"),
            lambda node=node: node.load("s", user="mallory"),
            lambda node=node: node.set("s", {}, user="mallory"),
            lambda node=node: node.update("s", {"card": 2}, user="mallory"),
            lambda node=node: node.run_turn("s", lambda turn: seen.append(turn), input="x", user="mallory"),
        ]
        for call in calls:
            with pytest.raises(WrongUser):
                await call()
    assert seen == [], "a function of one user was shown another user's state"
    assert await store.get("s", user="alice") == {"card": 1}
    assert await store.get("s") == {"card": 1}


async def test_scan_lists_a_tenants_living_sessions(store: Store) -> None:
    for n in range(120):
        await store.set(f"s-{n}", {"n": n})
    await store.for_tenant("other" + store.settings.tenant).set("elsewhere", {})
    await store.delete("s-7")
    ids = [id_ async for id_ in store.scan()]
    assert sorted(ids) == sorted(f"s-{n}" for n in range(120) if n != 7)


async def test_by_user_lists_pages_newest_first(store: Store) -> None:
    for n in range(7):
        await store.create(f"s-{n}", user="u")
        await asyncio.sleep(0.003)
    await store.create("s-other", user="v")
    await store.delete("s-3")
    ids: list[str] = []
    cursor = ""
    for _ in range(10):
        page = await store.by_user("u", cursor=cursor, limit=2)
        ids += page.ids
        if not (cursor := page.cursor):
            break
    assert ids == ["s-6", "s-5", "s-4", "s-2", "s-1", "s-0"]


async def test_a_closed_store_says_so(nodes: Nodes) -> None:
    if nodes.name == "memory":
        pytest.skip("these nodes share one backend, which closes at the end of the test")
    store = await nodes.open()
    await store.set("s", {"a": 1})
    await store.close()
    await store.close()
    calls: list[Any] = [
        lambda: store.get("s"),
        lambda: store.set("s", {}),
        lambda: store.run_turn("s", lambda turn: None),
    ]
    for call in calls:
        with pytest.raises(StoreClosed):
            await call()


@pytest.mark.parametrize("ttl", [0, -1, "soon", "", float("nan"), float("inf"), True, [], "1y", 10**20])
async def test_a_ttl_that_is_none_is_refused(store: Store, ttl: Any) -> None:
    for call in (
        lambda: store.set("s", {"a": 1}, ttl=ttl),
        lambda: store.create("s", ttl=ttl),
        lambda: store.update("s", {"a": 1}, ttl=ttl),
        lambda: store.touch("s", ttl=ttl),
    ):
        with pytest.raises(ConfigError):
            await call()
    assert not await store.exists("s")


@pytest.mark.parametrize("tail", [-1, 1.5, "3", True])
async def test_a_tail_that_is_none_is_refused(store: Store, tail: Any) -> None:
    await store.update("s", {}, append=[Message.user("a"), Message.user("b")])
    with pytest.raises(LimitExceeded):
        await store.load("s", tail=tail)
    with pytest.raises(LimitExceeded):
        await store.run_turn("s", lambda turn: None, input="x", tail=tail)
