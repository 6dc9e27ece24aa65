"""What is read when Prometheus asks: caches, leases, compression, the backend's own figures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest
from scraping import Scrape, answer

from holdfast import Store, Turn, open_store
from holdfast.backends.measures import Measure, measured
from holdfast.backends.memory import MemoryBackend
from holdfast.sessions.settings import settings_from
from holdfast.telemetry import instrument


async def test_the_near_cache(store: Store) -> None:
    instrument(store)
    await store.set("s", {"a": "x" * 1000})
    for _ in range(3):
        await store.get("s")
    scrape = Scrape(store)
    assert scrape("near_cache_entries") == 1
    assert 1000 < (scrape("near_cache_bytes") or 0) == store.cache.bytes < 3000
    assert scrape("near_cache_max_bytes") == 64 * 1024 * 1024
    assert scrape("near_cache_lookups_total", result="hit") == store.cache.hits == 2
    assert scrape("near_cache_lookups_total", result="miss") == store.cache.misses > 0


async def test_sessions_put_out_of_the_near_cache() -> None:
    async with open_store("memory:", cache_bytes=3000) as store:
        instrument(store)
        for number in range(5):
            await store.set(f"s{number}", {"a": "x" * 1000})
            await store.get(f"s{number}")
        scrape = Scrape(store)
        assert scrape("near_cache_entries") == 1
        assert scrape("near_cache_evictions_total") == 4


async def test_leases_while_turns_run(store: Store) -> None:
    instrument(store)
    started, gate = asyncio.Event(), asyncio.Event()

    async def holds(turn: Turn) -> None:
        started.set()
        await gate.wait()

    running = asyncio.create_task(store.run_turn("s", holds, input="x"))
    await started.wait()
    assert Scrape(store)("leases_held") == 1
    gate.set()
    await running
    assert Scrape(store)("leases_held") == 0


async def test_compression_of_all_tenants(store: Store) -> None:
    instrument(store)
    await store.set("s", {"small": "x"})
    assert Scrape(store)("compressed_values_total") == 0
    await store.set("s", {"large": "x" * 10_000})
    await store.for_tenant("other").set("s", {"large": "y" * 10_000})
    scrape = Scrape(store)
    assert scrape("compressed_values_total") == 2
    assert scrape("compressed_bytes_before_total") == 20_006
    assert 20 < (scrape("compressed_bytes_after_total") or 0) < 200


async def test_memory_tells_its_sessions() -> None:
    async with open_store("memory:") as store:
        instrument(store)
        await store.set("a", {})
        await store.set("b", {})
        assert Scrape(store)("memory_sessions", backend="memory") == 2


async def test_sqlite_tells_how_many_calls_share_a_transaction(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'x.db'}") as store:
        instrument(store)
        await asyncio.gather(*[store.set(f"s{number}", {"n": number}) for number in range(50)])
        scrape = Scrape(store)
        writer: dict[str, str] = {"thread": "writer"}
        calls = scrape("sqlite_transaction_calls_total", **writer)
        transactions = scrape("sqlite_transactions_total", **writer)
        assert calls == sum(scrape.calls("commit").values()) == 50
        assert transactions is not None
        assert 1 <= transactions < 50
        assert scrape("sqlite_queue_depth", **writer) == 0
        assert (scrape("sqlite_file_bytes", file="wal") or 0) > 4096
        assert (scrape("sqlite_file_bytes", file="database") or 0) >= 4096


async def test_a_backend_of_ones_own_may_tell_figures() -> None:
    class Own(MemoryBackend):
        name = "own"

        def measures(self) -> list[Measure]:
            kinds: tuple[Literal["gauge", "counter"], ...] = ("gauge", "counter")
            return [
                Measure(f"own_{kind}", kind, number, (("at", place),), "Ours.")
                for kind in kinds
                for number, place in enumerate(("left", "right"))
            ]

    backend = Own()
    store = Store(backend, settings_from({}))
    instrument(store)
    assert measured(store.backend) is not None
    scrape = Scrape(store)
    assert scrape("own_gauge", backend="own", at="right") == 1
    assert scrape("own_counter_total", backend="own", at="left") == 0
    assert "# TYPE holdfast_own_counter_total counter" in scrape.text
    await store.close()


@pytest.mark.parametrize("result", ["applied", "rejected", "unresolvable"])
async def test_counts_that_have_not_risen_yet_are_there(store: Store, result: str) -> None:
    assert Scrape(store)("outcomes_settled_total", result=result) == 0
    assert Scrape(store)("store_calls_total", op="commit", result="unknown") == 0
    assert Scrape(store)("forks_detected_total") == 0
    await store.run_turn("s", answer, input="x")
