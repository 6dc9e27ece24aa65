"""The Redis backend, 7.0 or newer. Every write is one function call; see the folder functions for what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from sys import maxsize
from time import monotonic
from typing import Any, Final, TypeVar

from holdfast.backends.contract import Watch
from holdfast.backends.measures import Measure
from holdfast.backends.rates import Bucket, Taken
from holdfast.backends.records import (
    BeginReply,
    BeginRequest,
    CommitReply,
    Delta,
    EventChunks,
    Fenced,
    Finding,
    Listing,
    LogPage,
    OutcomeLimits,
    Overdue,
    Packed,
    Record,
    Rejected,
    ResolveReply,
    SessionKey,
    Signalled,
    Unchanged,
    Unresolvable,
    Version,
)
from holdfast.backends.redis import health, listings
from holdfast.backends.redis.calls import Calls, TransactionRefused
from holdfast.backends.redis.cluster import Cluster
from holdfast.backends.redis.cluster_health import cluster_findings
from holdfast.backends.redis.cluster_hints import ShardHints
from holdfast.backends.redis.figures import client_measures_of, server_measures_of
from holdfast.backends.redis.findings import findings
from holdfast.backends.redis.keys import Keys, bytes_text, subject_of, text_bytes
from holdfast.backends.redis.packer import Packer
from holdfast.backends.redis.packing import (
    CommitPacker,
    Meta,
    damaged,
    ends_of,
    milliseconds,
    pack_begin,
    pack_step,
    put_older,
    read_committed,
    read_granted,
    read_record,
    read_steps,
    read_stored,
    short,
)
from holdfast.backends.redis.pages import PageLimits, read_pages
from holdfast.backends.redis.rates import rate_args, read_taken
from holdfast.backends.redis.replies import not_granted, refused_commit
from holdfast.backends.redis.scrubbing import scrubbed
from holdfast.backends.redis.subscriber import Subscriber
from holdfast.backends.redis.users import UserIndex
from holdfast.backends.redis.wire import Arg
from holdfast.backends.rules import parked_token
from holdfast.errors import InvalidInput, StoreFull, StoreTimeout

_BEGIN, _COMMIT, _LOAD, _RECORD, _RENEW, _RELEASE, _RESOLVE, _DELETE, _READ_LOG = "bclrnxvdg"
_SIGNAL, _PARK, _APPEND_EVENTS, _READ_EVENTS, _TAKE_RATES = "szeft"
"""The functions' names; see functions/sessions.lua."""

T = TypeVar("T")

_IN_A_THREAD: Final = 32 * 1024
"""Pages of more bytes than this, all together, are decompressed in a thread."""
_REMEMBERED: Final = 4096
"""Of so many sessions it is remembered that they have pages, which saves reading their log a first question."""


