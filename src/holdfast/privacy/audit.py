"""Who read or did what: an append-only log, in a tenant that belongs to the real one.

A day's entries are the log of one session there, which the store can only append to; with `[encryption]` nobody else can write one.
Each is also a line of the Python logger ``holdfast.audit``, for whoever collects those elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.errors import HoldfastError, SessionNotFound, UnreadableRecord
from holdfast.sessions.message import Message
from holdfast.turns.tenants import AUDIT

if TYPE_CHECKING:
    from holdfast.sessions.store import SessionStore
    from holdfast.turns.store import TurnStore

_log: Final = logging.getLogger("holdfast.audit")
UNREADABLE: Final = "log.unreadable"
"""The action of an entry that stands for one that cannot be read: damaged, of another key, or put there by somebody else."""
_USER: Final = "audit"
_MOST: Final = 10_000
"""Entries on their way into the store at once."""
_TOGETHER: Final = 100
_TRIES: Final = 5
_PAUSE_S: Final = 0.5


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that somebody read or did.

    Attributes:
        at: seconds since the epoch. actor: who (an access key's name, a token's subject, ``cli``). role: as what.
        action: what, in the form ``session.read``, ``session.delete``, ``turn.trace``, ``handover.reply``, ``user.erase``,
            ``user.export``, ``keys.rotate``.
        target: on what: a session's or a user's id, or a key's name. detail: never a value of a conversation.
        ok: whether it was allowed and done.
    """

    at: float
    actor: str
    role: str
    action: str
    target: str
    detail: str = ""
    ok: bool = True


class AuditLog:
    """The log of one store; `for_tenant` entries go to that tenant's own log.

    Args:
        keep: for how many seconds a day's log is kept.
    """

    def __init__(self, store: TurnStore, keep: float) -> None:
        self._store = store
        self._keep = keep
        self._waiting: list[tuple[str, AuditEntry]] = []
        self._writer: asyncio.Task[None] | None = None

    def note(
        self, actor: str, role: str, action: str, target: str, *, tenant: str = "", detail: str = "", ok: bool = True
    ) -> None:
        """Adds an entry; it is written at once, in the background. See `AuditEntry`."""
        entry = AuditEntry(time.time(), actor, role, action, target[:256], detail[:500], ok)
        _log.info("%s", json.dumps({"tenant": tenant, **msgspec.structs.asdict(entry)}, ensure_ascii=False))
        self._waiting.append((tenant, entry))
        if len(self._waiting) > _MOST:  # the store has been out of reach for long; the logger has them all
            del self._waiting[:-_MOST]
        if self._writer is None or self._writer.done():
            self._writer = self._store.background(self._write())

    async def flush(self) -> None:
        """Waits until what was noted is written, or could not be."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        failures = 0
        while self._waiting and failures < _TRIES:
            tenant = self._waiting[0][0]
            batch = [entry for of, entry in self._waiting[:_TOGETHER] if of == tenant]
            try:
                await self._append(tenant, batch)
            except HoldfastError as error:
                failures += 1
                if failures == _TRIES:
                    _log.warning("the audit log is behind by %d entries: %s", len(self._waiting), error)
                # other tenants' entries do not wait for this one's
                self._waiting.sort(key=lambda one, behind=tenant: one[0] == behind)  # type: ignore[misc]
                await asyncio.sleep(_PAUSE_S * failures)
                continue
            written = set(map(id, batch))
            self._waiting = [one for one in self._waiting if id(one[1]) not in written]

    async def _append(self, tenant: str, batch: list[AuditEntry]) -> None:
        by_day: dict[str, list[Message]] = {}
        for entry in batch:
            day = datetime.fromtimestamp(entry.at, UTC).date().isoformat()
            by_day.setdefault(day, []).append(Message("system", json.dumps(msgspec.structs.asdict(entry))))
        notes = self._store.for_tenant(tenant).beside(AUDIT) if tenant else self._store.beside(AUDIT)
        for day, messages in by_day.items():
            known = await notes.load(day, tail=0)
            # whoever keeps it for less, a command or another node, does not shorten what is there
            keep = self._keep if known is None else max(self._keep, known.ttl) if known.ttl else None
            await notes.update(day, {}, append=messages, user=_USER, ttl=keep)

    async def entries(self, *, tenant: str = "", since: float = 0.0) -> AsyncIterator[AuditEntry]:
        """A tenant's entries from a time on, the oldest first. Raises the store's errors."""
        notes = self._store.for_tenant(tenant).beside(AUDIT) if tenant else self._store.beside(AUDIT)
        days: list[str] = []
        cursor = ""
        while True:
            page = await notes.by_user(_USER, cursor=cursor, limit=100)
            days += page.ids
            if not (cursor := page.cursor):
                break
        first = datetime.fromtimestamp(since, UTC).date().isoformat()
        for day in sorted(set(days)):
            if day >= first:
                async for entry in _of_day(notes, day):
                    if entry.at >= since:
                        yield entry


async def _of_day(notes: SessionStore, day: str) -> AsyncIterator[AuditEntry]:
    """A day's entries; one that cannot be read is told as such, and hides no other."""
    start, most = 0, _TOGETHER
    while True:
        try:
            page = await notes.read_log(day, start=start, limit=most)
        except UnreadableRecord as error:
            if most > 1:
                most = 1  # one by one, as far as the trouble goes
                continue
            yield AuditEntry(_end_of(day), "", "", UNREADABLE, f"{day}, entry {start + 1}", str(error)[:200], False)
            start += 1
            continue
        except SessionNotFound:
            return
        for message in page.messages:
            yield msgspec.json.decode(message.content, type=AuditEntry)
        start += len(page.messages)
        if start >= page.total or not page.messages:
            return
        most = _TOGETHER


def _end_of(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + 24 * 3600 - 1
