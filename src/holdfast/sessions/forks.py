"""Forks: what a failover lost, seen by a node that had seen it. Detected by comparing records, and reported; never merged.

With asynchronous replication both sides of a failover may hold a different version 7. A node that kept a copy of the lost one
notices when the store brings another one (`diverged`). What the store holds is what counts; the copy is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.backends.records import Record, SessionKey, StoredOutcome, Version

logger: Final = logging.getLogger("holdfast.forks")


class Fork(msgspec.Struct, frozen=True):
    """Something that the store had confirmed to this node is not in the session's history (any more).

    Attributes:
        session, tenant: which session.
        lost: the version that this node had seen. found: the one that the store has now.
        what: what shows it; names of fields and positions in the log, never their content.
    """

    session: str
    tenant: str
    lost: Version
    found: Version
    what: str


OnFork = Callable[[Fork], object]
"""Takes a report; called on the event loop, so it must not block."""


class ForkReports:
    """Counts, logs and hands on forks, for all tenants of a store."""

    def __init__(self) -> None:
        self.count = 0
        self.on_fork: OnFork | None = None

    def compare(self, key: SessionKey, seen: Record, found: Record) -> bool:
        """Reports a fork if there is one. ``seen`` was confirmed before ``found`` was asked for."""
        what = diverged(seen, found)
        if what:
            self._report(Fork(key.id, key.tenant, seen.version, found.version, what))
        return bool(what)

    def _report(self, fork: Fork) -> None:
        self.count += 1
        logger.warning(
            "session %r: the store lost version %d (%s), which this node had seen; it has version %d (%s) now: %s",
            fork.session,
            fork.lost.counter,
            fork.lost.commit_id.hex()[:8],
            fork.found.counter,
            fork.found.commit_id.hex()[:8],
            fork.what,
        )
        if self.on_fork is not None:
            try:
                self.on_fork(fork)
            except Exception:  # the owner's code: its failure must not become the failure of somebody's read
                logger.exception("session %r: on_fork failed", fork.session)


def diverged(cached: Record, fresh: Record) -> str:
    """What shows that ``cached``, confirmed earlier, is not part of ``fresh``'s history; "" where nothing does.

    Sure where ``fresh`` has a counter that is not higher. Beyond that it is found as long as the other side's log entries are
    in both tails, or a field that it wrote then still stands. Another life of the session is no fork.
    """
    if cached.incarnation != fresh.incarnation or cached.version == fresh.version:
        return ""
    counter = cached.version.counter
    if fresh.version.counter < counter:
        return "its version went back"
    if fresh.version.counter == counter:
        return "another commit made this version"
    if fresh.total < cached.total:
        return "its log is shorter"
    first, fresh_first = cached.total - len(cached.tail), fresh.total - len(fresh.tail)
    for position in range(max(first, fresh_first), cached.total):
        if cached.tail[position - first] != fresh.tail[position - fresh_first]:
            return f"log entry {position} is another one"
    for name, field in fresh.fields.items():
        # not written since the cached version, so that version has it too, to the byte
        if field.counter <= counter and cached.fields.get(name) != field:
            return f"field {name!r} of version {field.counter} is another one"
    return ""


def contradicts(cached: Record, stored: StoredOutcome) -> bool:
    """Can this outcome not be of the cached record's history? Then it is of another life, or of another side of a fork."""
    if stored.version.counter == cached.version.counter:
        return stored.version != cached.version
    first = cached.total - len(cached.tail)
    if stored.version.counter > cached.version.counter:
        return stored.start < cached.total
    return any(
        not first <= position < cached.total or cached.tail[position - first] != entry
        for position, entry in enumerate(stored.entries, stored.start)
        if position >= first
    )
