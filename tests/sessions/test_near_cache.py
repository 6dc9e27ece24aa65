"""The near cache: bounded, and never an answer by itself (P7)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from holdfast import Message, Turn
from holdfast.backends.records import Birth, Committed, Delta, Field, Record, SessionKey, Version
from holdfast.errors import QueueTimeout
from holdfast.sessions.near_cache import NearCache, advanced
from store_nodes import Nodes


def record(
    counter: int = 1, *, life: bytes = b"life", entries: int = 0, total: int | None = None, size: int = 10
) -> Record:
    tail = [b"x" * size] * entries
    version = Version(counter, counter.to_bytes(16))
    return Record(
        life, version, "", 0, 0, 0, {"a": Field(b"v" * size, counter)}, tail, entries if total is None else total
    )


def key(number: int = 1) -> SessionKey:
    return SessionKey("", f"s-{number}")


def test_it_keeps_no_more_than_its_bytes_and_drops_the_least_recently_used() -> None:
    cache = NearCache(5000, 60)
    for number in range(50):
        cache.put(key(number), record(size=500))
        cache.get(key(0), 0)
        assert cache.bytes <= 5000
    assert cache.get(key(0), 0) is not None
    assert cache.get(key(49), 0) is not None
    assert cache.get(key(1), 0) is None
    for number in range(50):
        cache.drop(key(number))
    assert cache.bytes == 0


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = NearCache(5000, 60)
    cache.put(key(), record(1))
    cache.put(key(), record(2, size=6000))
    assert cache.get(key(), 0) is None
    assert cache.bytes == 0


def test_no_bytes_switch_it_off() -> None:
    cache = NearCache(0, 60)
    cache.put(key(), record())
    assert cache.get(key(), 0) is None


def test_a_record_with_a_shorter_tail_does_not_answer() -> None:
    cache = NearCache(100_000, 60)
    cache.put(key(), record(entries=5, total=100))
    assert cache.get(key(), 5) is not None
    assert cache.get(key(), 6) is None
    cache.put(key(2), record(entries=5, total=5))
    assert cache.get(key(2), 50) is not None


def test_a_late_reply_does_not_replace_a_newer_record() -> None:
    cache = NearCache(100_000, 60)
    cache.put(key(), record(2, entries=3))
    cache.put(key(), record(1))
    cache.put(key(), record(2, entries=1, total=3))
    found = cache.get(key(), 3)
    assert found is not None
    assert found.version.counter == 2
    cache.put(key(), record(1, life=b"next"))
    found = cache.get(key(), 0)
    assert found is not None
    assert found.incarnation == b"next"


def test_age_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = NearCache(100_000, 60)
    now = time.monotonic()
    cache.put(key(), record())
    monkeypatch.setattr(time, "monotonic", lambda: now + 59)
    assert cache.get(key(), 0) is not None
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert cache.get(key(), 0) is None
    assert cache.bytes == 0


def test_a_commit_that_merged_leaves_nothing_to_keep() -> None:
    base = record()
    reply = Committed(Version(3, b"c" * 16), b"life", 0, 0, 0, on_base=False)
    assert advanced(base, Delta(b"c" * 16, birth=Birth()), [], reply, 20) is None


# --- P7: over each backend ---


async def test_another_nodes_write_is_seen_at_once(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    for round_ in range(10):
        await first.set("s", {"n": round_})
        assert await second.get("s") == {"n": round_}
        await second.update("s", {"n": -round_, "by": "second"})
        assert await first.get("s") == {"n": -round_, "by": "second"}
        await second.set("s", {"n": round_})


async def test_a_turn_on_a_node_with_an_old_copy_sees_what_others_wrote(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    seen: list[tuple[Any, int]] = []

    def handler(turn: Turn) -> None:
        seen.append((turn.state.get("n"), len(turn.messages)))
        turn.state["n"] = (turn.state.get("n") or 0) + 1
        turn.reply("ok")

    for round_ in range(6):
        await (first, second)[round_ % 2].run_turn("s", handler, input="x")
    assert seen == [(None if n == 0 else n, 2 * n) for n in range(6)]


async def test_a_cached_session_that_was_deleted_is_gone(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    await first.set("s", {"n": 1})
    assert await first.get("s") == {"n": 1}
    await second.delete("s")
    assert await first.get("s") == {}
    assert not await first.exists("s")
    assert await first.load("s") is None


async def test_a_cached_session_of_a_former_life_is_not_shown_in_the_next(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    await first.set("s", {"secret": "of the former"})
    await first.get("s")
    await second.delete("s")
    await second.set("s", {"n": 1})
    assert await first.get("s") == {"n": 1}
    await first.update("s", {"m": 2})
    assert await first.get("s") == {"n": 1, "m": 2}


async def test_updates_by_function_start_from_the_current_state(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()

    def add(state: Any) -> None:
        state["n"] = state.get("n", 0) + 1

    for _ in range(10):
        await first.update("s", add)
        await second.update("s", add)
    assert await first.get("s") == {"n": 20}


async def test_a_session_loaded_on_one_node_and_saved_on_another_poisons_no_cache(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    await first.set("s", {"a": 1})
    await first.get("s")  # the first node's copy is of version 1
    await second.update("s", {"b": 2}, append=[Message.user("hello")])
    session = await second.load("s")
    assert session is not None
    session.state["c"] = 3
    await first.save(session)
    assert await first.get("s") == {"a": 1, "b": 2, "c": 3}
    loaded = await first.load("s")
    assert loaded is not None
    assert [message.content for message in loaded.messages] == ["hello"]


async def test_what_a_reader_does_to_a_value_stays_with_the_reader(nodes: Nodes) -> None:
    store = await nodes.open()
    await store.set("s", {"cart": [1]})
    (await store.get("s"))["cart"].append(2)
    session = await store.load("s")
    assert session is not None
    session.state["cart"].append(3)
    assert await store.get("s") == {"cart": [1]}


async def test_a_cached_copy_costs_no_second_download(memory_nodes: Nodes) -> None:
    store = await memory_nodes.open()
    await store.set("s", {"n": 1})
    before = store.cache.hits
    for _ in range(5):
        await store.get("s")
    assert store.cache.hits >= before + 4


@pytest.mark.parametrize("cached_first", [True, False])
async def test_a_shorter_tail_is_what_was_asked_for_whatever_the_cache_holds(nodes: Nodes, cached_first: bool) -> None:
    store = await nodes.open()
    await store.update("s", {}, append=[Message.user(str(number)) for number in range(30)])
    if cached_first:
        await store.load("s", tail=20)
    session = await store.load("s", tail=3)
    assert session is not None
    assert [message.content for message in session.messages] == ["27", "28", "29"]
    assert session.total == 30
    seen: list[int] = []
    await store.run_turn("s", lambda turn: seen.append(len(turn.messages)), input="x", tail=2)
    empty = await store.load("s", tail=0)
    assert empty is not None
    assert len(empty.messages) == 0
    assert seen == [2]


async def test_a_copy_has_the_input_as_an_earlier_sender_had_it_accepted(nodes: Nodes) -> None:
    """The same input under the same id, accepted from one node and run by another: the log has the first one's time."""
    first, second = await nodes.open(wait=0.2, poll=0.05), await nodes.open(wait=5, poll=0.05)
    await second.set("s", {"n": 1})
    gate, started = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await gate.wait()
        turn.reply("first")

    running = asyncio.create_task(second.run_turn("s", slow, input="x"))
    await started.wait()
    with pytest.raises(QueueTimeout):
        await first.run_turn("s", slow, input=Message("user", "y", created_at=1000.0), turn_id="t")
    gate.set()
    await running
    late = Message("user", "y", created_at=2000.0)
    outcome = await second.run_turn("s", lambda turn: turn.reply("second"), input=late, turn_id="t")
    cached, stored = await second.load("s"), await (await nodes.open()).load("s")
    assert cached is not None
    assert stored is not None
    assert list(cached.messages) == list(stored.messages)
    assert list(outcome.messages) == list(stored.messages)[-2:]
