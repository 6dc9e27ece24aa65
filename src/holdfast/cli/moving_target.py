"""Bringing one source value into the store: once, again, or not at all; a Holdfast turn is never lost to it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final, Literal

from holdfast import Store
from holdfast.backends.records import BeginRequest, Birth, Delta, Granted, Record, Unchanged
from holdfast.cli.long_sessions import HALF, first_delta, half_mark, write_parts
from holdfast.cli.moving_mapping import Identity, Mapping, Unusable
from holdfast.cli.moving_messages import Moved, moved
from holdfast.cli.moving_overlap import contains, overlap
from holdfast.cli.moving_source import Found
from holdfast.cli.moving_stamp import stamp_digest, stamp_of, stamped
from holdfast.cli.reading import in_parts
from holdfast.errors import InvalidInput, SessionExists, SessionNotFound, TurnConflict, UnreadableRecord, WrongUser
from holdfast.sessions.state import State

Fate = Literal["imported", "extended", "replaced", "unchanged", "renewed", "kept"]
"""``renewed``: only the expiry moved. ``kept``: used in Holdfast since, and no message of the source is missing there."""

_TURN: Final = "holdfast:import"
"""The turn id under which an import holds a session while it replaces it."""
_ATTEMPTS: Final = 5
_SLACK_MS: Final = 5_000
"""Expiries that differ by less, or by a twentieth of the time left, count as the same."""


class Target:
    """The store that sessions move into.

    Args:
        overwrite: replace sessions that were used in Holdfast since, too.
    """

    def __init__(self, store: Store, mapping: Mapping, *, overwrite: bool = False) -> None:
        self._store = store
        self._mapping = mapping
        self._overwrite = overwrite
        self._tenants: dict[str, Store] = {}

    async def take(self, found: Found) -> Fate:
        """Brings the session to where its source is. Raises `Unusable` where that cannot be, with the session as it was."""
        identity = self._mapping.identity_of(found.key)
        store = self._of(identity.tenant)
        arrival = _Arrival(store, self._mapping, found, identity, overwrite=self._overwrite)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await arrival.settle()
            except (SessionExists, SessionNotFound, TurnConflict) as error:  # somebody was faster: look again
                if attempt == _ATTEMPTS:
                    raise Unusable("busy", f"others kept writing to the session; try again ({error})") from None
            except Unusable:
                raise
            except (InvalidInput, UnreadableRecord, WrongUser) as error:
                raise Unusable(_reason(error), str(error)) from None
        raise AssertionError(attempt)

    def _of(self, tenant: str) -> Store:
        if not tenant:
            return self._store
        if tenant not in self._tenants:
            self._tenants[tenant] = self._store.for_tenant(tenant)
        return self._tenants[tenant]


def _reason(error: Exception) -> str:
    if isinstance(error, WrongUser):
        return "other_user"
    return "unreadable" if isinstance(error, UnreadableRecord) else "bad_value"


class _Arrival:
    """One source value on its way into one session."""

    def __init__(self, store: Store, mapping: Mapping, found: Found, identity: Identity, *, overwrite: bool) -> None:
        self._store = store
        self._mapping = mapping
        self._found = found
        self._identity = identity
        self._key = store.key(identity.id)
        self._overwrite = overwrite
        self._digest = found.digest(mapping.fingerprint)
        self._ttl_ms = (found.ttl_ms or 0) if mapping.ttl_ms is None else mapping.ttl_ms
        self._made: Moved | None = None

    async def settle(self) -> Fate:
        """Looks what is there, and does what has to be done. Raises what the store raises where somebody else is faster."""
        record = await self._store.backend.load(self._key, tail=0)
        assert not isinstance(record, Unchanged)
        if record is None:
            await self._create()
            return "imported"
        stamp = stamp_of(self._key, self._found.key, record.version.commit_id)
        if stamp is None:
            return await self._meet(record)
        if stamp == stamp_digest(self._digest) and HALF not in record.fields:
            return await self._renew(record)
        return await self._advance(record)

    @property
    def _moved(self) -> Moved:
        if self._made is None:
            self._made = moved(self._mapping, self._identity, self._found.value, self._found.companion)
        return self._made

    def _commit_id(self) -> bytes:
        return stamped(self._key, self._found.key, self._digest)

    # --- the cases ---

    async def _create(self) -> None:
        entries = [self._store.message_codec.encode(message) for message in self._moved.messages]
        parts = list(in_parts(entries)) or [[]]
        half_of = self._digest.hex() if len(parts) > 1 else ""
        birth = Birth(self._moved.user, self._ttl_ms)
        commit_id = self._commit_id()
        delta = first_delta(self._store, self._moved.state, parts[0], birth, commit_id=commit_id, half_of=half_of)
        await self._write(delta, parts, len(entries))

    async def _write(self, delta: Delta, parts: Sequence[list[bytes]], total: int) -> None:
        """The first part's commit, and those of the rest."""
        version = await self._store.write(self._key, delta, None, [])
        done = total - sum(len(part) for part in parts[1:])
        await write_parts(
            self._store,
            self._key,
            parts[1:],
            version,
            source=self._digest.hex(),
            done=done,
            total=total,
            commit_id=self._commit_id,
        )

    async def _renew(self, record: Record) -> Fate:
        """Nothing new but, perhaps, the expiry; on this very version, so that a turn's is never shortened."""
        if self._mapping.ttl_ms is not None:
            return "unchanged"
        left = record.expires_ms - round(time.time() * 1000)
        if bool(record.expires_ms) == bool(self._ttl_ms) and (
            not self._ttl_ms or abs(left - self._ttl_ms) <= max(_SLACK_MS, self._ttl_ms // 20)
        ):
            return "unchanged"
        delta = Delta(
            self._commit_id(),  # a new ttl is a new version, and this one is the import's too
            incarnation=record.incarnation,
            base=record.version,
            strict=True,
            existence="must",
            ttl_ms=self._ttl_ms,
        )
        await self._store.write(self._key, delta, None, [])
        return "renewed"

    async def _advance(self, record: Record) -> Fate:
        """The source has changed, and nobody has used the session here: append what is new, or begin it anew."""
        new = self._moved
        old = await self._stored()
        common = overlap(old, self._meanings())
        follows = common == len(old) or common == len(new.messages) > 0 or common > 1
        if not follows or new.user != record.user:
            await self._replace(record)
            return "replaced"
        entries = [self._store.message_codec.encode(message) for message in new.messages[common:]]
        parts = list(in_parts(entries)) or [[]]
        state = State(self._store.codec, record.fields, max_keys=self._store.settings.max_keys)
        state.replace(new.state)
        if len(parts) > 1:
            state[HALF] = half_mark(self._digest.hex(), len(old) + len(parts[0]))
        delta = Delta(
            self._commit_id(),
            incarnation=record.incarnation,
            base=record.version,
            strict=True,
            changes=state.changes(),
            appends=parts[0],
            outcome=b"\x00",
            existence="must",
            ttl_ms=self._ttl_ms,
        )
        await self._write(delta, parts, len(old) + len(entries))
        return "extended"

    async def _meet(self, record: Record) -> Fate:
        """A version that this key's import did not make: it is left alone, unless it may be overwritten."""
        if self._overwrite:
            await self._replace(record)
            return "replaced"
        new = self._meanings()
        if new and contains(await self._stored(), new):
            return "kept"
        if not new and self._moved.state == dict(State(self._store.codec, record.fields)):
            return "kept"
        raise Unusable(
            "diverged",
            f"session {self._key.id!r} is there, and is not what this key's import made: it was used in Holdfast since, or comes "
            "from elsewhere, and the source holds what it does not; it was left alone (--overwrite replaces it)",
        )

    async def _replace(self, record: Record) -> None:
        """Ends the session's life and begins the next, holding its lease, so that no turn runs or waits meanwhile."""
        self._check_writable()
        backend, token = self._store.backend, os.urandom(8)
        lease_ms = self._store.settings.lease_ms
        request = BeginRequest(_TURN, token, b"moving in", b"", "", Birth(), lease_ms, 0, 0)
        granted = await backend.begin(self._key, request)
        if not isinstance(granted, Granted):
            raise Unusable(
                "busy", f"a turn of session {self._key.id!r} is running; the import left it alone, run it again"
            )
        deleted = False
        try:
            held = granted.record
            if not isinstance(held, Record) or held.version != record.version or held.incarnation != record.incarnation:
                raise TurnConflict(f"session {self._key.id!r}: another writer was faster")
            waiting = await backend.overdue(limit=10_000)
            if any(turn.key == self._key and turn.turn_id != _TURN for turn in waiting):
                raise Unusable("busy", f"session {self._key.id!r} has an accepted turn that no node has finished yet")
            deleted = await self._store.delete(self._key.id)
        finally:
            if not deleted:
                await backend.release(self._key, _TURN, token=token, withdraw=True)
        await self._create()

    def _check_writable(self) -> None:
        """Raises `InvalidInput` where the store would refuse it, while what is there is still there."""
        for message in self._moved.messages:
            self._store.message_codec.encode(message)
        fresh = State(self._store.codec, max_keys=self._store.settings.max_keys)
        fresh.update(self._moved.state)
        fresh.changes()

    # --- comparing ---

    async def _stored(self) -> list[bytes]:
        """What each message of the stored log says."""
        meaning = self._store.message_codec.meaning
        return [meaning(message) async for message in self._store.messages(self._key.id, page=1000)]

    def _meanings(self) -> list[bytes]:
        """The same of the source's messages, as they would be read back."""
        return [self._store.message_codec.meaning(message) for message in self._moved.messages]
