"""The Redis backend against a server that forgets, fills up, or holds what nobody should have put there."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast.backends.records import (
    Absent,
    BeginRequest,
    Birth,
    Change,
    Committed,
    Delta,
    EventChunks,
    Granted,
    LogPage,
    OutcomeLimits,
    SessionKey,
    Unchanged,
)
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.keys import Keys, partition_of
from holdfast.backends.redis.library import SERVER
from holdfast.errors import ConfigError, CorruptRecord, FutureFormat, ServerUnsuitable, StoreFull, StoreUnavailable
from holdfast.testing.calls import (
    KEY,
    begin,
    ending,
    fingerprint,
    finish,
    got,
    granted,
    missing,
    new_commit_id,
    new_token,
    of_user,
    put,
    record_of,
    run_turn,
    scanned,
    update,
)
from holdfast.testing.servers import RedisServer

NAMES = Keys("hf")
OTHER = SessionKey("acme", "other")
SESSION = NAMES.session(KEY)
LOG, OUTCOMES = NAMES.sibling(KEY, "l"), NAMES.sibling(KEY, "o")


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    redis_server.command("FLUSHALL")
    yield redis_server


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    backend = await open_redis(server.url)
    yield backend
    await backend.close()


# --- functions ---


async def test_functions_that_were_flushed_are_loaded_again(server: RedisServer, backend: RedisBackend) -> None:
    done = await put(backend, {"a": b"1"})
    for call in ("commit", "load", "overdue"):
        server.command("FUNCTION", "FLUSH")
        if call == "commit":
            await run_turn(backend, "t1")
        elif call == "load":
            assert await backend.load(KEY, tail=1, known=(await record_of(backend)).version) is not None
        else:
            assert await backend.overdue() == []
    assert done.version.counter == 1 and (await record_of(backend)).total == 2


async def test_two_releases_share_a_server(server: RedisServer, backend: RedisBackend) -> None:
    other = SERVER.code.replace(SERVER.name, "holdfast_other").replace(f"h{SERVER.tag}", "hzzzz")
    server.command("FUNCTION", "LOAD", other)
    await run_turn(backend, "t1")
    assert (await record_of(backend)).total == 2
    server.command("FUNCTION", "DELETE", "holdfast_other")


async def test_foreign_functions_of_our_names_are_refused(server: RedisServer) -> None:
    server.command("FUNCTION", "FLUSH")
    server.command("FUNCTION", "LOAD", SERVER.code.replace(SERVER.name, "holdfast_other"))
    try:
        with pytest.raises(ServerUnsuitable, match="functions"):
            await open_redis(server.url)
    finally:
        server.command("FUNCTION", "FLUSH")


# --- what should not be there, or should ---


async def test_a_session_without_its_log_is_corrupt(server: RedisServer, backend: RedisBackend) -> None:
    version = (await run_turn(backend, "t1", {"a": b"1"})).version
    server.command("DEL", LOG)
    with pytest.raises(CorruptRecord, match="s-1"):
        await backend.load(KEY, tail=0)
    with pytest.raises(CorruptRecord):
        await backend.read_log(KEY, start=0, count=1)
    with pytest.raises(CorruptRecord):
        await backend.commit(KEY, update(appends=[b"x"]))
    with pytest.raises(CorruptRecord):
        await begin(backend, "t2")
    grant = await granted(backend, "t2", known=version)
    with pytest.raises(CorruptRecord):
        await backend.commit(KEY, ending("t2", grant))
    assert server.command("EXISTS", LOG) == 0
    assert await backend.delete(KEY)
    assert await missing(backend)


async def test_a_log_without_its_session_is_corrupt(server: RedisServer, backend: RedisBackend) -> None:
    await run_turn(backend, "t1", {"a": b"1"})
    server.command("DEL", SESSION)
    for call in (backend.load(KEY, tail=1), begin(backend, "t2"), backend.commit(KEY, update({"a": b"1"}))):
        with pytest.raises(CorruptRecord):
            await call
    assert await backend.delete(KEY)
    assert await missing(backend)


async def test_a_cut_log_is_corrupt_and_a_commit_leaves_it_as_it_was(
    server: RedisServer, backend: RedisBackend
) -> None:
    for n in range(3):
        await run_turn(backend, f"t{n}")
    server.command("LPOP", LOG)
    with pytest.raises(CorruptRecord):
        await backend.load(KEY, tail=2)
    with pytest.raises(CorruptRecord):
        await backend.commit(KEY, update(appends=[b"x", b"y"]))
    assert server.command("LLEN", LOG) == 5


async def test_lost_outcomes_are_corrupt(server: RedisServer, backend: RedisBackend) -> None:
    await run_turn(backend, "t1")
    server.command("DEL", OUTCOMES)
    with pytest.raises(CorruptRecord):  # not: begun a second time
        await begin(backend, "t1")


@pytest.mark.parametrize("keep", [0, 3, 60, 154, 160])
async def test_a_truncated_head_is_corrupt(server: RedisServer, backend: RedisBackend, keep: int) -> None:
    version = (await run_turn(backend, "t1", {"a": b"1"})).version
    script = "redis.call('HSET', KEYS[1], 'm', string.sub(redis.call('HGET', KEYS[1], 'm'), 1, ARGV[1]))"
    server.command("EVAL", script, 1, SESSION, keep)
    for call in (
        backend.load(KEY, tail=1),
        backend.load(KEY, tail=1, known=version),
        begin(backend, "t2"),
        backend.commit(KEY, update({"a": b"2"})),
        backend.renew(KEY, "t1", fence=1, lease_ms=1),
        backend.signal(KEY, "ok", b"yes"),
        backend.park(KEY, "t1", fence=1, name="ok", for_ms=1),
        backend.append_events(KEY, "t1", fence=1, chunk=b"x", keep_ms=1),
        backend.read_events(KEY, "t1"),
    ):
        with pytest.raises(CorruptRecord):
            await call
    assert await scanned(backend) == [KEY.id]  # nobody takes it for gone
    assert await backend.delete(KEY)
    assert await missing(backend) and await scanned(backend) == []


async def test_a_newer_format_is_told_apart_from_damage(server: RedisServer, backend: RedisBackend) -> None:
    await run_turn(backend, "t1")
    script = """local m = redis.call('HGET', KEYS[1], 'm')
        redis.call('HSET', KEYS[1], 'm', string.sub(m, 1, 4) .. string.char(9) .. string.sub(m, 6))"""
    server.command("EVAL", script, 1, SESSION)
    for call in (backend.load(KEY, tail=1), begin(backend, "t2")):
        with pytest.raises(FutureFormat):
            await call


async def test_a_key_of_another_type_is_corrupt(server: RedisServer, backend: RedisBackend) -> None:
    server.command("SET", SESSION, "x")
    for call in (backend.load(KEY, tail=1), begin(backend, "t1"), backend.commit(KEY, update({"a": b"1"}))):
        with pytest.raises(CorruptRecord):
            await call


# --- memory ---


async def test_a_full_server_refuses_writes_loses_nothing_and_still_deletes() -> None:
    async with RedisServer({"maxmemory": "16mb"}) as server:
        await fill_up(server)


async def fill_up(server: RedisServer) -> None:
    """Fills a server of 16 MB, and shows what still works then."""
    backend = await open_redis(server.url)
    kept: list[SessionKey] = []
    grant = await granted(backend, "t1")
    parting = await granted(backend, "t1", OTHER)
    with pytest.raises(StoreFull, match="maxmemory"):
        for n in range(1000):
            key = SessionKey("acme", f"full-{n}")
            await put(backend, {"a": b"x" * 50_000}, key, appends=[b"entry"])
            kept.append(key)
    with pytest.raises(StoreFull):
        for n in range(1000):
            await begin(backend, "t2", SessionKey("acme", f"new-{n}"), text=b"x" * 20_000)
    server.command("CONFIG", "SET", "maxmemory", "8mb")  # the last inputs were large: there may be room for small ones
    for call in (
        backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=1000),
        backend.signal(KEY, "ok", b"yes"),
        backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=1000),
    ):
        with pytest.raises(StoreFull):
            await call
    assert await backend.read_events(KEY, "t1") == EventChunks()
    assert await backend.park(OTHER, "t1", fence=parting.fence, name="ok", for_ms=1000) is None
    server.command("CONFIG", "SET", "maxmemory", "16mb")
    record = await record_of(backend, kept[0])
    assert record.fields["a"].value == b"x" * 50_000
    assert isinstance(await backend.load(kept[0], tail=1, known=record.version), Unchanged)
    assert await backend.read_log(kept[0], start=0, count=5) == LogPage([b"entry"], 0, 1)
    assert await missing(backend, SessionKey("acme", "never"))
    assert len(await scanned(backend)) == len(kept)
    await backend.resolve(KEY, "t1", fence=grant.fence)
    await backend.release(KEY, "t1", token=b"", withdraw=True)
    for key in kept[:-1]:
        assert await backend.delete(key)
    await run_turn(backend, "t3")
    await backend.close()


async def test_a_server_that_may_evict_is_refused_unless_told_otherwise() -> None:
    async with RedisServer({"maxmemory": "16mb", "maxmemory-policy": "allkeys-lru"}) as server:
        with pytest.raises(ServerUnsuitable, match="noeviction"):
            await open_redis(server.url)
        backend = await open_redis(server.url, allow_eviction=True)
        findings = {finding.subject: finding for finding in await backend.check()}
        assert findings["eviction"].level == "bad" and "noeviction" in findings["eviction"].mend
        await backend.close()


async def test_a_user_who_lacks_a_right_is_refused_at_the_start(server: RedisServer) -> None:
    server.command("ACL", "SETUSER", "weak", "on", ">pw", "~hf:*", "&hf:*", "+@all", "-unlink")
    try:
        with pytest.raises((ConfigError, StoreUnavailable), match="right"):
            await open_redis(server.url.replace("//", "//weak:pw@"))
        with pytest.raises((ConfigError, StoreUnavailable), match="password"):
            await open_redis(server.url.replace("//", "//weak:wrong@"))
    finally:
        server.command("ACL", "DELUSER", "weak")


async def test_check_tells_what_the_server_can_promise(backend: RedisBackend) -> None:
    findings = {finding.subject: finding for finding in await backend.check()}
    assert findings["eviction"].level == "ok" and findings["functions"].level == "ok"
    assert findings["durability"].level == "note" and findings["durability"].mend == "appendonly yes"
    assert "ms" in findings["latency"].text


# --- keys and their expiry ---

HOSTILE = [
    "",
    "}",
    "{",
    "}{",
    "a:b",
    "*",
    "[a-z]",
    "a\0b",
    "\r\n",
    "é",
    "漢字",
    "%41",
    "hf:{00}:s:acme:s-1",
    "\ud800",
    "x" * 256,
]


async def test_hostile_ids_stay_apart_and_come_back_exactly(server: RedisServer, backend: RedisBackend) -> None:
    keys = [SessionKey(tenant, id_) for tenant in ("", "}:s:", "acme") for id_ in HOSTILE if id_]
    for key in keys:
        await run_turn(backend, "t1", {"who": repr(key).encode()}, key, user=key.id)
    for key in keys:
        record = await record_of(backend, key)
        assert record.fields["who"].value == repr(key).encode() and record.user == key.id
        assert await of_user(backend, key.id, key.tenant) == [key.id]
    for tenant in {key.tenant for key in keys}:
        assert sorted(await scanned(backend, tenant, limit=3)) == sorted(k.id for k in keys if k.tenant == tenant)
    stored = server.command("KEYS", "*")
    assert isinstance(stored, list)
    assert all(
        set(name) <= set("hf:{}%_.~-") | set(map(chr, range(48, 58))) | set(map(chr, range(65, 123))) for name in stored
    )
    assert all(name.count("{") == name.count("}") == 1 and name.startswith("hf:{") for name in stored)


async def test_hostile_turn_ids_are_found_overdue(backend: RedisBackend) -> None:
    turns = {id_ for id_ in HOSTILE if id_}
    for turn in turns:
        key = SessionKey("a:b", turn)
        token = new_token()
        grant = await granted(backend, turn, key, token=token, text=b"input")
        await backend.record(key, turn, fence=grant.fence, name="step", value=b"v", lease_ms=1000)
        assert await backend.signal(key, turn, turn.encode("utf-8", "surrogatepass"), turn_id=turn) == (turn,)
        assert await backend.park(key, turn, fence=grant.fence, name=turn, for_ms=1) is not None
        assert await backend.append_events(key, turn, fence=grant.fence, chunk=b"c", keep_ms=60_000) is None
        assert (await backend.read_events(key, turn)).chunks == [b"c"]
        await backend.release(key, turn, token=token, withdraw=False)
    assert {(turn.key, turn.turn_id) for turn in await backend.overdue()} == {(SessionKey("a:b", t), t) for t in turns}


async def test_all_keys_of_a_session_share_a_partition(server: RedisServer, backend: RedisBackend) -> None:
    token = new_token()
    grant = await granted(backend, "t1", token=token)
    await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=1000)
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"c", keep_ms=60_000)
    await finish(backend, "t1", grant, {"a": b"1"})
    stored = server.command("KEYS", "*")
    assert isinstance(stored, list) and len({name[: name.index("}")] for name in stored}) == 1


async def test_every_key_expires_with_its_session_and_never_before(server: RedisServer, backend: RedisBackend) -> None:
    birth = Birth(ttl_ms=3_600_000)
    grant = await granted(backend, "t1", ttl_ms=birth.ttl_ms)
    await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=1000)
    done = await put(backend, {"a": b"1"}, appends=[b"x"], birth=birth)
    for kind in "sloj":
        name = NAMES.sibling(KEY, kind) + (":t1" if kind == "j" else "")
        until = server.command("PEXPIRETIME", name)
        assert isinstance(until, int) and done.expires_ms <= until <= done.expires_ms + 1_200_000, kind
    touched = await put(backend, {"a": b"2"}, ttl_ms=7_200_000)
    for kind in "slo":
        until = server.command("PEXPIRETIME", NAMES.sibling(KEY, kind))
        assert isinstance(until, int) and until >= touched.expires_ms, kind
    await put(backend, {"a": b"3"}, ttl_ms=0)
    assert {server.command("PEXPIRETIME", NAMES.sibling(KEY, kind)) for kind in "slo"} == {-1}


async def test_an_index_lives_as_long_as_its_longest_member(server: RedisServer, backend: RedisBackend) -> None:
    index, of_ann = NAMES.sessions(partition_of(KEY.tenant, KEY.id), KEY.tenant), NAMES.user(KEY.tenant, "ann")

    async def left_after(ttl_ms: int) -> list[object]:
        await put(backend, {"a": b"1"}, birth=Birth(user="ann", ttl_ms=ttl_ms), ttl_ms=ttl_ms)
        return [server.command("PTTL", name) for name in (index, of_ann)]

    def within(left: list[object], ttl_ms: int) -> bool:
        return all(isinstance(one, int) and ttl_ms <= one <= 2 * ttl_ms + 1_200_000 for one in left)

    assert within(await left_after(3_600_000), 3_600_000)
    assert within(await left_after(36_000_000), 36_000_000)
    assert within(await left_after(3_600_000), 36_000_000 - 60_000)
    assert await left_after(0) == [-1, -1]


async def test_delete_leaves_nothing_but_counters_and_indexes(server: RedisServer, backend: RedisBackend) -> None:
    token = new_token()
    grant = await granted(backend, "t1", token=token, user="ann")
    await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=1000)
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"c", keep_ms=60_000)
    await begin(backend, "t2", user="ann")
    await backend.signal(KEY, "ok", b"yes", turn_id="t2")
    await put(backend, {"a": b"1"}, appends=[b"x"])
    assert await backend.delete(KEY)
    stored = server.command("KEYS", "*")
    assert isinstance(stored, list) and {name.split(":")[2] for name in stored} <= {"f", "p"}
    assert server.command("ZRANGE", next(name for name in stored if name.endswith(":p")), 0, -1) == ["-"]


async def test_a_dropped_outcome_takes_its_slot_along(server: RedisServer) -> None:
    backend = await open_redis(server.url, outcomes=OutcomeLimits(turns=3, updates=2))
    for n in range(10):
        await run_turn(backend, f"t{n}")
        await put(backend, {"a": b"1"})
    fields = server.command("HKEYS", OUTCOMES)
    assert isinstance(fields, list) and len(fields) == 1 + 2 * (3 + 2)
    assert {field for field in fields if field.startswith("t")} == {"tt7", "tt8", "tt9"}
    await backend.close()


# --- figures that are promised ---


async def test_a_turn_sends_little_more_than_what_is_new(server: RedisServer, backend: RedisBackend) -> None:
    key, entry, reply, value = SessionKey("", "s" * 43), b"i" * 800, b"r" * 800, b"v" * 20
    version = (await run_turn(backend, "t0", {"status": value}, key)).version
    backend_id = str(uuid.uuid4())

    server.bytes_received()
    before = server.bytes_received()
    asking_costs = server.bytes_received() - before

    before = server.bytes_received()
    request = BeginRequest(
        backend_id, new_token(), fingerprint(entry), entry, "", Birth(ttl_ms=7_200_000), 10_000, 30_000, 20, version
    )
    grant = got(await backend.begin(key, request), Granted)
    delta = Delta(
        new_commit_id(),
        backend_id,
        grant.fence,
        grant.incarnation,
        version,
        changes=[Change("status", value, 1)],
        appends=[reply],
        outcome=b"ok",
    )
    done = got(await backend.commit(key, delta), Committed)
    sent = server.bytes_received() - before - asking_costs
    assert done.on_base
    assert sent <= len(entry) + len(reply) + len(value) + 400


async def test_a_turn_is_two_calls(server: RedisServer, backend: RedisBackend) -> None:
    version = (await run_turn(backend, "t1", {"a": b"1"}, ttl_ms=7_200_000)).version
    server.reset_stats()
    grant = await granted(backend, "t2", known=version)
    await finish(backend, "t2", grant, {"a": b"2"}, base=version)
    calls = server.calls()
    assert calls["fcall"] == 2
    inner = {name: count for name, count in calls.items() if name not in ("fcall", "info", "config|resetstat")}
    assert sum(inner.values()) <= 14, inner


async def test_a_takeover_of_nothing_is_absent_and_leaves_nothing(server: RedisServer, backend: RedisBackend) -> None:
    assert await begin(backend, "t1", takeover=True) == Absent()
    assert server.command("DBSIZE") == 0
