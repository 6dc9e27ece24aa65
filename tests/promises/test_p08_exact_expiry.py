"""P8: expiry is exact, and a node's wall clock has no part in it.

Broken on purpose: the node's wall clock is moved by an hour either way, in this process (`time.time` replaced) and in a process
of its own under libfaketime. Nothing may end early or late. With a clock that stands still it is exact to the
millisecond. A store that computed expiry from the node's clock would lose fresh sessions at once or keep them for an hour.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import SessionGone
from holdfast.testing.mutants import MUTANTS
from store_nodes import Figures, Nodes
from workload import node_process

TTL_S = 0.6
SLACK_S = 0.25
"""What a loaded machine may take between two calls; expiry itself has no slack."""

FAKETIME = [str(path) for path in sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))]


async def exactly(nodes: Nodes) -> int:
    """To the millisecond, with a clock that stands still. Returns how many ends were tried."""
    assert nodes.clock is not None
    store = await nodes.open(ttl=10, max_age=25)
    clock = nodes.clock

    async def there() -> bool:
        found = await store.exists("s")
        assert found is ("s" in [id_ async for id_ in store.scan()])
        assert found is (await store.load("s") is not None)
        assert found is bool(await store.get("s"))
        return found

    await store.set("s", {"a": 1})
    clock.advance_ms(9_999)
    assert await there(), "early"
    await store.update("s", {"a": 2})  # slides
    clock.advance_ms(9_999)
    assert await there(), "a commit did not slide the expiry"
    assert await store.touch("s")  # so does a touch, up to max_age: 25 s after the birth
    clock.advance_ms(5_001)
    assert await there(), "early"
    clock.advance_ms(1)
    assert not await there(), "late: past max_age"
    await store.set("s", {"a": 3}, ttl=2)
    clock.advance_ms(1_999)
    assert await there(), "early"
    clock.advance_ms(1)
    assert not await there(), "late"
    await store.run_turn("s", lambda turn: turn.state.update(a=4), input="x")
    clock.advance_ms(9_999)
    assert await there(), "early"
    clock.advance_ms(1)
    assert not await there(), "late"
    return 3


async def test_to_the_millisecond(memory_nodes: Nodes, figures: Figures) -> None:
    figures("P8", "memory", ends_by_a_fake_clock=await exactly(memory_nodes), early=0, late=0)


@pytest.mark.parametrize("mutant", ["a-moment-early", "a-moment-late", "never-expires", "not-slid", "max-age-ignored"])
async def test_a_backend_that_is_off_by_a_moment_is_caught(memory_nodes: Nodes, mutant: str) -> None:
    with MUTANTS[mutant].apply(), pytest.raises(AssertionError):
        await exactly(memory_nodes)


async def ends_in_time(nodes: Nodes, ids: list[str], written: list[float]) -> None:
    """Each session is there until ttl after it was written, and gone then. Looked at by a node with a true clock."""
    store = await nodes.open()
    for id_, began in zip(ids, written, strict=True):
        there = await store.exists(id_)
        now = time.monotonic()
        assert there or now - began >= TTL_S, f"{id_} ended early: after {now - began:.3f} s"
    last = written[-1] + TTL_S + SLACK_S
    await asyncio.sleep(max(0.0, last - time.monotonic()))
    for id_ in ids:
        assert not await store.exists(id_), f"{id_} is there still"
    assert [id_ async for id_ in store.scan() if id_ in ids] == []


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_with_the_wall_clock_of_this_process_moved(
    nodes: Nodes, hours: int, monkeypatch: pytest.MonkeyPatch, scale: Callable[[int], int], figures: Figures
) -> None:
    real, real_ns = time.time, time.time_ns
    honest = await nodes.open()
    await honest.set("before", {"n": 1}, ttl=100)
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + hours * 3600 * 10**9)
    moved = await nodes.open()
    written = []
    ids = [f"moved-{number}" for number in range(scale(10))]
    for id_ in ids:
        written.append(time.monotonic())
        await moved.set(id_, {"n": 1}, ttl=TTL_S)
    await ends_in_time(nodes, ids, written)
    assert await moved.get("before") == {"n": 1}, "a node whose clock is wrong ended somebody else's session"
    assert await honest.get("before") == {"n": 1}
    figures("P8", nodes.name, **{f"ends_at_{hours:+d}_h": len(ids)}, early=0, late=0)


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("backend_name", ["sqlite", "redis"], indirect=False)
async def test_with_the_wall_clock_of_a_whole_process_moved(
    nodes: Nodes, hours: int, scale: Callable[[int], int], figures: Figures
) -> None:
    store = await nodes.open()
    await store.set("before", {"n": 1}, ttl=100)
    env = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": f"{hours:+d}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    rounds = scale(10)
    async with node_process(
        nodes.url, nodes.tenant, "expiring", name="moved", rounds=rounds, ttl=TTL_S, env=env
    ) as node:
        await node.until("ready")
        began = time.monotonic()
        assert abs(node.of("ready")[0][0] - time.time() - hours * 3600) < 60, "the clock was not moved"
        await node.until("done")
        ids = [id_ for id_, _ in node.of("wrote")]
        ended = time.monotonic()
        await node.ended()
    present = [id_ for id_ in ids if await store.exists(id_)]
    assert present == ids or time.monotonic() - began >= TTL_S, "early"
    await asyncio.sleep(max(0.0, ended + TTL_S + SLACK_S - time.monotonic()))
    assert not any([await store.exists(id_) for id_ in ids]), "late"
    assert await store.get("before") == {"n": 1}
    figures("P8", nodes.name, **{f"ends_of_a_process_at_{hours:+d}_h": len(ids)}, early=0, late=0)


async def test_a_turn_keeps_its_session_alive_and_an_expired_one_stays_ended(memory_nodes: Nodes) -> None:
    assert memory_nodes.clock is not None
    clock = memory_nodes.clock
    store = await memory_nodes.open(ttl=2, lease=10)
    await store.set("s", {"a": 1})

    async def slow(turn: object) -> None:
        clock.advance(30)  # past ttl and lease; the pending turn holds the session for a minute after its lease

    await store.run_turn("s", slow, input="x")
    assert await store.get("s") == {"a": 1}

    async def slower(turn: object) -> None:
        clock.advance(100)

    with pytest.raises(SessionGone):
        await store.run_turn("s", slower, input="x")
    assert not await store.exists("s")
