"""Limits as a client meets them: 429, when to come back, what is left; and keys that are guessed at."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from access_kit import bearer, section, site
from channel_kit import generic, message, sent, served_channel
from server_kit import Scripted, kind
from test_metrics import value

from holdfast import Store
from holdfast.backends.redis import open_redis
from holdfast.config import Config
from holdfast.server.app import create_app, node_of
from holdfast.sessions.settings import settings_from
from holdfast.testing import RedisServer

WRONG = {"Authorization": "Bearer hf_wrong"}


@asynccontextmanager
async def redis_nodes(url: str, count: int, limits: dict[str, Any]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Nodes that know the keys of Ann and Bob, over one Redis."""
    keys = [section(name, role="user", user=name) for name in ("ann", "bob")]
    config = Config(store="memory:", access={"keys": keys}, limits=limits)  # type: ignore[arg-type]  # as a file has it
    prefix = f"rl{os.urandom(4).hex()}"
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            store = Store(await open_redis(url, prefix=prefix, timeout=1), settings_from({}))
            stack.push_async_callback(store.close)
            app = create_app(store, Scripted(), config)
            stack.push_async_callback(node_of(app).desk.drain, 0)
            transport = httpx.ASGITransport(app=app)
            http = httpx.AsyncClient(transport=transport, base_url="http://holdfast.test", timeout=20)
            clients.append(await stack.enter_async_context(http))
        yield clients


async def turn(http: httpx.AsyncClient, session_id: str, headers: dict[str, str]) -> httpx.Response:
    return await http.post(f"/v1/sessions/{session_id}/turns", json={"input": "say x"}, headers=headers)


async def begun(http: httpx.AsyncClient, headers: dict[str, str]) -> str:
    return str((await http.post("/v1/sessions", json={}, headers=headers)).json()["id"])


async def test_two_nodes_share_one_limit(redis_server: RedisServer) -> None:
    async with redis_nodes(redis_server.url, 2, {"user": {"turns": "3/hour"}}) as (one, other):
        ann, bob = bearer("ann"), bearer("bob")
        session_id = await begun(one, ann)
        statuses = [(await turn(http, session_id, ann)).status_code for http in (one, other, one)]
        assert statuses == [200, 200, 200]
        for http in (other, one):
            reply = await turn(http, session_id, ann)
            assert (reply.status_code, kind(reply)) == (429, "rate-limited")
            assert 1190 <= int(reply.headers["Retry-After"]) <= 1200
        assert (await one.get(f"/v1/sessions/{session_id}", headers=ann)).status_code == 200
        assert (await turn(one, await begun(one, bob), bob)).status_code == 200


async def test_a_store_that_dies_refuses_nothing_by_its_limits() -> None:
    async with (
        RedisServer() as server,
        redis_nodes(server.url, 1, {"user": {"requests": "100/minute"}}) as (http,),
    ):
        assert (await http.get("/v1/info", headers=bearer("ann"))).status_code == 200
        await server.kill()
        replies = [await http.get("/v1/info", headers=bearer("ann")) for _ in range(20)]
        assert {reply.status_code for reply in replies} == {200}
        unchecked = value((await http.get("/metrics")).text, "holdfast_limits_unchecked_total")
        assert unchecked == 20 * 2  # of the user, and of its address


async def test_what_is_left_is_told_with_each_answer() -> None:
    async with site(limits={"user": {"requests": ["10/minute", "100/hour"]}}) as node:
        reply = await node.http.get("/v1/info", headers=bearer("user"))
        policy = reply.headers["RateLimit-Policy"]
        assert '"user-requests/60";q=10;w=60, "user-requests/3600";q=100;w=3600' in policy
        assert '"user-requests/60";r=9;t=6' in reply.headers["RateLimit"]


async def test_reads_and_turns_are_counted_apart_and_health_is_not() -> None:
    async with site(limits={"user": {"requests": "6/hour", "turns": "1/hour"}}) as node:
        headers = bearer("user")
        session_id = await begun(node.http, headers)
        assert (await turn(node.http, session_id, headers)).status_code == 200
        assert (await turn(node.http, session_id, headers)).status_code == 429
        for _ in range(4):
            assert (await node.http.get(f"/v1/sessions/{session_id}", headers=headers)).status_code == 200
        refused = await node.http.get(f"/v1/sessions/{session_id}", headers=headers)
        assert refused.status_code == 429
        assert "requests" in refused.json()["detail"]
        for path in ("/livez", "/readyz", "/"):
            assert (await node.http.get(path)).status_code != 429
        metrics = (await node.http.get("/metrics", headers=bearer("operator"))).text
        assert value(metrics, 'holdfast_limit_refusals_total{limit="user-requests",tenant=""}') == 1
        assert value(metrics, 'holdfast_limit_refusals_total{limit="user-turns",tenant=""}') == 1


async def test_one_tenants_limit_is_not_anothers() -> None:
    limits = {"tenants": {"bank": {"requests": "2/hour"}}}
    async with site(limits=limits) as node:
        for role in ("user", "admin"):
            assert (await node.http.get("/v1/info", headers=bearer(role, "bank"))).status_code == 200
        assert (await node.http.get("/v1/info", headers=bearer("application", "bank"))).status_code == 429
        for _ in range(5):
            assert (await node.http.get("/v1/info", headers=bearer("user"))).status_code == 200


async def test_keys_can_be_guessed_at_only_so_often() -> None:
    async with site(limits={"address": {"failures": "3/hour"}}) as node:
        for _ in range(3):
            assert (await node.http.get("/v1/info", headers=WRONG)).status_code == 401
        refused = await node.http.get("/v1/info", headers=WRONG)
        assert (refused.status_code, kind(refused)) == (429, "rate-limited")
        assert refused.headers["X-Holdfast-Node"]
        # a good one is not looked at either: else the answer would tell which one was good
        assert (await node.http.get("/v1/info", headers=bearer("user"))).status_code == 429
        assert (await node.http.get("/livez")).status_code == 200


async def test_good_keys_and_nobody_at_all_are_no_failures() -> None:
    async with site(limits={"address": {"failures": "3/hour"}}) as node:
        for _ in range(10):
            assert (await node.http.get("/v1/info", headers=bearer("user"))).status_code == 200
            assert (await node.http.get("/v1/info")).status_code == 401


async def test_addresses_behind_a_proxy_are_counted_apart() -> None:
    limits = {"address": {"failures": "2/hour"}, "trusted_proxies": ["127.0.0.1"]}
    async with site(limits=limits) as node:

        def from_(address: str) -> dict[str, str]:
            return {**WRONG, "X-Forwarded-For": f"1.2.3.4, {address}"}

        for _ in range(2):
            assert (await node.http.get("/v1/info", headers=from_("198.51.100.1"))).status_code == 401
        assert (await node.http.get("/v1/info", headers=from_("198.51.100.1"))).status_code == 429
        assert (await node.http.get("/v1/info", headers=from_("198.51.100.2"))).status_code == 401


async def test_a_user_of_a_channel_is_counted_there() -> None:
    server = {"access_keys": ["k" * 20]}
    async with served_channel(
        generic("http://127.0.0.1:9/"), server=server, limits={"user": {"turns": "2/hour"}}
    ) as node:
        for number in range(2):
            reply = await sent(node.http, message("say x", f"m-{number}", user="ann"))
            assert reply.status_code == 200
        assert (await sent(node.http, message("say x", "m-3", user="ann"))).status_code == 429
        assert (await sent(node.http, message("say x", "m-4", user="bob", session="chat-18"))).status_code == 200
