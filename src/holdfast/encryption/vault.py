"""Users' keys, wrapped with the ring, in a store of their own; and the list of what was erased.

Each owner (a user of a tenant, or a tenant for sessions without a user) has one record: its keys by number, or that it was
erased. Destroying the record's keys is what makes every copy of the owner's data unreadable, backups too, as long as no copy of
the vault of that time is left: keep its backups apart, and short.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.backends.contract import Backend
from holdfast.backends.records import SessionKey
from holdfast.encryption.envelope import OwnerKey
from holdfast.encryption.erased import ErasedFeed, Erasure
from holdfast.encryption.owners import owner_of, session_mark, tenant_proper
from holdfast.encryption.ring import KEY_BYTES, Kms, Wrapped
from holdfast.errors import Erased, KeyUnavailable, SessionExists, WrongUser
from holdfast.sessions.settings import StoreSettings
from holdfast.sessions.state import State
from holdfast.sessions.store import SessionStore

KEYS: Final = "\x1fkeys"
ERASED: Final = "\x1ferased"
"""Tenants of the vault's store: the owners' records, and sessions that were erased."""

_MOST_CIPHERS: Final = 20_000
"""Keys that a node keeps unwrapped."""
_LAST_NUMBER: Final = 255
_FEED_MS: Final = 30 * 24 * 3_600_000
_CURRENT: Final = "current"
_ERASED: Final = "erased"


class OwnerRecord(msgspec.Struct, frozen=True):
    """What the vault has of one owner. ``keys``: the ring's key that each is wrapped with, by number."""

    owner: bytes
    tenant: str
    user: str
    erased: float | None
    keys: dict[int, str]


