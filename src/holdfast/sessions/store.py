"""Sessions over a backend: the everyday verbs, updates that merge, and pages of the log."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Self

import msgspec

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    ANY,
    AlreadyThere,
    Birth,
    Change,
    CommitReply,
    Committed,
    Conflict,
    Delta,
    Existence,
    Fenced,
    Finding,
    Gone,
    Record,
    Rejected,
    Seen,
    SessionKey,
    StoredOutcome,
    Unchanged,
    Version,
    WrongUserFound,
)
from holdfast.errors import (
    CorruptRecord,
    LimitExceeded,
    OutcomeUnknown,
    SessionExists,
    SessionNotFound,
    StoreClosed,
    StoreTimeout,
    StoreUnavailable,
    TurnConflict,
    UnsupportedValue,
    WrongUser,
)
from holdfast.sessions.codec import Codec
from holdfast.sessions.durations import Duration, milliseconds
from holdfast.sessions.forks import ForkReports, OnFork
from holdfast.sessions.ids import checked_id, checked_name, checked_tenant, checked_text, new_id
from holdfast.sessions.message import Message, MessageCodec
from holdfast.sessions.near_cache import NearCache, advanced
from holdfast.sessions.session import Messages, Session
from holdfast.sessions.settings import StoreSettings
from holdfast.sessions.state import State

Changes = Mapping[str, Any] | Callable[[State], object]
"""What an update does: new values by name, or a function that changes the state it is given (it may be called again)."""


class MessagePage(msgspec.Struct, frozen=True):
    """Messages ``start`` to ``start + len(messages)`` of a log of ``total``, oldest first."""

    messages: list[Message]
    start: int
    total: int


class SessionPage(msgspec.Struct, frozen=True):
    """Session ids; ``cursor`` asks for the next page, "" where this was the last."""

    ids: list[str]
    cursor: str


class SessionStore:
    """Sessions of one tenant. Built by `holdfast.open_store`."""

    def __init__(self, backend: Backend, settings: StoreSettings, cache: NearCache | None = None) -> None:
        self.backend = backend
        self.settings = settings
        self.codec = Codec(settings.codec)
        self.message_codec = MessageCodec(self.codec)
        self.cache = cache or NearCache(settings.cache_bytes, settings.cache_age_ms / 1000)
        self._forks = ForkReports()
        self._anonymous = Birth("", settings.ttl_ms, settings.max_age_ms)

    def for_tenant(self, tenant: str) -> Self:
        """The same store, for another tenant's sessions; closing either closes both. Raises `InvalidId`."""
        return self.for_kept(checked_tenant(tenant))

    def for_kept(self, tenant: str) -> Self:
        """The same for a tenant's name that comes from this store itself: also one of `turns.tenants`, which no caller may name."""
        settings = msgspec.structs.replace(self.settings, tenant=checked_name("tenant", tenant))
        other = type(self)(self.backend, settings, self.cache)
        other.codec.compression = self.codec.compression
        other._forks = self._forks
        return other

    @property
    def forks(self) -> int:
        """How often this node noticed that the store had lost something that it had confirmed (see `holdfast.sessions.forks`)."""
        return self._forks.count

    @property
    def on_fork(self) -> OnFork | None:
        """Called with each `Fork` that is noticed, on the event loop; also logged by ``holdfast.forks``. For all tenants."""
        return self._forks.on_fork

    @on_fork.setter
    def on_fork(self, callback: OnFork | None) -> None:
        self._forks.on_fork = callback

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the backend. Safe to call twice."""
        self.cache.clear()
        await self.backend.close()

    # --- the everyday verbs ---

    async def get(self, session_id: str, *, user: str = "") -> dict[str, Any]:
        """The session's state as a plain dict; ``{}`` where there is none."""
        record = await self._record(self.key(session_id), tail=0, user=user)
        return {} if record is None else dict(State(self.codec, record.fields))

    async def set(
        self, session_id: str, data: Mapping[str, Any], *, ttl: Duration | None = None, user: str = ""
    ) -> Version:
        """Makes the state exactly ``data`` (created if need be); messages stay. ``ttl`` replaces the session's own.

        A turn that is running keeps what it changed elsewhere; where both changed the same key, the turn is run again.
        """
        _mapping(data)
        return await self._change(session_id, lambda state: state.replace(data), exact=True, ttl=ttl, user=user)

    async def delete(self, session_id: str) -> bool:
        """Ends the session with all that belongs to it; True if it was there. Repeat it after `OutcomeUnknown`."""
        key = self.key(session_id)
        self.cache.drop(key)
        return await self.backend.delete(key)

    async def exists(self, session_id: str) -> bool:
        key = self.key(session_id)
        cached = self.cache.get(key, 0)
        known = cached.version if cached is not None else None
        return await self.backend.load(key, tail=0, known=known) is not None

    async def touch(self, session_id: str, ttl: Duration | None = None) -> bool:
        """Moves the expiry as a commit would (with a new ``ttl`` if given); False where there is no session."""
        delta = Delta(os.urandom(16), existence="must", ttl_ms=_ttl(ttl))
        return isinstance(await self.backend.commit(self.key(session_id), delta), Committed)

    async def create(
        self,
        session_id: str | None = None,
        state: Mapping[str, Any] | None = None,
        *,
        user: str = "",
        ttl: Duration | None = None,
    ) -> Session:
        """A new session, with an id that cannot be guessed unless one is given. Raises `SessionExists`."""
        key = self.key(new_id() if session_id is None else session_id)
        fresh = State(self.codec, max_keys=self.settings.max_keys)
        fresh.update(state or {})
        delta = Delta(os.urandom(16), changes=fresh.changes(), existence="new", birth=self.birth(user, ttl))
        delta.outcome = b"\x00"  # a session may be born empty: still a commit, not a touch
        await self.write(key, delta, None, [])
        session = await self.load(key.id, user=user)
        if session is None:
            raise SessionNotFound(f"session {key.id!r} was deleted or expired right after its creation")
        return session

    # --- snapshots and updates ---

    async def load(
        self, session_id: str, *, tail: int | None = None, user: str = "", allow_stale: bool = False
    ) -> Session | None:
        """One atomic snapshot with the last ``tail`` messages (the store's setting by default); None where there is none.

        With ``allow_stale``, a store that cannot be reached or does not answer in time is no error where this node has a copy that
        the store confirmed within ``cache_age``: it comes with ``session.stale`` True and its ``session.age`` in seconds. It may
        be behind, or of a session that another node has deleted since. Without it, nothing unconfirmed is ever returned.
        """
        key = self.key(session_id)
        count = self.checked_tail(tail)
        try:
            record = await self._record(key, tail=count, user=user)
        except (StoreUnavailable, StoreTimeout) as error:
            stale = self._stale(key, count, user) if allow_stale and not isinstance(error, StoreClosed) else None
            if stale is None:
                raise
            return stale
        return None if record is None else self.session(key, record, count)

    async def update(
        self,
        session_id: str,
        changes: Changes,
        *,
        remove: Iterable[str] = (),
        append: Iterable[Message] = (),
        user: str = "",
        ttl: Duration | None = None,
        create: bool = True,
        strict: bool = False,
    ) -> Version:
        """Changes single keys, and appends messages, outside a turn: one atomic step that loses nobody else's change.

        Values by name are written as they are (one round trip). A function is given the state, changes it, and is called
        again on a fresh copy when another writer changed the same key meanwhile; with ``strict`` when anything changed, so
        that keys that it only read count too.

        Raises `SessionNotFound` with ``create=False``, `WrongUser`, `TurnConflict` when it kept meeting other writers until
        the deadline, and `OutcomeUnknown`.
        """
        entries = [self.message_codec.encode(message) for message in append]
        removed = tuple(remove)
        if callable(changes):
            return await self._change(
                session_id, changes, remove=removed, entries=entries, user=user, ttl=ttl, create=create, strict=strict
            )
        key = self.key(session_id)
        written = State(self.codec, max_keys=self.settings.max_keys)
        written.update(_mapping(changes))
        blind = [Change(change.name, change.value, ANY) for change in written.changes()]
        blind += [Change(checked_text("state key", name), None, ANY) for name in removed if name not in written]
        cached = self.cache.get(key, 0)
        delta = Delta(
            os.urandom(16),
            base=cached.version if cached is not None else None,
            changes=blind,
            appends=entries,
            existence="may" if create else "must",
            birth=self.birth(user),
            ttl_ms=_ttl(ttl),
        )
        return await self.write(key, delta, cached, entries)

    async def save(self, session: Session, *, append: Iterable[Message] = (), strict: bool = False) -> Version:
        """Commits what was changed in a loaded session. Raises `TurnConflict` where another writer changed the same keys
        (with ``strict``: anything), `SessionNotFound` where it is gone; the session itself stays as it was loaded."""
        entries = [self.message_codec.encode(message) for message in append]
        delta = Delta(
            os.urandom(16),
            incarnation=session.incarnation,
            base=session.version,
            strict=strict,
            changes=session.state.changes(),
            appends=entries,
            existence="must",
            birth=Birth(session.user),
            rooted=not strict,
        )
        key = SessionKey(session.tenant, session.id)
        return await self.write(key, delta, self.cache.get(key, 0), entries)

    # --- the log, listings ---

    async def read_log(self, session_id: str, *, start: int | None = None, limit: int = 100) -> MessagePage:
        """Messages from position ``start`` on (0 is the oldest; None: the last ``limit``). Raises `SessionNotFound`."""
        key = self.key(session_id)
        if limit < 1:
            raise LimitExceeded(f"limit={limit} has to be at least 1")
        if start is None:
            session = await self.backend.load(key, tail=0)
            start = max(0, session.total - limit) if isinstance(session, Record) else 0
        page = await self.backend.read_log(key, start=max(0, start), count=limit)
        if page is None:
            raise SessionNotFound(f"there is no session {session_id!r}")
        return MessagePage(self.message_codec.decode_all(page.entries), page.start, page.total)

    async def messages(self, session_id: str, *, start: int = 0, page: int = 200) -> AsyncIterator[Message]:
        """All messages from position ``start``, oldest first, read by page: constant memory."""
        while True:
            part = await self.read_log(session_id, start=start, limit=page)
            for message in part.messages:
                yield message
            start += len(part.messages)
            if start >= part.total or not part.messages:
                return

    async def scan(self) -> AsyncIterator[str]:
        """Ids of the tenant's sessions, in no order; one that lives all the while comes at least once."""
        cursor = ""
        while True:
            page = await self.backend.scan(self.settings.tenant, cursor=cursor, limit=500)
            for session_id in page.ids:
                yield session_id
            if not (cursor := page.cursor):
                return

    async def by_user(self, user: str, *, cursor: str = "", limit: int = 50) -> SessionPage:
        """A page of a user's own sessions, newest first."""
        tenant = self.settings.tenant
        page = await self.backend.by_user(tenant, checked_id("user", user), cursor=cursor, limit=limit)
        return SessionPage(page.ids, page.cursor)

    async def check(self) -> list[Finding]:
        """What the store is and what it can promise; see `holdfast store check`."""
        return await self.backend.check()

    # --- for the layers above ---

    def key(self, session_id: str) -> SessionKey:
        return SessionKey(self.settings.tenant, checked_id("session", session_id))

    def birth(self, user: str = "", ttl: Duration | None = None) -> Birth:
        if not user and ttl is None:
            return self._anonymous
        ttl_ms = self.settings.ttl_ms if ttl is None else milliseconds("ttl", ttl)
        return Birth(checked_name("user", user), ttl_ms, self.settings.max_age_ms)

    def checked_tail(self, tail: int | None) -> int:
        if tail is None:
            return self.settings.tail
        if type(tail) is not int or tail < 0:
            raise LimitExceeded(f"tail={tail!r} has to be a whole number of at least 0")
        return tail

    def session(self, key: SessionKey, record: Record | None, tail: int) -> Session:
        """The session with its last ``tail`` messages; a cached record may hold more."""
        state = State(self.codec, record.fields if record else {}, max_keys=self.settings.max_keys)
        entries = record.tail[max(0, len(record.tail) - tail) :] if record else []
        return Session(key, record, state, Messages(self.message_codec, entries, self.cache.decoded(key)))

    async def write(self, key: SessionKey, delta: Delta, base: Record | None, entries: list[bytes]) -> Version:
        """One commit outside a turn, settled if its reply is lost, and the cached copy moved past it.

        Raises the errors of `update`.
        """
        started = time.monotonic()
        try:
            reply = await self.backend.commit(key, delta)
        except OutcomeUnknown:
            self.cache.doubt(key)
            reply = await self.settle(key, delta.commit_id, started)
        if (
            isinstance(reply, Committed)
            and base is not None
            and base.version == delta.base
            and (known := advanced(base, delta, entries, reply, self.settings.tail))
        ):
            self.cache.put(key, known)
        elif isinstance(reply, Gone):
            self.cache.drop(key)
        else:
            self.cache.doubt(key)
        return version_of(key, reply)

    async def settle(self, key: SessionKey, op: str | bytes, started: float, fence: int = 0) -> CommitReply:
        """What became of a commit whose reply never came: `Seen`, or `Fenced` where it never applied and never will.

        Raises `OutcomeUnknown` when the store stays silent for ``settle``, or cannot tell any more.
        """
        deadline = time.monotonic() + self.settings.settle_ms / 1000
        pause = 0.05
        while True:
            try:
                age = round((time.monotonic() - started) * 1000) + 1000
                reply = await self.backend.resolve(key, op, fence=fence, age_ms=age)
            except (OutcomeUnknown, StoreUnavailable, StoreTimeout) as error:
                if time.monotonic() + pause > deadline:
                    raise OutcomeUnknown(
                        f"session {key.id!r}: what became of a write is not known, and the store has not told since ({error}); "
                        "repeat a turn with the same turn id, or look at the session"
                    ) from error
                await asyncio.sleep(pause * (0.5 + random.random()))
                pause = min(1.0, pause * 2)
                continue
            if isinstance(reply, StoredOutcome):
                return Seen(reply)
            if isinstance(reply, Rejected):
                return Fenced()
            raise OutcomeUnknown(
                f"session {key.id!r}: a write's reply was lost, and its outcome may have been dropped since; look at the session"
            )

    def keep(self, key: SessionKey, seen: Record | None, found: Record) -> None:
        """Caches a record that the store brought. ``seen`` is what this node knew of it before it asked: a fork shows here."""
        if seen is not None and self._forks.compare(key, seen, found):
            self.cache.drop(key)
        self.cache.put(key, found)

    def _stale(self, key: SessionKey, tail: int, user: str) -> Session | None:
        """The copy that this node has, marked; None where it has none that could still be alive."""
        kept = self.cache.confirmed(key, tail)
        if kept is None:
            return None
        record, age = kept
        if record.ttl_ms and age * 1000 >= record.ttl_ms:
            return None  # it was to live no longer than that from when it was confirmed
        if user and record.user and record.user != user:
            raise WrongUser(f"session {key.id!r} belongs to another user")
        session = self.session(key, record, tail)
        session.stale, session.age = True, age
        return session

    async def _record(self, key: SessionKey, *, tail: int, user: str = "", seen: Record | None = None) -> Record | None:
        """The current record, from the cache where the store says that it is unchanged; ``seen`` as in `keep`."""
        cached = self.cache.get(key, tail)
        seen = cached or seen or self.cache.witness(key)
        known = cached.version if cached is not None else None
        try:
            found = await self.backend.load(key, tail=tail, known=known)
        except CorruptRecord as error:
            raise CorruptRecord(f"session {key.id!r}: {error}") from None
        if isinstance(found, Unchanged):
            assert cached is not None
            cached.expires_ms = found.expires_ms
            found = cached
        if found is None:
            self.cache.drop(key)
            return None
        if user and found.user and found.user != user:
            raise WrongUser(f"session {key.id!r} belongs to another user")
        if found is cached:
            self.cache.put(key, found)
        else:
            self.keep(key, seen, found)
        return found

    async def _change(
        self,
        session_id: str,
        change: Callable[[State], object],
        *,
        exact: bool = False,
        remove: tuple[str, ...] = (),
        entries: list[bytes] | None = None,
        user: str = "",
        ttl: Duration | None = None,
        create: bool = True,
        strict: bool = False,
    ) -> Version:
        """Reads, changes and commits until nobody was faster. A cached base has to be the current one (strict)."""
        key = self.key(session_id)
        deadline = time.monotonic() + self.settings.timeout_ms / 1000
        base = self.cache.get(key, 0)
        if base is not None and user and base.user not in ("", user):
            base = None  # let the store say so, before `change` sees anything
        from_cache = base is not None
        refused: Record | None = None
        while True:
            if base is None:
                base = await self._record(key, tail=0, user=user, seen=refused)
            state = State(self.codec, base.fields if base else {}, max_keys=self.settings.max_keys)
            change(state)
            for name in remove:
                state.pop(name, None)
            delta = Delta(
                os.urandom(16),
                incarnation=base.incarnation if base else b"",
                base=base.version if base else None,
                strict=strict or exact or from_cache,
                changes=state.changes(),
                appends=entries or [],
                existence=_existence(base, create),
                birth=self.birth(user, ttl),
                ttl_ms=_ttl(ttl),
                rooted=base is not None and not (strict or exact or from_cache),
            )
            if not delta.changes and not delta.appends and base is None and create:
                delta.outcome = b"\x00"  # `set` of {} on a new id makes an empty session
            try:
                return await self.write(key, delta, base, delta.appends)
            except (TurnConflict, SessionNotFound) as conflict:
                if isinstance(conflict, SessionNotFound) and not create and base is None:
                    raise
                if time.monotonic() > deadline:
                    raise TurnConflict(
                        f"session {key.id!r}: other writers were faster until the deadline; try again", ()
                    ) from conflict
                await asyncio.sleep(random.random() * 0.002)
            base, refused, from_cache = None, base, False


def version_of(key: SessionKey, reply: CommitReply) -> Version:
    """The version that a commit made, or the error that its reply stands for."""
    match reply:
        case Committed():
            return reply.version
        case Seen():
            return reply.stored.version
        case Conflict():
            what = "keys " + ", ".join(reply.names[:5]) if reply.names else "the session"
            raise TurnConflict(f"session {key.id!r}: another writer changed {what} meanwhile", reply.names)
        case Gone():
            raise SessionNotFound(f"there is no session {key.id!r} (any more)")
        case AlreadyThere():
            raise SessionExists(f"session {key.id!r} exists already")
        case WrongUserFound():
            raise WrongUser(f"session {key.id!r} belongs to another user")
        case Fenced():
            raise StoreUnavailable(
                f"session {key.id!r}: the write did not reach the store and was ruled out; try again"
            )


def _existence(base: Record | None, create: bool) -> Existence:
    """A change made on a living session must not bring it back to life after a delete."""
    if base is not None:
        return "must"
    return "may" if create else "must"


def _mapping(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise UnsupportedValue(f"a state is a mapping of names to values, not {type(data).__name__}")
    return data


def _ttl(ttl: Duration | None) -> int | None:
    return None if ttl is None else milliseconds("ttl", ttl)
