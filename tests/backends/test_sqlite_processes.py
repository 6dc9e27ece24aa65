"""Several processes on one SQLite file: openers, writers, killed writers, hints."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from holdfast.backends.records import Fenced, Parked, Queued, Record, Replay, SessionKey, Signalled
from holdfast.backends.sqlite import SqliteBackend, open_sqlite
from holdfast.testing.calls import KEY, LONG_MS, begin, finish, got, granted, record_of, values

_BUMPS = """
import asyncio, sys
from holdfast.backends.records import Change, Committed, Conflict, Delta, SessionKey
from holdfast.backends.sqlite import open_sqlite
from holdfast.testing.calls import new_commit_id
key = SessionKey("acme", "s-1")
async def bump(backend):
    while True:
        record = await backend.load(key, tail=0)
        field = record.fields.get("n") if record else None
        delta = Delta(
            commit_id=new_commit_id(), base=record.version if record else None,
            changes=[Change("n", b"%d" % (int(field.value) + 1 if field else 1), field.counter if field else 0)],
            appends=[b"%s" % sys.argv[2].encode()],
        )
        if isinstance(await backend.commit(key, delta), Committed):
            return
async def main():
    backend = await open_sqlite(sys.argv[1], timeout=20)
    async def caller():
        for _ in range(15):
            await bump(backend)
    await asyncio.gather(*(caller() for _ in range(4)))
    await backend.close()
asyncio.run(main())
"""

_TURNS = """
import asyncio, os, sys
from holdfast.backends.records import SessionKey
from holdfast.backends.sqlite import open_sqlite
from holdfast.testing.calls import finish, granted
async def main():
    backend = await open_sqlite(sys.argv[1])
    async def caller(c):
        key = SessionKey("acme", f"s-{c}")
        n = 0
        while True:
            n += 1
            turn_id = f"{os.getpid()}-{n}"
            grant = await granted(backend, turn_id, key, place_ms=0, lease_ms=1)
            await backend.record(key, turn_id, fence=grant.fence, name="s", value=b"v", lease_ms=1)
            done = await finish(backend, turn_id, grant, {"last": turn_id.encode()}, key, appends=[b"r" * 900])
            print(c, turn_id, done.version.counter, flush=True)
    await asyncio.gather(*(caller(c) for c in range(8)))
asyncio.run(main())
"""


async def child(script: str, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", script, *args], stdout=asyncio.subprocess.PIPE, limit=1 << 24
    )


async def test_many_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    backends = await asyncio.gather(*(open_sqlite(str(tmp_path / "y.db")) for _ in range(6)))
    for backend in backends:
        await backend.close()
    script = "import asyncio, sys\nfrom holdfast.backends.sqlite import open_sqlite\n"
    script += "async def main():\n    await (await open_sqlite(sys.argv[1])).close()\nasyncio.run(main())\n"
    children = [await child(script, path) for _ in range(4)]
    assert [await opener.wait() for opener in children] == [0] * 4


async def test_processes_that_write_one_field_lose_no_update(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    children = [await child(_BUMPS, path, name) for name in ("a", "b", "c")]
    assert [await writer.wait() for writer in children] == [0] * 3
    backend = await open_sqlite(path)
    record = await record_of(backend)
    assert values(record) == {"n": b"180"}
    assert (record.total, record.version.counter) == (180, 180)
    assert {name: record.tail.count(name) for name in (b"a", b"b", b"c")} == {b"a": 60, b"b": 60, b"c": 60}
    await backend.close()


@pytest.mark.parametrize("seed", range(4))
async def test_a_killed_process_leaves_whole_turns_only(tmp_path: Path, seed: int) -> None:
    path = str(tmp_path / "x.db")
    dice = random.Random(seed)
    acknowledged: dict[str, dict[str, int]] = {}
    for _ in range(2):
        writer = await child(_TURNS, path)
        assert writer.stdout is not None
        lines = [await writer.stdout.readline()]
        await asyncio.sleep(dice.random() * 0.25)
        writer.kill()
        lines += (await writer.stdout.read()).splitlines()
        await writer.wait()
        for line in lines:
            if len(parts := line.split()) == 3:
                acknowledged.setdefault(f"s-{int(parts[0])}", {})[parts[1].decode()] = int(parts[2])
    backend = await open_sqlite(path)
    for id_, turns in acknowledged.items():
        key = SessionKey("acme", id_)
        record = got(await backend.load(key, tail=100_000), Record)
        assert len(record.tail) == record.total == 2 * record.version.counter
        logged = [entry.removeprefix(b"input of ").decode() for entry in record.tail[::2]]
        assert record.tail[1::2] == [b"r" * 900] * len(logged)
        assert set(turns) <= set(logged)
        assert len(set(logged)) == len(logged)
        assert values(record) == {"last": logged[-1].encode()}
        for counter, turn_id in enumerate(logged[-20:], start=len(logged) - len(logged[-20:]) + 1):
            assert got(await begin(backend, turn_id, key), Replay).stored.version.counter == counter
    await backend.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    orphans = "SELECT count(*) FROM step WHERE NOT EXISTS (SELECT 1 FROM pending WHERE pending.turn_id = step.turn_id)"
    assert db.execute(orphans).fetchone() == (0,)
    db.close()


_FORKS = """
import asyncio, os, sys
from holdfast.backends.sqlite import open_sqlite
from holdfast.errors import StoreUnavailable
from holdfast.testing.calls import put
loop = asyncio.new_event_loop()
backend = loop.run_until_complete(open_sqlite(sys.argv[1]))
loop.run_until_complete(put(backend, {"a": b"1"}))
if os.fork() == 0:
    try:
        asyncio.new_event_loop().run_until_complete(put(backend, {"a": b"2"}))
    except StoreUnavailable as error:
        print(error, flush=True)
    sys.exit(0)
