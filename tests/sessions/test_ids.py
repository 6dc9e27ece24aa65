"""Ids are opaque text of 1 to 256 characters; a hostile one is an id like any other, or a typed error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Store
from holdfast.errors import InvalidId
from holdfast.sessions.ids import checked_id, checked_name, new_id

HOSTILE = [
    "a" * 256,
    "nul\x00inside",
    "\x00",
    "}{",
    "{p}",
    "hf:{1}:s:x",
    "two\nlines\r\n",
    "😀" * 10,
    "订单-查询",
    " ",
    "*",
    "?[a-z]",
    "..",
    "../../etc/passwd",
    "'; drop table sessions; --",
    "%s%n",
    "e\u0301",
    "\u00e9",
    "\ufeffbom",
    "\u202eright-to-left",
]
BAD: list[Any] = ["", "a" * 257, "\ud800", "x\udfffy", None, 5, b"bytes", ["s"], True]


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_id_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(InvalidId, match="turn id"):
        checked_id("turn", bad)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256))
def test_any_unicode_text_is_an_id(text: str) -> None:
    assert checked_id("session", text) == text


def test_a_name_may_be_absent() -> None:
    assert checked_name("user", "") == checked_name("user", None) == ""
    with pytest.raises(InvalidId):
        checked_name("user", 5)


def test_new_ids_cannot_be_guessed() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id_) == 43 for id_ in ids)


@pytest.mark.parametrize("bad", BAD)
async def test_every_verb_refuses_a_bad_id_and_writes_nothing(store: Store, bad: Any) -> None:
    calls: list[Any] = [
        lambda: store.get(bad),
        lambda: store.set(bad, {"a": 1}),
        lambda: store.delete(bad),
        lambda: store.exists(bad),
        lambda: store.touch(bad),
        lambda: store.load(bad),
        lambda: store.update(bad, {"a": 1}),
        lambda: store.read_log(bad),
        lambda: store.run_turn(bad, lambda turn: None),
        lambda: store.by_user(bad),
    ]
    if bad is not None:
        calls += [
            lambda: store.create(bad),
            lambda: store.run_turn("s", lambda turn: None, turn_id=bad),
        ]
    for call in calls:
        with pytest.raises(InvalidId):
            await call()
    assert [id_ async for id_ in store.scan()] == []


async def test_hostile_ids_are_sessions_of_their_own(store: Store) -> None:
    for number, id_ in enumerate(HOSTILE):
        await store.set(id_, {"n": number})
        await store.run_turn(id_, lambda turn: turn.reply(turn.key.id), input=id_, turn_id=id_, user=id_)
    for number, id_ in enumerate(HOSTILE):
        assert await store.get(id_) == {"n": number}
        assert [message.content for message in (await store.read_log(id_)).messages] == [id_, id_]
        assert (await store.run_turn(id_, _never, input=id_, turn_id=id_)).reply == id_
    assert sorted([id_ async for id_ in store.scan()]) == sorted(HOSTILE)
    assert await store.delete(HOSTILE[3])
    assert sorted([id_ async for id_ in store.scan()]) == sorted(set(HOSTILE) - {HOSTILE[3]})


async def test_hostile_users_and_tenants_list_only_their_own(store: Store) -> None:
    for number, name in enumerate(HOSTILE):
        await store.create(f"s-{number}", user=name)
        await store.for_tenant(name).set("same", {"tenant": name})
    for number, name in enumerate(HOSTILE):
        assert (await store.by_user(name)).ids == [f"s-{number}"]
        assert await store.for_tenant(name).get("same") == {"tenant": name}
    assert "same" not in [id_ async for id_ in store.scan()]
    for name in HOSTILE:
        await store.for_tenant(name).delete("same")


async def test_hostile_names_of_keys_and_steps_are_names(store: Store) -> None:
    state = {name: number for number, name in enumerate(HOSTILE)}
    await store.set("s", state)
    assert await store.get("s") == state

    async def handler(turn: Any) -> None:
        for number, name in enumerate(HOSTILE):
            assert await turn.step(name, lambda number=number: number) == number

    await store.run_turn("s", handler, input="x")
    for bad in ("", "a" * 257, "\ud800"):
        with pytest.raises(InvalidId):
            await store.update("s", {bad: 1})
        with pytest.raises(InvalidId):
            await store.update("s", {}, remove=[bad])
    assert await store.get("s") == state


def _never(turn: Any) -> None:
    raise AssertionError("a finished turn's handler was called")
