"""The file's clock: one for all processes, whatever their wall clocks say."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.backends.records import Birth
from holdfast.backends.sqlite import open_sqlite
from holdfast.backends.sqlite.anchored_clock import anchored_clock, note_time
from holdfast.backends.sqlite.schema import prepare
from holdfast.testing.calls import missing, put, record_of

HOUR_MS = 3_600_000
SECOND_NS = 1_000_000_000


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db, ":memory:")
    yield db
    db.close()


def wall(ms: int) -> Callable[[], int]:
    return lambda: ms * 1_000_000


class Boot:
    """Seconds since a boot."""

    def __init__(self, name: str, seconds: int = 100) -> None:
        self.name = name
        self.seconds = seconds

    def __call__(self) -> int:
        return self.seconds * SECOND_NS


def opened(db: sqlite3.Connection, boot: Boot, wall_ms: int) -> Callable[[], int]:
    return anchored_clock(db, wall_ns=wall(wall_ms), boot=lambda: boot.name, since_boot_ns=boot)


def test_the_first_opener_of_a_boot_sets_the_time_for_all(db: sqlite3.Connection) -> None:
    boot = Boot("a")
    first = opened(db, boot, 1_000_000)
    ahead = opened(db, boot, 1_000_000 + HOUR_MS)
    behind = opened(db, boot, 1_000_000 - HOUR_MS)
    assert first() == ahead() == behind() == 1_000_000
    boot.seconds += 7
    assert first() == ahead() == behind() == 1_007_000


def test_after_a_reboot_the_wall_clock_sets_it_again(db: sqlite3.Connection) -> None:
    opened(db, Boot("a"), 1_000_000)
    assert opened(db, Boot("b", seconds=3), 9_000_000)() == 9_000_000


def test_after_a_reboot_it_does_not_go_back(db: sqlite3.Connection) -> None:
    boot = Boot("a")
    now = opened(db, boot, 1_000_000)
    boot.seconds += 50
    note_time(db, now())
    assert opened(db, Boot("b", seconds=3), 5_000)() == 1_050_000


def test_a_note_of_an_earlier_time_changes_nothing(db: sqlite3.Connection) -> None:
    note_time(db, 5_000)
    note_time(db, 4_000)
    assert opened(db, Boot("a"), 1_000)() == 5_000


@pytest.mark.parametrize(("boot_id", "passed"), [("", 5), ("a", None)])
def test_where_the_system_has_no_such_clock_it_starts_at_the_wall_clock(
    db: sqlite3.Connection, boot_id: str, passed: int | None
) -> None:
    now = anchored_clock(db, boot=lambda: boot_id, since_boot_ns=lambda: passed)
    assert abs(now() - time.time_ns() // 1_000_000) < 1_000


async def test_the_time_is_noted_while_the_store_is_written(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    backend = await open_sqlite(path)
    await put(backend, {"a": b"1"})
    await backend.close()
    db = sqlite3.connect(path)
    (noted,) = db.execute("SELECT value FROM meta WHERE name = 'latest_ms'").fetchone()
    db.close()
    assert abs(noted - time.time_ns() // 1_000_000) < 60_000


_LOOKS = """
import asyncio, sys, time
from holdfast.backends.records import Birth
from holdfast.backends.sqlite import open_sqlite
from holdfast.testing.calls import SessionKey, missing, put
async def main():
    backend = await open_sqlite(sys.argv[1])
    lost = await missing(backend)
    done = await put(backend, {"a": b"2"}, SessionKey("acme", "s-2"), birth=Birth(ttl_ms=20_000))
    print(int(lost), done.now_ms, time.time_ns() // 1_000_000)
    await backend.close()
asyncio.run(main())
"""


@pytest.fixture
def faketime() -> str:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("MOVED CLOCK NOT TESTED: libfaketime is not installed")
    return str(library)


@pytest.mark.parametrize("moved", ["+1h", "-1h"])
async def test_a_process_whose_wall_clock_is_moved_expires_nothing_early_or_late(
    tmp_path: Path, faketime: str, moved: str
) -> None:
    path = str(tmp_path / "x.db")
    backend = await open_sqlite(path)
    done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=20_000))
    child = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", _LOOKS, path],
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"LD_PRELOAD": faketime, "FAKETIME": moved, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
    )
    out, _ = await child.communicate()
    lost, now, its_wall = map(int, out.split())
    assert abs(abs(its_wall - done.now_ms) - HOUR_MS) < 60_000  # it was moved indeed
    assert not lost
    assert 0 <= now - done.now_ms < 20_000
    assert not await missing(backend)
    assert (await record_of(backend)).expires_ms == done.now_ms + 20_000
    await backend.close()
