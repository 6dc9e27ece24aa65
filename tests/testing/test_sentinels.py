"""A Sentinel set comes up whole, fails over, and takes a killed server back as a replica only."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast.testing import Access, Certificates, NoPrimary, SentinelSet


def test_every_sentinel_knows_the_others_and_all_replicas(sentinel_set: SentinelSet) -> None:
    for sentinel in sentinel_set.sentinels:
        facts = sentinel.master("mymaster")
        assert (facts["num-other-sentinels"], facts["num-slaves"], facts["flags"]) == ("2", "2", "master")
        assert facts["down-after-milliseconds"] == "5000" and facts["quorum"] == "2"
    where = ",".join(sentinel.where for sentinel in sentinel_set.sentinels)
    assert sentinel_set.url == f"redis+sentinel://{where}/mymaster/0"


def test_a_write_reaches_both_replicas(sentinel_set: SentinelSet) -> None:
    primary = sentinel_set.primary()
    with primary.connect() as connection:
        connection.command("SET", "a", "1")
        assert connection.command("WAIT", 2, 5000) == 2
    replicas = sentinel_set.replicas()
    assert len(replicas) == 2 and primary not in replicas
    assert [replica.command("GET", "a") for replica in replicas] == ["1", "1"]
    with pytest.raises(RuntimeError, match="READONLY"):
        replicas[0].command("SET", "a", "2")


async def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica(new_sentinel_set: type[SentinelSet]) -> None:
    async with new_sentinel_set() as running:
        old = running.primary()
        with old.connect() as connection:
            connection.command("SET", "before", "1")
            assert connection.command("WAIT", 2, 5000) == 2
        await old.kill()
        with pytest.raises(NoPrimary):
            running.primary()
        restarted = old.start()  # at once: it has to wait for what the Sentinels decide
        await restarted
        new = await running.wait_for_primary(other_than=old)
        assert old.options["replicaof"] == f"{new.host} {new.port}"
        assert ":M " not in old.log().rpartition("Redis is starting")[2], "it was a primary for a moment"
        new.command("SET", "after", "2")
        await running.wait_until_synced()
        assert [old.command("GET", key) for key in ("before", "after")] == ["1", "2"]
        assert len(running.replicas()) == 2


async def test_a_frozen_primary_is_replaced_and_learns_it_when_it_thaws(new_sentinel_set: type[SentinelSet]) -> None:
    async with new_sentinel_set() as running:
        old = running.primary()
        old.freeze()
        new = await running.wait_for_primary(other_than=old)
        old.thaw()
        await running.wait_until_synced()
        assert running.primary() is new and old in running.replicas()


async def test_the_last_one_down_comes_back_as_the_primary(new_sentinel_set: type[SentinelSet]) -> None:
    async with new_sentinel_set() as running:
        primary, replicas = running.primary(), running.replicas()
        for replica in replicas:
            await replica.kill()
        primary.command("SET", "a", "1")
        await primary.kill()
        await primary.start()
        for replica in replicas:
            await replica.start()
        await running.wait_until_synced()
        assert running.primary() is primary
        assert [server.command("GET", "a") for server in running.servers] == ["1", "1", "1"]


async def test_a_killed_sentinel_keeps_what_it_learned(new_sentinel_set: type[SentinelSet]) -> None:
    async with new_sentinel_set(replicas=1) as running:
        sentinel = running.sentinels[0]
        name = sentinel.command("SENTINEL", "MYID")
        await sentinel.kill()
        assert running.primary() is running.servers[0]
        await sentinel.restart()
        assert sentinel.command("SENTINEL", "MYID") == name
        assert sentinel.master("mymaster")["num-other-sentinels"] == "2"


async def test_logins_and_tls_hold_for_servers_and_sentinels_apart(
    new_sentinel_set: type[SentinelSet], certificates: Certificates
) -> None:
    access = Access("node", "p w:/@", certificates)
    async with new_sentinel_set(access=access, sentinel_access=Access("watcher", "own")) as running:
        parts = urlsplit(running.url)
        assert parts.scheme == "rediss+sentinel" and parts.netloc.startswith("node:p%20w%3A%2F%40@127.0.0.1:")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert query == {
            "sentinel_username": "watcher",
            "sentinel_password": "own",
            "tls_ca": certificates.ca,
            "tls_cert": certificates.client_cert,
            "tls_key": certificates.client_key,
        }
        for process in (*running.sentinels, *running.servers):
            right, process.access = process.access, Access("node", "wrong", certificates)
            with pytest.raises(RuntimeError, match="WRONGPASS"):
                process.command("PING")
            process.access = right
        old = running.primary()
        assert await running.failover() is not old
        await running.wait_until_synced()
        assert old in running.replicas()


def test_a_pause_that_machines_make_by_themselves_is_refused() -> None:
    with pytest.raises(ValueError, match="1000"):
        SentinelSet(down_after_ms=300)
