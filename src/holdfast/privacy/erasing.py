"""A user forgotten: sessions, messages, journals, streams, notes and keys, on all nodes and in copies of the files.

First the user's key is destroyed: from then on no node reads or writes anything of the user's, within a second. Then everything is
deleted that the store lists under the user. What is left in backups is ciphertext without a key. Without encryption only the
second half takes place, and backups keep what they have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.backends.contract import Scrubs
from holdfast.errors import ConfigError, SessionNotFound
from holdfast.sessions.ids import checked_id
from holdfast.turns.tenants import HANDOVERS, USAGE, WAITING
from holdfast.turns.usage import USAGE as USED
from holdfast.turns.usage import record_of

if TYPE_CHECKING:
    from holdfast.encryption.vault import Vault
    from holdfast.sessions.store import SessionStore
    from holdfast.turns.store import TurnStore

ERASED_FOR_S: Final = 30 * 24 * 3600.0
_PAGE: Final = 200
_AGAIN_S: Final = 0.5
"""Longer than a node keeps a key without looking: after that time nothing of the user can be born any more."""

_NO_KEY: Final = (
    "no encryption is set up here (is it in another config?): backups made before keep what they have of this user"
)
_UNKNOWN: Final = (
    "the vault had no key of this user, who had sessions: they were written before encryption was set up, and backups keep them; "
    "or encryption.vault does not name the vault that the nodes use"
)
_ONE_PLACE: Final = (
    "users' keys lie in the same store as the sessions: backups of it made before have this user's key too, wrapped; rotate the "
    "ring's key (holdfast keys rotate) and destroy the old one, or set encryption.vault"
)

Tell = Callable[[str, int], None]
"""Told what is being done, and how many were done so far."""


class Erasure(msgspec.Struct, frozen=True):
    """What an erasure did.

    Attributes:
        sessions, notes: deleted; notes are traces, failures, deliveries and counts that belonged to them.
        key_destroyed: whether the user's key is gone, and with it what backups hold of the user. False without encryption.
        left: what could not be reached, and what to do about that; empty where nothing is left.
    """

    tenant: str
    user: str
    sessions: int
    notes: int
    key_destroyed: bool
    left: list[str]


def vault_of(store: SessionStore) -> Vault | None:
    """The vault of an encrypted store; None without encryption."""
    return getattr(store.backend, "vault", None)


async def erase_user(
    store: TurnStore, user: str, *, keep: float = ERASED_FOR_S, tell: Tell = lambda what, done: None
) -> Erasure:
    """Forgets a user of the store's tenant. May be repeated, also after it was interrupted.

    ``keep``: for so many seconds further writes for the user, and into the sessions, are refused (with encryption).
    Raises `InvalidId` and the store's errors: then it has to be repeated.
    """
    user, vault = checked_id("user", user), vault_of(store)
    left, known = [_NO_KEY] if vault is None else [], False
    if vault is not None:
        from holdfast.encryption.owners import owner_of

        tell("destroying the key", 0)
        known = await vault.record(owner_of(store.settings.tenant, user)) is not None
        if not known and (await store.by_user(user, limit=1)).ids:
            left.append(_UNKNOWN)
        await vault.destroy(store.settings.tenant, user, keep=keep)
    work = _Erasing(store, user, vault, keep, tell)
    await work.delete_all()
    await asyncio.sleep((vault.feed.age if vault is not None else 0.0) + _AGAIN_S)
    await work.delete_all()  # what was born while the news went round
    await work.drop_lines()
    tell("cleaning files", work.sessions)
    places = [_innermost(store.backend)]
    if vault is not None and vault.backend is not places[0]:
        places.append(vault.backend)
    left += filter(None, [await place.scrub() for place in places if isinstance(place, Scrubs)])
    if vault is not None and vault.backend is places[0]:
        left.append(_ONE_PLACE)
    return Erasure(store.settings.tenant, user, work.sessions, work.notes, known, left)


async def readmit_user(store: TurnStore, user: str) -> bool:
    """Lets an erased user begin anew before the time is over; False where it was not erased. Raises `ConfigError` without
    encryption."""
    vault = vault_of(store)
    if vault is None:
        raise ConfigError("no encryption is set up for this store: nothing is refused to an erased user")
    return await vault.readmit(store.settings.tenant, checked_id("user", user))


class _Erasing:
    """The deletions. All of them may be repeated."""

    def __init__(self, store: TurnStore, user: str, vault: Vault | None, keep: float, tell: Tell) -> None:
        self._store = store
        self._user = user
        self._vault = vault
        self._keep = keep
        self._tell = tell
        self._known: set[str] = set()
        self._delivered: set[str] = set()
        self.sessions = self.notes = 0

    async def delete_all(self) -> None:
        found = [session_id async for session_id in _sessions_of(self._store, self._user)]
        self._known.update(found)
        delivered = [session_id async for session_id in _sessions_of(self._store.deliveries, self._user)]
        self._delivered.update(delivered)
        await self.drop_lines()  # first: who repeats this after an interruption finds them by the sessions only
        for session_id in found:
            self.notes += await self._store.traces.drop(session_id, self._user)
            await self._delete(self._store, session_id)
            self.notes += await self._store.traces.drop(session_id, self._user)
            self.sessions += 1
            self._tell("deleting sessions", self.sessions)
        for session_id in delivered:
            await self._delete(self._store.deliveries, session_id)
            self.notes += 1
        self.notes += await self._store.beside(USAGE).delete(self._user)
        self.notes += await self._store.beside(USED).delete(record_of(self._user))

    async def drop_lines(self) -> None:
        """Takes the sessions out of the tenant's lists."""
        self.notes += await self._store.failures.drop(self._known)
        self.notes += await self._store.deliveries.failures.drop(self._delivered)
        waiting = self._store.beside(HANDOVERS)
        if lines := sorted(self._known.intersection(await waiting.get(WAITING))):
            with suppress(SessionNotFound):  # nobody waits for a person any more
                await waiting.update(WAITING, {}, remove=lines, create=False)

    async def _delete(self, store: TurnStore, session_id: str) -> None:
        if self._vault is not None:
            await self._vault.bury(store.key(session_id), self._user, keep=self._keep)
        await store.delete(session_id)


async def _sessions_of(store: SessionStore, user: str) -> AsyncIterator[str]:
    """From the first page again and again: what was listed is deleted meanwhile."""
    seen: set[str] = set()
    while True:
        cursor, fresh = "", 0
        while True:
            page = await store.by_user(user, cursor=cursor, limit=_PAGE)
            for session_id in page.ids:
                if session_id not in seen:
                    seen.add(session_id)
                    fresh += 1
                    yield session_id
            if not (cursor := page.cursor):
                break
        if not fresh:
            return


def _innermost(backend: Any) -> Any:
    while (inner := getattr(backend, "inner", None)) is not None:
        backend = inner
    return backend
