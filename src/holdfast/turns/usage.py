"""What tenants and users use: sessions, bytes, tokens. Counted on each node, and entered in records every few seconds.

So a look costs a turn nothing but the first time, and may miss what other nodes counted in the last `EVERY_S` seconds; a node that
dies loses what it counted since. Sessions and bytes are put right by counting anew (`Usage.put_right`); tokens are not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from holdfast.errors import OutcomeUnknown, StoreError, TurnConflict
from holdfast.sessions.state import State
from holdfast.sessions.store import SessionStore

USAGE: Final = "\x1fused"
"""The tenant (beside the real one) of the records."""

EVERY_S: Final = 5.0
_MOST: Final = 50_000
_FIELD: Final = "used"
_COUNTED: Final = "counted"
_OWN_TTL_S: Final = 30 * 24 * 3600.0

_log: Final = logging.getLogger(__name__)


class Used(msgspec.Struct):
    """Sessions that live, bytes kept in them, and tokens since ``since`` (seconds since the epoch)."""

    sessions: int = 0
    bytes: int = 0
    tokens: int = 0
    since: int = 0

    def plus(self, other: Used, since: int) -> Used:
        """Both together; tokens of another window than ``since`` are left out."""
        both = _sum(self, other, since)
        return Used(max(0, both.sessions), max(0, both.bytes), both.tokens, since)


class _Entry:
    __slots__ = ("pending", "read_at", "reading", "stored")

    def __init__(self) -> None:
        self.stored, self.pending = Used(), Used()
        self.read_at: float | None = None
        self.reading = asyncio.Lock()


class Usage:
    """Of all tenants that this node sees.

    Args:
        records: a tenant's records (`TurnStore.beside`). per: seconds of a window of tokens. clock: seconds since the epoch.
    """

    def __init__(
        self, records: Callable[[str], SessionStore], *, per: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._per = per
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def since(self) -> int:
        """When the present window of tokens began."""
        return int(self._clock() // self._per * self._per)

    @property
    def left(self) -> float:
        """Seconds until the next window."""
        return self.since + self._per - self._clock()

    def add(self, tenant: str, user: str = "", *, sessions: int = 0, bytes: int = 0, tokens: int = 0) -> None:
        """Counts more of a tenant, or of one of its users; less where it is below 0."""
        entry, since = self._entry(tenant, user), self.since
        entry.pending = _sum(entry.pending, Used(sessions, bytes, tokens, since), since)

    async def of(self, tenant: str, user: str = "") -> Used:
        """What is used. Where the record cannot be read, what this node knows."""
        entry = self._entry(tenant, user)
        if entry.read_at is None:
            await self._enter(tenant, user, entry)
        elif self._clock() - entry.read_at >= EVERY_S and not entry.reading.locked():
            task = asyncio.get_running_loop().create_task(self._enter(tenant, user, entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return entry.stored.plus(entry.pending, self.since)

    async def entered(self, tenant: str, user: str = "") -> Used:
        """As `of`, after what was counted here was entered: what a recount begins with."""
        entry = self._entry(tenant, user)
        await self._enter(tenant, user, entry)
        return entry.stored.plus(entry.pending, self.since)

    async def flush(self) -> None:
        """Enters all that was counted here."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        for (tenant, user), entry in list(self._entries.items()):
            if _some(entry.pending):
                await self._enter(tenant, user, entry)

    async def put_right(self, tenant: str, user: str, counted: Used, before: Used) -> None:
        """Replaces sessions and bytes by what was found; what was counted since ``before`` (`entered`) stays. Raises the store's
        errors."""
        entry = self._entry(tenant, user)
        async with entry.reading:
            entry.stored = await self._written(
                tenant, user, Used(counted.sessions - before.sessions, counted.bytes - before.bytes, 0, self.since)
            )

    async def claim(self, tenant: str, every: float) -> bool:
        """Whether it is time to count this tenant anew, and nobody else does. Raises the store's errors."""
        now, mine = self._clock(), False

        def claimed(state: State) -> None:
            nonlocal mine
            last = state.get(_COUNTED)
            mine = not isinstance(last, int | float) or not 0 <= now - last < every
            if mine:
                state[_COUNTED] = now

        try:
            await self._records(tenant).update(record_of(""), claimed)
        except TurnConflict:
            return False
        return mine

    # --- records ---

    def _entry(self, tenant: str, user: str) -> _Entry:
        key = (tenant, user)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if len(self._entries) > _MOST:
                self._entries.pop(next((one for one, kept in self._entries.items() if not _some(kept.pending)), key))
        self._entries.move_to_end(key)
        return entry

    async def _enter(self, tenant: str, user: str, entry: _Entry) -> None:
        async with entry.reading:
            pending, entry.pending = entry.pending, Used()
            try:
                if _some(pending):
                    entry.stored = await self._written(tenant, user, pending)
                else:
                    entry.stored = _read((await self._records(tenant).get(record_of(user))).get(_FIELD))
            except OutcomeUnknown as error:
                _log.warning("what is used may be counted too low: %s", error)
            except (StoreError, TurnConflict) as error:
                entry.pending = _sum(pending, entry.pending, self.since)
                _log.warning("what is used cannot be read or counted now: %s", error)
            entry.read_at = self._clock()

    async def _written(self, tenant: str, user: str, more: Used) -> Used:
        total = Used()

        def entered(state: State) -> None:
            nonlocal total
            total = _read(state.get(_FIELD)).plus(more, self.since)
            state[_FIELD] = msgspec.to_builtins(total)

        ttl = max(_OWN_TTL_S, 2 * self._per) if user else None
        await self._records(tenant).update(record_of(user), entered, ttl=ttl)
        return total


def _sum(one: Used, other: Used, since: int) -> Used:
    tokens = sum(used.tokens for used in (one, other) if used.since == since)
    return Used(one.sessions + other.sessions, one.bytes + other.bytes, tokens, since)


def _some(used: Used) -> bool:
    return bool(used.sessions or used.bytes or used.tokens)


def _read(value: Any) -> Used:
    try:
        return msgspec.convert(value, Used) if value is not None else Used()
    except msgspec.ValidationError:
        return Used()


def record_of(user: str) -> str:
    """A record's id: a user's name may be longer than an id."""
    raw = user.encode("utf-8", "surrogatepass")
    return f"u{hashlib.blake2b(raw, digest_size=16).hexdigest()}" if user else "tenant"
