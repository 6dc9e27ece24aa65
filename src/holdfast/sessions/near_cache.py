"""Recently used sessions, kept on the node as bases that the store checks."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from holdfast.backends.records import Committed, Delta, Field, Record, SessionKey
from holdfast.sessions.decoded import MESSAGE_BYTES, DecodedTail

_ENTRY_OVERHEAD = 400
_ITEM_OVERHEAD = 120
"""Bytes of Python objects around a cached session and around each of its values, rounded up (sys.getsizeof)."""


class NearCache:
    """Least recently used sessions within a number of bytes and an age.

    A cached record is never an answer by itself: `load` and `begin` name its version and hear "unchanged", `commit` names it
    as base. So a stale copy costs a longer reply, never a wrong one. (`confirmed` is for callers who asked for stale copies.)

    A record that the store has moved past in an unknown way is doubted: no longer a base, but kept as a witness of what the
    store had confirmed (`forks.diverged`).

    Args:
        max_bytes: of all records together; 0 switches the cache off.
        max_age: seconds since the store last confirmed a record.
    """

    def __init__(self, max_bytes: int, max_age: float) -> None:
        self.max_bytes = max_bytes
        self._max_age = max_age
        self._entries: OrderedDict[SessionKey, tuple[Record, int, float, DecodedTail]] = OrderedDict()
        self._doubted: set[SessionKey] = set()
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    @property
    def entries(self) -> int:
        """How many sessions it holds."""
        return len(self._entries)

    def get(self, key: SessionKey, tail: int) -> Record | None:
        """A record that has at least the last ``tail`` messages, or None."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        record, _, confirmed, _ = entry
        if time.monotonic() - confirmed > self._max_age:
            self.drop(key)
        elif len(record.tail) >= min(tail, record.total) and key not in self._doubted:
            self._entries.move_to_end(key)
            self.hits += 1
            return record
        self.misses += 1
        return None

    def confirmed(self, key: SessionKey, tail: int) -> tuple[Record, float] | None:
        """As `get`, with the seconds since the store last confirmed it."""
        record = self.get(key, tail)
        return None if record is None else (record, time.monotonic() - self._entries[key][2])

    def witness(self, key: SessionKey) -> Record | None:
        """What the store last confirmed, doubted or not, with whatever tail; only to compare with."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def doubt(self, key: SessionKey) -> None:
        """The store has moved past this record, nobody knows how far."""
        if key in self._entries:
            self._doubted.add(key)

    def put(self, key: SessionKey, record: Record) -> None:
        """Keeps a record that the store has just confirmed."""
        if not self.max_bytes:
            return
        old = self._entries.get(key)
        decoded = DecodedTail() if old is None else old[3]
        if old is not None:
            known = old[0]
            if (
                key not in self._doubted
                and known.incarnation == record.incarnation
                and (
                    known.version.counter > record.version.counter
                    or (known.version == record.version and len(known.tail) > len(record.tail))
                )
            ):
                return
            self.drop(key)
        tail = record.tail
        size = _ENTRY_OVERHEAD + 2 * sum(map(len, tail)) + (_ITEM_OVERHEAD + MESSAGE_BYTES) * len(tail)  # also decoded
        for name, field in record.fields.items():
            size += len(name) + len(field.value) + _ITEM_OVERHEAD
        if size > self.max_bytes:
            return
        self._entries[key] = (record, size, time.monotonic(), decoded)
        self.bytes += size
        while self.bytes > self.max_bytes:
            oldest, (_, freed, _, _) = self._entries.popitem(last=False)
            self._doubted.discard(oldest)
            self.bytes -= freed
            self.evictions += 1

    def decoded(self, key: SessionKey) -> DecodedTail | None:
        """Where the messages of a cached session are kept decoded; None where it is not cached."""
        entry = self._entries.get(key)
        return None if entry is None else entry[3]

    def drop(self, key: SessionKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._doubted.discard(key)
            self.bytes -= entry[1]

    def forget(self, which: Callable[[SessionKey, str], bool]) -> None:
        """Drops the sessions of which ``which`` says so, by key and user."""
        for key, (record, _, _, _) in list(self._entries.items()):
            if which(key, record.user):
                self.drop(key)

    def clear(self) -> None:
        self._entries.clear()
        self._doubted.clear()
        self.bytes = 0


def advanced(base: Record | None, delta: Delta, entries: list[bytes], reply: Committed, tail: int) -> Record | None:
    """The record after a commit, or None where it cannot be known (something else was merged in between).

    ``entries`` are all log entries that the commit wrote; ``tail`` is how many to keep at least.
    """
    if base is None or not reply.on_base:
        return None
    fields = base.fields
    if delta.changes:
        fields = dict(fields)
        for name, value, _ in delta.changes:
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = Field(value, reply.version.counter)
    kept = base.tail + entries
    keep = max(tail, len(base.tail))
    return Record(
        incarnation=reply.incarnation,
        version=reply.version,
        user=base.user,
        created_ms=base.created_ms,
        expires_ms=reply.expires_ms,
        ttl_ms=base.ttl_ms if delta.ttl_ms is None else delta.ttl_ms,
        fields=fields,
        tail=kept[-keep:] if keep else [],
        total=base.total + len(entries),
    )
