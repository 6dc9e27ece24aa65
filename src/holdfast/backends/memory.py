"""The backend for tests and for a single process: every promise of the contract but survival."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from holdfast.backends import rules
from holdfast.backends.clock import Clock, steady_clock
from holdfast.backends.measures import Measure
from holdfast.backends.records import (
    NEVER,
    Absent,
    BeginReply,
    BeginRequest,
    Busy,
    CommitReply,
    Committed,
    Delta,
    EventChunks,
    Fenced,
    Field,
    Finding,
    Granted,
    Listing,
    LogPage,
    Mismatch,
    OutcomeLimits,
    Overdue,
    Parked,
    Queued,
    Record,
    Rejected,
    Replay,
    ResolveReply,
    Running,
    Seen,
    SessionKey,
    Signalled,
    StoredOutcome,
    Unchanged,
    Unresolvable,
    Version,
    WrongUserFound,
)
from holdfast.backends.rules import Head, Pending
from holdfast.errors import InvalidInput, StoreClosed

_USED = re.compile(r"-?[0-9]{1,18}")
"""Of a cursor."""


class _Outcome(msgspec.Struct):
    outcome: bytes
    fingerprint: bytes
    version: Version
    start: int
    count: int
    stored_ms: int


class _Events(msgspec.Struct):
    turn_id: str
    fence: int
    until_ms: int
    chunks: list[bytes]


class _Life(msgspec.Struct):
    """All that belongs to one life of a session."""

    head: Head
    fields: dict[str, Field] = {}
    log: list[bytes] = []
    pending: dict[str, Pending] = {}
    journal: dict[str, dict[str, bytes]] = {}
    outcomes: dict[str | bytes, _Outcome] = {}
    update_outcomes: dict[str | bytes, _Outcome] = {}
    """Both in the order in which they were stored: a ring of turns, and one of updates."""
    used_ms: int = 0
    """When it was last committed to."""
    events: _Events | None = None


class MemoryBackend:
    """Keeps sessions in this process. Safe for many tasks of one event loop.

    Args:
        clock: the store's clock, milliseconds since the epoch.
        outcomes: how many finished turns and updates are remembered for each session.
    """

    name = "memory"

    def __init__(self, *, clock: Clock | None = None, outcomes: OutcomeLimits | None = None) -> None:
        self._clock = clock or steady_clock()
        self._limits = outcomes or OutcomeLimits()
        self._lives: dict[SessionKey, _Life] = {}
        self._rejected: dict[SessionKey, dict[bytes, int]] = {}
        """Updates resolved as rejected, and when. Beside the lives: a delayed update may meet none, or the next one."""
        self._fence = 0
        self._order = 0
        self._watchers: dict[SessionKey, set[_MemoryWatch]] = {}
        self._closed = False

    # --- sessions ---

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        life, _ = self._living(key)
        return None if life is None else self._snapshot(life, tail, known)

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        life, now = self._living(key)
        head = None if life is None else life.head
        if lost := rules.life_refusal(head, delta):
            return lost
        op: str | bytes = delta.turn_id if delta.fence else delta.commit_id
        if life is not None and (seen := self._outcome(life, op, now)):
            return Seen(self._stored(life, seen))
        if isinstance(op, bytes) and self._is_rejected(key, op, now):
            return Fenced()
        pending = life.pending.get(delta.turn_id) if life is not None and delta.fence else None
        if refused := rules.refusal(head, delta, pending, lambda name: _counter(life, name)):
            return refused
        if life is None:
            life = self._born(key, delta, now)
        committed = self._apply(life, delta, pending, op, now)
        if life.pending or (delta.fence and key in self._watchers):
            self._notify(key, b"commit")
        return committed

    async def delete(self, key: SessionKey) -> bool:
        life, now = self._living(key)
        if life is None:
            return False
        del self._lives[key]
        self._notify(key, b"delete")
        return rules.visible(life.head, now)

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        life, now = self._living(key)
        if life is None or not rules.visible(life.head, now):
            return None
        return LogPage(life.log[start : start + count], start, len(life.log))

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        self._now()
        after = cursor[1:]
        ids = sorted(key.id for key in list(self._lives) if key.tenant == tenant and (not cursor or key.id > after))
        page = ids[:limit]
        return Listing(self._visible(tenant, page), "i" + page[-1] if len(ids) > limit else "")

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        self._now()
        used, _, last = cursor.partition(":")
        if cursor and not _USED.fullmatch(used):
            raise InvalidInput(f"{cursor[:40]!r} is not a cursor that by_user gave out")
        mine = sorted(
            (-life.used_ms, key.id)
            for key, life in list(self._lives.items())
            if key.tenant == tenant and life.head.user == user
        )
        if cursor:
            mine = [place for place in mine if place > (int(used), last)]
        page = mine[:limit]
        cursor = f"{page[-1][0]}:{page[-1][1]}" if len(mine) > limit else ""
        return Listing(self._visible(tenant, [id_ for _, id_ in page]), cursor)

    # --- turns ---

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        life, now = self._living(key)
        if life is not None:
            if rules.users_differ(life.head, request.birth.user):
                return WrongUserFound()
            if done := self._outcome(life, request.turn_id, now):
                if not rules.same_input(done.fingerprint, request.fingerprint):
                    return Mismatch()
                return Replay(self._stored(life, done))
        mine = life.pending.get(request.turn_id) if life is not None else None
        if mine is None and request.fingerprint == b"":
            return Absent()
        if mine is not None and not rules.same_input(mine.fingerprint, request.fingerprint):
            return Mismatch()
        return self._admit(key, life, mine, request, now)

    def _admit(
        self, key: SessionKey, life: _Life | None, mine: Pending | None, request: BeginRequest, now: int
    ) -> BeginReply:
        if life is not None:
            head = life.head
            if mine is not None and rules.leased_to(head, mine.turn_id, now):
                if mine.token != request.token:
                    return Running(rules.lease_left(head, now))
                return self._granted(life, mine, request, now)
            if mine is not None and rules.is_parked(mine, now):
                return Parked(mine.due_ms - now)
            order = mine.order if mine is not None else self._order + 1
            ahead = rules.ahead_of(order, life.pending.values(), now)
            leased = rules.leased_to_another(head, request.turn_id, now)
            if (leased or ahead) and not request.place_ms:
                return Busy(rules.lease_left(head, now))
            if leased or ahead:
                mine = mine or self._accept(life, request)
                rules.enqueue(head, mine, request, now)
                return Queued(ahead + leased, rules.lease_left(head, now))
        else:
            life = self._begun(key, request, now)
        mine = mine or self._accept(life, request)
        self._fence += 1
        rules.grant(life.head, mine, request, rules.fence_of(self._fence, request.token), now)
        return self._granted(life, mine, request, now)

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        life = self._held(key, turn_id, fence, lease_ms)
        if life is None:
            return Fenced()
        life.journal.setdefault(turn_id, {})[name] = value
        return None

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        life = self._held(key, turn_id, fence, lease_ms)
        if life is None:
            return Fenced()
        return Signalled(list(life.journal.get(turn_id, {}).items())) if life.head.signalled else None

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        life, now = self._living(key)
        if life is None:
            return ()
        reached = rules.signalled(life.head, life.pending.values(), name, turn_id, ahead, now)
        for mine in reached:
            life.journal.setdefault(mine.turn_id, {}).setdefault(name, value)
            rules.wake(mine, now)
            life.head.signalled |= mine.turn_id == life.head.running
        if reached:
            self._notify(key, b"signal")
        return tuple(mine.turn_id for mine in reached)

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        life, now = self._living(key)
        if life is None or turn_id not in life.pending or not rules.holds(life.head, turn_id, fence):
            return Fenced()
        if (value := life.journal.get(turn_id, {}).get(name)) is not None:
            return value
        rules.park(life.head, life.pending[turn_id], name, for_ms, now)
        self._notify(key, b"release")
        return None

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        life, now = self._living(key)
        mine = life.pending.get(turn_id) if life is not None else None
        if life is None or mine is None or mine.token != token:
            return
        rules.let_go(life.head, mine, now)
        if withdraw:
            life.pending.pop(turn_id)
            life.journal.pop(turn_id, None)
            if not life.pending:
                life.head.hold_ms = NEVER
                if life.head.counter == 0:
                    del self._lives[key]
        self._notify(key, b"release")

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        life, now = self._living(key)
        if life is not None and (seen := self._outcome(life, op, now)):
            return self._stored(life, seen)
        if isinstance(op, bytes) and self._is_rejected(key, op, now):
            return Rejected()
        mine = life.pending.get(op) if life is not None and isinstance(op, str) else None
        if life is not None and mine is not None and life.head.fence <= fence:
            # certain whatever a ring has dropped: this attempt's commit would have ended the pending turn
            self._fence += 1
            life.head.fence = rules.fence_of(self._fence, b"")
            rules.let_go(life.head, mine, now)
            self._notify(key, b"release")
            return Rejected()
        if life is not None and rules.may_be_dropped(life.head, age_ms, now, self._limits.age_ms):
            return Unresolvable()
        if isinstance(op, bytes):
            self._reject(key, op, now)
        return Rejected()

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        self._now()
        found = [
            Overdue(key, mine.turn_id, mine.handler, mine.attempt, mine.due_ms)
            for key in list(self._lives)
            for life, now in [self._living(key)]
            if life is not None
            for mine in life.pending.values()
            if mine.due_ms <= now
        ]
        return sorted(found, key=lambda turn: turn.since_ms)[:limit]

    # --- streams ---

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        life, now = self._living(key)
        if life is None or turn_id not in life.pending or not rules.holds(life.head, turn_id, fence):
            return Fenced()
        if life.events is None or life.events.fence != fence or now >= life.events.until_ms:
            life.events = _Events(turn_id, fence, 0, [])
        life.events.until_ms = now + keep_ms
        life.events.chunks.append(chunk)
        self._notify(key, b"events")
        return None

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        life, now = self._living(key)
        events = life.events if life is not None else None
        if events is None or events.turn_id != turn_id or now >= events.until_ms:
            return EventChunks()
        start = start if fence == events.fence else 0
        return EventChunks(events.fence, start, events.chunks[start:])

    # --- signals, end ---

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        self._now()
        self._notify(key, hint)

    @asynccontextmanager
    async def watch(self, key: SessionKey) -> AsyncIterator[_MemoryWatch]:
        self._now()
        watch = _MemoryWatch()
        self._watchers.setdefault(key, set()).add(watch)
        try:
            yield watch
        finally:
            watchers = self._watchers[key]
            watchers.discard(watch)
            if not watchers:
                del self._watchers[key]

    async def check(self) -> list[Finding]:
        return [
            Finding("ok", "backend", "memory of this process"),
            Finding(
                "note", "durability", "nothing survives the process", "use sqlite: or redis: for anything that matters"
            ),
        ]

    def measures(self) -> list[Measure]:
        return [
            Measure(
                "memory_sessions", "gauge", len(self._lives), help="Sessions in memory, expired ones not met since too."
            ),
            Measure("memory_watched_sessions", "gauge", len(self._watchers), help="Sessions that somebody waits for."),
        ]

    async def close(self) -> None:
        self._closed = True
        self._lives.clear()
        self._rejected.clear()

    # --- inside ---

    def _now(self) -> int:
        if self._closed:
            raise StoreClosed("this memory store is closed")
        return self._clock()

    def _living(self, key: SessionKey) -> tuple[_Life | None, int]:
        now = self._now()
        life = self._lives.get(key)
        if life is not None and not rules.alive(life.head, now):
            del self._lives[key]
            life = None
        return life, now

    def _born(self, key: SessionKey, delta: Delta, now: int) -> _Life:
        life = self._lives[key] = _Life(
            rules.born(delta.birth, rules.new_incarnation(rules.seed_of(delta.commit_id)), now)
        )
        return life

    def _begun(self, key: SessionKey, request: BeginRequest, now: int) -> _Life:
        life = self._lives[key] = _Life(rules.born(request.birth, rules.new_incarnation(request.token), now))
        return life

    def _accept(self, life: _Life, request: BeginRequest) -> Pending:
        self._order += 1
        mine = Pending(
            turn_id=request.turn_id,
            token=request.token,
            order=self._order,
            fingerprint=request.fingerprint,
            handler=request.handler,
            entry=request.entry,
        )
        life.pending[mine.turn_id] = mine
        return mine

    def _granted(self, life: _Life, mine: Pending, request: BeginRequest, now: int) -> Granted:
        return Granted(
            fence=life.head.fence,
            attempt=mine.attempt,
            incarnation=life.head.incarnation,
            now_ms=now,
            record=self._snapshot(life, request.tail, request.known),
            steps=list(life.journal.get(mine.turn_id, {}).items()),
            entry=b"" if request.fingerprint and mine.entry == request.entry else mine.entry,
        )

    def _held(self, key: SessionKey, turn_id: str, fence: int, lease_ms: int) -> _Life | None:
        life, now = self._living(key)
        if life is None or turn_id not in life.pending or not rules.holds(life.head, turn_id, fence):
            return None
        rules.extend(life.head, life.pending[turn_id], lease_ms, now)
        return life

    def _apply(self, life: _Life, delta: Delta, pending: Pending | None, op: str | bytes, now: int) -> Committed:
        head = life.head
        life.used_ms = now
        on_base = rules.on_base(head, delta)
        start = len(life.log)
        if pending is not None:
            del life.pending[pending.turn_id]
            life.journal.pop(pending.turn_id, None)
            if pending.entry:
                life.log.append(pending.entry)
        life.log.extend(delta.appends)
        rules.advance(head, delta, len(life.log) - start, bool(life.pending), now)
        for change in delta.changes:
            if change.value is None:
                life.fields.pop(change.name, None)
            else:
                life.fields[change.name] = Field(change.value, head.counter)
        if not rules.is_touch(delta):
            fingerprint = pending.fingerprint if pending is not None else b""
            count = len(life.log) - start
            self._store(life, op, _Outcome(delta.outcome, fingerprint, head.version, start, count, now), now)
        return Committed(head.version, head.incarnation, start, head.expires_ms, now, on_base)

    def _snapshot(self, life: _Life, tail: int, known: Version | None) -> Record | Unchanged | None:
        head = life.head
        if head.counter == 0:
            return None
        if known == head.version:
            return Unchanged(head.expires_ms)
        return Record(
            incarnation=head.incarnation,
            version=head.version,
            user=head.user,
            created_ms=head.created_ms,
            expires_ms=head.expires_ms,
            ttl_ms=head.ttl_ms,
            fields=dict(life.fields),
            tail=life.log[-tail:] if tail else [],
            total=len(life.log),
        )

    def _outcome(self, life: _Life, op: str | bytes, now: int) -> _Outcome | None:
        found = (life.outcomes if isinstance(op, str) else life.update_outcomes).get(op)
        return found if found is not None and now - found.stored_ms < self._limits.age_ms else None

    def _store(self, life: _Life, op: str | bytes, outcome: _Outcome, now: int) -> None:
        ring = life.outcomes if isinstance(op, str) else life.update_outcomes
        ring.pop(op, None)
        ring[op] = outcome
        if len(ring) > (self._limits.turns if isinstance(op, str) else self._limits.updates):
            dropped = ring.pop(next(iter(ring)))
            life.head.dropped_ms = max(life.head.dropped_ms, dropped.stored_ms)

    def _stored(self, life: _Life, found: _Outcome) -> StoredOutcome:
        entries = life.log[found.start : found.start + found.count]
        return StoredOutcome(found.outcome, found.version, found.start, entries)

    def _is_rejected(self, key: SessionKey, op: bytes, now: int) -> bool:
        since = self._rejected.get(key, {}).get(op)
        return since is not None and now - since < self._limits.age_ms

    def _reject(self, key: SessionKey, op: bytes, now: int) -> None:
        young = {old: since for old, since in self._rejected.get(key, {}).items() if now - since < self._limits.age_ms}
        self._rejected[key] = {**young, op: now}

    def _visible(self, tenant: str, ids: list[str]) -> list[str]:
        found = ((id_, *self._living(SessionKey(tenant, id_))) for id_ in ids)
        return [id_ for id_, life, now in found if life is not None and rules.visible(life.head, now)]

    def _notify(self, key: SessionKey, hint: bytes) -> None:
        for watch in self._watchers.get(key, ()):
            watch.hints.put_nowait(hint)


class _MemoryWatch:
    def __init__(self) -> None:
        self.hints: asyncio.Queue[bytes] = asyncio.Queue()

    async def wait(self, timeout: float) -> bytes | None:
        try:
            async with asyncio.timeout(timeout):
                return await self.hints.get()
        except TimeoutError:
            return None


def _counter(life: _Life | None, name: str) -> int:
    field = life.fields.get(name) if life is not None else None
    return 0 if field is None else field.counter
