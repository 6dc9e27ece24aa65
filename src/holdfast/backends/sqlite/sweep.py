"""What the writer does beside its calls: removes a few sessions and events that are over, and notes how late it is."""

from __future__ import annotations

from typing import Final

from holdfast.backends import rules
from holdfast.backends.records import SessionKey
from holdfast.backends.sqlite import signals, streams
from holdfast.backends.sqlite.anchored_clock import note_time
from holdfast.backends.sqlite.rows import Rows, head_of
from holdfast.backends.sqlite.text import text
from holdfast.errors import CorruptRecord

A_FEW: Final = 8
"""Sessions, and streams of events, looked at in one transaction."""

PAUSE_MS: Final = 1_000
"""From one look to the next, once everything that was due is swept."""

NOTE_MS: Final = 5_000
"""From one note of the time to the next; what a fault has left behind is cleared away then, too."""


class Sweep:
    """Rides in transactions that write anyway; an idle store sweeps nothing.

    Args:
        notes_time: whether the file's clock needs to know the latest time (`anchored_clock`).
    """

    def __init__(self, *, notes_time: bool) -> None:
        self._notes_time = notes_time
        self._look_ms = 0
        self._note_ms = 0

    def after_write(self, rows: Rows) -> None:
        now = rows.now()
        if now >= self._look_ms:
            # Set first: where the sweep itself fails, the calls that run again are spared it.
            self._look_ms = now + PAUSE_MS
            if A_FEW in (sweep(rows, now), streams.sweep(rows, now, A_FEW)):
                self._look_ms = now
        if now >= self._note_ms:
            self._note_ms = now + NOTE_MS
            rows.db.execute("DELETE FROM rejected WHERE since <= ?", (now - rows.limits.age_ms,))
            signals.forget_old(rows.db, now)
            if self._notes_time:
                note_time(rows.db, now)

    def at_close(self, rows: Rows) -> None:
        if self._notes_time:
            note_time(rows.db, rows.now())


def sweep(rows: Rows, now: int) -> int:
    """Looks at a few sessions whose time has come: removes those that are over, puts off the others; how many it saw."""
    due = rows.db.execute(
        "SELECT sid, tenant, id, head FROM session WHERE sweep > 0 AND sweep <= ? ORDER BY sweep LIMIT ?", (now, A_FEW)
    ).fetchall()
    for sid, tenant, id_, blob in due:
        try:
            head = head_of(blob, SessionKey(text(tenant), text(id_)))
        except CorruptRecord:
            again = 0  # it stays for whoever repairs it
        else:
            if not rules.alive(head, now):
                rows.remove(sid)
                continue
            again = rules.ends_ms(head)
        rows.db.execute("UPDATE session SET sweep = ? WHERE sid = ?", (again, sid))
    return len(due)
