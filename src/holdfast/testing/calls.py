"""Short forms of the backend's calls, with the defaults that tests want: nothing expires, leases are long, writes are blind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    ANY,
    NEVER,
    BeginReply,
    BeginRequest,
    Birth,
    Change,
    CommitReply,
    Committed,
    Delta,
    Granted,
    Listing,
    Record,
    SessionKey,
    Version,
)

KEY: Final = SessionKey("acme", "s-1")
"""The session of most tests."""

LONG_MS: Final = 600_000
"""A lease or a place that does not run out during a test."""

MANY_PAGES: Final = 10_000
"""More pages than any test has: a listing that does not end is a failure, not a hang."""

T = TypeVar("T")


def new_token() -> bytes:
    """A fresh 8-byte token of one runner."""
    return os.urandom(8)


def new_commit_id() -> bytes:
    """A fresh 16-byte commit id."""
    return os.urandom(16)


def fingerprint(text: bytes) -> bytes:
    """What stands for an input in `BeginRequest`."""
    return hashlib.blake2b(text, digest_size=16).digest()


def got(reply: object, kind: type[T]) -> T:
    """``reply`` as a ``kind``, or an `AssertionError` that shows what came instead."""
    if not isinstance(reply, kind):
        raise AssertionError(f"expected {kind.__name__}, got {reply!r:.500}")
    return reply


def input_of(turn_id: str) -> bytes:
    """The default input of a turn, as a log entry."""
    return b"input of " + turn_id.encode()


def asking(
    turn_id: str,
    *,
    token: bytes | None = None,
    text: bytes | None = None,
    takeover: bool = False,
    user: str = "",
    ttl_ms: int = NEVER,
    max_age_ms: int = NEVER,
    lease_ms: int = LONG_MS,
    place_ms: int = LONG_MS,
    tail: int = 100,
    known: Version | None = None,
    handler: str = "",
) -> BeginRequest:
    """A `BeginRequest`. ``takeover`` asks for an accepted turn without bringing its input."""
    entry = input_of(turn_id) if text is None else text
    return BeginRequest(
        turn_id=turn_id,
        token=new_token() if token is None else token,
        fingerprint=b"" if takeover else fingerprint(entry),
        entry=b"" if takeover else entry,
        handler=handler,
        birth=Birth(user, ttl_ms, max_age_ms),
        lease_ms=lease_ms,
        place_ms=place_ms,
        tail=tail,
        known=known,
    )


async def begin(backend: Backend, turn_id: str, key: SessionKey = KEY, **options: Any) -> BeginReply:
    """Begins a turn; ``options`` are those of `asking`."""
    return await backend.begin(key, asking(turn_id, **options))


async def granted(backend: Backend, turn_id: str, key: SessionKey = KEY, **options: Any) -> Granted:
    """Begins a turn and expects to get it."""
    return got(await begin(backend, turn_id, key, **options), Granted)


def update(
    sets: Mapping[str, bytes | None] | None = None,
    *,
    counter: int = ANY,
    appends: Sequence[bytes] = (),
    birth: Birth | None = None,
    **rest: Any,
) -> Delta:
    """A `Delta` outside a turn; every field in ``sets`` is written on ``counter`` (blind by default)."""
    return Delta(
        commit_id=rest.pop("commit_id", None) or new_commit_id(),
        changes=[Change(name, value, counter) for name, value in (sets or {}).items()],
        appends=list(appends),
        birth=birth or Birth(),
        **rest,
    )


def ending(
    turn_id: str,
    grant: Granted,
    sets: Mapping[str, bytes | None] | None = None,
    *,
    appends: Sequence[bytes] | None = None,
    outcome: bytes | None = None,
    **rest: Any,
) -> Delta:
    """The `Delta` that ends a granted turn with a reply, ``reply to <turn id>`` by default."""
    return update(
        sets,
        appends=[b"reply to " + turn_id.encode()] if appends is None else appends,
        outcome=b"outcome of " + turn_id.encode() if outcome is None else outcome,
        turn_id=turn_id,
        fence=grant.fence,
        incarnation=grant.incarnation,
        **rest,
    )


async def put(
    backend: Backend, sets: Mapping[str, bytes | None] | None = None, key: SessionKey = KEY, **rest: Any
) -> Committed:
    """Writes an update and expects it to be applied."""
    return got(await backend.commit(key, update(sets, **rest)), Committed)


async def touch(backend: Backend, key: SessionKey = KEY, **rest: Any) -> CommitReply:
    """Moves the session's expiry and nothing else."""
    return await backend.commit(key, update(existence="must", **rest))


async def finish(
    backend: Backend,
    turn_id: str,
    grant: Granted,
    sets: Mapping[str, bytes | None] | None = None,
    key: SessionKey = KEY,
    **rest: Any,
) -> Committed:
    """Commits a granted turn and expects it to be applied."""
    return got(await backend.commit(key, ending(turn_id, grant, sets, **rest)), Committed)


async def run_turn(
    backend: Backend,
    turn_id: str,
    sets: Mapping[str, bytes | None] | None = None,
    key: SessionKey = KEY,
    **options: Any,
) -> Committed:
    """A whole turn: begun, granted, committed."""
    return await finish(backend, turn_id, await granted(backend, turn_id, key, **options), sets, key)


async def record_of(backend: Backend, key: SessionKey = KEY, tail: int = 1_000_000) -> Record:
    """The session's record with all of its log; it must be there."""
    return got(await backend.load(key, tail=tail), Record)


async def missing(backend: Backend, key: SessionKey = KEY) -> bool:
    """Is there no such session?"""
    return await backend.load(key, tail=0) is None


def values(record: Record) -> dict[str, bytes]:
    """The state fields without their counters."""
    return {name: field.value for name, field in record.fields.items()}


async def scanned(backend: Backend, tenant: str = KEY.tenant, limit: int = 100) -> list[str]:
    """All ids that `scan` brings, page by page, doubles included."""
    ids: list[str] = []
    cursor = ""
    for _ in range(MANY_PAGES):
        page = await backend.scan(tenant, cursor=cursor, limit=limit)
        cursor = _next_cursor(page, ids)
        if not cursor:
            return ids
    raise AssertionError(f"scan did not end after {MANY_PAGES} pages")


async def of_user(backend: Backend, user: str, tenant: str = KEY.tenant, limit: int = 100) -> list[str]:
    """All ids that `by_user` brings, page by page, doubles included."""
    ids: list[str] = []
    cursor = ""
    for _ in range(MANY_PAGES):
        page = await backend.by_user(tenant, user, cursor=cursor, limit=limit)
        cursor = _next_cursor(page, ids)
        if not cursor:
            return ids
    raise AssertionError(f"by_user did not end after {MANY_PAGES} pages")


def _next_cursor(page: Listing, ids: list[str]) -> str:
    ids += page.ids
    return page.cursor
