"""P13: every call ends by its deadline.

Broken on purpose: redis-server is frozen (SIGSTOP), the network swallows everything (on connections that are open and new ones),
another process holds the SQLite file's lock. Each public call, idle before or in full flight, returns or raises one of
Holdfast's own errors: reads within ``timeout``, writes within ``timeout`` and the time for settling a lost reply
(``settle`` + ``timeout``), plus a second. A call that waits for ever on a socket or a lock breaks this at once; the mutant is a
backend that does.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast import Store, Turn, open_store
from holdfast.errors import HoldfastError, StoreError
from store_nodes import Figures, Nodes, needs_redis_server

pytestmark = pytest.mark.alone

TIMEOUT_S = 0.4
SETTLE_S = 0.3
GRACE_S = 1.0
OPTIONS: dict[str, Any] = {"timeout": TIMEOUT_S, "settle": SETTLE_S, "poll": 0.1, "lease": 2, "wait": 1}
READ_S = TIMEOUT_S + GRACE_S
WRITE_S = TIMEOUT_S + SETTLE_S + TIMEOUT_S + GRACE_S
TURN_S = WRITE_S + TIMEOUT_S
"""A turn's one more call gives the lease back, as far as the store can be reached."""

Call = Callable[[], Awaitable[object]]


def calls_of(store: Store) -> dict[str, tuple[Call, float]]:
    """Every public call, and the seconds it may take."""

    async def listed() -> object:
        return [id_ async for id_ in store.scan()]

    async def all_messages() -> object:
        return [message async for message in store.messages("s")]

    async def by_context() -> None:
        async with store.turn("s", input="x") as turn:
            turn.reply("y")

    return {
        "get": (lambda: store.get("s"), READ_S),
        "exists": (lambda: store.exists("s"), READ_S),
        "load": (lambda: store.load("s"), READ_S),
        "read_log": (lambda: store.read_log("s"), READ_S),
        "messages": (all_messages, READ_S),
        "scan": (listed, READ_S),
        "by_user": (lambda: store.by_user("u"), READ_S),
        "touch": (lambda: store.touch("s"), READ_S),
        "delete": (lambda: store.delete("other"), READ_S),
        "set": (lambda: store.set("s", {"a": 1}), WRITE_S + TIMEOUT_S),
        "update": (lambda: store.update("s", {"a": 1}), WRITE_S),
        "update by function": (lambda: store.update("s", lambda state: state.update(a=2)), WRITE_S + TIMEOUT_S),
        "create": (lambda: store.create("new"), WRITE_S),
        "run_turn": (lambda: store.run_turn("s", lambda turn: turn.reply("y"), input="x"), TURN_S),
        "turn": (by_context, TURN_S),
        "check": (lambda: store.check(), READ_S),
    }


async def timed(name: str, call: Call, limit: float) -> tuple[float, bool]:
    """Seconds it took, and whether it raised."""
    started = time.monotonic()
    failed = False
    try:
        async with asyncio.timeout(limit + 5):
            await call()
    except HoldfastError:
        failed = True
    took = time.monotonic() - started
    assert took <= limit, f"{name} took {took:.2f} s, {limit:.2f} allowed"
    return took, failed


async def all_end_in_time(store: Store, where: str, backend: str, figures: Figures) -> None:
    calls = calls_of(store)
    results = await asyncio.gather(*[timed(name, call, limit) for name, (call, limit) in calls.items()])
    assert sum(failed for _, failed in results) >= 8, "the fault was not felt"
    figures(
        "P13",
        backend,
        **{f"calls_{where}": len(calls), f"longest_s_{where}": round(max(took for took, _ in results), 2)},
    )


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[Any, Any, Store]]:
    needs_redis_server()
    from holdfast.testing.fault_proxy import FaultProxy
    from holdfast.testing.servers import RedisServer

    async with (
        RedisServer() as server,
        FaultProxy("127.0.0.1", server.port, seed=1) as proxy,
        await opened(f"redis://127.0.0.1:{proxy.port}/0") as store,
    ):
        await store.set("s", {"a": 0})
        await store.run_turn("s", lambda turn: turn.reply("y"), input="x")
        yield server, proxy, store


async def opened(url: str) -> Store:
    """A store with short deadlines; on a busy machine opening it may take longer than one of them."""
    for tries_left in (4, 3, 2, 1, 0):
        try:
            return await open_store(url, **OPTIONS)
        except StoreError:
            if not tries_left:
                raise
    raise AssertionError("a try raises or returns")


