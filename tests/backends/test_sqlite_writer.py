"""The SQLite writer: group commit, deadlines, cancelled callers, foreign locks, several event loops, the end."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.backends.records import Change, Delta, SessionKey
from holdfast.backends.sqlite import SqliteBackend, open_sqlite
from holdfast.backends.sqlite.rows import Rows
from holdfast.errors import OutcomeUnknown, StoreClosed, StoreTimeout, StoreUnavailable
from holdfast.testing.calls import KEY, missing, put, record_of, run_turn, values


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sessions.db")


@pytest.fixture
async def backend(path: str) -> AsyncIterator[SqliteBackend]:
    backend = await open_sqlite(path, timeout=20)
    yield backend
    await backend.close()


@pytest.fixture
async def hasty(path: str) -> AsyncIterator[SqliteBackend]:
    """Its deadlines pass soon."""
    backend = await open_sqlite(path, timeout=0.5)
    yield backend
    await backend.close()


def locked(path: str) -> sqlite3.Connection:
    """Another program's connection that holds the file's write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def keys(count: int) -> list[SessionKey]:
    return [SessionKey("acme", f"s-{n}") for n in range(count)]


async def counting_commits(backend: SqliteBackend) -> list[str]:
    """Fills up with one entry for each commit from now on."""
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            seen.append(statement)

    await backend._writing.call(lambda rows: rows.db.set_trace_callback(note), reads=True)
    await asyncio.sleep(0.02)
    seen.clear()
    return seen


async def stuck(backend: SqliteBackend, seconds: float) -> asyncio.Task[None]:
    """A write that keeps the writer busy."""
    task = asyncio.create_task(backend._writing.call(lambda rows: time.sleep(seconds), reads=False))
    await asyncio.sleep(0.05)
    return task


async def test_writes_that_wait_together_are_committed_together(backend: SqliteBackend, path: str) -> None:
    commits = await counting_commits(backend)
    other = locked(path)
    writes = [asyncio.create_task(put(backend, {"a": b"1"}, key)) for key in keys(50)]
    await asyncio.sleep(0.05)
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*writes)
    assert commits == ["COMMIT"]


async def test_more_writes_than_one_transaction_takes(backend: SqliteBackend, path: str) -> None:
    commits = await counting_commits(backend)
    other = locked(path)
    writes = [asyncio.create_task(put(backend, {"a": b"1"}, key)) for key in keys(1100)]
    await asyncio.sleep(0.1)
    other.execute("ROLLBACK")
    other.close()
    assert [done.version.counter for done in await asyncio.gather(*writes)] == [1] * 1100
    assert len(commits) == 3


async def test_a_call_that_fails_half_way_fails_alone(backend: SqliteBackend, path: str) -> None:
    def half_way(rows: Rows) -> None:
        rows.db.execute("DELETE FROM session")
        raise ZeroDivisionError

    await put(backend, {"a": b"0"})
    other = locked(path)
    writes = [asyncio.create_task(put(backend, {"a": b"1"}, key)) for key in keys(5)]
    bad = asyncio.create_task(backend._writing.call(half_way, reads=False))
    writes += [asyncio.create_task(put(backend, {"a": b"2"}, SessionKey("b", key.id))) for key in keys(5)]
    await asyncio.sleep(0.05)
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*writes)
    with pytest.raises(ZeroDivisionError):
        await bad
    assert values(await record_of(backend)) == {"a": b"0" if KEY not in keys(5) else b"1"}
    assert values(await record_of(backend, SessionKey("b", "s-4"))) == {"a": b"2"}


async def test_a_value_that_sqlite_cannot_bind_fails_alone(backend: SqliteBackend) -> None:
    bad = Delta(commit_id=os.urandom(16), changes=[Change("a", "text"[:0] or object(), 0)])  # type: ignore[arg-type]
    first, failed, last = await asyncio.gather(
        put(backend, {"a": b"1"}, SessionKey("b", "1")),
        backend.commit(KEY, bad),
        put(backend, {"a": b"1"}, SessionKey("b", "2")),
        return_exceptions=True,
    )
    assert isinstance(failed, Exception)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert await missing(backend)


