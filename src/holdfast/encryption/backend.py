"""A backend around a backend, which encrypts every value on its way in and decrypts it on its way out.

Keys, ids, users, handlers' and fields' names, versions and times stay in clear: the backend works with them. What a session holds
(state values, messages, journaled steps, signals, events, outcomes) does not.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec

from holdfast.backends import rules
from holdfast.backends.contract import Backend, Watch
from holdfast.backends.records import (
    AlreadyThere,
    BeginReply,
    BeginRequest,
    Birth,
    CommitReply,
    Committed,
    Delta,
    EventChunks,
    Fenced,
    Finding,
    Gone,
    Granted,
    Listing,
    LogPage,
    Overdue,
    Record,
    Replay,
    ResolveReply,
    Seen,
    SessionKey,
    Signalled,
    StoredOutcome,
    Unchanged,
    Version,
)
from holdfast.encryption.envelope import EVENTS, SIGNAL, STEP, OwnerKey
from holdfast.encryption.erased import Erasure
from holdfast.encryption.lives import Life, Lives
from holdfast.encryption.owners import owner_of, place_of
from holdfast.encryption.values import Values
from holdfast.encryption.vault import Vault
from holdfast.errors import CorruptRecord, Erased, StoreUnavailable, UnreadableRecord

_MET: Final = 5
"""How often a commit is sent again because the session's life was not the one that this node knew."""
_TOUCHED_MS: Final = 60_000
"""So long a session lives that was made by asking whether it is there."""