class Vault:
    """Finds, makes, rotates and destroys owners' keys.

    Args:
        backend: where the records are; not encrypted itself, because keys are wrapped. ``owned``: closed with the vault.
        kms: wraps them.
        key_age: after so many seconds without a look at what was erased, no kept key is used any more.
    """

    def __init__(
        self, backend: Backend, kms: Kms, *, owned: bool = True, timeout_ms: int = 5_000, key_age: float = 1.0
    ) -> None:
        self.kms = kms
        self.backend = backend
        self._owned = owned
        settings = StoreSettings(tenant=KEYS, timeout_ms=timeout_ms, cache_bytes=1 << 20)
        self._keys = SessionStore(backend, settings)
        self._erased = SessionStore(backend, msgspec.structs.replace(settings, tenant=ERASED, cache_bytes=0))
        # nobody's name stays in the log of erasures for good: it begins anew
        feed = SessionStore(backend, msgspec.structs.replace(settings, max_age_ms=_FEED_MS))
        self.feed = ErasedFeed(feed, key_age, self._forget, self._forget_all)
        self._ciphers: OrderedDict[tuple[bytes, int], AESGCM] = OrderedDict()
        self._current: OrderedDict[bytes, OwnerKey] = OrderedDict()
        self._making: dict[bytes, asyncio.Lock] = {}
        self.listeners: list[Callable[[Erasure], None]] = []
        """Told of each erasure, on every node that uses this vault, within a second."""
        self.on_lost: list[Callable[[], None]] = []
        """Called where this node may have missed some: what it has in memory is forgotten."""
        self._news = self._all_gone = 0
        self._gone: OrderedDict[bytes, int] = OrderedDict()
        """Which of the news was of an owner: a key that was asked for before is not kept."""

    async def close(self) -> None:
        """Ends what this vault does in the background, and forgets the keys."""
        await self.feed.close()
        self._forget_all()
        if self._owned:
            await self.backend.close()

    # --- keys for use ---

    async def current(self, tenant: str, user: str) -> OwnerKey:
        """The key that a user's values are written with from now on; made where there is none. Raises `Erased`,
        `KeyUnavailable`, and the store's errors."""
        return await self._write_key(owner_of(tenant, user), tenant_proper(tenant), user)

    def ready(self, owner: bytes) -> OwnerKey | None:
        """The owner's key, if this node has it and may use it: what mostly saves a call of `current_of`."""
        return self._current.get(owner) if self.feed.fresh else None

    async def current_of(self, owner: bytes) -> OwnerKey:
        """The same for an owner that has a key. Raises `KeyUnavailable` where it has none."""
        return await self._write_key(owner, "", None)

    async def cipher(self, owner: bytes, number: int) -> AESGCM:
        """The key that a value says it is written with. Raises `Erased`, `KeyUnavailable`, and the store's errors."""
        if self.feed.fresh and (known := self._ciphers.get((owner, number))) is not None:
            return known
        await self.feed.refresh()
        if (known := self._ciphers.get((owner, number))) is not None:
            self._ciphers.move_to_end((owner, number))
            return known
        news, state = self._news, await self._keys.get(owner.hex())
        if _ERASED in state:
            raise Erased("what is stored here belongs to a user who was erased on request; its key is destroyed")
        if str(number) not in state:
            raise KeyUnavailable("a stored value is encrypted with a key that the vault does not have")
        cipher = await self._unwrapped(owner, number, state, news)
        return cipher if self._stands(owner, news) else await self.cipher(owner, number)

    async def _write_key(self, owner: bytes, tenant: str, user: str | None) -> OwnerKey:
        if self.feed.fresh and (known := self._current.get(owner)) is not None:
            return known
        await self.feed.refresh()
        if (known := self._current.get(owner)) is not None:
            self._current.move_to_end(owner)
            return known
        async with self._making.setdefault(owner, asyncio.Lock()):
            try:
                if (known := self._current.get(owner)) is not None:
                    return known
                return await self._read_or_make(owner, tenant, user)
            finally:
                self._making.pop(owner, None)

    async def _read_or_make(self, owner: bytes, tenant: str, user: str | None) -> OwnerKey:
        news, state = self._news, await self._keys.get(owner.hex())
        while _CURRENT not in state:
            if _ERASED in state:
                raise Erased("what belonged to this user was erased on request; nothing is written for it any more")
            if user is None:
                raise KeyUnavailable("a stored value's owner has no key in the vault")
            first = {
                "tenant": tenant,
                "user": user,
                _CURRENT: 1,
                "1": await self._wrapped(owner, 1, os.urandom(KEY_BYTES)),
            }
            with suppress(SessionExists):  # another node was faster
                await self._keys.create(owner.hex(), first)
            news, state = self._news, await self._keys.get(owner.hex())
        number = state[_CURRENT]
        key = OwnerKey.of(owner, number, await self._unwrapped(owner, number, state, news))
        if not self._stands(owner, news):  # erased while the vault or the key service answered
            return await self._read_or_make(owner, tenant, user)
        self._current[owner] = key
        if len(self._current) > _MOST_CIPHERS:
            self._current.popitem(last=False)
        return key

    async def _wrapped(self, owner: bytes, number: int, key: bytes) -> list[Any]:
        wrapped = await self.kms.wrap(key, _context(owner, number))
        return [wrapped.ring_key, wrapped.wrapped]

    async def _unwrapped(self, owner: bytes, number: int, state: dict[str, Any], news: int) -> AESGCM:
        """``news``: how many this node had when it asked for ``state``."""
        wrapped = Wrapped(*state[str(number)])
        cipher = AESGCM(await self.kms.unwrap(wrapped, _context(owner, number)))
        if not self._stands(owner, news):
            return cipher
        self._ciphers[owner, number] = cipher
        if len(self._ciphers) > _MOST_CIPHERS:
            self._ciphers.popitem(last=False)
        return cipher

    # --- rotation ---

    async def owners(self) -> AsyncIterator[bytes]:
        """All of them, in no order."""
        async for name in self._keys.scan():
            if (owner := _owner(name)) is not None:
                yield owner

    async def record(self, owner: bytes) -> OwnerRecord | None:
        """What there is of an owner; None where there is nothing."""
        state = await self._keys.get(owner.hex())
        if not state:
            return None
        keys = {int(name): wrapped[0] for name, wrapped in state.items() if name.isdecimal()}
        return OwnerRecord(owner, state["tenant"], state["user"], state.get(_ERASED), keys)

    async def rewrap(self, owner: bytes, *, new_key: bool = False) -> bool:
        """Wraps an owner's keys with the ring's current one; with ``new_key`` its next values are also written with a new key
        of its own. False where nothing had to be done. May be repeated; readers and writers see no difference.
        """
        changed = False
        state = await self._keys.get(owner.hex())
        if _CURRENT not in state:
            return False
        fresh: dict[str, Any] = {}
        for name, (ring_key, wrapped) in ((name, one) for name, one in state.items() if name.isdecimal()):
            if ring_key != self.kms.current:
                key = await self.kms.unwrap(Wrapped(ring_key, wrapped), _context(owner, int(name)))
                fresh[name] = await self._wrapped(owner, int(name), key)
        number = state[_CURRENT] + 1
        if new_key and number <= _LAST_NUMBER:
            fresh[str(number)] = await self._wrapped(owner, number, os.urandom(KEY_BYTES))
            fresh[_CURRENT] = number

        def write(now: State) -> None:
            nonlocal changed
            changed = _ERASED not in now and now.get(_CURRENT) == state[_CURRENT]
            if changed:
                now.update(fresh)

        if fresh:
            await self._keys.update(owner.hex(), write, create=False)
            if new_key:
                self._current.pop(owner, None)
        return bool(fresh) and changed

    # --- erasure ---

    async def destroy(self, tenant: str, user: str, *, keep: float) -> bool:
        """Destroys a user's keys for good, and has every node forget them; False where that was done before.

        For ``keep`` seconds nothing can be written for this user (`Erased`); then it may begin anew, with another key.
        """
        owner, done = owner_of(tenant, user), False

        def write(state: State) -> None:
            nonlocal done
            done = _ERASED not in state
            state.replace({"tenant": tenant_proper(tenant), "user": user, _ERASED: state.get(_ERASED, time.time())})

        await self._keys.update(owner.hex(), write, ttl=keep)
        await self.feed.add(Erasure(tenant_proper(tenant), user, owner), keep=keep)
        return done

    async def readmit(self, tenant: str, user: str) -> bool:
        """Lets an erased user begin anew, with another key; False where it was not erased."""
        owner = owner_of(tenant, user)
        if _ERASED not in await self._keys.get(owner.hex()):
            return False
        while buried := (await self._erased.by_user(owner.hex(), limit=100)).ids:
            for mark in buried:
                await self._erased.delete(mark)
        return await self._keys.delete(owner.hex())

    async def bury(self, key: SessionKey, user: str, *, keep: float) -> None:
        """For ``keep`` seconds no session of this id is born again, unless the user is readmitted."""
        owner = owner_of(key.tenant, user)
        with suppress(WrongUser):  # it is buried already
            await self._erased.update(session_mark(key), {_ERASED: True}, ttl=keep, user=owner.hex())

    async def buried(self, key: SessionKey) -> bool:
        """Whether this session was erased."""
        return await self._erased.exists(session_mark(key))

    def _stands(self, owner: bytes, news: int) -> bool:
        """Whether this node heard of no erasure of the owner since it knew so many news."""
        return max(self._all_gone, self._gone.get(owner, 0)) <= news

    def _forget_all(self) -> None:
        self._news += 1
        self._all_gone = self._news
        self._gone.clear()
        self._ciphers.clear()
        self._current.clear()
        for forget in self.on_lost:
            forget()

    def _forget(self, erasure: Erasure) -> None:
        self._news += 1
        self._gone[erasure.owner] = self._news
        if len(self._gone) > _MOST_CIPHERS:
            _, self._all_gone = self._gone.popitem(last=False)
        self._current.pop(erasure.owner, None)
        for known in [known for known in self._ciphers if known[0] == erasure.owner]:
            del self._ciphers[known]
        for listener in self.listeners:
            listener(erasure)


def _context(owner: bytes, number: int) -> bytes:
    return b"holdfast owner key" + owner + bytes([number])


def _owner(name: str) -> bytes | None:
    try:
        return bytes.fromhex(name) if len(name) == 16 else None
    except ValueError:
        return None