@pytest.mark.parametrize("where", ["frozen", "blackholed", "half_open", "refused"])
async def test_a_redis_server_out_of_reach(proxied: tuple[Any, Any, Store], where: str, figures: Figures) -> None:
    server, proxy, store = proxied
    if where == "frozen":
        server.freeze()
    elif where == "blackholed":
        proxy.blackhole()
    elif where == "half_open":
        proxy.half_open()
        proxy.cut_all()
    else:
        proxy.refuse()
        proxy.cut_all()
    await all_end_in_time(store, where, "redis", figures)
    if where == "frozen":
        server.thaw()
    elif where == "blackholed":
        proxy.blackhole(False)
    elif where == "half_open":
        proxy.half_open(False)
        proxy.cut_all()
    else:
        await proxy.accept()
    await works_again(store)


async def works_again(store: Store) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            outcome = await store.run_turn("s", lambda turn: turn.reply("again"), input="x")
        except HoldfastError:
            assert time.monotonic() < deadline, "it does not work again"
            await asyncio.sleep(0.05)
        else:
            assert outcome.reply == "again"
            return


@pytest.mark.parametrize("where", ["frozen", "blackholed"])
async def test_a_turn_under_way_when_the_server_stops(
    proxied: tuple[Any, Any, Store], where: str, figures: Figures
) -> None:
    server, proxy, store = proxied

    async def handler(turn: Turn) -> None:
        server.freeze() if where == "frozen" else proxy.blackhole()
        turn.reply("y")

    took, failed = await timed(
        "run_turn", lambda: store.run_turn("s", handler, input="x", turn_id="t"), TURN_S + TIMEOUT_S
    )
    assert failed
    server.thaw() if where == "frozen" else proxy.blackhole(False)
    await works_again(store)
    outcome = await store.run_turn("s", lambda turn: turn.reply("y"), input="x", turn_id="t", wait=10)
    assert outcome.reply == "y"
    log = [message async for message in store.messages("s")]
    assert [m.turn_id for m in log].count("t") == 2
    figures("P13", "redis", **{f"turn_under_way_{where}_s": round(took, 2)})


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        other.rollback()
        other.close()


async def test_a_locked_sqlite_file(tmp_path: Path, figures: Figures) -> None:
    path = tmp_path / "store.db"
    async with open_store(f"sqlite:///{path}", **OPTIONS) as store:
        await store.set("s", {"a": 0})
        async with locked(path):
            calls = calls_of(store)
            writes = {name: calls[name] for name in ("set", "update", "create", "touch", "delete", "run_turn", "turn")}
            results = await asyncio.gather(*[timed(name, *call) for name, call in writes.items()])
            assert all(failed for _, failed in results), "the lock was not felt"
            reads = set(calls) - set(writes)
            for name in sorted(reads):
                await timed(name, *calls[name])
            started = time.monotonic()
            with pytest.raises(HoldfastError):
                await open_store(f"sqlite:///{path}", **OPTIONS)
            assert time.monotonic() - started <= READ_S
        await works_again(store)
    longest = round(max(took for took, _ in results), 2)
    figures("P13", "sqlite", calls_on_a_locked_file=len(calls), longest_s_locked=longest)


async def test_a_turn_that_waits_ends_by_its_own_deadline(nodes: Nodes, figures: Figures) -> None:
    store = await nodes.open(**OPTIONS)
    go, started = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        started.set()
        await go.wait()

    task = asyncio.create_task(store.run_turn("s", slow, input="x"))
    await started.wait()
    took, failed = await timed(
        "queued", lambda: store.run_turn("s", slow, input="y", wait=0.3), 0.3 + TIMEOUT_S + GRACE_S
    )
    assert failed
    assert took >= 0.29
    go.set()
    await task
    figures("P13", nodes.name, queued_s=round(took, 2))


async def test_a_backend_that_waits_for_ever_is_caught(memory_nodes: Nodes) -> None:
    store, between = await memory_nodes.interposed(**OPTIONS)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    between.before["load"] = for_ever
    with pytest.raises((AssertionError, TimeoutError)):
        await timed("get", lambda: store.get("s"), -4.5)


async def test_closing_ends_in_time_on_a_frozen_server(proxied: tuple[Any, Any, Store], figures: Figures) -> None:
    server, _, store = proxied
    server.freeze()
    pending = asyncio.create_task(store.get("s"))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await store.close()
    took = time.monotonic() - started
    server.thaw()
    await asyncio.gather(pending, return_exceptions=True)
    assert isinstance(pending.exception(), HoldfastError)
    assert took <= READ_S
    figures("P13", "redis", close_on_a_frozen_server_s=round(took, 2))