os.wait()
for n in range(50):
    loop.run_until_complete(put(backend, {"a": b"%d" % n}))
loop.run_until_complete(backend.close())
loop.close()
"""


async def test_a_forked_child_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    parent = await child(_FORKS, path)
    out, _ = await parent.communicate()
    assert parent.returncode == 0
    assert b"before a fork" in out
    backend = await open_sqlite(path)
    record = await record_of(backend)
    assert (record.version.counter, values(record)) == (51, {"a": b"49"})
    await backend.close()


async def test_a_hint_crosses_to_another_opener_of_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    one, two = await open_sqlite(path), await open_sqlite(path)
    grant = await granted(one, "t1")
    got(await begin(two, "t2"), Queued)
    async with two.watch(KEY) as watch, two.watch(SessionKey("acme", "other")) as other:
        started = time.monotonic()
        await finish(one, "t1", grant)
        assert await watch.wait(10) == b"commit"
        assert time.monotonic() - started < 5
        await one.publish(KEY, b"\x00hint")
        assert await watch.wait(5) == b"\x00hint"
        assert await watch.wait(0.05) is None
        assert await other.wait(0) is None
    async with two.watch(KEY) as watch:
        assert await watch.wait(0.05) is None  # what is over is not told again
        await one.publish(KEY, b"again")
        assert await watch.wait(5) == b"again"
    await one.close()
    await two.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM watcher").fetchone() == (0,)
    db.close()


_FOLLOWS = """
import asyncio, sys
from holdfast.backends.sqlite import open_sqlite
from holdfast.testing.calls import KEY
async def main():
    backend = await open_sqlite(sys.argv[1])
    async with backend.watch(KEY) as watch:
        print("watching", flush=True)
        fence, seen, hints = 0, [], set()
        while seen[-1:] != [b"."]:
            hints.add(await watch.wait(0.5))
            found = await backend.read_events(KEY, "t1", fence=fence, start=len(seen))
            seen = seen[:found.start] + found.chunks
            fence = found.fence
            if seen == [b"0"]:
                await backend.signal(KEY, "go", b"on", turn_id="t1")
    print(b"".join(seen).decode(), b"events" in hints, flush=True)
    await backend.close()
asyncio.run(main())
"""


async def test_a_turn_is_followed_and_signalled_from_another_process(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    backend = await open_sqlite(path)
    grant = await granted(backend, "t1")
    follower = await child(_FOLLOWS, path)
    assert follower.stdout is not None
    assert await follower.stdout.readline() == b"watching\n"
    async with backend.watch(KEY) as watch:
        await say(backend, grant.fence, b"0")
        while await watch.wait(5) == b"events":
            pass
        told = got(await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS), Signalled)
        assert told.steps == [("go", b"on")]
        await say(backend, grant.fence, *(b"%d" % n for n in range(1, 50)), b".")
    out, _ = await follower.communicate()
    assert out.decode() == "".join(map(str, range(50))) + ". True\n"
    await backend.close()


async def say(backend: SqliteBackend, fence: int, *chunks: bytes) -> None:
    for chunk in chunks:
        assert await backend.append_events(KEY, "t1", fence=fence, chunk=chunk, keep_ms=LONG_MS) is None


async def test_a_parked_turn_is_woken_by_one_process_and_run_by_another(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    one, two = await open_sqlite(path), await open_sqlite(path)
    grant = await granted(one, "t1")
    await one.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS)
    got(await begin(two, "t1", takeover=True), Parked)
    async with one.watch(KEY) as watch:
        assert await two.signal(KEY, "ok", b"yes") == ("t1",)
        assert await watch.wait(5) == b"signal"
    assert [turn.turn_id for turn in await one.overdue()] == ["t1"]
    again = await granted(two, "t1", takeover=True)
    assert (again.attempt, again.steps) == (1, [("ok", b"yes")])
    await say(two, again.fence, b"x")
    assert await one.append_events(KEY, "t1", fence=grant.fence, chunk=b"y", keep_ms=LONG_MS) == Fenced()
    assert (await one.read_events(KEY, "t1")).chunks == [b"x"]
    await one.close()
    await two.close()


async def test_where_nobody_watches_no_hint_is_written(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    one, two = await open_sqlite(path), await open_sqlite(path)
    async with one.watch(KEY) as watch:
        await one.publish(KEY, b"here")
        assert await watch.wait(5) == b"here"
    await one.close()
    await two.publish(KEY, b"nobody")
    grant = await granted(two, "t1")
    await two.signal(KEY, "ok", b"yes")
    await say(two, grant.fence, b"x")
    await two.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM hint").fetchone() == (0,)
    db.close()
