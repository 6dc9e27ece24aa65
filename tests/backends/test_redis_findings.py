"""What `holdfast store check` says of a Redis server, and that it says less, but fails nowhere, with fewer rights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from lesser_servers import without

from holdfast.backends.records import Finding
from holdfast.backends.redis import findings, open_redis
from holdfast.backends.redis.forms import functions_of
from holdfast.backends.redis.library import SERVER
from holdfast.backends.redis.rights import acl_rules
from holdfast.backends.redis.urls import parse
from holdfast.testing.servers import RedisServer
from store_nodes import eventually

SUBJECTS = [
    *("server", "TLS", "eviction", "memory", "durability", "replication"),
    *("clients", "functions", "rights", "clock", "latency"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with without(appendonly="yes", appendfsync="always") as server:
        yield server


async def found(url: str) -> dict[str, Finding]:
    backend = await open_redis(url)
    try:
        return {finding.subject: finding for finding in await backend.check()}
    finally:
        await backend.close()


@asynccontextmanager
async def user(server: RedisServer, *rules: str) -> AsyncIterator[str]:
    server.command("ACL", "SETUSER", "node", "reset", "on", ">pw", *rules)
    yield server.url.replace("//", "//node:pw@")
    server.command("ACL", "DELUSER", "node")


async def test_an_administrator_sees_all_of_it(server: RedisServer) -> None:
    seen = await found(server.url)
    assert list(seen) == SUBJECTS
    assert server.info("server")["redis_version"] in seen["server"].text and "standalone" in seen["server"].text
    assert seen["durability"].level == "ok" and "always" in seen["durability"].text
    assert "min-replicas-to-write 0" in seen["replication"].text
    assert "is loaded" in seen["functions"].text
    assert seen["rights"].level == "note" and "holdfast store init" in seen["rights"].mend
    assert all(
        command in seen["rights"].text for command in ("KEYS", "CONFIG", "EVAL", "SCAN", "other keys", "'default'")
    )


async def test_with_the_printed_rights_only_the_settings_stay_unknown(server: RedisServer) -> None:
    async with user(server, *acl_rules(functions_of(SERVER), "hf")) as url:
        seen = await found(url)
    assert list(seen) == SUBJECTS
    assert seen["durability"].level == "note" and "CONFIG GET" in seen["durability"].text
    assert seen["functions"].level == seen["rights"].level == seen["eviction"].level == "ok"
    assert not [finding for finding in seen.values() if finding.level == "bad"]


async def test_each_right_too_many_is_named(server: RedisServer) -> None:
    for rule, named in (("+keys", "KEYS"), ("+config|get", "CONFIG"), ("+eval", "EVAL"), ("~*", "other keys")):
        async with user(server, *acl_rules(functions_of(SERVER), "hf"), rule) as url:
            assert (await found(url))["rights"].text.endswith(f": {named}")


async def test_looking_for_too_many_rights_runs_nothing(server: RedisServer) -> None:
    backend = await open_redis(server.url)
    server.reset_stats()
    await backend.check()
    ran = {name for name, count in server.calls().items() if count}
    assert not ran & {"keys", "scan", "eval", "acl|list", "client|list", "exists"}
    await backend.close()


async def test_without_info_it_says_what_it_could_not_see(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with user(server, *acl_rules(functions_of(SERVER), "hf"), "-info") as url:
        seen = await found(url)
    assert "eviction" not in seen and "eviction" in seen["server"].text
    assert {finding.level for finding in seen.values()} == {"ok", "note"}
    assert "evicts" in caplog.text


async def test_a_clock_that_differs_is_noted(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await found(server.url))["clock"].level == "ok"
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 5)
    clock = (await found(server.url))["clock"]
    assert clock.level == "note" and "5.0" in clock.text and "behind" in clock.text


async def test_replicas_are_listed_with_their_lag() -> None:
    with without(**{"repl-diskless-sync-delay": "0"}) as primary, without() as replica:
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        await eventually(lambda: "state=online" in primary.info("replication").get("slave0", ""), 30)
        seen = (await found(primary.url))["replication"]
        assert f"127.0.0.1:{replica.port} online" in seen.text and "lag" in seen.text and "bytes behind" in seen.text
        assert seen.level == "note" and "min-replicas-to-write 1" in seen.mend
        primary.command("CONFIG", "SET", "min-replicas-to-write", 1)
        await eventually(lambda: int(primary.info("replication").get("min_slaves_good_slaves", 0)) > 0, 30)
        assert (await found(primary.url))["replication"].level == "ok"


async def test_few_free_connections_are_noted() -> None:
    with without(maxclients="32") as server:
        assert (await found(server.url))["clients"].level == "ok"
        others = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(26)]
        clients = (await found(server.url))["clients"]
        for _, writer in others:
            writer.close()
            await writer.wait_closed()
    assert clients.level == "note" and "maxclients" in clients.mend


@pytest.mark.parametrize(
    ("url", "level", "says"),
    [
        ("redis://127.0.0.1", "ok", "this machine"),
        ("redis://redis.internal", "note", "in clear"),
        ("rediss://redis.internal", "ok", "its name too"),
        ("rediss://redis.internal?ssl_cert_reqs=none", "bad", "not verified"),
        ("unix:///run/redis.sock", "ok", "Unix socket"),
    ],
)
def test_tls_and_how_far_it_verifies(url: str, level: str, says: str) -> None:
    finding = findings._tls(parse(url).address)
    assert finding.level == level and says in finding.text
