"""The clock of a file that several processes share: it does not follow any one process's wall clock.

The first process of a boot writes down how far the wall clock is from the kernel's boot-time clock; all others read the same
offset. So a process whose wall clock is moved, or that is stepped by NTP, agrees with the rest on every lease and expiry.
After a reboot the offset is taken anew, but the clock never starts before the latest time noted in the file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from holdfast.backends.clock import Clock, steady_clock

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Names this boot of the machine; "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def boottime_ns() -> int | None:
    """Nanoseconds since the boot, sleep included; None where the system has no such clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime_ns(clock)


def anchored_clock(
    db: sqlite3.Connection,
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    boot: Callable[[], str] = boot_id,
    since_boot_ns: Callable[[], int | None] = boottime_ns,
) -> Clock:
    """Reads the file's anchor, or sets it for this boot; inside the opener's write transaction.

    Without a boot id or a boot-time clock it starts at the wall clock and then runs steadily in this process.
    """
    this_boot = boot()
    passed = since_boot_ns()
    if not this_boot or passed is None:
        return steady_clock()
    known = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('boot', 'offset_ns', 'latest_ms')"))
    if known.get("boot") == this_boot:
        offset = int(known["offset_ns"])
    else:
        offset = max(wall_ns(), int(known.get("latest_ms", 0)) * 1_000_000) - passed
        _put(db, "boot", this_boot)
        _put(db, "offset_ns", offset)

    def now() -> int:
        return ((since_boot_ns() or 0) + offset) // 1_000_000

    note_time(db, now())
    return now


def note_time(db: sqlite3.Connection, now: int) -> None:
    """Notes that it is ``now`` (milliseconds): the clock of the next boot does not start earlier."""
    db.execute(
        "INSERT INTO meta (name, value) VALUES ('latest_ms', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (now,),
    )


def _put(db: sqlite3.Connection, name: str, value: str | int) -> None:
    db.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
