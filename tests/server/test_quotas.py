"""What tenants and users may keep and spend, and how it is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from access_kit import Site, bearer, site
from server_kit import kind
from test_metrics import value

from holdfast import Store, Turn
from holdfast.assistant.models.budget import KEY as SPENT
from holdfast.backends.memory import MemoryBackend
from holdfast.errors import StoreUnavailable
from holdfast.server.app import node_of
from holdfast.server.quotas import BYTES, Quotas
from holdfast.sessions.settings import settings_from
from holdfast.turns.usage import EVERY_S, USAGE, Usage, Used

ANN, APP, BANK = bearer("user"), bearer("application"), bearer("application", "bank")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def quotas_of(node: Site) -> Quotas:
    return node_of(node.app).quotas


async def create(node: Site, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await node.http.post("/v1/sessions", json=body, headers=headers)


async def turn(node: Site, session_id: str, text: str, headers: dict[str, str]) -> httpx.Response:
    return await node.http.post(f"/v1/sessions/{session_id}/turns", json={"input": text}, headers=headers)


# --- conversations ---


async def test_a_user_has_so_many_conversations_and_room_again_when_one_is_deleted() -> None:
    async with site(limits={"user": {"sessions": 3}}) as node:
        made = [(await create(node, ANN)).json()["id"] for _ in range(3)]
        reply = await create(node, ANN)
        assert (reply.status_code, kind(reply)) == (403, "quota-exceeded")
        assert "keeps 3 conversations" in reply.json()["detail"]
        assert "Retry-After" not in reply.headers
        assert (await create(node, APP, user="bob")).status_code == 201
        assert (await turn(node, made[0], "say x", ANN)).status_code == 200
        await node.http.delete(f"/v1/sessions/{made[0]}", headers=ANN)
        assert (await create(node, ANN)).status_code == 201
        metrics = (await node.http.get("/metrics", headers=bearer("operator"))).text
        assert value(metrics, 'holdfast_limit_refusals_total{limit="user-sessions",tenant=""}') == 1


async def test_a_tenant_has_so_many_and_another_its_own() -> None:
    async with site(limits={"tenants": {"bank": {"sessions": 2}}}) as node:
        made = [(await create(node, BANK)).json()["id"] for _ in range(2)]
        assert kind(await create(node, BANK)) == "quota-exceeded"
        for _ in range(5):
            assert (await create(node, APP)).status_code == 201
        await node.http.delete(f"/v1/sessions/{made[0]}", headers=BANK)
        assert (await create(node, BANK)).status_code == 201


async def test_what_expired_unseen_is_counted_off_by_the_recount() -> None:
    async with site(limits={"tenant": {"sessions": 3}}) as node:
        made = [(await create(node, APP)).json()["id"] for _ in range(3)]
        assert kind(await create(node, APP)) == "quota-exceeded"
        for session_id in made[:2]:
            await node.store.delete(session_id)  # past the server
        assert kind(await create(node, APP)) == "quota-exceeded"
        assert (await quotas_of(node).recount("")).sessions == 1
        assert (await create(node, APP)).status_code == 201
        assert (await quotas_of(node).usage.of("")).sessions == 2


# --- bytes ---


async def test_bytes_are_those_of_the_messages_and_a_full_tenant_takes_no_turn() -> None:
    async with site(limits={"tenant": {"bytes": 6000}}) as node:
        session_id = (await create(node, APP)).json()["id"]
        sent = 0
        while (reply := await turn(node, session_id, "say " + "word " * 100, APP)).status_code == 200:
            sent += 1
        assert (kind(reply), 3 <= sent <= 7) == ("quota-exceeded", True)
        assert kind(await create(node, APP)) == "quota-exceeded"
        session = await node.store.load(session_id)
        assert session is not None
        text = sum(len(message.content) for message in session.messages)
        assert text <= session.state[BYTES] <= text * 1.5
        counted = await quotas_of(node).recount("")
        assert counted.bytes == pytest.approx(session.state[BYTES], rel=0.1)
        await node.http.delete(f"/v1/sessions/{session_id}", headers=APP)
        assert (await quotas_of(node).recount("")).bytes == 0
        assert (await create(node, APP)).status_code == 201


async def test_a_user_is_counted_anew_before_it_is_refused() -> None:
    async with site(limits={"user": {"bytes": 3000}}) as node:
        first = (await create(node, ANN)).json()["id"]
        while (reply := await turn(node, first, "say " + "word " * 100, ANN)).status_code == 200:
            pass
        assert kind(reply) == "quota-exceeded"
        await node.http.delete(f"/v1/sessions/{first}", headers=ANN)
        second = (await create(node, ANN)).json()["id"]
        assert (await turn(node, second, "say x", ANN)).status_code == 200


async def test_nothing_is_written_where_nothing_is_limited() -> None:
    async with site() as node:
        session_id = (await create(node, APP)).json()["id"]
        await turn(node, session_id, "say x", APP)
        session = await node.store.load(session_id)
        assert session is not None
        assert BYTES not in session.state
        await quotas_of(node).usage.flush()
        assert [one async for one in node.store.beside(USAGE).scan()] == []


# --- tokens ---


async def test_tokens_are_spent_and_there_are_new_ones() -> None:
    async with site(limits={"tenant": {"tokens": 100}, "tokens_per": "1h"}) as node:
        quotas, clock = quotas_of(node), Clock()
        quotas.usage = Usage(lambda tenant: node.of(tenant).beside(USAGE), per=3600, clock=clock)
        answer = node_of(node.app).desk._assistant

        async def costly(turn: Turn) -> None:
            turn.state[SPENT] = {"since": 0, "tokens": 60, "total": 60, "turn": [turn.id, 60]}
            await answer(turn)

        node_of(node.app).desk._assistant = costly
        session_id = (await create(node, APP)).json()["id"]
        assert [(await turn(node, session_id, "say x", APP)).status_code for _ in range(3)] == [200, 200, 403]
        reply = await turn(node, session_id, "say x", APP)
        left = int(reply.headers["Retry-After"])
        assert 0 < left <= 3600
        assert f"new ones in {left} s" in reply.json()["detail"]
        clock.now += left
        assert (await turn(node, session_id, "say x", APP)).status_code == 200


# --- the records ---


@asynccontextmanager
async def two_nodes(clock: Clock) -> AsyncIterator[tuple[Usage, Usage, Store]]:
    backend = MemoryBackend()
    store = Store(backend, settings_from({}))

    def usage() -> Usage:
        return Usage(lambda tenant: store.for_tenant(tenant or "t").beside(USAGE), per=3600, clock=clock)

    yield usage(), usage(), store
    await backend.close()


async def test_nodes_learn_of_each_other_within_seconds() -> None:
    clock = Clock()
    async with two_nodes(clock) as (one, other, _):
        one.add("a", sessions=3, bytes=100, tokens=7)
        other.add("a", sessions=2)
        assert (await one.of("a")).sessions == 3
        assert (await other.of("a")).sessions == 5
        clock.now += EVERY_S
        await one.of("a")
        await one.flush()
        assert await one.of("a") == Used(5, 100, 7, one.since)
        assert await one.of("b") == Used(0, 0, 0, one.since)
        assert await one.of("a", "u") == Used(0, 0, 0, one.since)


async def test_a_look_asks_the_store_once_in_a_while() -> None:
    clock = Clock()
    async with two_nodes(clock) as (one, _, store):
        calls = 0
        load = store.backend.load

        async def counted(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return await load(*args, **options)

        store.backend.load = counted  # type: ignore[method-assign]
        for _ in range(100):
            await one.of("a")
        assert calls == 1


async def test_what_cannot_be_entered_is_kept() -> None:
    clock = Clock()
    async with two_nodes(clock) as (one, other, store):
        update = store.backend.commit

        async def down(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("away")

        store.backend.commit = down  # type: ignore[method-assign]
        one.add("a", sessions=2)
        one.add("a", sessions=-1)
        assert (await one.of("a")).sessions == 1
        await one.flush()
        one.add("a", sessions=4)
        store.backend.commit = update  # type: ignore[method-assign]
        await one.flush()
        assert (await other.of("a")).sessions == 5


async def test_a_recount_keeps_what_came_meanwhile() -> None:
    clock = Clock()
    async with two_nodes(clock) as (one, other, _):
        one.add("a", sessions=10)
        before = await one.entered("a")
        other.add("a", sessions=1)
        await other.flush()
        await one.put_right("a", "", Used(4), before)
        assert (await one.of("a")).sessions == 5


async def test_one_node_at_a_time_counts_anew() -> None:
    clock = Clock()
    async with two_nodes(clock) as (one, other, _):
        assert [await one.claim("a", 900), await other.claim("a", 900), await one.claim("b", 900)] == [
            True,
            False,
            True,
        ]
        clock.now += 901
        assert await other.claim("a", 900)


async def test_tokens_of_another_window_do_not_count() -> None:
    clock = Clock()
    async with two_nodes(clock) as (one, other, _):
        one.add("a", tokens=50)
        await one.flush()
        one.add("a", tokens=5)
        clock.now += 3600
        assert (await one.of("a")).tokens == 0
        other.add("a", tokens=1)
        await other.flush()
        assert (await other.of("a")).tokens == 1
