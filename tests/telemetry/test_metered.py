"""The wrapper keeps the contract, and counts exactly what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from scraping import Scrape, answer

from holdfast import Store, Turn
from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import OutcomeLimits
from holdfast.errors import TurnBusy, TurnMismatch, WrongUser
from holdfast.telemetry import instrument
from holdfast.telemetry.calls import CallRecorder
from holdfast.telemetry.metered import MeteredBackend
from holdfast.testing.clock import FakeClock
from holdfast.testing.contract import BackendContract
from store_nodes import Nodes, eventually


class TestMeteredMemory(BackendContract):
    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self) -> AsyncIterator[Backend]:
        self.clock = FakeClock()
        backend = MeteredBackend(MemoryBackend(clock=self.clock, outcomes=self.outcomes), CallRecorder())
        yield backend
        await backend.close()


async def test_ten_turns_are_ten_grants_and_ten_commits(store: Store) -> None:
    instrument(store)
    for number in range(10):
        await store.run_turn("s", answer, input=str(number))
    scrape = Scrape(store)
    assert scrape.calls("begin") == {"granted": 10}
    assert scrape.calls("commit") == {"committed": 10}
    assert scrape.turns() == {"completed": 10}
    name = store.backend.name
    assert scrape("store_call_seconds_count", op="commit", backend=name) == 10
    assert scrape("store_call_seconds_bucket", op="commit", le="+Inf") == 10
    assert 0 < (scrape("store_call_seconds_sum", op="commit") or 0) < 60
    assert scrape("turn_seconds_count") == 10
    assert scrape("outcomes_settled_total") == 0


async def test_the_same_turn_again_is_a_replay_and_no_commit(store: Store) -> None:
    instrument(store)
    for _ in range(3):
        await store.run_turn("s", answer, input="x", turn_id="t")
    with pytest.raises(TurnMismatch):
        await store.run_turn("s", answer, input="y", turn_id="t")
    scrape = Scrape(store)
    assert scrape.calls("begin") == {"granted": 1, "replay": 2, "mismatch": 1}
    assert scrape.calls("commit") == {"committed": 1}
    assert scrape.turns() == {"completed": 1, "replayed": 2, "refused": 1}


async def test_conflicts_merges_and_reruns(nodes: Nodes) -> None:
    store, other = await nodes.open(), await nodes.open()
    instrument(store)
    await other.set("s", {"n": 1})
    runs = 0

    async def handler(turn: Turn) -> None:
        nonlocal runs
        runs += 1
        await turn.step("effect", lambda: runs)
        if runs == 1:
            await other.update("s", {"n": 10})
        if runs == 3:
            await other.update("s", {"elsewhere": 1})
        turn.state["n"] += 1

    await store.run_turn("s", handler, input="x")
    await store.run_turn("s", handler, input="y")
    scrape = Scrape(store)
    assert scrape.calls("commit") == {"conflict": 1, "committed": 1, "merged": 1}
    assert scrape("turn_reruns_total") == 1
    assert scrape.calls("record") == {"ok": 2}
    assert scrape("steps_replayed_total") == 1
    assert scrape.turns() == {"completed": 2}


async def test_a_turn_that_waits_is_timed_by_what_came_of_it(nodes: Nodes) -> None:
    store, other = await nodes.open(poll=0.05), await nodes.open(poll=0.05)
    instrument(store)
    started, gate = asyncio.Event(), asyncio.Event()

    async def holds(turn: Turn) -> None:
        started.set()
        await gate.wait()
        turn.reply("done")

    running = asyncio.create_task(other.run_turn("s", holds, input="x", turn_id="t"))
    await started.wait()
    same = asyncio.create_task(store.run_turn("s", answer, input="x", turn_id="t"))
    behind = asyncio.create_task(store.run_turn("s", answer, input="y"))
    with pytest.raises(TurnBusy):
        await store.run_turn("s", answer, input="z", on_busy="reject")
    await eventually(lambda: {"running", "queued"} <= Scrape(store).calls("begin").keys(), 30)
    gate.set()
    await asyncio.gather(running, same, behind)
    scrape = Scrape(store)
    assert scrape.calls("begin")["busy"] == 1
    assert scrape("turn_wait_seconds_count", result="granted") == 1
    assert scrape("turn_wait_seconds_count", result="replayed") == 1
    assert scrape("turn_wait_seconds_count", result="gave_up") == 0
    assert (scrape("turn_wait_seconds_sum", result="granted") or 0) > 0
    assert scrape.turns() == {"replayed": 1, "completed": 1, "refused": 1}


async def test_a_further_attempt_is_a_resumed_turn(store: Store) -> None:
    instrument(store)

    async def fails_once(turn: Turn) -> None:
        await turn.step("effect", lambda: 1)
        if turn.attempt == 1:
            raise RuntimeError("this attempt dies")

    with pytest.raises(RuntimeError):
        await store.run_turn("s", fails_once, input="x", turn_id="t")
    await store.run_turn("s", fails_once, input="x", turn_id="t")
    scrape = Scrape(store)
    assert scrape.calls("begin") == {"granted": 1, "resumed": 1}
    assert scrape.turns() == {"error": 1, "completed": 1}
    assert scrape("steps_replayed_total") == 1


async def test_blocks_are_counted_as_turns_are(store: Store) -> None:
    instrument(store)
    async with store.turn("s", input="x", turn_id="t") as turn:
        turn.reply("y")
    with pytest.raises(RuntimeError):
        async with store.turn("s", input="z"):
            raise RuntimeError("no")
    with pytest.raises(Exception, match="finished"):
        async with store.turn("s", input="x", turn_id="t"):
            pass
    assert turn.outcome is not None
    assert Scrape(store).turns() == {"completed": 1, "error": 1, "replayed": 1}


async def test_reads_listings_and_other_tenants_are_counted_too(store: Store) -> None:
    instrument(store)
    tenant = store.for_tenant(f"{store.settings.tenant}-2")
    await tenant.set("s", {"a": 1}, user="u")
    assert await tenant.get("s") == {"a": 1}
    assert await tenant.get("s") == {"a": 1}
    assert await store.get("s") == {}
    with pytest.raises(WrongUser):
        await tenant.get("s", user="v")
    assert [one async for one in tenant.scan()] == ["s"]
    assert (await tenant.by_user("u")).ids == ["s"]
    await tenant.read_log("s", start=0)
    assert await tenant.delete("s")
    assert not await tenant.delete("s")
    await tenant.run_turn("t", answer, input="x")
    scrape = Scrape(store)
    assert scrape.turns() == {"completed": 1}
    assert scrape.calls("load") == {
        "missing": 3,
        "found": 1,
        "unchanged": 2,
    }  # `set` looks first; a deletion, for whose it is
    assert scrape.calls("scan") == {"ok": 1}
    assert scrape.calls("by_user") == {"ok": 2}  # a deletion looks for what the session's turns noted
    assert scrape.calls("read_log") == {"found": 1}
    assert scrape.calls("delete") == {"deleted": 1, "missing": 1}


async def test_a_cancelled_call_has_no_duration() -> None:
    class Stuck(MemoryBackend):
        async def delete(self, key: object) -> bool:
            await asyncio.Event().wait()
            return True

    recorder = CallRecorder()
    backend = MeteredBackend(Stuck(), recorder)
    call = asyncio.create_task(backend.delete(("", "s")))  # type: ignore[arg-type]  # any key will do
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert recorder.ops["delete"].result("cancelled") == 1
    assert recorder.ops["delete"].count == 0


async def test_what_the_inner_backend_has_beside_the_contract_is_found() -> None:
    inner = MemoryBackend()
    backend = MeteredBackend(inner, CallRecorder())
    assert (backend.name, backend.inner) == ("memory", inner)
    assert [one.name for one in backend.measures()] == [one.name for one in inner.measures()]
    assert not hasattr(backend, "no_such_thing")
