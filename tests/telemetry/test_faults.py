"""What is counted when the store is lost, frozen, or silent about a write; and that nobody who asks has to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import generate_latest
from scraping import Scrape, answer

from holdfast import Store, open_store
from holdfast.config import Config
from holdfast.errors import StoreTimeout, StoreUnavailable
from holdfast.server.app import create_app, node_of
from holdfast.telemetry import instrument, server_figures
from holdfast.telemetry.recording import telemetry_of
from holdfast.testing.fault_proxy import FaultProxy
from holdfast.testing.servers import RedisServer
from store_nodes import eventually, needs_redis_server


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    needs_redis_server()
    async with RedisServer() as server:
        yield server


async def test_a_lost_reply_is_unknown_once_and_settled_once(server: RedisServer) -> None:
    async with (
        FaultProxy("127.0.0.1", server.port, seed=1) as proxy,
        open_store(f"redis://{proxy.host}:{proxy.port}/0") as store,
    ):
        instrument(store)
        await store.run_turn("s", answer, input="a")
        proxy.lose_reply(to=b"You said b.")
        await store.run_turn("s", answer, input="b")
        scrape = Scrape(store)
        assert proxy.traffic.faults == {"lose-reply": 1}
        assert scrape.calls("commit") == {"committed": 1, "unknown": 1}
        assert scrape("outcomes_settled_total", result="applied") == 1
        assert scrape("outcomes_settled_total", result="rejected") == 0
        assert scrape.turns() == {"completed": 2}


async def test_a_lost_request_is_settled_as_rejected(server: RedisServer) -> None:
    async with (
        FaultProxy("127.0.0.1", server.port, seed=1) as proxy,
        open_store(f"redis://{proxy.host}:{proxy.port}/0") as store,
    ):
        instrument(store)
        proxy.lose_request(to=b"You said b.")
        await store.run_turn("s", answer, input="b")
        scrape = Scrape(store)
        assert scrape.calls("commit") == {"unknown": 1, "committed": 1}
        assert scrape("outcomes_settled_total", result="rejected") == 1
        assert scrape.calls("begin")["resumed"] == 1


async def test_a_lost_server_is_unavailable(server: RedisServer) -> None:
    async with open_store(server.url) as store:
        instrument(store)
        await store.set("s", {"a": 1})
        await server.kill()
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await store.run_turn("s", answer, input="x")
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.get("s")
        scrape = Scrape(store)
        assert scrape.calls("load")["unavailable"] == 3
        assert sum(scrape.calls("begin").values()) >= 1
        assert scrape.calls("begin").keys() <= {"unavailable", "unknown"}
        assert scrape.turns().keys() <= {"error", "unknown"}
        await server.start()
        await store.get("s")
        assert Scrape(store).calls("load")["unavailable"] == 3


async def test_a_frozen_server_times_out_and_delays_no_scrape(server: RedisServer) -> None:
    async with open_store(server.url, timeout=1) as store:
        registry = instrument(store)
        telemetry = telemetry_of(store)
        assert telemetry is not None
        assert telemetry.server is not None
        await telemetry.server.ask(10)
        await store.get("s")
        server.freeze()
        try:
            reading = asyncio.create_task(store.get("s"))
            asking = asyncio.create_task(telemetry.server.ask(10))
            await asyncio.sleep(0.05)  # both are sent, and nobody answers
            text = generate_latest(registry).decode()
            assert not reading.done()
            assert not asking.done()
            assert Scrape(text)("store_up") == 1
            with pytest.raises(StoreTimeout):
                await reading
            await asking
        finally:
            server.thaw()
        scrape = Scrape(store)
        assert scrape.calls("load") == {"missing": 1, "timeout": 1}
        assert scrape("store_call_seconds_bucket", op="load", le="0.5") == 1
        assert scrape("store_up") == 0
        assert scrape("server_figures_failures_total") == 1
        assert (scrape("redis_used_memory_bytes") or 0) > 0
        assert (scrape("server_figures_age_seconds") or 0) > 0.05


async def test_figures_come_back_with_the_server(server: RedisServer) -> None:
    async with open_store(server.url, timeout=1) as store:
        instrument(store)
        async with server_figures(store, every=0.05):
            await _until(store, up=1)
            await server.kill()
            await _until(store, up=0)
            await server.start()
            await _until(store, up=1)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert "holdfast-server-figures" not in names


async def test_probes_and_metrics_while_the_store_is_frozen(server: RedisServer) -> None:
    class Assistant:
        masker = knowledge = model = None

        async def __call__(self, turn: object) -> None: ...

    async with open_store(server.url, timeout=2) as store:
        app = create_app(store, Assistant(), Config(store="memory:"))  # type: ignore[arg-type]  # serves no turn here
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://holdfast.test", timeout=30) as http:
            assert (await http.get("/readyz")).status_code == 200
            server.freeze()
            try:
                await asyncio.sleep(1.1)  # a good answer counts for a second
                ready = asyncio.create_task(http.get("/readyz"))
                await asyncio.sleep(0.05)
                assert (await http.get("/livez")).status_code == 200
                metrics = await http.get("/metrics")
                assert not ready.done()
                assert metrics.status_code == 200
                assert Scrape(metrics.text)("node_info", node=node_of(app).name) == 1
                reply = await ready
                assert (reply.status_code, reply.json()["type"]) == (503, "/problems/store-unavailable")
                assert reply.headers["retry-after"] == "2"
            finally:
                server.thaw()
            assert (await http.get("/readyz")).status_code == 200


async def _until(store: Store, *, up: int) -> None:
    await eventually(lambda: Scrape(store)("store_up") == up, 30)
