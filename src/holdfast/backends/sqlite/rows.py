"""Lives of sessions as rows: finding, reading, writing and removing them. No decision of the contract is made here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final
from zlib import crc32

import msgspec

from holdfast.backends import rules
from holdfast.backends.clock import Clock
from holdfast.backends.records import (
    NEVER,
    Birth,
    Field,
    OutcomeLimits,
    Record,
    SessionKey,
    StoredOutcome,
    Unchanged,
    Version,
)
from holdfast.backends.rules import Pending
from holdfast.backends.sqlite import signals
from holdfast.backends.sqlite.schema import SPAN
from holdfast.backends.sqlite.text import raw, text
from holdfast.errors import CorruptRecord

_UPDATES: Final = SPAN // 2
"""Outcomes of updates are numbered from here on, those of turns from 0."""


class PackedHead(rules.Head, array_like=True):
    """A head as it lies in the file: an array, to which later releases may append."""


class Body(msgspec.Struct, array_like=True):
    """The opaque rest of an outcome's row."""

    outcome: bytes
    fingerprint: bytes
    version: Version
    start: int
    count: int


class KnownOutcome(msgspec.Struct):
    """An outcome's row, found by its op."""

    place: int
    stored_ms: int
    body: Body


class Life(msgspec.Struct):
    """One life of a session: its row."""

    sid: int
    key: SessionKey
    head: rules.Head
    sweep_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(PackedHead).decode
_decode_body = msgspec.msgpack.Decoder(Body).decode


def damaged(key: SessionKey, what: str) -> CorruptRecord:
    return CorruptRecord(
        f"session {key.id!r} of tenant {key.tenant!r}: {what}; restore the file from a backup, or delete the session"
    )


def head_of(blob: bytes, key: SessionKey) -> rules.Head:
    try:
        return _decode_head(blob)
    except (ValueError, TypeError, RecursionError) as error:  # msgspec's own, and text that is no UTF-8
        raise damaged(key, "its head cannot be decoded") from error


