"""Older messages in pages: nobody who reads, replays or commits sees a difference."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from paged_sessions import LOG, PAGES, SESSION, log_of, of, said, send, source_of

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    Birth,
    CommitReply,
    Committed,
    Delta,
    LogPage,
    OutcomeLimits,
    Record,
    Replay,
    Seen,
    SessionKey,
    StoredOutcome,
    Unchanged,
)
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.pages import PAGE_BYTES
from holdfast.errors import ConfigError, StoreTimeout
from holdfast.sessions.settings import settings_from
from holdfast.testing.calls import KEY, begin, ending, finish, got, granted, missing, put, record_of, run_turn
from holdfast.testing.contract import BackendContract
from holdfast.testing.servers import RedisServer
from holdfast.wiring import open_backend
from store_nodes import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class PacksAtOnce(RedisBackend):
    """Packs after every commit all but the newest entry."""

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        reply = await super().commit(key, delta)
        if isinstance(reply, Committed):
            await self.pack(key)
        return reply


async def packing_at_once(url: str, outcomes: OutcomeLimits) -> RedisBackend:
    backend = await open_redis(url, outcomes=outcomes, page_messages=2, keep=1)
    backend.__class__ = PacksAtOnce
    return backend


class TestRedisPages(BackendContract):
    """The whole suite, with all but the newest entry of every log in pages of two."""

    outcomes = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)

    @pytest.fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[RedisBackend]:
        server.command("FLUSHALL")
        self.url = server.url
        backend = await packing_at_once(server.url, self.outcomes)
        yield backend
        await backend.close()

    async def second(self, backend: Backend) -> Backend:
        return await packing_at_once(self.url, self.outcomes)


# --- what readers see ----------------------------------------------------------------------------------------------


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    server.command("FLUSHALL")
    backend = await open_redis(server.url, page_messages=8, keep=3, pack=False)
    yield backend
    await backend.close()


@pytest.fixture
async def packing(server: RedisServer) -> AsyncIterator[RedisBackend]:
    """The same, and it packs by itself, at once."""
    server.command("FLUSHALL")
    backend = await open_redis(server.url, page_messages=8, keep=3)
    backend.packer.limits = backend.packer.limits._replace(idle=0.0)
    yield backend
    await backend.close()


async def test_every_part_of_the_log_is_as_if_nothing_was_packed(server: RedisServer, backend: RedisBackend) -> None:
    entries = said(0, 40)
    await put(backend, appends=entries)
    assert (await backend.pack(KEY)).entries == 37
    assert server.command("LLEN", LOG) == 3 and server.command("HLEN", PAGES) == 5 + 1
    for start in range(42):
        for count in (0, 1, 2, 5, 8, 9, 40, 1000):
            assert await backend.read_log(KEY, start=start, count=count) == LogPage(
                entries[start : start + count], start, 40
            )
    for tail in (0, 1, 3, 4, 8, 11, 12, 39, 40, 41, 1000):
        expected = entries[-tail:] if tail else []
        assert (await record_of(backend, tail=tail)).tail == expected
        grant = await granted(backend, "t1", tail=tail, token=b"12345678")
        assert got(grant.record, Record).tail == expected


async def test_pages_grow_until_they_are_full(server: RedisServer, backend: RedisBackend) -> None:
    entries: list[bytes] = []
    for round_ in range(30):
        entries += (more := said(len(entries), 1 + round_ % 4))
        await put(backend, appends=more)
        await backend.pack(KEY)
        assert await log_of(backend) == entries
    names = server.command("HKEYS", PAGES)
    assert isinstance(names, list)
    places = {name for name in names if name != "d" and not name.endswith("+")}
    assert places == {str(place) for place in range(0, len(entries) - 3, 8)}  # all but the last one are full


async def test_a_page_that_grows_in_pieces_stays_one(server: RedisServer, backend: RedisBackend) -> None:
    backend.packer.limits = backend.packer.limits._replace(page=60)
    entries: list[bytes] = []
    pieces = set()
    for n in range(64):
        entries.append(os.urandom(250 + 37 * n % 400))
        await put(backend, appends=[entries[-1], b"x"])
        entries.append(b"x")
        await backend.pack(KEY)
        names = server.command("HKEYS", PAGES)
        assert isinstance(names, list)
        pieces.add(sum(name.endswith("+") for name in names))
        assert await log_of(backend) == entries
    assert pieces == {0, 1, 2}  # a page has one piece at times, two at others


async def test_large_entries_end_a_page_early(server: RedisServer, backend: RedisBackend) -> None:
    entries = [bytes([65 + n]) * size for n, size in enumerate([10, 70_000, 10, 30_000, 5_000, 10, 0, 0, 200_000, 5])]
    entries += [os.urandom(5000), *said(0, 9)]
    for entry in entries:
        await put(backend, appends=[entry])
        await backend.pack(KEY)
    assert await log_of(backend) == entries
    assert server.command("LLEN", LOG) == 3
    sizes = [sum(map(len, part)) for part in await parts_of(server, entries)]
    assert len(sizes) > 5 and all(size <= PAGE_BYTES for size in sizes if size not in (70_000, 200_000))


async def parts_of(server: RedisServer, entries: list[bytes]) -> list[list[bytes]]:
    names = server.command("HKEYS", PAGES)
    assert isinstance(names, list)
    starts = sorted(int(name) for name in names if name.isdecimal())
    return [entries[at:end] for at, end in pairwise([*starts, len(entries) - 3])]


async def test_a_replay_brings_entries_that_were_packed_meanwhile(backend: RedisBackend) -> None:
    grants = {}
    for n in range(9):
        grants[n] = await granted(backend, f"t{n}")
        await finish(backend, f"t{n}", grants[n], appends=[b"reply %d" % n] * (n % 3))
        await put(backend, appends=[b"aside"])
    before = [await backend.resolve(KEY, f"t{n}") for n in range(9)]
    assert (await backend.pack(KEY)).entries > 15
    for n in range(9):
        stored = got(before[n], StoredOutcome)
        assert stored.entries == [b"input of t%d" % n] + [b"reply %d" % n] * (n % 3)
        assert await backend.resolve(KEY, f"t{n}") == stored
        assert got(await begin(backend, f"t{n}"), Replay).stored == stored
        again = await backend.commit(KEY, ending(f"t{n}", grants[n], appends=[b"reply %d" % n] * (n % 3)))
        assert got(again, Seen).stored == stored


async def test_a_packing_is_no_commit(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, {"a": b"1"}, appends=said(0, 20), birth=Birth(ttl_ms=3_600_000))
    before = await record_of(backend, tail=2)
    place = server.command("PEXPIRETIME", SESSION)
    assert place != -1
    assert (await backend.pack(KEY)).entries == 16
    assert await record_of(backend, tail=2) == before
    assert isinstance(await backend.load(KEY, tail=2, known=before.version), Unchanged)
    assert {server.command("PEXPIRETIME", name) for name in (SESSION, LOG, PAGES)} == {place}
    grant = await granted(backend, "t1", known=before.version)
    done = await finish(backend, "t1", grant, base=before.version, strict=True)
    assert (done.start, done.version.counter) == (20, 2)


async def test_a_session_without_pages_stays_as_the_former_release_wrote_it(
    server: RedisServer, backend: RedisBackend
) -> None:
    await put(backend, appends=said(0, 3))
    assert (await backend.pack(KEY)).entries == 0
    assert format_of(server) == 1 and of(server, "z") == []
    await put(backend, appends=said(3, 20))
    await backend.pack(KEY)
    assert format_of(server) == 2


def format_of(server: RedisServer) -> int:
    head = server.command("HGET", SESSION, "m")
    assert isinstance(head, str)
    return head.encode("utf-8", "surrogateescape")[4]


# --- who packs -----------------------------------------------------------------------------------------------------


async def test_a_session_that_grows_is_packed_beside_its_turns(server: RedisServer, packing: RedisBackend) -> None:
    backend = packing
    expected: list[bytes] = []
    for n in range(30):
        expected += [b"input of t%d" % n, b"reply to t%d" % n]
        await run_turn(backend, f"t{n}", tail=3)
    await eventually(lambda: int(str(server.command("LLEN", LOG))) < 3 + 8)
    assert await log_of(backend) == expected
    assert backend.packer.counts.entries >= 60 - 3 - 8 and backend.packer.counts.failed == 0


async def test_a_full_page_does_not_wait_until_the_session_is_idle(server: RedisServer, packing: RedisBackend) -> None:
    backend = packing
    limits = backend.packer.limits._replace(page=64, idle=1e6)
    backend.packer.limits = limits
    await put(backend, appends=said(0, limits.keep + limits.step))
    await put(backend, {"a": b"1"})
    assert of(server, "z") == []
    await put(backend, appends=said(0, limits.page - limits.step))
    await eventually(lambda: backend.packer.counts.entries == 64)


async def test_packing_can_be_turned_off(server: RedisServer) -> None:
    server.command("FLUSHALL")
    settings = settings_from({"tail": 5})
    off, on = [await open_backend(f"{server.url}?page_messages=4&pack={word}", settings) for word in ("no", "yes")]
    await put(off, appends=said(0, 100))
    assert isinstance(off, RedisBackend) and not off.packer._workers
    await put(on, appends=said(100, 100))
    assert isinstance(on, RedisBackend) and on.packer._workers
    await eventually(lambda: 5 <= int(str(server.command("LLEN", LOG))) < 5 + 4)  # what turns load stays
    assert await log_of(off) == said(0, 200)
    for backend in (off, on):
        await backend.close()
    for wrong in ("pack=maybe", "page_messages=0", "page_messages=x"):
        with pytest.raises(ConfigError):
            await open_backend(f"{server.url}?{wrong}", settings)


async def test_a_server_that_fails_costs_only_the_packing() -> None:
    async with RedisServer() as dying:
        other = await open_redis(dying.url, page_messages=8, keep=3, pack=False)
        await put(other, appends=said(0, 10))
        other.packer.limits = other.packer.limits._replace(idle=0.0)
        await dying.kill()
        other.packer.grown(KEY, 5, 50)
        await eventually(lambda: other.packer.counts.failed == 1)
        await other.close()
        other.packer.grown(KEY, 5, 50)
        assert not other.packer._workers


# --- the end of a session ------------------------------------------------------------------------------------------


async def test_nothing_is_left_of_a_deleted_session(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 20))
    await backend.pack(KEY)
    assert await backend.delete(KEY)
    assert server.command("KEYS", "*s-1*") == []


async def test_nothing_is_left_of_a_damaged_session(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 20))
    await backend.pack(KEY)
    server.command("HSET", SESSION, "m", "damaged")
    assert await backend.delete(KEY)
    assert server.command("KEYS", "*s-1*") == []


async def test_pages_expire_with_their_session(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 20), birth=Birth(ttl_ms=120_000))
    await backend.pack(KEY)
    for ttl_ms in (600_000, 5_000_000):
        await put(backend, ttl_ms=ttl_ms, appends=[b"more"])
        ends = server.command("PEXPIRETIME", SESSION)
        assert {server.command("PEXPIRETIME", name) for name in (LOG, PAGES)} == {ends}
    await put(backend, ttl_ms=0, appends=[b"more"])
    assert {server.command("PEXPIRETIME", name) for name in (SESSION, LOG, PAGES)} == {-1}


async def test_the_next_life_of_an_id_begins_without_pages(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 30), birth=Birth(ttl_ms=200))
    late = await backend.packer._next_page(KEY, await source_of(backend))
    await backend.pack(KEY)
    await asyncio.sleep(0.25)
    assert await missing(backend)
    await put(backend, appends=said(0, 30))  # the very entries that the former life had
    assert of(server, "z") == [] and await send(backend, late) == b"S"
    assert of(server, "z") == [] and await log_of(backend) == said(0, 30)


async def test_what_an_evicted_session_left_behind_does_not_mix_in(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 30))
    await backend.pack(KEY)
    server.command("DEL", SESSION, LOG)
    await put(backend, appends=said(50, 11))
    await backend.pack(KEY)
    assert await log_of(backend) == said(50, 11)
    assert server.command("HLEN", PAGES) == 1 + 1


async def test_a_read_that_needs_two_calls_ends_by_one_deadline(server: RedisServer) -> None:
    server.command("FLUSHALL")
    backend = await open_redis(server.url, page_messages=8, keep=3, pack=False, timeout=2)
    await put(backend, appends=said(0, 30))
    await backend.pack(KEY)
    once = backend._calls.read_atomic

    async def slow(*args: Any, **options: Any) -> Any:
        reply = await once(*args, **options)
        await asyncio.sleep(1.5)
        server.freeze()
        return reply

    backend._calls.read_atomic = slow  # type: ignore[method-assign]  # a server that is slow, and then gone
    for call in (backend.read_log(KEY, start=0, count=9), backend.load(KEY, tail=20)):
        began = asyncio.get_running_loop().time()
        try:
            with pytest.raises(StoreTimeout):
                await call
            took = asyncio.get_running_loop().time() - began
        finally:
            server.thaw()
        assert took < 1.5 + 2 - 0.1  # less than the first call and a whole deadline of its own
        backend._paged.clear()
    await backend.close()