class RedisBackend:
    """Sessions in Redis; made by `holdfast.backends.redis.open_redis`."""

    name = "redis"

    def __init__(
        self,
        calls: Calls,
        keys: Keys,
        subscriber: Subscriber | ShardHints,
        limits: OutcomeLimits,
        pages: PageLimits | None = None,
        *,
        packs: bool = True,
    ) -> None:
        self._calls = calls
        self._keys = keys
        self._key = keys.session
        self._age_ms = limits.age_ms
        self._packer = CommitPacker(limits)
        self._subscriber = subscriber
        self._publish = "SPUBLISH" if isinstance(subscriber, ShardHints) else "PUBLISH"
        self._users = UserIndex(calls, keys)
        limits_of_pages = pages or PageLimits()
        self.packer = Packer(calls, keys, limits_of_pages)
        self._packs_from = limits_of_pages.keep + limits_of_pages.step - 1 if packs else maxsize
        self._paged: set[SessionKey] = set()

    # --- sessions ---

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        name = self._key(key)
        if known is None:
            try:
                return await self._load_cold(key, name, tail)
            except (StoreFull, TransactionRefused):
                # a full server refuses MULTI, also around reads; a function that only reads may run
                return await self._load(key, name, tail, b"")
        return await self._load(key, name, tail, ends_of(known))

    async def _load(self, key: SessionKey, name: str, tail: int, known: bytes) -> Record | Unchanged | None:
        reply = await self._calls.read(_LOAD, name, known, tail)
        if reply is None:
            return None
        if reply.__class__ is bytes:
            return Unchanged(int.from_bytes(reply[1:9], "little"))
        record = read_record(reply[0], reply[1], subject_of(key))
        if len(reply) > 2:
            put_older(record, reply[2], tail, subject_of(key))
        return record

    async def _load_cold(self, key: SessionKey, name: str, tail: int) -> Record | Unchanged | None:
        log = self._keys.sibling(key, "l")
        first = -tail if tail else 1
        began = monotonic()
        time, fields, length, entries = await self._calls.read_atomic(
            name,
            (("TIME",), ("HGETALL", name), ("LLEN", log), ("LRANGE", log, first, -1 if tail else 0)),
        )
        meta = self._head(key, fields[fields.index(b"m") + 1] if b"m" in fields[::2] else None, time, fields, length)
        if meta is None:
            return None
        if tail > length and meta.paged:
            return await self._in_time(began, self._load(key, name, tail, b""))
        return read_record(fields, entries, subject_of(key), meta)

    def _head(self, key: SessionKey, data: bytes | None, time: list[bytes], rest: object, length: int) -> Meta | None:
        """The head of a visible session; None where there is none; an error where half of it is there."""
        subject = subject_of(key)
        if data is None:
            if rest or length:
                raise damaged(subject, "half of it is missing")
            return None
        meta = Meta(data, subject)
        if not meta.visible(milliseconds(time)):
            return None
        if meta.total - meta.paged != length:
            raise damaged(subject, f"{length} log entries where there should be {meta.total - meta.paged}")
        return meta

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        user = delta.birth.user
        indexed = await self._users.listed(key, delta.birth) if user and not delta.fence else 0
        name = self._key(key)
        try:
            reply = await self._calls.write(_COMMIT, name, *self._packer.pack(delta, indexed, whole_id=False))
            if reply == b"T":
                again = self._packer.pack(delta, indexed, whole_id=True)
                reply = await self._calls.write(_COMMIT, name, *again)
        except UnicodeEncodeError:
            raise InvalidInput(f"{subject_of(key)}: a field's name is not valid text") from None
        if reply.__class__ is bytes and reply[0] == 67:  # "C"
            committed, unindexed = read_committed(reply, delta.commit_id)
            if committed.start + len(delta.appends) >= self._packs_from:
                self.packer.grown(key, committed.start, len(delta.appends) + (delta.fence > 0))
            if unindexed:
                await self._users.renew(key, committed.incarnation)
            return committed
        return refused_commit(reply, key)

    async def delete(self, key: SessionKey) -> bool:
        there, user, indexed = await self._calls.write(_DELETE, self._key(key))
        if user:
            await self._users.drop(key, user, indexed)
        return bool(there)

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        if key in self._paged:
            return await self._read_pages(key, start, count)
        name, log = self._key(key), self._keys.sibling(key, "l")
        first, last = (start, start + count - 1) if count > 0 else (1, 0)
        began = monotonic()
        commands: tuple[tuple[Arg, ...], ...] = (
            ("TIME",),
            ("HGET", name, "m"),
            ("LLEN", log),
            ("LRANGE", log, first, last),
        )
        try:
            time, data, length, entries = await self._calls.read_atomic(name, commands, large=True)
        except (StoreFull, TransactionRefused):
            return await self._read_pages(key, start, count)
        meta = self._head(key, data, time, None, length)
        if meta is not None and meta.paged:
            if len(self._paged) >= _REMEMBERED:
                self._paged.clear()
            self._paged.add(key)
            return await self._in_time(began, self._read_pages(key, start, count))
        return None if meta is None else LogPage(entries, start, meta.total)

    async def _read_pages(self, key: SessionKey, start: int, count: int) -> LogPage | None:
        reply = await self._calls.read(_READ_LOG, self._key(key), start, count, large=True)
        if reply is None:
            return None
        total, entries, *pages = reply
        if pages:
            last = min(start + count, total) - len(entries)
            older = partial(read_pages, pages[0], start, last, subject_of(key))
            size = sum(map(len, pages[0][1::3]))
            entries = [*(await asyncio.to_thread(older) if size > _IN_A_THREAD else older()), *entries]
        return LogPage(entries, start, total)

    async def _in_time(self, began: float, second: Coroutine[Any, Any, T]) -> T:
        """A read's second call, by the deadline of its first."""
        try:
            async with asyncio.timeout(began + self._calls.timeout - monotonic()):
                return await second
        except StoreTimeout:
            raise
        except TimeoutError:
            raise StoreTimeout(
                f"Redis at {self._calls.topology.where} did not answer by the deadline; this read is safe to repeat"
            ) from None

    async def pack(self, key: SessionKey) -> Packed:
        return await self.packer.pack(key)

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await listings.scan(self._calls, self._keys, tenant, cursor, limit)

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await listings.by_user(self._calls, self._keys, tenant, user, cursor, limit)

    # --- turns ---

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        birth = request.birth
        known = request.known is not None
        indexed = await self._users.listed(key, birth) if birth.user and not known else 0
        data = pack_begin(request, self._age_ms, indexed, with_birth=not known)
        reply = await self._calls.write(_BEGIN, self._key(key), data, request.entry)
        if reply == b"B":  # the session that the caller has a copy of is gone
            indexed = await self._users.listed(key, birth) if birth.user else 0
            data = pack_begin(request, self._age_ms, indexed, with_birth=True)
            reply = await self._calls.write(_BEGIN, self._key(key), data, request.entry)
        head: bytes = reply if reply.__class__ is bytes else reply[0]
        if head[0] == 71:  # "G"
            return read_granted(reply, key, request.tail)
        return not_granted(reply, head, key)

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        data = _numbers(fence, lease_ms) + short(text_bytes(turn_id)) + pack_step(name, value)
        reply = await self._calls.write(_RECORD, self._key(key), data)
        return Fenced() if reply == b"F" else None

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        data = _numbers(fence, lease_ms) + short(text_bytes(turn_id))
        reply = await self._calls.write(_RENEW, self._key(key), data)
        if reply.__class__ is list:
            return Signalled(read_steps(reply))
        return Fenced() if reply == b"F" else None

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        data = bytes((ahead,)) + parked_token(name) + short(text_bytes(turn_id)) + pack_step(name, value)
        reached = await self._calls.write(_SIGNAL, self._key(key), data)
        return tuple(map(bytes_text, reached))

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        data = _numbers(fence, for_ms) + parked_token(name) + short(text_bytes(turn_id)) + pack_step(name, b"")
        reply: list[bytes] | bytes = await self._calls.write(_PARK, self._key(key), data)
        if isinstance(reply, list):
            return reply[0]
        if reply[0] == 73:  # "I"
            await self._users.renew(key, reply[1:])
        return Fenced() if reply == b"F" else None

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        data = bytes((withdraw, len(token))) + token + short(text_bytes(turn_id))
        await self._calls.write(_RELEASE, self._key(key), data)

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        kind, name = (b"t", text_bytes(op)) if isinstance(op, str) else (b"u", op)
        data = _numbers(fence, age_ms, self._age_ms) + kind + short(name)
        reply = await self._calls.write(_RESOLVE, self._key(key), data)
        if reply == b"J":
            return Rejected()
        return Unresolvable() if reply == b"U" else read_stored(reply, subject_of(key))

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        return await listings.overdue(self._calls, self._keys, limit)

    # --- streams ---

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        data = _numbers(fence, keep_ms) + short(text_bytes(turn_id))
        reply = await self._calls.write(_APPEND_EVENTS, self._key(key), data, chunk)
        return Fenced() if reply == b"F" else None

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        data = _numbers(fence, start) + short(text_bytes(turn_id))
        reply = await self._calls.read(_READ_EVENTS, self._key(key), data, large=True)
        return EventChunks() if reply is None else EventChunks(*reply)

    # --- rates: `backends.rates` ---

    async def take_rates(self, subject: str, buckets: Sequence[Bucket]) -> Taken:
        return read_taken(await self._calls.write(_TAKE_RATES, self._keys.rates(subject), *rate_args(buckets)))

    # --- signals, end ---

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        channel = self._keys.sibling(key, "c")
        await self._calls.command(channel, (self._publish, channel, hint))

    def watch(self, key: SessionKey) -> AbstractAsyncContextManager[Watch]:
        return self._subscriber.watch(self._keys.sibling(key, "c"))

    async def check(self) -> list[Finding]:
        topology = self._calls.topology
        if isinstance(topology, Cluster):
            return await cluster_findings(topology)
        return [finding for node in topology.primaries() for finding in await findings(node)]

    async def scrub(self) -> str:
        """See `scrubbing`; the user needs BGREWRITEAOF and BGSAVE for it, which nodes do without otherwise."""
        return await scrubbed(self._calls.topology.primaries())

    async def server_measures(self) -> list[Measure]:
        found: list[Measure] = []
        for node in self._calls.topology.primaries():
            found += server_measures_of(await health.info(node), node.where)
        return found

    def measures(self) -> list[Measure]:
        found: list[Measure] = []
        packed = self.packer.counts
        for node in self._calls.topology.primaries():
            figures = node.figures()
            if not found:  # packing is counted for the store, not for each server: it stands with the first
                figures = figures._replace(pages_packed=packed.pages, pages_failed=packed.failed)
            found += client_measures_of(figures)
        return found

    async def close(self) -> None:
        await self.packer.close()
        await self._subscriber.close()
        await self._calls.close()


def _numbers(*numbers: int) -> bytes:
    return b"".join([number.to_bytes(8, "little") for number in numbers])
