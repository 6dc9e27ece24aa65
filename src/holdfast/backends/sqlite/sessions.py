"""The contract's `Sessions` as functions over `Rows`: the writes run on the writer, the reads on a snapshot."""

from __future__ import annotations

import re

from holdfast.backends import rules
from holdfast.backends.records import (
    CommitReply,
    Committed,
    Delta,
    Fenced,
    Listing,
    LogPage,
    Record,
    Seen,
    SessionKey,
    Unchanged,
    Version,
)
from holdfast.backends.rules import Pending
from holdfast.backends.sqlite.rows import Body, Life, Rows, head_of
from holdfast.backends.sqlite.text import raw, text
from holdfast.errors import InvalidInput

_NUMBER = re.compile(r"-?[0-9]{1,18}")


def commit(rows: Rows, key: SessionKey, delta: Delta) -> CommitReply:
    now = rows.now()
    life = rows.living_here(key, now)
    head = None if life is None else life.head
    if lost := rules.life_refusal(head, delta):
        return lost
    op: str | bytes = delta.turn_id if delta.fence else delta.commit_id
    if life is not None and (seen := rows.outcome(life, op, now)):
        return Seen(rows.stored(life, seen))
    if isinstance(op, bytes) and rows.is_rejected(key, op, now):
        return Fenced()
    others = rows.pending(life.sid, entry_of=delta.turn_id) if life is not None else {}
    mine = others.pop(delta.turn_id, None) if delta.fence else None
    sid = life.sid if life is not None else 0
    if refused := rules.refusal(head, delta, mine, lambda name: rows.counter_of(sid, name)):
        return refused
    if life is None:
        life = rows.bear(key, delta.birth, rules.seed_of(delta.commit_id), now)
    committed = _apply(rows, life, delta, mine, bool(others), now)
    if others or delta.fence:
        rows.hint(key, b"commit")
    return committed


def _apply(rows: Rows, life: Life, delta: Delta, mine: Pending | None, others: bool, now: int) -> Committed:
    head = life.head
    on_base = rules.on_base(head, delta)
    start = head.total
    entries = delta.appends
    if mine is not None:
        rows.forget_pending(life.sid, mine.turn_id)
        entries = [mine.entry, *delta.appends] if mine.entry else delta.appends
    if entries:
        rows.append(life, entries)
    rules.advance(head, delta, len(entries), others, now)
    if written := [(change.name, change.value) for change in delta.changes if change.value is not None]:
        rows.put_fields(life.sid, written, head.counter)
    if removed := [change.name for change in delta.changes if change.value is None]:
        rows.drop_fields(life.sid, removed)
    if not rules.is_touch(delta):
        fingerprint = mine.fingerprint if mine is not None else b""
        body = Body(delta.outcome, fingerprint, head.version, start, len(entries))
        rows.put_outcome(life, delta.turn_id if delta.fence else delta.commit_id, body, now)
    rows.save(life, used=now)
    return Committed(head.version, head.incarnation, start, head.expires_ms, now, on_base)


def delete(rows: Rows, key: SessionKey) -> bool:
    now = rows.now()
    life = rows.living_here(key, now)
    if life is None:
        return False
    rows.remove(life.sid)
    rows.hint(key, b"delete")
    return rules.visible(life.head, now)


def load(rows: Rows, key: SessionKey, tail: int, known: Version | None) -> Record | Unchanged | None:
    life = rows.living(key, rows.now())
    return None if life is None else rows.snapshot(life, tail, known)


def read_log(rows: Rows, key: SessionKey, start: int, count: int) -> LogPage | None:
    life = rows.living(key, rows.now())
    if life is None or life.head.counter == 0:
        return None
    return LogPage(rows.entries(life, start, count), start, life.head.total)


def scan(rows: Rows, tenant: str, cursor: str, limit: int) -> Listing:
    """The cursor is the last id of the page before, after an "i"."""
    now = rows.now()
    found = rows.db.execute(
        f"SELECT id, head FROM session WHERE tenant = ? AND id {'>' if cursor else '>='} ? ORDER BY id LIMIT ?",
        (raw(tenant), raw(cursor[1:]), limit + 1),
    ).fetchall()
    page = [(text(id_), head) for id_, head in found[:limit]]
    ids = [id_ for id_, head in page if rules.visible(head_of(head, SessionKey(tenant, id_)), now)]
    return Listing(ids, "i" + page[-1][0] if len(found) > limit else "")


def by_user(rows: Rows, tenant: str, user: str, cursor: str, limit: int) -> Listing:
    """The cursor is the place of the last session of the page before: when it was used, and its sid."""
    now = rows.now()
    if not user:
        return Listing([], "")
    used, sid = _place(cursor)
    found = rows.db.execute(
        "SELECT id, head, used, sid FROM session WHERE tenant = ? AND user = ? AND user <> x'' AND (used, sid) < (?, ?)"
        " ORDER BY used DESC, sid DESC LIMIT ?",
        (raw(tenant), raw(user), used, sid, limit + 1),
    ).fetchall()
    page = [(text(id_), head, used, sid) for id_, head, used, sid in found[:limit]]
    ids = [id_ for id_, head, _, _ in page if rules.visible(head_of(head, SessionKey(tenant, id_)), now)]
    return Listing(ids, f"{page[-1][2]}.{page[-1][3]}" if len(found) > limit else "")


def _place(cursor: str) -> tuple[int, int]:
    if not cursor:
        return 2**62, 2**62
    used, _, sid = cursor.partition(".")
    if not (_NUMBER.fullmatch(used) and _NUMBER.fullmatch(sid)):
        raise InvalidInput(f"{cursor[:40]!r} is not a cursor that by_user gave out")
    return int(used), int(sid)
