"""A backend around a backend, which encrypts every value on its way in and decrypts it on its way out.

Keys, ids, users, handlers' and fields' names, versions and times stay in clear: the backend works with them. What a session holds
(state values, messages, journaled steps, signals, events, outcomes) does not.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final

import msgspec

from holdfast.backends import rules
from holdfast.backends.contract import Backend, Watch
from holdfast.backends.records import (
    AlreadyThere,
    BeginReply,
    BeginRequest,
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
from holdfast.encryption.envelope import EVENTS, SIGNAL, STEP, OwnerKey, is_sealed, owner_in
from holdfast.encryption.erased import Erasure
from holdfast.encryption.lives import Life, Lives
from holdfast.encryption.owners import owner_of, place_of
from holdfast.encryption.values import Values
from holdfast.encryption.vault import Vault
from holdfast.encryption.whose import Whose, life_of
from holdfast.errors import CorruptRecord, Erased, KeyUnavailable, StoreUnavailable, UnreadableRecord

_MET: Final = 5
"""How often a commit is sent again because the session's life was not the one that this node knew."""


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
        self._whose = Whose(inner, vault, self._lives)
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
        elif known is not None:
            await self.vault.feed.refresh()
            if self._lives.get(key) is None:  # perhaps its user was erased: what the caller has is no answer then
                return await self.load(key, tail=tail)
        return found

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        if not (delta.changes or delta.appends or delta.outcome):
            if not delta.incarnation and delta.existence != "must":
                await self._whose.owner(key, delta.birth.user)  # it may give birth: refuses what was erased
            return await self._committed(key, delta, await self.inner.commit(key, delta))
        if delta.incarnation:
            return await self._committed(key, delta, await self._commit_in(key, delta))
        for _ in range(_MET):
            life = self._lives.get(key) or await self._whose.look(key)
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
                    return await self._committed(key, delta, reply, born=True)
                # there is a life: its own is bound to that
                if (refused := await self._whose.meet(key, delta)) is not None:
                    return refused
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
        sent = await self._sent(key, request)
        reply = await self.inner.begin(key, sent)
        if isinstance(reply, Granted) and await self._strayed(key, request, sent, reply):
            await self.inner.release(key, request.turn_id, token=request.token, withdraw=True)
            sent = await self._sent(key, request)
            reply = await self.inner.begin(key, sent)
        if isinstance(reply, Granted):
            try:
                return await self._granted(key, request, sent, reply)
            except Erased:  # accepted before, for a user who was erased since: nobody can run it any more
                await self.inner.release(key, request.turn_id, token=request.token, withdraw=True)
                found = await self.inner.load(key, tail=0) if reply.record is None else None
                if isinstance(found, Record) and not (found.fields or found.total):
                    await self.inner.delete(key)
                raise
        if isinstance(reply, Replay):
            return Replay(await self._stored(key, request.turn_id, reply.stored))
        return reply

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        try:
            owner = await self._whose.owner(key, turn_id=turn_id)
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
            value = self._values.seal(await self._whose.owner(key), SIGNAL, key, value, name)
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
            owner = await self._whose.owner(key, turn_id=turn_id)
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

    # --- what goes in ---

    async def _commit_in(self, key: SessionKey, delta: Delta) -> CommitReply:
        """A commit that names the life that it is made in."""
        life = self._lives.of_turn(key, delta.turn_id) if delta.fence else None
        if life is None or life.incarnation != delta.incarnation:
            life = self._lives.get(key)
        if life is not None and life.incarnation == delta.incarnation:
            owner = self.vault.ready(life.owner)
        else:
            life, owner = await self._whose.look(key), None
        if owner is None:
            try:
                if life is None:
                    owner = await self.vault.current(key.tenant, delta.birth.user)
                else:
                    owner = await self._whose.key_of(key, life)
            except Erased:
                return Gone()
        return await self.inner.commit(key, self._sealed(key, owner, delta, delta.incarnation[:8]))

    async def _sent(self, key: SessionKey, request: BeginRequest) -> BeginRequest:
        """A request with its input encrypted. Raises `Erased`."""
        if not (request.entry or request.fingerprint):
            return request
        owner = await self._whose.owner(key, request.birth.user)
        if not request.entry:
            return request
        life = self._lives.get(key)
        place = place_of(key) if life is None else life.place
        return msgspec.structs.replace(request, entry=self._values.input(owner, place, request.turn_id, request.entry))

    async def _strayed(self, key: SessionKey, request: BeginRequest, sent: BeginRequest, reply: Granted) -> bool:
        """Whether the input was accepted just now with the key of somebody who had the session in a former life: this node did not
        know yet. What is erased for that one would take it along."""
        if not request.entry or reply.attempt > 1 or reply.steps:
            return False
        life = self._lives.get(key)
        if life is None:
            return False
        if life.incarnation != reply.incarnation:
            self._lives.forget(key)
            if reply.record is None:
                return True
            if (life := await self._whose.look(key)) is None:
                return False
        entry = reply.entry or sent.entry
        return is_sealed(entry) and owner_in(entry) != life.owner

    async def _unborn(self, key: SessionKey, delta: Delta) -> Delta:
        """The delta that gives birth to a session, if nobody is faster."""
        await self._whose.check_birth(key)
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
        life = self._lives.saw(key, life_of(key, record.incarnation, record.user))
        if record.fields:
            record.fields = await self._values.fields(key, life, record.fields)
        if record.tail:
            record.tail = await self._values.log(key, life, record.tail)
        return record

    async def _granted(self, key: SessionKey, request: BeginRequest, sent: BeginRequest, reply: Granted) -> Granted:
        entry = reply.entry or (sent.entry if request.fingerprint else b"")
        life = self._lives.get(key)
        if isinstance(reply.record, Record):
            reply.record = await self._record(key, reply.record)
            life = self._lives.get(key)
        if life is None or life.incarnation != reply.incarnation:
            # it has no commit, or this node forgot it: its input, or what it did, says whose it is
            told = [entry, *(value for _, value in reply.steps)]
            owner = next(filter(None, map(self._values.owner_in, told)), b"")
            if not (owner or request.fingerprint):  # a takeover of a turn that has neither
                await self._whose.show(key, Delta(os.urandom(16), incarnation=reply.incarnation))
                owner = b"" if (shown := await self._whose.look(key)) is None else shown.owner
            owner = owner or owner_of(key.tenant, request.birth.user)
            life = self._lives.saw(key, Life(reply.incarnation, owner, place_of(key), request.birth.user))
        if not sent.fingerprint and self.vault.ready(life.owner) is None:  # else it was asked before
            with suppress(KeyUnavailable):
                await self.vault.current_of(life.owner)
        self._lives.began(key, request.turn_id, life, bool(entry))
        if reply.entry:
            entry = await self._values.open_input(key, request.turn_id, reply.entry)
            reply.entry = b"" if entry == request.entry else entry  # the same, encrypted another time
        if reply.steps:
            reply.steps = await self._values.steps(key, request.turn_id, reply.steps)
        return reply

    async def _committed(self, key: SessionKey, delta: Delta, reply: CommitReply, *, born: bool = False) -> CommitReply:
        ran = self._lives.of_turn(key, delta.turn_id) if delta.fence else None
        if delta.fence and isinstance(reply, Committed | Seen):
            self._lives.ended(key, delta.turn_id)
        if isinstance(reply, Committed):
            known = self._lives.get(key)
            if known is None or known.incarnation != reply.incarnation:
                self._lives.forget(key)
                if ran is not None and ran.incarnation == reply.incarnation:
                    self._lives.saw(key, ran)
                elif born:  # else nothing says whose it is
                    self._lives.saw(key, life_of(key, reply.incarnation, delta.birth.user))
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
        found = await self._whose.look(key)
        return await read(found if found is not None else life_of(key, bytes(16), ""))
