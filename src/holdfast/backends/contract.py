"""The contract that every backend keeps. It is documented here once; `holdfast.testing` tests it.

Rules for all of them:

* A method ends by the backend's ``timeout`` (seconds), also on a frozen server. It raises `StoreUnavailable` where nothing
  was sent or the server refused, `StoreTimeout` where a read got no answer, `OutcomeUnknown` where a write got none,
  `StoreFull` where memory or disk is full, `CorruptRecord` for a damaged or half session. No driver retries underneath.
* A cancelled call never leaves its reply to another call. A cancelled write may have been applied.
* Missing is None. Expired is missing, to the millisecond, by the store's clock.
* A session is born (gets its 16-byte incarnation) with the first `Turns.begin` or `Sessions.commit` on its key and is
  visible to `load`, `scan` and `by_user` from its first commit on. Delete and expiry end that life: nothing that began in it
  can write into the next one.
* The first 8 bytes of an incarnation are its maker's: the token of the `begin`, or bytes 4 to 12 of the commit id. So whoever
  gives birth knows what to bind its values to before the store has answered.
* Every accepted turn counts as pending until it is committed, withdrawn or its session deleted. Pending turns keep
  their session alive for at least `HOLD_MS` past the end of their lease.
* Fences come from a counter that only rises, also over the lives of a session. Where a failover can lose grants, which are then
  counted again, they carry random bits of the runner's token too (`rules.fence_of`): one number never means two runners.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, runtime_checkable

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
    Overdue,
    Packed,
    Record,
    ResolveReply,
    SessionKey,
    Signalled,
    Unchanged,
    Version,
)

HOLD_MS: Final = 60_000
"""How long past its lease (or place) an accepted turn keeps its session from expiring, so that somebody can take it over."""


HINTS: Final = (b"commit", b"release", b"delete", b"signal", b"events")
"""What the store's own hints are. Callers may publish others."""


class Sessions(Protocol):
    """Whole sessions: load, commit, delete, pages of the log, listings."""

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        """One atomic snapshot with the last ``tail`` log entries, in one round trip.

        `Unchanged` where ``known`` is still the version (compared with its commit id).
        """
        ...

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        """One atomic step, checked in this order, before the first write:

        1. life: ``incarnation``, ``existence="must"`` (`Gone`), user (`WrongUserFound`);
        2. seen: an outcome is stored under the turn id / commit id (`Seen`, or `Fenced` if it was resolved as rejected);
        3. ``existence="new"`` or ``"unborn"`` (`AlreadyThere`); fence: still the highest, and the turn still pending (`Fenced`). A
           holder that merely overslept passes;
        4. base: version equal, or (not ``strict``) no changed field with another counter than given, and for a ``rooted``
           commit a base counter below the current one (`Conflict`).

        Then changed fields (stamped with the new counter), log entries (a turn's accepted input first), outcome, end of the
        lease, of the pending turn and of its journal, indexes, and the expiry of all of it: ``min(now + ttl, created + max_age)``.
        """
        ...

    async def delete(self, key: SessionKey) -> bool:
        """Ends the session's life with all that belongs to it. True if it was there."""
        ...

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        """Log entries from position ``start`` (0 is the oldest), at most ``count``; None where there is no session."""
        ...

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        """Ids of a tenant's living sessions, each at least once if it lives during the whole scan; from indexes."""
        ...

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        """Ids of a user's living sessions, most recently created or used first."""
        ...