async def test_a_lock_held_elsewhere_is_a_typed_error_by_the_deadline(hasty: SqliteBackend, path: str) -> None:
    await put(hasty, {"a": b"0"})
    other = locked(path)
    started = time.monotonic()
    replies = await asyncio.gather(*(put(hasty, {"a": b"1"}) for _ in range(10)), return_exceptions=True)
    assert 0.4 < time.monotonic() - started < 3  # one after the other would be 5
    assert [type(reply) for reply in replies] == [StoreUnavailable] * 10
    assert "another process" in str(replies[0])
    assert values(await record_of(hasty)) == {"a": b"0"}  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    await asyncio.sleep(0.02)
    assert (await record_of(hasty)).version.counter == 1
    assert (await put(hasty, {"a": b"2"})).version.counter == 2


async def test_a_short_foreign_lock_is_waited_for(backend: SqliteBackend, path: str) -> None:
    other = locked(path)
    write = asyncio.create_task(put(backend, {"a": b"1"}))
    await asyncio.sleep(0.2)
    other.execute("ROLLBACK")
    other.close()
    await write


async def test_behind_a_stuck_write_the_begun_is_unknown_and_the_rest_was_never_applied(
    hasty: SqliteBackend,
) -> None:
    release = threading.Event()
    stuck_one = asyncio.create_task(hasty._writing.call(lambda rows: release.wait(5), reads=False))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    waiting = asyncio.create_task(put(hasty, {"a": b"1"}))
    with pytest.raises(OutcomeUnknown):
        await stuck_one
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await waiting
    assert time.monotonic() - started < 4
    release.set()
    await put(hasty, {"b": b"2"})
    assert values(await record_of(hasty)) == {"b": b"2"}


async def test_a_stuck_read_ends_by_its_deadline(hasty: SqliteBackend) -> None:
    release = threading.Event()
    read = asyncio.create_task(hasty._reading.call(lambda rows: release.wait(5), reads=True))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    with pytest.raises(StoreTimeout):
        await hasty.load(KEY, tail=1)
    with pytest.raises(StoreTimeout):
        await read
    assert time.monotonic() - started < 4
    release.set()


async def test_a_cancelled_call_that_has_not_begun_is_dropped(backend: SqliteBackend) -> None:
    busy = await stuck(backend, 0.2)
    cancelled = asyncio.create_task(put(backend, {"a": b"1"}))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    kept = await put(backend, {"b": b"1"})
    await busy
    assert kept.version.counter == 1
    assert values(await record_of(backend)) == {"b": b"1"}


async def test_callers_on_several_event_loops(backend: SqliteBackend) -> None:
    failures: list[BaseException] = []

    def elsewhere(n: int) -> None:
        async def work() -> None:
            for i in range(20):
                await run_turn(backend, f"t-{n}-{i}", key=SessionKey("acme", f"loop-{n}"))

        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 -- shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=elsewhere, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for i in range(20):
        await run_turn(backend, f"t-{i}")
    while any(thread.is_alive() for thread in threads):  # noqa: ASYNC110 -- threads have no event
        await asyncio.sleep(0.01)
    assert failures == []
    for n in range(4):
        assert (await record_of(backend, SessionKey("acme", f"loop-{n}"))).total == 40


async def test_an_event_loop_that_is_gone_harms_nobody(backend: SqliteBackend) -> None:
    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(put(backend, {"a": b"1"}))
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    for _ in range(5):
        await asyncio.to_thread(elsewhere)
    await put(backend, {"b": b"1"})


async def test_a_read_sees_what_was_committed_before_it(backend: SqliteBackend) -> None:
    for n in range(200):
        done = await put(backend, {"n": b"%d" % n})
        assert (await record_of(backend)).version == done.version


async def test_close_ends_what_waits_and_leaves_no_thread(path: str) -> None:
    before = set(threading.enumerate())
    backend = await open_sqlite(path, timeout=2)
    await put(backend, {"a": b"0"})
    other = locked(path)
    waiting = asyncio.create_task(put(backend, {"a": b"1"}))
    await asyncio.sleep(0.05)
    await backend.close()
    with pytest.raises(StoreUnavailable):
        await waiting
    other.close()
    await backend.close()
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not any("holdfast" in name for name in left)
    with pytest.raises(StoreClosed):
        await put(backend, {"a": b"2"})


async def test_the_last_one_to_close_leaves_one_file(path: str) -> None:
    backend = await open_sqlite(path)
    await run_turn(backend, "t1")
    await backend.close()
    assert [file.name for file in Path(path).parent.iterdir()] == ["sessions.db"]
