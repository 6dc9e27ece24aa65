"""Packing among concurrent packers, forks, damage, full memory and death: the log stays whole."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from paged_sessions import LOG, PAGES, SESSION, log_of, of, said, send, source_of

from holdfast.backends.records import LogPage, Packed, SessionKey, Unchanged
from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.library import SERVER
from holdfast.errors import CorruptRecord, FutureFormat, StoreError
from holdfast.testing.calls import KEY, begin, finish, got, granted, put, record_of, run_turn, scanned
from holdfast.testing.servers import RedisServer
from store_nodes import eventually


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    redis_server.command("FLUSHALL")
    yield redis_server


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    backend = await open_redis(server.url, page_messages=8, keep=3, pack=False)
    yield backend
    await backend.close()


# --- several at once -----------------------------------------------------------------------------------------------


async def test_packers_on_three_nodes_beside_turns_and_readers(server: RedisServer) -> None:
    nodes = [await open_redis(server.url, page_messages=8, keep=2, pack=False) for _ in range(4)]
    *packers, serving = nodes
    written: list[bytes] = []
    done = asyncio.Event()
    reads = 0

    async def pack(node: RedisBackend) -> None:
        while not done.is_set():
            await node.pack(KEY)
            await asyncio.sleep(0)

    async def read(node: RedisBackend, rng: random.Random) -> None:
        nonlocal reads
        while not done.is_set():
            start, count = rng.randrange(0, max(1, len(written) + 4)), rng.choice((1, 7, 50, 10_000))
            before = len(written)
            page = await node.read_log(KEY, start=start, count=count)
            tail = (await record_of(node, tail=start)).tail
            assert page is not None and page.total >= before
            assert page.entries == expected[start : min(start + count, page.total)]
            assert not tail or expected[expected.index(tail[0]) :][: len(tail)] == tail
            reads += 1

    expected = [part for n in range(300) for part in (b"input of t%d" % n, b"reply to t%d" % n)]
    await run_turn(serving, "t0", tail=1)
    written += expected[:2]
    async with asyncio.TaskGroup() as group:
        for n, node in enumerate(packers):
            group.create_task(pack(node))
            group.create_task(read(node, random.Random(n)))
        for n in range(1, 300):
            await run_turn(serving, f"t{n}", tail=n % 9)
            written += expected[2 * n : 2 * n + 2]
        done.set()
    assert await log_of(serving) == expected
    assert reads > 20 and sum(node.packer.counts.entries for node in packers) > 500
    assert sum(node.packer.counts.failed for node in packers) == 0
    for node in nodes:
        await node.close()


async def test_of_two_that_pack_the_same_one_comes_too_late(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 9))
    first, second = [await backend.packer._next_page(KEY, await source_of(backend)) for _ in range(2)]
    assert await send(backend, first) == b"K"
    assert await send(backend, second) == b"S" and await send(backend, first) == b"S"  # a repeat after a lost reply
    await put(backend, appends=said(9, 1))
    third, fourth = [await backend.packer._next_page(KEY, await source_of(backend)) for _ in range(2)]
    await put(backend, appends=said(10, 1))
    assert await send(backend, third) == b"K" and await send(backend, fourth) == b"S"  # the same page, grown by one
    assert await log_of(backend) == said(0, 11)
    assert server.command("LLEN", LOG) == 4


async def test_a_packer_that_is_always_too_late_gives_up(backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 9))
    other = backend.packer._next_page
    tries = 0

    async def slow(key: SessionKey, source: object) -> tuple[bytes, bytes, Packed]:
        nonlocal tries
        tries += 1
        request, page, moved = await other(key, source)  # type: ignore[arg-type]  # as the server sent it
        return request[:-40] + b"0" * 40, page, moved

    backend.packer._next_page = slow  # type: ignore[method-assign]  # stands for an eager rival
    assert await backend.pack(KEY) == Packed()
    assert tries == 3 and backend.packer.counts.too_late == 3


# --- what does not fit, what is damaged ----------------------------------------------------------------------------


async def test_a_page_made_on_the_other_side_of_a_fork_is_refused(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=said(0, 9))
    made = await backend.packer._next_page(KEY, await source_of(backend))
    server.command("LSET", LOG, 4, "what the other side said")
    assert await send(backend, made) == b"S"
    assert of(server, "z") == []
    expected = said(0, 9)
    expected[4] = b"what the other side said"
    assert await log_of(backend) == expected
    await backend.pack(KEY)
    await put(backend, appends=said(9, 1))
    grown = await backend.packer._next_page(KEY, await source_of(backend))
    server.command("HSET", PAGES, "d", b"\0\0\0\0\x64\0\0\0otherone")  # the other side's page of the same place
    assert await send(backend, grown) == b"S"


async def test_entries_cannot_be_shifted_over_their_ends(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, appends=[b"ab", b"c", *said(0, 9)])
    made = await backend.packer._next_page(KEY, await source_of(backend))
    server.command("LSET", LOG, 0, "a")
    server.command("LSET", LOG, 1, "bc")
    assert await send(backend, made) == b"S"


@pytest.mark.parametrize("how", ["changed", "truncated", "gone", "swapped", "directory", "everything"])
async def test_a_damaged_page_stops_its_readers_and_no_turn(
    server: RedisServer, backend: RedisBackend, how: str
) -> None:
    for n in range(10):
        await run_turn(backend, f"t{n}", tail=1)
    await put(backend, appends=said(0, 10))
    await backend.pack(KEY)
    match how:
        case "changed":
            server.command("HSET", PAGES, "8", b"\x11" + os.urandom(80))
        case "truncated":
            server.command("HSET", PAGES, "8", b"\x11")
        case "gone":
            server.command("HDEL", PAGES, "8")
        case "swapped":
            server.command("EVAL", "redis.call('HSET', KEYS[1], '8', redis.call('HGET', KEYS[1], '0'))", 1, PAGES)
        case "directory":
            server.command("HSET", PAGES, "d", "short")
        case _:
            server.command("DEL", PAGES)
    with pytest.raises(CorruptRecord, match="s-1"):
        await backend.read_log(KEY, start=10, count=2)
    with pytest.raises(CorruptRecord):
        await backend.load(KEY, tail=25)
    with pytest.raises(CorruptRecord):
        await begin(backend, "t5")  # its entries cannot be shown again
    if how not in ("directory", "everything"):
        assert got(await backend.read_log(KEY, start=0, count=2), LogPage).entries == [b"input of t0", b"reply to t0"]
    for n in range(10, 20):
        await run_turn(backend, f"t{n}", tail=3)
    assert (await record_of(backend, tail=2)).tail == [b"input of t19", b"reply to t19"]
    assert await backend.delete(KEY) and server.command("KEYS", "*s-1*") == []


async def test_a_former_release_says_that_it_cannot_read_pages(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, {"a": b"1"}, appends=said(0, 30))
    left = await granted(backend, "left", token=b"12345678")
    await backend.release(KEY, "left", token=b"12345678", withdraw=False)
    former = SERVER.code.replace("version ~= FORMAT and version ~= PAGED", "version ~= FORMAT")
    former = former.replace(SERVER.name, "holdfast_former").replace(f"h{SERVER.tag}", "hzzzz")
    server.command("FUNCTION", "LOAD", former)
    try:
        assert server.command("FCALL_RO", "hzzzzg", 1, SESSION, 0, 1) == [30, ["entry 0 "]]
        await backend.pack(KEY)
        with pytest.raises(RuntimeError, match="HFFORMAT 2"):
            server.command("FCALL_RO", "hzzzzg", 1, SESSION, 0, 1)
    finally:
        server.command("FUNCTION", "DELETE", "holdfast_former")
    server.command("EVAL", SET_FORMAT, 1, SESSION, 3)
    for call in (backend.load(KEY, tail=1), backend.read_log(KEY, start=0, count=1), run_turn(backend, "t1")):
        with pytest.raises(FutureFormat, match="upgrade"):
            await call
    assert await scanned(backend) == [KEY.id]  # whoever opens it gets the error
    assert await backend.overdue() == []
    server.command("EVAL", SET_FORMAT, 1, SESSION, 2)
    assert [turn.turn_id for turn in await backend.overdue()] == ["left"] and left.fence  # nobody forgot it meanwhile


SET_FORMAT = """
local m = redis.call('HGET', KEYS[1], 'm')
return redis.call('HSET', KEYS[1], 'm', string.sub(m, 1, 4) .. string.char(ARGV[1]) .. string.sub(m, 6))
"""


# --- full memory, death --------------------------------------------------------------------------------------------


async def test_a_full_server_is_packed_and_read(server: RedisServer, backend: RedisBackend) -> None:
    await put(backend, {"a": b"1"}, appends=said(0, 30))
    version = (await record_of(backend)).version
    await backend.pack(KEY)
    await put(backend, appends=said(30, 30))
    server.command("CONFIG", "SET", "maxmemory", "1mb")
    try:
        assert (await backend.pack(KEY)).entries > 20
        assert await log_of(backend) == said(0, 60)
        assert not isinstance(await backend.load(KEY, tail=1, known=version), Unchanged)
        assert (await record_of(backend)).tail == said(0, 60)
    finally:
        server.command("CONFIG", "SET", "maxmemory", "0")


async def test_the_server_is_killed_in_the_midst_of_packing() -> None:
    async with RedisServer({"appendonly": "yes", "appendfsync": "always"}) as server:
        keys = [SessionKey("", f"s-{n}") for n in range(6)]
        for _ in range(4):
            backend = await open_redis(server.url, page_messages=4, keep=2, pack=False)
            totals = {}
            for key in keys:
                page = await backend.read_log(key, start=0, count=10_000)
                totals[key] = page.total if page else 0
                assert (page.entries if page else []) == said(0, totals[key])
                await put(backend, key=key, appends=said(totals[key], 60))
            packing = [asyncio.create_task(backend.pack(key)) for key in keys]
            await eventually(lambda counts=backend.packer.counts: counts.pages >= 10)  # type: ignore[misc]  # bound now
            await server.kill()
            results = await asyncio.gather(*packing, return_exceptions=True)
            assert all(isinstance(result, StoreError | Packed) for result in results)
            assert any(isinstance(result, StoreError) for result in results)
            await backend.close()
            await server.start()
        backend = await open_redis(server.url, page_messages=4, keep=2, pack=False)
        for key in keys:
            assert (await backend.pack(key)).entries >= 0
            assert await log_of(backend, key) == said(0, 240)
        await backend.close()


PACKER = """
import asyncio, sys
from holdfast.backends.redis import open_redis
from holdfast.testing.calls import KEY

async def main():
    backend = await open_redis(sys.argv[1], page_messages=4, keep=2, pack=False)
    print("packs", flush=True)
    while True:
        await backend.pack(KEY)

asyncio.run(main())
"""


async def test_a_packer_is_killed_at_any_moment(server: RedisServer, backend: RedisBackend) -> None:
    rng = random.Random(7)
    total = 0
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PACKER, server.url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None and await process.stdout.readline() == b"packs\n"
        for _ in range(rng.randrange(20, 60)):
            grant = await granted(backend, f"t{total}", text=said(total, 1)[0], tail=3)
            await finish(backend, f"t{total}", grant, appends=said(total + 1, 1))
            total += 2
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        assert await log_of(backend) == said(0, total)
    assert int(str(server.command("HLEN", PAGES))) > 2  # how far they came depends on the machine
