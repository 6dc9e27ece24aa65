"""Rates: who is counted for what, what a refusal says, and what happens while the store does not answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.types import Scope

from holdfast.backends.rates import Bucket, OwnRates, Rate, Rates, Taken
from holdfast.backends.redis import open_redis
from holdfast.config import Config, LimitsSection
from holdfast.errors import StoreUnavailable
from holdfast.server.callers import EVERYBODY, Caller, set_caller
from holdfast.server.limiting import Limiter, Policy, digest
from holdfast.server.metrics import Metrics
from holdfast.server.problems import LIMITS_DOWN, RATE_LIMITED, Refused
from holdfast.server.rate_layer import Policies, limits_apply
from holdfast.telemetry.instrumenting import measure
from holdfast.testing import RedisServer
from holdfast.wiring import open_store

FEW, MANY = Rate(2, 3600), Rate(50, 3600)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Shared:
    """Buckets that several nodes share, and that can go silent."""

    def __init__(self, clock: Clock) -> None:
        self.rates = OwnRates(clock)
        self.asked = 0
        self.trouble: Exception | None = None
        self.silent = False

    async def take_rates(self, subject: str, buckets: Sequence[Bucket]) -> Taken:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        return self.rates.take(subject, buckets)


class Kit:
    """A limiter over buckets and a clock of the test's."""

    def __init__(self, metrics: Metrics, **settings: Any) -> None:
        self.clock = Clock()
        self.shared = Shared(self.clock)
        self.settings = LimitsSection(**settings)
        self.metrics = metrics

    def node(self, shared: Rates | None = None) -> Limiter:
        return Limiter(self.settings, shared or self.shared, self.metrics, clock=self.clock)

    def text(self) -> str:
        return self.metrics.text().decode()


@pytest.fixture
async def metrics() -> Any:
    async with open_store("memory:") as store:
        yield Metrics(measure(store), "node-0")


def user(name: str = "u", rates: tuple[Rate, ...] = (FEW,), **options: Any) -> Policy:
    return Policy("user-turns", rates, ("acme", name), **options)


async def refused(limiter: Limiter, *policies: Policy) -> Refused:
    with pytest.raises(Refused) as error:
        await limiter.take(policies)
    return error.value


async def test_nodes_share_a_limit(metrics: Metrics) -> None:
    kit = Kit(metrics)
    one, other = kit.node(), kit.node()
    await one.take([user()])
    await other.take([user()])
    error = await refused(one, user())
    assert error.kind is RATE_LIMITED
    assert error.retry_after == pytest.approx(1800)
    assert str(error) == "This user has no turns left for now; there is room again in 1800 s."


async def test_a_refusal_counts_for_nobody(metrics: Metrics) -> None:
    """What a noisy user is refused does not use up its tenant's rate."""
    kit = Kit(metrics)
    limiter, tenant = kit.node(), Policy("tenant-turns", (MANY,), ("acme",))
    for _ in range(2):
        await limiter.take([user(), tenant])
    for number in range(40):
        kit.clock.now += 10.0 if number % 2 else 0.0  # also when the refusal is not known here
        await refused(limiter, user(), tenant)
    room = await limiter.take([tenant])
    [(_, rate, load)] = room.shown
    assert rate.left(load) >= 47


async def test_a_refusal_that_is_known_is_repeated_without_asking(metrics: Metrics) -> None:
    kit = Kit(metrics)
    limiter = kit.node()
    for _ in range(2):
        await limiter.take([user()])
    await refused(limiter, user())
    before = kit.shared.asked
    for _ in range(100):
        assert (await refused(limiter, user())).retry_after > 0
    assert kit.shared.asked == before
    await limiter.take([user("another")])
    kit.clock.now += 1800
    await limiter.take([user()])


async def test_one_full_limit_does_not_close_another(metrics: Metrics) -> None:
    limiter = Kit(metrics).node()
    requests = Policy("user-requests", (MANY,), ("acme", "u"))
    for _ in range(2):
        await limiter.take([user(), requests])
    await refused(limiter, user(), requests)
    await limiter.take([requests])


