"""A user with the rights that `holdfast store init` prints can do everything, and with one less it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lesser_servers import FUNCTIONS as NO_FUNCTIONS
from lesser_servers import without

from holdfast.backends.contract import Backend
from holdfast.backends.records import Birth, OutcomeLimits, SessionKey, WrongUserFound
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.forms import Form, functions_of, script_of
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.library import SERVER
from holdfast.backends.redis.rights import acl_rules, commands
from holdfast.errors import ConfigError, CorruptRecord, StoreUnavailable
from holdfast.testing.calls import (
    KEY,
    begin,
    granted,
    new_commit_id,
    new_token,
    of_user,
    put,
    record_of,
    run_turn,
    scanned,
    update,
)
from holdfast.testing.contract import BackendContract
from holdfast.testing.servers import RedisServer

NAMES = Keys("hf")
WITH_REPLICAS = {"wait", "role"}
"""What durability=replicated and Sentinel sets use, which this server is not part of; see test_redis_sentinel.py."""
FUNCTIONS = functions_of(SERVER)
SCRIPT = script_of(SERVER, "EVALSHA_RO")
FREE = {"auth", "hello"}
"""Redis lets everybody run these."""
AT_OPEN = {"info", "client|setname", "script|load"}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with without() as server:
        yield server


@pytest.fixture(scope="module")
def server_without_functions() -> Iterator[RedisServer]:
    with without(*NO_FUNCTIONS) as server:
        yield server


@contextmanager
def user(server: RedisServer, *rules: str) -> Iterator[str]:
    """The URL of a user with these rights."""
    server.command("ACL", "SETUSER", "node", "reset", "on", ">pw", *rules)
    try:
        yield server.url.replace("//", "//node:pw@")
    finally:
        server.command("ACL", "DELUSER", "node")


def rules_without(command: str, form: Form) -> list[str]:
    return [rule for rule in acl_rules(form, "hf") if rule != f"+{command}"]


async def prepared(server: RedisServer) -> None:
    server.command("FLUSHALL")
    await (await open_redis(server.url)).close()


# --- enough ---


class TestRedisWithFewRights(BackendContract):
    """The whole contract with the printed rights and no others."""

    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[RedisBackend]:
        await prepared(server)
        with user(server, *acl_rules(FUNCTIONS, "hf")) as self.url:
            backend = await open_redis(self.url, outcomes=self.outcomes)
            yield backend
            await backend.close()

    async def second(self, backend: Backend) -> Backend:
        return await open_redis(self.url, outcomes=self.outcomes)


async def everyday(backend: RedisBackend) -> None:
    """Everything that a node does, in all the ways that need another command."""
    await put(backend, {"a": b"1"}, birth=Birth(user="ann", ttl_ms=60_000))
    await put(backend, {"a": b"2"}, ttl_ms=0)
    for name in ("s-2", "s-3", "s-4"):
        await put(backend, {"a": b"1"}, SessionKey(KEY.tenant, name), birth=Birth(user="ann"))
    assert isinstance(await backend.commit(KEY, update({"a": b"3"}, birth=Birth(user="bob"))), WrongUserFound)
    assert await of_user(backend, "bob", KEY.tenant) == []
    assert len(await of_user(backend, "ann", KEY.tenant)) == 4
    assert len(await scanned(backend, KEY.tenant, limit=1)) == 4
    token = new_token()
    grant = await granted(backend, "t1", token=token)
    await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=1000)
    for step in ("one", "two"):
        await backend.record(KEY, "t1", fence=grant.fence, name=step, value=b"v", lease_ms=1000)
    for chunk in (b"a", b"b"):
        await backend.append_events(KEY, "t1", fence=grant.fence, chunk=chunk, keep_ms=1000)
    assert (await backend.read_events(KEY, "t1")).chunks == [b"a", b"b"]
    await begin(backend, "t2")
    assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=60_000) is None
    assert await backend.signal(KEY, "ok", b"yes") == ("t1",)
    grant = await granted(backend, "t1", token=token)
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"c", keep_ms=1000)
    await backend.release(KEY, "t1", token=token, withdraw=False)
    assert len(await backend.overdue()) == 1
    await granted(backend, "t1", token=token)
    await backend.release(KEY, "t1", token=token, withdraw=True)
    await backend.resolve(KEY, new_commit_id())
    await run_turn(backend, "t3", key=SessionKey(KEY.tenant, "s-3"))
    version = (await record_of(backend)).version
    await backend.load(KEY, tail=1, known=version)
    await backend.read_log(KEY, start=0, count=2)
    async with backend.watch(KEY) as watch:
        await backend.publish(KEY, b"hint")
        assert await watch.wait(10) == b"hint"
    await backend.delete(SessionKey(KEY.tenant, "s-2"))
    await asyncio.sleep(0)
    await backend.check()


async def on_what_is_damaged(backend: RedisBackend) -> None:
    with pytest.raises(CorruptRecord):
        await put(backend, {}, SessionKey(KEY.tenant, "s-3"), appends=[b"x"])
    assert await backend.delete(SessionKey(KEY.tenant, "s-4"))


def ran(server: RedisServer) -> set[str]:
    return {name for name, count in server.calls().items() if count > 0}  # 0: refused


async def used(server: RedisServer, form: Form) -> set[str]:
    await prepared(server)
    if form.name == "scripts":
        server.command("SCRIPT", "FLUSH")
    with user(server, *acl_rules(form, "hf")) as url:
        server.reset_stats()
        backend = await open_redis(url)
        found = ran(server) & AT_OPEN  # not what the probe function has tried
        server.reset_stats()
        await everyday(backend)
        found |= ran(server)
        server.command("RPUSH", NAMES.sibling(SessionKey(KEY.tenant, "s-3"), "l"), "x")
        server.command("HDEL", NAMES.session(SessionKey(KEY.tenant, "s-4")), "m")
        server.reset_stats()
        await on_what_is_damaged(backend)
        found |= ran(server)
        await backend.close()
    return (found | WITH_REPLICAS) - {"config|resetstat"} - FREE


async def test_the_rights_are_exactly_what_functions_and_client_use(server: RedisServer) -> None:
    assert await used(server, FUNCTIONS) == set(commands(FUNCTIONS))


async def test_the_same_for_scripts(server_without_functions: RedisServer) -> None:
    assert await used(server_without_functions, SCRIPT) == set(commands(SCRIPT))


def test_nothing_that_rules_a_server_is_among_them() -> None:
    for form in (FUNCTIONS, SCRIPT):
        for rule in acl_rules(form, "hf"):
            assert "@" not in rule and rule not in ("allkeys", "allchannels", "~*", "&*")
        names = {name.partition("|")[0] for name in commands(form)}
        assert not names & {
            "eval",
            "function",
            "config",
            "keys",
            "scan",
            "acl",
            "flushall",
            "flushdb",
            "debug",
            "shutdown",
        }


# --- and not one less ---


@pytest.mark.parametrize("command", commands(FUNCTIONS))
async def test_without_one_of_them_opening_says_which(server: RedisServer, command: str) -> None:
    await prepared(server)
    with user(server, *rules_without(command, FUNCTIONS)) as url:
        if command == "info":
            await opens_and_notes_it(url)
        else:
            with pytest.raises(ConfigError, match=r"holdfast store init") as refused:
                await open_redis(url)
            assert f"the command {command}" in str(refused.value) and "'node'" in str(refused.value)


@pytest.mark.parametrize("command", sorted(SCRIPT.rights))
async def test_without_a_right_of_scripts_opening_says_which(
    server_without_functions: RedisServer, command: str
) -> None:
    await prepared(server_without_functions)
    with user(server_without_functions, *rules_without(command, SCRIPT)) as url:
        if command == "evalsha_ro":  # reads go by EVALSHA then
            backend = await open_redis(url)
            await put(backend, {"a": b"1"})
            await backend.load(KEY, tail=0, known=(await record_of(backend)).version)
            await backend.close()
        else:
            with pytest.raises(ConfigError, match=rf"the command {command.replace('|', '.')}.*holdfast store init"):
                await open_redis(url)


async def opens_and_notes_it(url: str) -> None:
    backend = await open_redis(url)
    found = {finding.subject: finding for finding in await backend.check()}
    assert found["server"].level == "note" and "INFO" in found["server"].text
    await run_turn(backend, "t1")
    await backend.close()


@pytest.mark.parametrize(("pattern", "what"), [("~hf:*", "keys"), ("&hf:*", "channels")])
async def test_without_its_keys_or_channels_it_does_not_open(server: RedisServer, pattern: str, what: str) -> None:
    await prepared(server)
    rules = [rule.replace(pattern, pattern[0] + "other:*") for rule in acl_rules(FUNCTIONS, "hf")]
    with user(server, *rules) as url, pytest.raises(ConfigError, match=f"the {what}.*'node'|'node'.*the {what}"):
        await open_redis(url)


# --- who may load ---


async def test_functions_that_are_there_are_not_loaded_again(server: RedisServer) -> None:
    await prepared(server)
    server.reset_stats()
    await (await open_redis(server.url)).close()
    assert not [name for name in server.calls() if name.startswith("function")]


async def test_who_may_not_load_missing_functions_is_told_what_to_run(server: RedisServer) -> None:
    server.command("FUNCTION", "FLUSH")
    with user(server, *acl_rules(FUNCTIONS, "hf")) as url, pytest.raises(ConfigError, match="run `holdfast store init"):
        await open_redis(url)


async def test_functions_lost_under_way_are_unavailable_until_somebody_loads_them(server: RedisServer) -> None:
    await prepared(server)
    with user(server, *acl_rules(FUNCTIONS, "hf")) as url:
        backend = await open_redis(url)
        server.command("FUNCTION", "FLUSH")
        for call in (put(backend, {"a": b"1"}), backend.delete(KEY)):
            with pytest.raises(StoreUnavailable, match="holdfast store init"):
                await call
        server.command("FUNCTION", "LOAD", SERVER.code)
        await put(backend, {"a": b"1"})
        await backend.close()


# --- passwords ---


@pytest.mark.parametrize("login", ["node:wrong", "nobody:pw"])
async def test_a_wrong_password_or_user_is_a_config_error_that_names_the_user(server: RedisServer, login: str) -> None:
    with user(server, *acl_rules(FUNCTIONS, "hf")), pytest.raises(ConfigError, match="password") as refused:
        await open_redis(server.url.replace("//", f"//{login}@"))
    assert login.partition(":")[0] in str(refused.value)
    assert login.partition(":")[2] not in str(refused.value).replace("password", "")


async def test_a_missing_password_is_a_config_error() -> None:
    with RedisServer() as server:
        server.command("CONFIG", "SET", "requirepass", "secret")
        with pytest.raises(ConfigError, match="password"):
            await open_redis(server.url)


async def test_a_password_that_changes_under_way_is_unavailable_until_it_is_right_again(server: RedisServer) -> None:
    await prepared(server)
    with user(server, *acl_rules(FUNCTIONS, "hf")) as url:
        backend = await open_redis(url)
        await put(backend, {"a": b"1"})
        server.command("ACL", "SETUSER", "node", "resetpass", ">new")
        server.command("CLIENT", "KILL", "USER", "node")
        refusals: list[Any] = []
        while not refusals or "password" not in str(refusals[-1]):  # the first one may meet the dying connection
            with pytest.raises(StoreUnavailable) as refused:
                await backend.load(KEY, tail=0)
            refusals.append(refused.value)
        assert not isinstance(refusals[-1], ConfigError)
        server.command("ACL", "SETUSER", "node", "resetpass", ">pw")
        assert (await record_of(backend)).fields["a"].value == b"1"
        await backend.close()