class Turns(Protocol):
    """Accepting, leasing, journaling and resolving turns. Leases run by the store's clock."""

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        """Accepts the turn's input durably, and grants the session if it is this turn's time. In this order:

        1. user (`WrongUserFound`);
        2. a stored outcome: `Replay`, or `Mismatch` by fingerprint;
        3. the same id pending: `Mismatch` by fingerprint; running under another token: `Running`; under this token:
           `Granted` again with the same fence. Otherwise it keeps its place, its journal and its count of attempts;
        4. parked, and neither signalled nor due (`park`): `Parked`;
        5. a live lease of another turn, or a live place ahead of this one: `Queued` (a new turn goes to the end; the place
           counts for ``place_ms`` from now), or `Busy` with ``place_ms`` 0;
        6. `Granted`, with the next fence. A turn whose lease or place has run out stalls nobody; it stays pending.

        A takeover (fingerprint b"") of an id that is not pending and has no outcome is `Absent`.
        """
        ...

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        """Journals one step of a running turn, and renews its lease. The same name again overwrites (a repeat)."""
        ...

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        """Lengthens the lease to ``lease_ms`` from now. A lease that ran out but was not overtaken lives again.

        `Signalled` where `signal` has reached this turn since it was granted, each time.
        """
        ...

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        """Puts a step into the journal of pending turns, from outside: of

        * the turn ``turn_id``, whether it runs, waits or is parked; with ``ahead`` instead all that stand before it: the running
          one, and those with a live place before its own;
        * where no turn is named: of those parked for ``name`` the one that arrived first, else the running one.

        A step of this name that is there already stays as it is. A parked turn that it reaches becomes due at once.
        Returns the turns whose journal has the step now, in order of arrival; () where there is none. Gives a hint.
        """
        ...

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        """Lets go of a running turn until ``name`` is signalled, at the longest for ``for_ms``.

        bytes: the journal has a step of this name, and the turn runs on. None: it is parked. It stays pending and is not
        overdue before that; it stalls nobody, and this attempt is not counted. Its session lives `HOLD_MS` longer than the park.
        """
        ...

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        """Lets go of a lease or a queue place, if it is still this ``token``'s.

        ``withdraw`` forgets the accepted input and its journal; else the turn stays pending and may be begun again.
        """
        ...

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        """Settles a commit whose reply never came: ``op`` is a turn id, or the commit id of an update.

        The stored outcome; or, written down so that the delayed commit can never apply, `Rejected`: a turn's fence is
        raised (unless it is above ``fence`` already) and the turn stays pending, unleased; an update's id is marked.
        ``age_ms`` is how long ago the commit was first sent: `Unresolvable` if outcomes of that time may be dropped.
        """
        ...

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        """Pending turns that nobody holds, over all tenants, longest overdue first (within a partition).

        Whoever wants one begins it with fingerprint b"": of several that try, one is granted.
        """
        ...


class Streams(Protocol):
    """Events of the turn that a session runs, for whoever follows it on another node. Kept for a short time: nothing else
    depends on them. One turn's events a session: those of the next one take their place.
    """

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        """Adds a chunk behind those of this attempt; the first one of an attempt drops those of others.

        They are gone ``keep_ms`` after the last chunk, and with the session; what follows then is the first again. `Fenced` for
        any but the running turn's holder. Changes neither version, lease nor expiry. Gives a hint where somebody waits for the
        turn.
        """
        ...

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        """The chunks of a turn's last attempt that wrote any, from position ``start`` on if that attempt has this ``fence``, else
        all. Also after the end of the turn, while they are kept.
        """
        ...


class Watch(Protocol):
    """A subscription to one session's hints."""

    async def wait(self, timeout: float) -> bytes | None:
        """The next hint, or None after ``timeout`` seconds. Hints may be lost or doubled: poll as well."""
        ...


class Signals(Protocol):
    """Lossy hints that something changed in a session; never more than a reason to look sooner.

    A commit, release, park, delete or chunk of events on a session that a turn waits for publishes by itself; a signal does
    always. What a hint says: `HINTS`.
    """

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        """Sends a hint to whoever watches this session, on any node that the backend reaches."""
        ...

    def watch(self, key: SessionKey) -> AbstractAsyncContextManager[Watch]:
        """Subscribes for the length of the context."""
        ...


@runtime_checkable
class Packs(Protocol):
    """What only some backends do: keep older log entries compressed, many together. Who reads sees no difference."""

    async def pack(self, key: SessionKey) -> Packed:
        """Packs all of a session's log that can be packed now, beside turns that run. It is no commit: version and expiry
        stay. Nothing happens where there is no session, or nothing to pack.
        """
        ...


@runtime_checkable
class Scrubs(Protocol):
    """What only some backends do: get rid of what was deleted, where copies of it are left in files of theirs."""

    async def scrub(self) -> str:
        """After an erasure; it may take seconds. Returns what is left, and what to do about that; "" where nothing is."""
        ...


class Backend(Sessions, Turns, Streams, Signals, Protocol):
    """All four, and an end. Whoever opens a backend closes it."""

    name: str

    async def check(self) -> list[Finding]:
        """What the server is and what it can promise; for `holdfast store check`."""
        ...

    async def close(self) -> None:
        """Gives back connections, files and threads. Calls under way end with `StoreUnavailable`, later ones with `StoreClosed`."""
        ...