async def test_the_headers_tell_every_limit_and_what_is_left(metrics: Metrics) -> None:
    limiter = Kit(metrics).node()
    tenant = Policy("tenant-turns", (MANY,), ("acme",), shown=False)
    room = await limiter.take([user(rates=(Rate(5, 60), Rate(50, 3600))), tenant])
    assert room.headers() == {
        "RateLimit-Policy": '"user-turns/60";q=5;w=60, "user-turns/3600";q=50;w=3600',
        "RateLimit": '"user-turns/60";r=4;t=12, "user-turns/3600";r=49;t=72',
    }


async def test_the_longest_wait_is_told(metrics: Metrics) -> None:
    limiter = Kit(metrics).node()
    both = user(rates=(Rate(1, 60), Rate(1, 3600)))
    await limiter.take([both])
    assert (await refused(limiter, both)).retry_after == pytest.approx(3600)


# --- the store is away ---


async def test_while_the_store_is_away_each_node_counts_by_itself(metrics: Metrics) -> None:
    kit = Kit(metrics)
    limiter = kit.node()
    kit.shared.trouble = StoreUnavailable("killed")
    await limiter.take([user()])
    await limiter.take([user()])
    await refused(limiter, user())
    assert kit.shared.asked == 1  # and is left alone for a moment
    assert "holdfast_limits_unchecked_total 3.0" in kit.text()
    kit.shared.trouble = None
    kit.clock.now += 6.0
    await limiter.take([user()])
    assert kit.shared.asked == 2


async def test_a_silent_store_costs_a_moment_once(metrics: Metrics) -> None:
    kit = Kit(metrics)
    limiter = kit.node()
    kit.shared.silent = True
    async with asyncio.timeout(2):
        for _ in range(30):
            await limiter.take([user(rates=(MANY,))])
    assert kit.shared.asked == 1


async def test_closed_refuses_while_nobody_knows(metrics: Metrics) -> None:
    kit = Kit(metrics, store_down="closed")
    limiter = kit.node()
    await limiter.take([user()])
    kit.shared.trouble = StoreUnavailable("killed")
    assert (await refused(limiter, user())).kind is LIMITS_DOWN
    assert (await refused(limiter, user())).kind is LIMITS_DOWN


async def test_a_real_server_killed_in_the_middle(metrics: Metrics) -> None:
    async with RedisServer() as server:
        one, other = await open_redis(server.url, timeout=1), await open_redis(server.url, timeout=1)
        kit = Kit(metrics)
        nodes = [kit.node(one), kit.node(other)]
        for node in nodes:
            await node.take([user()])
        await refused(nodes[0], user())
        await server.kill()
        for node in nodes:
            async with asyncio.timeout(2):
                await node.take([user("somebody else")])
        await one.close()
        await other.close()


async def test_a_caller_that_leaves_while_the_store_is_asked_harms_nobody(redis_server: RedisServer) -> None:
    backend = await open_redis(redis_server.url, prefix=f"l{os.urandom(4).hex()}")
    async with open_store("memory:") as store:
        limiter = Limiter(LimitsSection(), backend, Metrics(measure(store), "n"))
        many = user(rates=(Rate(1000, 3600),))
        for number in range(200):
            task = asyncio.ensure_future(limiter.take([many]))
            if number % 3:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            [(_, rate, load)] = (await limiter.take([user(f"u{number}", rates=(FEW,))])).shown
            assert rate.left(load) == 1
    await backend.close()


# --- names ---


def test_no_names_are_confused() -> None:
    hostile = [
        "a",
        "b",
        "a:b",
        "a:",
        ":b",
        "a\0b",
        "a/b",
        "a\nb",
        "",
        "{x}",
        "\ud800",
        "a" * 5000,
        "ab",
        "é",
        "e\u0301",
    ]
    named = {digest("user", tenant, name) for tenant in hostile for name in hostile}
    assert len(named) == len(hostile) ** 2
    assert all(one.isalnum() and one.isascii() and len(one) == 32 for one in named)
    assert digest("user", "a", "b") != digest("usera", "b") != digest("user", "ab", "")


