"""The Redis backend on a Cluster's slot that is being moved: whole calls or none, in time, and on from where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
from half_moved import NAMES, HalfMoved, names_of

from holdfast.backends.records import Granted, LogPage, Rejected, SessionKey
from holdfast.backends.redis import RedisBackend, open, open_redis
from holdfast.backends.redis.library import CLUSTER, Library
from holdfast.errors import HoldfastError, StoreUnavailable
from holdfast.testing.calls import (
    KEY,
    begin,
    ending,
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
from holdfast.testing.clusters import RedisCluster
from redis_servers import needs
from store_nodes import eventually

TOKEN = new_token()
Call = Callable[[RedisBackend, Granted], Awaitable[object]]


@pytest.fixture(scope="module")
def running() -> Iterator[RedisCluster]:
    needs("redis-server", "redis-cli")
    with RedisCluster(options={"appendonly": "no"}) as running:
        yield running


@pytest.fixture
def cluster(running: RedisCluster) -> RedisCluster:
    for node in running.primaries():
        node.command("FLUSHALL")
    return running


@pytest.fixture
async def backend(cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
    backend = await open_redis(cluster.url, timeout=20)
    yield backend
    await backend.close()


async def filled(backend: RedisBackend) -> Granted:
    """A session with a key of every kind, and a turn ``t1`` that runs."""
    await run_turn(backend, "t0", {"a": b"1"}, ttl_ms=3_600_000, user="ann")
    await backend.resolve(KEY, new_commit_id())
    grant = await granted(backend, "t1", token=TOKEN)
    await backend.record(KEY, "t1", fence=grant.fence, name="one", value=b"1", lease_ms=600_000)
    await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=600_000)
    return grant


CALLS: dict[str, Call] = {
    "begin": lambda b, g: begin(b, "t2"),
    "renew": lambda b, g: b.renew(KEY, "t1", fence=g.fence, lease_ms=600_000),
    "record": lambda b, g: b.record(KEY, "t1", fence=g.fence, name="two", value=b"2", lease_ms=600_000),
    "signal": lambda b, g: b.signal(KEY, "ok", b"yes"),
    "park": lambda b, g: b.park(KEY, "t1", fence=g.fence, name="ok", for_ms=600_000),
    "append_events": lambda b, g: b.append_events(KEY, "t1", fence=g.fence, chunk=b"y", keep_ms=600_000),
    "commit of a turn": lambda b, g: finish(b, "t1", g, {"b": b"2"}),
    "update": lambda b, g: put(b, {"a": b"2"}, appends=[b"x"], ttl_ms=7_200_000),
    "release": lambda b, g: b.release(KEY, "t1", token=TOKEN, withdraw=False),
    "withdraw": lambda b, g: b.release(KEY, "t1", token=TOKEN, withdraw=True),
    "resolve a turn": lambda b, g: b.resolve(KEY, "t1", fence=g.fence),
    "resolve an update": lambda b, g: b.resolve(KEY, new_commit_id()),
    "delete": lambda b, g: b.delete(KEY),
}
READS: dict[str, Call] = {
    "load": lambda b, g: record_of(b),
    "read_log": lambda b, g: b.read_log(KEY, start=0, count=10),
    "read_events": lambda b, g: b.read_events(KEY, "t1"),
    "scan": lambda b, g: scanned(b),
    "by_user": lambda b, g: of_user(b, "ann", KEY.tenant),
    "overdue": lambda b, g: b.overdue(),
}
HALVES = ["", "l", "s", "o", "f", "ip", "jn", "e", "lojenipf"]


@pytest.mark.parametrize("name", [*CALLS, *READS])
async def test_a_call_on_half_of_a_slot_writes_nothing_and_goes_on_when_it_is_whole(
    cluster: RedisCluster, backend: RedisBackend, name: str
) -> None:
    grant = await filled(backend)
    for half in HALVES:
        if name in CALLS and half != HALVES[0]:  # the call before changed what there is
            await backend.delete(KEY)
            grant = await filled(backend)
        move = HalfMoved(cluster)
        move.move(names_of(half))
        before, refused = move.stored(), move.refusals()
        assert len({side for side, _ in before}) == (2 if half else 1)
        call = asyncio.ensure_future((CALLS | READS)[name](backend, grant))
        # a read whose keys are all on the giving side is served, and the rest waits
        await eventually(lambda move=move, n=refused, call=call: move.refusals() >= n + 3 or call.done(), within=20)  # type: ignore[misc]
        assert not call.done() or (name in READS and not call.exception())
        assert move.stored() == before
        move.finish()
        assert await call is not False
        if name in READS:
            assert {field: value.value for field, value in (await record_of(backend)).fields.items()} == {"a": b"1"}
        elif name == "delete":
            assert await missing(backend)


async def test_a_library_without_the_canary_is_caught_writing_halves(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = CLUSTER.code.partition("\n")[2].replace("callback = whole(callback)", "")
    careless = Library(source.replace(f"'h{CLUSTER.tag}'", "'h@tag@'").replace(CLUSTER.name, "@library@"), sharded=True)
    monkeypatch.setattr(open, "CLUSTER", careless)
    backend = await open_redis(cluster.url, timeout=1)
    grant = await filled(backend)
    move = HalfMoved(cluster)
    move.move(names_of("o"))
    before = move.stored()
    with suppress(HoldfastError):
        await backend.commit(KEY, ending("t1", grant, {"b": b"2"}, appends=[b"x"]))
    assert move.stored() != before
    move.finish()
    await backend.close()


async def test_a_move_that_does_not_end_is_a_typed_error_by_the_deadline(cluster: RedisCluster) -> None:
    backend = await open_redis(cluster.url, timeout=0.6)
    grant = await filled(backend)
    move = HalfMoved(cluster)
    move.move(names_of("lf"))
    before = move.stored()
    loop = asyncio.get_running_loop()
    for name in [*CALLS, "load", "read_log"]:
        if name == "read_log":
            continue
        began = loop.time()
        with pytest.raises(StoreUnavailable, match=rf"slot {move.slot}.*moved|moving this slot"):
            await (CALLS | READS)[name](backend, grant)
        assert loop.time() - began < 0.6 + 1.0, name
    assert move.stored() == before
    move.finish()
    assert (await record_of(backend)).total == 2
    await backend.close()


async def test_a_slot_that_was_moved_whole_serves_before_the_move_is_finished(
    cluster: RedisCluster, backend: RedisBackend
) -> None:
    grant = await filled(backend)
    move = HalfMoved(cluster)
    move.move_all()
    await finish(backend, "t1", grant, {"b": b"2"})
    other = await open_redis(cluster.url)
    record = await record_of(other)
    assert record.total == 4 and record.fields["b"].value == b"2"
    assert await backend.read_log(KEY, start=0, count=1) == LogPage([b"input of t0"], 0, 4)
    again = await granted(other, "t2")
    assert again.fence > grant.fence
    assert got(await other.resolve(KEY, "t2", fence=again.fence), Rejected)
    await put(other, {"a": b"2"}, appends=[b"x"])
    assert await scanned(other) == [KEY.id] and await of_user(other, "ann", KEY.tenant) == [KEY.id]
    assert await backend.delete(KEY)
    assert await missing(backend) and await backend.overdue() == []
    await run_turn(backend, "t3", {"c": b"3"})
    assert {side for side, _ in move.stored()} == {"target"}
    move.finish()
    assert (await record_of(backend)).total == 2
    await other.close()


async def test_a_new_session_begins_in_an_empty_slot_that_is_being_moved(
    cluster: RedisCluster, backend: RedisBackend
) -> None:
    move = HalfMoved(cluster)
    move.target.command("FUNCTION", "FLUSH")
    assert await missing(backend)
    await run_turn(backend, "t1", {"a": b"1"})
    assert {side for side, _ in move.stored()} == {"target"}
    move.finish()
    assert (await record_of(backend)).total == 2


async def test_a_stuck_move_that_redis_cli_fixes_lets_the_calls_go_on(
    cluster: RedisCluster, backend: RedisBackend
) -> None:
    grant = await filled(backend)
    move = HalfMoved(cluster)
    move.move(names_of("lop"))
    before = move.refusals()
    call = asyncio.ensure_future(finish(backend, "t1", grant, {"b": b"2"}))
    await eventually(lambda: move.refusals() >= before + 3, within=20)
    await asyncio.to_thread(move.fix)
    await call
    assert (await record_of(backend)).total == 4
    assert len({side for side, _ in move.stored()}) == 1


async def test_an_old_map_is_corrected_by_the_servers(cluster: RedisCluster, backend: RedisBackend) -> None:
    await run_turn(backend, "t1", {"a": b"1"})
    for number in range(3):
        HalfMoved(cluster).finish()
        await run_turn(backend, f"n{number}")
    assert (await record_of(backend)).total == 8


async def test_many_callers_wait_for_one_slot_together(cluster: RedisCluster, backend: RedisBackend) -> None:
    await run_turn(backend, "t1", {"a": b"1"})
    move = HalfMoved(cluster)
    move.move(names_of("s"))
    before = move.refusals()
    calls = [asyncio.ensure_future(put(backend, {f"k{n}": b"1"})) for n in range(50)]
    await eventually(lambda: move.refusals() >= before + 60, within=20)
    move.finish()
    await asyncio.gather(*calls)
    assert len((await record_of(backend)).fields) == 51


async def test_other_sessions_are_not_held_up(cluster: RedisCluster, backend: RedisBackend) -> None:
    await filled(backend)
    move = HalfMoved(cluster)
    move.move(names_of("l"))
    waiting = asyncio.ensure_future(put(backend, {"a": b"2"}))
    for number in range(100):
        key = SessionKey("acme", f"other-{number}")
        if cluster_slot(key) != move.slot:
            await run_turn(backend, "t", {"a": b"1"}, key)
    assert not waiting.done()
    move.finish()
    await waiting
    assert await backend.commit(KEY, update({"a": b"3"}))


def cluster_slot(key: SessionKey) -> int:
    from redis.crc import key_slot

    return int(key_slot(NAMES.session(key).encode()))
