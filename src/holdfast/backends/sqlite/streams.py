"""The contract's `Streams` as functions over `Rows`: `append` runs on the writer, `read` on a snapshot."""

from __future__ import annotations

from holdfast.backends import rules
from holdfast.backends.records import EventChunks, Fenced, SessionKey
from holdfast.backends.sqlite.rows import Rows
from holdfast.backends.sqlite.schema import SPAN
from holdfast.backends.sqlite.text import raw


def append(rows: Rows, key: SessionKey, turn_id: str, fence: int, chunk: bytes, keep_ms: int) -> Fenced | None:
    now = rows.now()
    life = rows.living_here(key, now)
    if life is None or not rules.holds(life.head, turn_id, fence):
        return Fenced()
    kept = rows.db.execute("SELECT fence, total, until FROM stream WHERE sid = ?", (life.sid,)).fetchone()
    until = now + keep_ms
    if kept is not None and kept[0] == fence and now < kept[2]:
        position = kept[1]
        # `sweep` stays: an index that every chunk moved would cost each a page.
        rows.db.execute("UPDATE stream SET total = ?, until = ? WHERE sid = ?", (position + 1, until, life.sid))
    else:
        position = 0
        if kept is not None:
            rows.forget_events(life.sid)
        rows.db.execute(
            "INSERT INTO stream (sid, turn_id, fence, total, until, sweep) VALUES (?, ?, ?, 1, ?, ?)",
            (life.sid, raw(turn_id), fence, until, until),
        )
    rows.db.execute("INSERT INTO event (place, chunk) VALUES (?, ?)", (life.sid * SPAN + position, chunk))
    rows.hint(key, b"events")
    return None


def read(rows: Rows, key: SessionKey, turn_id: str, fence: int, start: int) -> EventChunks:
    now = rows.now()
    life = rows.living(key, now)
    if life is None:
        return EventChunks()
    kept = rows.db.execute("SELECT turn_id, fence, until FROM stream WHERE sid = ?", (life.sid,)).fetchone()
    if kept is None or kept[0] != raw(turn_id) or now >= kept[2]:
        return EventChunks()
    first = start if fence == kept[1] else 0
    chunks = rows.db.execute(
        "SELECT chunk FROM event WHERE place >= ? AND place < ? ORDER BY place",
        (life.sid * SPAN + first, (life.sid + 1) * SPAN),
    )
    return EventChunks(kept[1], first, [chunk for (chunk,) in chunks])


def sweep(rows: Rows, now: int, limit: int) -> int:
    """Looks at a few streams whose time has come: removes those that are over, puts off the others; how many it saw."""
    due = rows.db.execute(
        "SELECT sid, until FROM stream WHERE sweep <= ? ORDER BY sweep LIMIT ?", (now, limit)
    ).fetchall()
    for sid, until in due:
        if until <= now:
            rows.forget_events(sid)
        else:
            rows.db.execute("UPDATE stream SET sweep = ? WHERE sid = ?", (until, sid))
    return len(due)