class EncryptedBackend:
    """Does what ``inner`` does, over encrypted values. What ``inner`` has beside the contract is found here under the same name.

    Closing it closes the vault and ``inner``.

    Args:
        allow_plaintext: values in clear are read too, not only encrypted ones.
    """

    def __init__(self, inner: Backend, vault: Vault, *, allow_plaintext: bool = False) -> None:
        self.inner = inner
        self.name = inner.name
        self.vault = vault
        self._values = Values(vault, allow_plaintext=allow_plaintext)
        self._lives = Lives()
        vault.listeners.append(self._erased)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not set yet: a copy or an unpickled one is being made
            raise AttributeError(name)
        return getattr(self.inner, name)

    def _erased(self, erasure: Erasure) -> None:
        self._lives.forget_owner(erasure.owner)

    # --- sessions ---

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        found = await self.inner.load(key, tail=tail, known=known)
        if isinstance(found, Record):
            return await self._record(key, found)
        if found is None:
            self._lives.forget(key)
        return found

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        if not (delta.changes or delta.appends or delta.outcome):
            return await self._committed(key, delta, await self.inner.commit(key, delta))
        if delta.incarnation:
            return await self._committed(key, delta, await self._commit_in(key, delta))
        for _ in range(_MET):
            life = self._lives.get(key) or await self._look(key)
            if life is not None:
                bound = msgspec.structs.replace(delta, incarnation=life.incarnation)
                reply = await self._commit_in(key, bound)
                if not isinstance(reply, Gone):
                    return await self._committed(key, delta, reply)
                self._lives.forget(key)  # that life is over: look again
            elif delta.existence == "must":
                return Gone()
            else:
                reply = await self.inner.commit(key, await self._unborn(key, delta))
                if not isinstance(reply, AlreadyThere):
                    return await self._committed(key, delta, reply)
                await self._meet(key, delta.birth.user)  # there is a life: its own is bound to that
        raise StoreUnavailable(f"session {key.id!r} is deleted and made again all the time; nothing was written")

    async def delete(self, key: SessionKey) -> bool:
        self._lives.forget(key)
        return await self.inner.delete(key)

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        page = await self.inner.read_log(key, start=start, count=count)
        if page is None or not page.entries:
            return page
        entries = await self._again(key, lambda life: self._values.log(key, life, page.entries))
        return LogPage(entries, page.start, page.total)

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await self.inner.scan(tenant, cursor=cursor, limit=limit)

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await self.inner.by_user(tenant, user, cursor=cursor, limit=limit)

    # --- turns ---

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        sent = request
        if request.entry:
            life = self._lives.get(key)
            owner = None if life is None else self.vault.ready(life.owner)
            if owner is None:
                owner = await self._owner(key, request.birth.user)
            place = place_of(key) if life is None else life.place
            sealed = self._values.input(owner, place, request.turn_id, request.entry)
            sent = msgspec.structs.replace(request, entry=sealed)
        elif request.fingerprint:
            await self._owner(key, request.birth.user)  # refuses what was erased
        reply = await self.inner.begin(key, sent)
        if isinstance(reply, Granted):
            return await self._granted(key, request, sent, reply)
        if isinstance(reply, Replay):
            return Replay(await self._stored(key, request.turn_id, reply.stored))
        return reply

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        try:
            owner = await self._owner(key)
        except Erased:
            return Fenced()
        sealed = self._values.seal(owner, STEP, key, value, turn_id, name)
        return await self.inner.record(key, turn_id, fence=fence, name=name, value=sealed, lease_ms=lease_ms)

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        reply = await self.inner.renew(key, turn_id, fence=fence, lease_ms=lease_ms)
        if isinstance(reply, Signalled):
            return Signalled(await self._values.steps(key, turn_id, reply.steps))
        return reply

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        if value:
            value = self._values.seal(await self._owner(key), SIGNAL, key, value, name)
        return await self.inner.signal(key, name, value, turn_id=turn_id, ahead=ahead)

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        reply = await self.inner.park(key, turn_id, fence=fence, name=name, for_ms=for_ms)
        if isinstance(reply, bytes):
            return (await self._values.steps(key, turn_id, [(name, reply)]))[0][1]
        return reply

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        await self.inner.release(key, turn_id, token=token, withdraw=withdraw)

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        reply = await self.inner.resolve(key, op, fence=fence, age_ms=age_ms)
        return await self._stored(key, op, reply) if isinstance(reply, StoredOutcome) else reply

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        return await self.inner.overdue(limit=limit)

    # --- streams ---

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        try:
            owner = await self._owner(key)
        except Erased:
            return Fenced()
        sealed = self._values.seal(owner, EVENTS, key, chunk, turn_id, str(fence))
        return await self.inner.append_events(key, turn_id, fence=fence, chunk=sealed, keep_ms=keep_ms)

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        found = await self.inner.read_events(key, turn_id, fence=fence, start=start)
        chunks = []
        for chunk in found.chunks:
            try:
                chunks.append(await self._values.open(EVENTS, key, chunk, turn_id, str(found.fence)))
            except (UnreadableRecord, Erased):
                chunks.append(b"")  # keeps its place; nothing can be read from it
        return EventChunks(found.fence, found.start, chunks)

    # --- signals, end ---

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        await self.inner.publish(key, hint)

    def watch(self, key: SessionKey) -> AbstractAsyncContextManager[Watch]:
        return self.inner.watch(key)

    async def check(self) -> list[Finding]:
        findings = await self.inner.check()
        text = f"values are encrypted; users' keys are wrapped with {self.vault.kms.current!r}"
        findings.append(Finding("ok", "encryption", text))
        if self.vault.backend is self.inner:
            findings.append(
                Finding(
                    "note",
                    "users' keys",
                    "they lie in this store too: a backup of it has both, and keeps what an erased user said readable for whoever "
                    "has the ring",
                    "set encryption.vault to another store, with backups of its own",
                )
            )
        return findings

    async def close(self) -> None:
        try:
            await self.vault.close()
        finally:
            await self.inner.close()

    # --- lives and owners ---

    async def _look(self, key: SessionKey) -> Life | None:
        """The session's life, asked for; None where it has no commit yet."""
        found = await self.inner.load(key, tail=0)
        if not isinstance(found, Record):
            return None
        return self._lives.saw(key, _life(key, found.incarnation, found.user))

    async def _meet(self, key: SessionKey, user: str) -> None:
        """Learns of a life that was there after all, perhaps one without a commit: a touch changes nothing and tells."""
        if await self._look(key) is None:
            touched = await self.inner.commit(key, Delta(os.urandom(16), birth=Birth(user, ttl_ms=_TOUCHED_MS)))
            if isinstance(touched, Committed):
                self._lives.saw(key, _life(key, touched.incarnation, user))

    async def _owner(self, key: SessionKey, user: str = "") -> OwnerKey:
        """The key that values of this session are written with; ``user``: of whom it becomes, if it is not there yet."""
        life = self._lives.get(key)
        if life is not None:
            if (ready := self.vault.ready(life.owner)) is not None:
                return ready
            try:
                return await self.vault.current_of(life.owner)
            except UnreadableRecord:  # no key yet: a session of before encryption
                pass
            except Erased:
                self._lives.forget(key)  # this node may know an old life only
        if (life := await self._look(key)) is None:
            await self._check_birth(key)
            return await self.vault.current(key.tenant, user)
        return await self._key_of(key, life)

    async def _key_of(self, key: SessionKey, life: Life) -> OwnerKey:
        try:
            return await self.vault.current_of(life.owner)
        except UnreadableRecord:
            found = await self.inner.load(key, tail=0)
            return await self.vault.current(key.tenant, found.user if isinstance(found, Record) else "")

    async def _check_birth(self, key: SessionKey) -> None:
        if await self.vault.buried(key):
            raise Erased(f"session {key.id!r} was erased on request; nothing is written into it any more")

    # --- what goes in ---

    async def _commit_in(self, key: SessionKey, delta: Delta) -> CommitReply:
        """A commit that names the life that it is made in."""
        life = self._lives.get(key)
        if life is not None and life.incarnation == delta.incarnation:
            owner = self.vault.ready(life.owner)
        else:
            life, owner = await self._look(key), None
        if owner is None:
            try:
                if life is None:
                    owner = await self.vault.current(key.tenant, delta.birth.user)
                else:
                    owner = await self._key_of(key, life)
            except Erased:
                return Gone()
        return await self.inner.commit(key, self._sealed(key, owner, delta, delta.incarnation[:8]))

    async def _unborn(self, key: SessionKey, delta: Delta) -> Delta:
        """The delta that gives birth to a session, if nobody is faster."""
        await self._check_birth(key)
        owner = await self.vault.current(key.tenant, delta.birth.user)
        born = msgspec.structs.replace(delta, existence="unborn")
        return self._sealed(key, owner, born, rules.seed_of(delta.commit_id))

    def _sealed(self, key: SessionKey, owner: OwnerKey, delta: Delta, seed: bytes) -> Delta:
        values, op, life = self._values, delta.turn_id if delta.fence else delta.commit_id, place_of(key) + seed
        changes, appends, outcome = delta.changes, delta.appends, delta.outcome
        if changes:
            changes = values.changes(owner, life, changes)
        if appends:
            first = 1 if delta.fence and self._lives.has_input(key, delta.turn_id) else 0
            counter = delta.base.counter if delta.fence and delta.base is not None else 0
            appends = values.entries(owner, life, op, appends, first, counter)
        if outcome:
            outcome = values.outcome(owner, key, op, outcome)
        return msgspec.structs.replace(delta, changes=changes, appends=appends, outcome=outcome)

    # --- what comes out ---

    async def _record(self, key: SessionKey, record: Record) -> Record:
        life = self._lives.saw(key, _life(key, record.incarnation, record.user))
        if record.fields:
            record.fields = await self._values.fields(key, life, record.fields)
        if record.tail:
            record.tail = await self._values.log(key, life, record.tail)
        return record

    async def _granted(self, key: SessionKey, request: BeginRequest, sent: BeginRequest, reply: Granted) -> Granted:
        entry = reply.entry or (sent.entry if request.fingerprint else b"")
        life = self._lives.get(key)
        self._lives.began(key, request.turn_id, bool(entry))
        if isinstance(reply.record, Record):
            reply.record = await self._record(key, reply.record)
        elif life is None or life.incarnation != reply.incarnation:
            # it has no commit, or this node forgot it: its input says whose it is
            owner = self._values.owner_in(entry) or owner_of(key.tenant, request.birth.user)
            self._lives.saw(key, Life(reply.incarnation, owner, place_of(key)))
        if reply.entry:
            entry = await self._values.open_input(key, request.turn_id, reply.entry)
            reply.entry = b"" if entry == request.entry else entry  # the same, encrypted another time
        if reply.steps:
            reply.steps = await self._values.steps(key, request.turn_id, reply.steps)
        return reply

    async def _committed(self, key: SessionKey, delta: Delta, reply: CommitReply) -> CommitReply:
        if delta.fence and isinstance(reply, Committed | Seen):
            self._lives.ended(key, delta.turn_id)
        if isinstance(reply, Committed):
            known = self._lives.get(key)
            if known is None or known.incarnation != reply.incarnation:
                owner = known.owner if known is not None and delta.fence else owner_of(key.tenant, delta.birth.user)
                self._lives.saw(key, Life(reply.incarnation, owner, place_of(key)))
        elif isinstance(reply, Seen):
            return Seen(await self._stored(key, delta.turn_id if delta.fence else delta.commit_id, reply.stored))
        return reply

    async def _stored(self, key: SessionKey, op: str | bytes, stored: StoredOutcome) -> StoredOutcome:
        outcome = await self._values.open_outcome(key, op, stored.outcome) if stored.outcome else b""
        entries = stored.entries
        if entries:
            entries = await self._again(key, lambda life: self._values.log(key, life, stored.entries, op))
        return StoredOutcome(outcome, stored.version, stored.start, entries)

    async def _again(self, key: SessionKey, read: Callable[[Life], Awaitable[list[bytes]]]) -> list[bytes]:
        """Reads by the life that this node knows; where that fails, by the one that the store tells of."""
        life = self._lives.get(key)
        if life is not None:
            try:
                return await read(life)
            except CorruptRecord:
                pass
        found = await self._look(key)
        return await read(found if found is not None else _life(key, bytes(16), ""))


def _life(key: SessionKey, incarnation: bytes, user: str) -> Life:
    return Life(incarnation, owner_of(key.tenant, user), place_of(key))
