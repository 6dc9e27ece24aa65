"""Whose a session is, and in which life: what has to be known before a value of it can be written."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    ANY,
    Change,
    CommitReply,
    Committed,
    Delta,
    Record,
    SessionKey,
    WrongUserFound,
)
from holdfast.encryption.envelope import OwnerKey
from holdfast.encryption.lives import Life, Lives
from holdfast.encryption.owners import owner_of, place_of
from holdfast.encryption.vault import Vault
from holdfast.errors import Erased, UnreadableRecord

_NO_FIELD: Final = "\x1f"
"""What is taken out of a session to commit nothing; no session has it."""


class Whose:
    """Asks what this node knows, then the store."""

    def __init__(self, inner: Backend, vault: Vault, lives: Lives) -> None:
        self.inner = inner
        self.vault = vault
        self._lives = lives

    async def look(self, key: SessionKey) -> Life | None:
        """The session's life, asked for; None where it has no commit yet."""
        found = await self.inner.load(key, tail=0)
        if not isinstance(found, Record):
            return None
        return self._lives.saw(key, life_of(key, found.incarnation, found.user))

    async def meet(self, key: SessionKey, delta: Delta) -> WrongUserFound | None:
        """Learns of a life that was there after all, perhaps one without a commit, of which nothing tells whose it is. A commit of
        nothing shows it; before a creation, which has to be the first one, a touch at least tells that it lives."""
        if await self.look(key) is not None:
            return None
        asked = Delta(os.urandom(16), birth=delta.birth)
        reply = await (self.inner.commit(key, asked) if delta.existence == "new" else self.show(key, asked))
        if isinstance(reply, WrongUserFound):
            return reply
        if await self.look(key) is None and isinstance(reply, Committed):
            self._lives.saw(key, life_of(key, reply.incarnation, delta.birth.user))
        return None

    async def show(self, key: SessionKey, delta: Delta) -> CommitReply:
        """Commits nothing, so that a load tells whose the session is."""
        return await self.inner.commit(key, msgspec.structs.replace(delta, changes=[Change(_NO_FIELD, None, ANY)]))

    async def owner(self, key: SessionKey, user: str = "", turn_id: str = "") -> OwnerKey:
        """The key that values of this session are written with; ``user``: of whom it becomes, if it is not there yet; ``turn_id``:
        of a turn that runs here."""
        life = self._lives.of_turn(key, turn_id) or self._lives.get(key)
        if life is not None and user and life.user != user and life.owner != owner_of(key.tenant, user):
            life = None  # this node may know an old life only
        if life is not None:
            if (ready := self.vault.ready(life.owner)) is not None:
                return ready
            try:
                return await self.vault.current_of(life.owner)
            except UnreadableRecord:  # no key yet: a session of before encryption
                pass
            except Erased:
                self._lives.forget(key)  # this node may know an old life only
        if (life := await self.look(key)) is None:
            await self.check_birth(key)
            return await self.vault.current(key.tenant, user)
        return await self.key_of(key, life)

    async def key_of(self, key: SessionKey, life: Life) -> OwnerKey:
        try:
            return await self.vault.current_of(life.owner)
        except UnreadableRecord:
            found = await self.inner.load(key, tail=0)
            return await self.vault.current(key.tenant, found.user if isinstance(found, Record) else "")

    async def check_birth(self, key: SessionKey) -> None:
        if await self.vault.buried(key):
            raise Erased(f"session {key.id!r} was erased on request; nothing is written into it any more")


def life_of(key: SessionKey, incarnation: bytes, user: str) -> Life:
    """A life as the store tells of it."""
    return Life(incarnation, owner_of(key.tenant, user), place_of(key), user)