async def test_hostile_names_are_counted_apart_in_redis(redis_server: RedisServer, metrics: Metrics) -> None:
    backend = await open_redis(redis_server.url, prefix="lh")
    limiter = Limiter(LimitsSection(), backend, metrics)
    once = (Rate(1, 3600),)
    for name in ("u\r\nDEL x", "u:1", "{u}", "\ud800", "u\0", "*"):
        await limiter.take([user(name, once)])
        await refused(limiter, user(name, once))
    keys = redis_server.command("KEYS", "lh:*")
    assert isinstance(keys, list)
    assert len(keys) == 6
    assert not any(mark in str(key) for key in keys for mark in ("\n", "*", "acme", "DEL"))
    await backend.close()


# --- who is counted for what ---


def scope(path: str, caller: Caller | None, method: str = "GET", peer: str = "9.9.9.9") -> Scope:
    made: Scope = {"type": "http", "method": method, "path": path, "headers": [], "client": (peer, 1)}
    if caller is not None:
        set_caller(made, caller)
    return made


LIMITS = {"tenant": {"requests": "9/minute", "turns": "9/minute"}, "tenants": {"acme": {"user": {"turns": "3/minute"}}}}


def policies(caller: Caller | None, path: str = "/v1/sessions/s/turns", method: str = "POST") -> dict[str, Policy]:
    found = Policies(Config(store="memory:", limits=LIMITS)).of_request(scope(path, caller, method))  # type: ignore[arg-type]
    return {one.name: one for one in found if one.rates}


def test_a_turn_is_a_request_too() -> None:
    caller = Caller(tenant="acme", user="u")
    assert set(policies(caller)) == {
        "tenant-requests",
        "tenant-turns",
        "user-requests",
        "user-turns",
        "address-requests",
    }
    assert set(policies(caller, method="GET")) == {"tenant-requests", "user-requests", "address-requests"}
    assert "user-turns" not in policies(caller, "/v1/sessions/s/turns/t/events")


def test_an_application_is_counted_for_its_tenant_only() -> None:
    found = policies(Caller(tenant="acme"))
    assert set(found) == {"tenant-requests", "tenant-turns"}
    assert found["tenant-turns"].shown


def test_a_user_is_not_told_what_its_tenant_has_left() -> None:
    found = policies(Caller(tenant="acme", user="u"))
    assert [name for name, one in found.items() if not one.shown] == ["tenant-requests", "tenant-turns"]


def test_whoever_has_not_said_who_it_is_is_counted_by_address() -> None:
    assert "address-requests" in policies(None, "/v1/visit")
    assert "address-requests" in policies(EVERYBODY)


def test_a_tenant_may_have_limits_of_its_own() -> None:
    mine = policies(Caller(tenant="acme", user="u"))["user-turns"]
    other = policies(Caller(tenant="other", user="u"))["user-turns"]
    assert (mine.rates, mine.tenant) == ((Rate(3, 60),), "acme")
    assert (len(other.rates), other.tenant) == (2, "")
    assert mine.who != other.who


@pytest.mark.parametrize(
    ("tree", "apply"),
    [
        ({}, False),
        ({"limits": {"enabled": True}}, True),
        ({"limits": {"user": {"turns": "1/minute"}}}, True),
        ({"limits": {"admission_wait": "1s"}}, False),
        ({"server": {"access_keys": ["k" * 20]}}, True),
        ({"server": {"access_keys": ["k" * 20]}, "limits": {"enabled": False}}, False),
    ],
)
def test_where_rates_are_kept_to(tree: dict[str, Any], apply: bool) -> None:
    assert limits_apply(Config(store="memory:", **tree)) is apply  # type: ignore[arg-type]


async def test_refusals_are_counted_by_limit_and_named_tenant(metrics: Metrics) -> None:
    kit = Kit(metrics)
    limiter = kit.node()
    for tenant in ("acme", ""):
        for _ in range(2):
            await limiter.take([user(tenant, tenant=tenant)])
        await refused(limiter, user(tenant, tenant=tenant))
    text = generate_latest(metrics.registry).decode()
    assert 'holdfast_limit_refusals_total{limit="user-turns",tenant="acme"} 1.0' in text
    assert 'holdfast_limit_refusals_total{limit="user-turns",tenant=""} 1.0' in text
