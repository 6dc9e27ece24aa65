"""What is kept too long goes, by class and tenant; what is not stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Message, Store, Turn, open_store
from holdfast.config import Config
from holdfast.privacy.audit import AuditLog
from holdfast.privacy.retention import RetentionLoop, Rules, sweep
from holdfast.turns.tenants import TRACES

DAY = 24 * 3600.0


def ahead(days: float) -> Callable[[], float]:
    """A clock that is so many days ahead."""
    return lambda: time.time() + days * DAY


async def _said(store: Store, session: str, days: float) -> None:
    old = Message("user", "hello", created_at=time.time() - days * DAY)
    await store.update(session, {"phone": "13800138000", "phone_2": "x", "city": "Wuhan"}, append=[old])


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    return await open_store(f"sqlite:///{tmp_path / 's.db'}")


async def test_sessions_fields_and_traces_each_by_their_own_rule(store: Store) -> None:
    async with store:
        for session, days in (("new", 0), ("week", 8), ("month", 40)):
            await _said(store, session, days)
        await store.beside(TRACES).set("note", {"1": {}})
        rules = Rules(sessions=30 * DAY, traces=DAY, fields={"phone*": 7 * DAY})
        # a session is no older than its creation, whatever its messages say
        assert (await sweep(store, rules, now=ahead(0.5))).sessions == 0
        dry = await sweep(store, rules, now=ahead(8), dry=True)
        assert (dry.sessions, dry.fields, dry.traces) == (0, 6, 1)
        assert sorted(await store.get("month")) == ["city", "phone", "phone_2"]
        done = await sweep(store, rules, now=ahead(8))
        assert (done.looked_at, done.sessions, done.fields, done.traces) == (3, 0, 6, 1)
        assert sorted(await store.get("month")) == ["city"]
        assert (await sweep(store, rules, now=ahead(31))).sessions == 3
        assert [one async for one in store.scan()] == []


async def test_a_session_in_which_somebody_talks_again_stays(store: Store) -> None:
    await _said(store, "s", 100)
    runs, may = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        runs.set()
        await may.wait()
        turn.reply("welcome back")

    back = asyncio.create_task(store.run_turn("s", slow, input="hello again"))
    await runs.wait()
    assert (await sweep(store, Rules(sessions=3600), now=ahead(200))).sessions == 0
    may.set()
    assert (await back).status == "completed"
    assert (await sweep(store, Rules(sessions=3600), now=ahead(200))).sessions == 1
    assert await store.load("s") is None


async def test_of_many_nodes_one_makes_the_pass_and_each_tenant_has_its_rules(store: Store) -> None:
    async with store:
        rules = {"": Rules(sessions=0.05), "acme": Rules(sessions=DAY)}
        for tenant in rules:
            await (store if not tenant else store.for_tenant(tenant)).set("s", {"a": 1})
        await asyncio.sleep(0.1)
        loops = [RetentionLoop(store, rules, every=60) for _ in range(4)]
        passes = await asyncio.gather(*[loop.once(tenant, rules[tenant]) for loop in loops for tenant in rules])
        assert sum(one is not None for one in passes) == 2
        assert not await store.exists("s")
        assert await store.for_tenant("acme").exists("s")


async def test_the_loop_runs_by_itself_and_ends_with_its_context(store: Store) -> None:
    async with store:
        await store.set("s", {"a": 1})
        await asyncio.sleep(0.02)
        async with RetentionLoop(store, {"": Rules(sessions=0.01)}, every=0.05):
            for _ in range(200):
                if not await store.exists("s"):
                    break
                await asyncio.sleep(0.02)
        assert not await store.exists("s")


def test_the_config_says_it_by_tenant() -> None:
    config = Config(
        privacy={"retention": {"sessions": "90d", "fields": {"phone": "7d"}, "tenants": {"acme": {"traces": "1h"}}}}  # type: ignore[arg-type]
    )
    rules = config.privacy.retention.rules("")
    assert rules[""] == Rules(90 * DAY, None, {"phone": 7 * DAY})
    assert rules["acme"] == Rules(None, 3600.0)


async def test_the_audit_log_keeps_what_was_done_by_tenant_and_in_order(store: Store) -> None:
    async with store:
        log = AuditLog(store, keep=DAY)
        for number in range(250):
            log.note("li", "operator", "session.read", f"s-{number}")
        log.note("boss", "admin", "session.delete", "s-1", tenant="acme", ok=False)
        await log.flush()
        entries = [entry async for entry in AuditLog(store, keep=DAY).entries()]
        assert [entry.target for entry in entries] == [f"s-{number}" for number in range(250)]
        (one,) = [entry async for entry in log.entries(tenant="acme")]
        assert (one.actor, one.action, one.ok) == ("boss", "session.delete", False)
        assert [entry async for entry in log.entries(since=time.time() + 60)] == []
        assert [session async for session in store.scan()] == []  # it is no conversation