class Rows:
    """The statements on one connection; used by the thread that owns it, inside a transaction.

    Attributes:
        now: the store's clock, milliseconds since the epoch.
        hints: what to publish once the transaction is committed.
        node: names this opener of the file among the others.
    """

    def __init__(self, db: sqlite3.Connection, now: Clock, limits: OutcomeLimits, node: bytes) -> None:
        self.db = db
        self.now = now
        self.limits = limits
        self.node = node
        self.hints: list[tuple[SessionKey, bytes]] = []

    # --- lives ---

    def find(self, key: SessionKey) -> Life | None:
        """The row of a life, over or not."""
        row = self.db.execute(
            "SELECT sid, head, sweep FROM session WHERE tenant = ? AND id = ?", (raw(key.tenant), raw(key.id))
        ).fetchone()
        return None if row is None else Life(row[0], key, head_of(row[1], key), row[2])

    def living(self, key: SessionKey, now: int) -> Life | None:
        life = self.find(key)
        return life if life is not None and rules.alive(life.head, now) else None

    def living_here(self, key: SessionKey, now: int) -> Life | None:
        """The living session for a writer, who removes one that is over: its key is wanted again."""
        life = self.find(key)
        if life is None or rules.alive(life.head, now):
            return life
        self.remove(life.sid)
        return None

    def bear(self, key: SessionKey, birth: Birth, seed: bytes, now: int) -> Life:
        head = PackedHead(*msgspec.structs.astuple(rules.born(birth, rules.new_incarnation(seed), now)))
        sweep = rules.ends_ms(head)
        sid = self.db.execute(
            "INSERT INTO session (tenant, id, user, used, sweep, head) VALUES (?, ?, ?, ?, ?, ?)",
            (raw(key.tenant), raw(key.id), raw(head.user), now, sweep, _encode(head)),
        ).lastrowid
        assert sid is not None
        return Life(sid, key, head, sweep)

    def save(self, life: Life, used: int = 0) -> None:
        """Writes the head; ``used`` (milliseconds) moves the session to the front of its user's list."""
        head, ends = life.head, rules.ends_ms(life.head)
        if ends != NEVER and (life.sweep_ms == NEVER or ends < life.sweep_ms):
            life.sweep_ms = ends
            self.db.execute("UPDATE session SET sweep = ? WHERE sid = ?", (ends, life.sid))
        if used and head.user:
            self.db.execute("UPDATE session SET head = ?, used = ? WHERE sid = ?", (_encode(head), used, life.sid))
        else:
            self.db.execute("UPDATE session SET head = ? WHERE sid = ?", (_encode(head), life.sid))

    def remove(self, sid: int) -> None:
        span = (sid * SPAN, (sid + 1) * SPAN)
        self.db.execute("DELETE FROM session WHERE sid = ?", (sid,))
        self.db.execute("DELETE FROM field WHERE sid = ?", (sid,))
        self.db.execute("DELETE FROM log WHERE place >= ? AND place < ?", span)
        self.db.execute("DELETE FROM pending WHERE sid = ?", (sid,))
        self.db.execute("DELETE FROM step WHERE sid = ?", (sid,))
        self.db.execute("DELETE FROM outcome WHERE place >= ? AND place < ?", span)
        self.forget_events(sid)

    def forget_events(self, sid: int) -> None:
        self.db.execute("DELETE FROM stream WHERE sid = ?", (sid,))
        self.db.execute("DELETE FROM event WHERE place >= ? AND place < ?", (sid * SPAN, (sid + 1) * SPAN))

    @staticmethod
    def next_fence(life: Life) -> int:
        """Rises over the lives of a session, as sids do; a counter of the file would cost every grant one more page."""
        return max(life.head.fence, life.sid * SPAN) + 1

    # --- fields and log ---

    def snapshot(self, life: Life, tail: int, known: Version | None) -> Record | Unchanged | None:
        head = life.head
        if head.counter == 0:
            return None
        if known is not None and known.commit_id == head.commit_id:
            return Unchanged(head.expires_ms)
        fields = {
            text(name): Field(value, counter)
            for name, counter, value in self.db.execute(
                "SELECT name, counter, value FROM field WHERE sid = ?", (life.sid,)
            )
        }
        return Record(
            incarnation=head.incarnation,
            version=head.version,
            user=head.user,
            created_ms=head.created_ms,
            expires_ms=head.expires_ms,
            ttl_ms=head.ttl_ms,
            fields=fields,
            tail=self.tail(life, tail),
            total=head.total,
        )

    def tail(self, life: Life, count: int) -> list[bytes]:
        """The last entries. The range is open to the right, so that a log longer than the head says is noticed too."""
        expected = min(max(count, 1), life.head.total)
        entries = self._entries(life.sid, life.head.total - expected, SPAN)
        if len(entries) != expected:
            raise damaged(life.key, f"its log does not end at entry {life.head.total}")
        return entries if count else []

    def entries(self, life: Life, start: int, count: int) -> list[bytes]:
        end = min(start + count, life.head.total)
        entries = self._entries(life.sid, start, end) if end > start else []
        if len(entries) != max(0, end - start):
            raise damaged(life.key, f"log entries are missing between {start} and {end}")
        return entries

    def _entries(self, sid: int, start: int, end: int) -> list[bytes]:
        base = sid * SPAN
        rows = self.db.execute(
            "SELECT entry FROM log WHERE place >= ? AND place < ? ORDER BY place", (base + start, base + end)
        )
        return [entry for (entry,) in rows]

    def append(self, life: Life, entries: Iterable[bytes]) -> None:
        first = life.sid * SPAN + life.head.total
        try:
            self.db.executemany("INSERT INTO log (place, entry) VALUES (?, ?)", list(enumerate(entries, first)))
        except sqlite3.IntegrityError as error:
            raise damaged(life.key, f"its log does not end at entry {life.head.total}") from error

    def counter_of(self, sid: int, name: str) -> int:
        row = self.db.execute("SELECT counter FROM field WHERE sid = ? AND name = ?", (sid, raw(name))).fetchone()
        return row[0] if row is not None else 0

    def put_fields(self, sid: int, rows: list[tuple[str, bytes]], counter: int) -> None:
        self.db.executemany(
            "INSERT INTO field (sid, name, counter, value) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (sid, name) DO UPDATE SET counter = excluded.counter, value = excluded.value",
            [(sid, raw(name), counter, value) for name, value in rows],
        )

    def drop_fields(self, sid: int, names: list[str]) -> None:
        self.db.executemany("DELETE FROM field WHERE sid = ? AND name = ?", [(sid, raw(name)) for name in names])

    # --- pending turns and their journal ---

    def pending(self, sid: int, entry_of: str = "") -> dict[str, Pending]:
        """A session's pending turns; the accepted input is read for the turn ``entry_of`` only."""
        rows = self.db.execute(
            "SELECT turn_id, token, ord, fingerprint, handler, place, attempt, due,"
            " CASE WHEN turn_id = ? THEN entry ELSE x'' END FROM pending WHERE sid = ?",
            (raw(entry_of), sid),
        )
        return {
            text(turn_id): Pending(text(turn_id), token, order, fingerprint, text(handler), entry, place, attempt, due)
            for turn_id, token, order, fingerprint, handler, place, attempt, due, entry in rows
        }

    def accept(self, sid: int, mine: Pending) -> None:
        self.db.execute(
            "INSERT INTO pending (sid, turn_id, token, ord, fingerprint, handler, place, attempt, due, entry)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sid,
                raw(mine.turn_id),
                mine.token,
                mine.order,
                mine.fingerprint,
                raw(mine.handler),
                mine.place_ms,
                mine.attempt,
                mine.due_ms,
                mine.entry,
            ),
        )

    def save_pending(self, sid: int, mine: Pending) -> None:
        self.db.execute(
            "UPDATE pending SET token = ?, place = ?, attempt = ?, due = ? WHERE sid = ? AND turn_id = ?",
            (mine.token, mine.place_ms, mine.attempt, mine.due_ms, sid, raw(mine.turn_id)),
        )

    def forget_pending(self, sid: int, turn_id: str) -> None:
        at = (sid, raw(turn_id))
        self.db.execute("DELETE FROM pending WHERE sid = ? AND turn_id = ?", at)
        self.db.execute("DELETE FROM step WHERE sid = ? AND turn_id = ?", at)

    def steps(self, sid: int, turn_id: str) -> list[tuple[str, bytes]]:
        rows = self.db.execute(
            "SELECT name, value FROM step WHERE sid = ? AND turn_id = ? ORDER BY n", (sid, raw(turn_id))
        )
        return [(text(name), value) for name, value in rows]

    def step(self, sid: int, turn_id: str, name: str) -> bytes | None:
        row = self.db.execute(
            "SELECT value FROM step WHERE sid = ? AND turn_id = ? AND name = ?", (sid, raw(turn_id), raw(name))
        ).fetchone()
        return None if row is None else row[0]

    def put_step(self, sid: int, turn_id: str, name: str, value: bytes) -> None:
        self.db.execute(
            "INSERT INTO step (sid, turn_id, name, value) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (sid, turn_id, name) DO UPDATE SET value = excluded.value",
            (sid, raw(turn_id), raw(name), value),
        )

    def put_first_step(self, sid: int, turn_id: str, name: str, value: bytes) -> None:
        """A step of this name that is there already stays."""
        self.db.execute(
            "INSERT INTO step (sid, turn_id, name, value) VALUES (?, ?, ?, ?) ON CONFLICT (sid, turn_id, name) DO NOTHING",
            (sid, raw(turn_id), raw(name), value),
        )

    # --- outcomes ---

    def outcome(self, life: Life, op: str | bytes, now: int) -> KnownOutcome | None:
        """A stored outcome that is not too old to count."""
        name = _op(op)
        for place, stored, stored_op, body in self.db.execute(
            "SELECT place, stored, op, body FROM outcome WHERE sid = ? AND hash = ?", (life.sid, crc32(name))
        ).fetchall():
            if stored_op == name and now - stored < self.limits.age_ms:
                return KnownOutcome(place, stored, _body(body, life.key))
        return None

    def stored(self, life: Life, known: KnownOutcome) -> StoredOutcome:
        body = known.body
        return StoredOutcome(body.outcome, body.version, body.start, self.entries(life, body.start, body.count))

    def put_outcome(self, life: Life, op: str | bytes, body: Body, now: int) -> None:
        """Stores an outcome and drops those that its ring has no room for (changes the head)."""
        head, name = life.head, _op(op)
        if isinstance(op, str):
            place, head.turns = head.turns, head.turns + 1
            self._trim(life, 0, head.turns, self.limits.turns)
        else:
            place, head.updates = _UPDATES + head.updates, head.updates + 1
            self._trim(life, _UPDATES, head.updates, self.limits.updates)
        self.db.execute(
            "INSERT INTO outcome (place, sid, hash, stored, op, body) VALUES (?, ?, ?, ?, ?, ?)",
            (life.sid * SPAN + place, life.sid, crc32(name), now, name, _encode(body)),
        )

    def _trim(self, life: Life, base: int, stored: int, limit: int) -> None:
        """Drops an eighth of the ring at a time: one by one would write other pages with every commit."""
        if stored <= limit or stored % max(1, limit // 8):
            return
        first = life.sid * SPAN + base
        over = (first, first + stored - limit)
        (youngest,) = self.db.execute("SELECT max(stored) FROM outcome WHERE place >= ? AND place < ?", over).fetchone()
        if youngest is not None:
            life.head.dropped_ms = max(life.head.dropped_ms, youngest)
            self.db.execute("DELETE FROM outcome WHERE place >= ? AND place < ?", over)

    def reject(self, key: SessionKey, op: bytes, now: int) -> None:
        self.db.execute(
            "INSERT INTO rejected (tenant, id, op, since) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (tenant, id, op) DO UPDATE SET since = excluded.since",
            (raw(key.tenant), raw(key.id), op, now),
        )

    def is_rejected(self, key: SessionKey, op: bytes, now: int) -> bool:
        row = self.db.execute(
            "SELECT since FROM rejected WHERE tenant = ? AND id = ? AND op = ?", (raw(key.tenant), raw(key.id), op)
        ).fetchone()
        return row is not None and now - row[0] < self.limits.age_ms

    def hint(self, key: SessionKey, hint: bytes) -> None:
        """Has a hint given once this transaction is committed; to other processes where they watch the session."""
        self.hints.append((key, hint))
        signals.tell_others(self.db, self.node, key, hint, self.now())


def _op(op: str | bytes) -> bytes:
    return b"t" + raw(op) if isinstance(op, str) else b"u" + op


def _body(blob: bytes, key: SessionKey) -> Body:
    try:
        return _decode_body(blob)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(key, "a stored outcome cannot be decoded") from error
