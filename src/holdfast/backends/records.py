"""What goes into a backend and what comes out of it: keys, versions, requests, answers.

All times are whole milliseconds by the *store's* clock (Unix epoch); durations are milliseconds.
Names of state fields and ids are text; every value is bytes.

What every turn makes is kept from the garbage collector (``gc=False``): it holds no way back to itself, and is freed without.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

NEVER: Final = 0
"""As a time: never. As a duration: without limit."""

ANY: Final = -1
"""As a `Change.counter`: write whatever the field holds now (last writer wins, for this field)."""


class SessionKey(NamedTuple):
    """A session's place: the tenant (may be ``""``) and the id (1 to 256 characters, opaque)."""

    tenant: str
    id: str


class Version(NamedTuple):
    """The counter orders; the random 128-bit commit id identifies (two sides of a fork share a counter)."""

    counter: int
    commit_id: bytes


class Field(NamedTuple):
    """One stored state field and the counter of the commit that wrote it."""

    value: bytes
    counter: int


class Change(NamedTuple):
    """One changed field of a commit.

    ``value`` None removes it. ``counter`` is the stored counter that the change was made on: 0 for a field that
    was absent, `ANY` for a blind write.
    """

    name: str
    value: bytes | None
    counter: int


class Birth(msgspec.Struct, frozen=True):
    """What a session gets if this call is the one that creates it.

    ``user`` other than "" is also checked against a living session's user (`WrongUserFound`).
    """

    user: str = ""
    ttl_ms: int = NEVER
    max_age_ms: int = NEVER


class OutcomeLimits(msgspec.Struct, frozen=True):
    """How many stored outcomes a session keeps, and how long: a setting of every backend.

    ``turns`` and ``updates`` are counted apart, so that updates cannot push out the outcomes of turns.
    An outcome older than ``age_ms`` counts as unseen.
    """

    turns: int = 256
    updates: int = 64
    age_ms: int = 24 * 3600 * 1000


class Record(msgspec.Struct, gc=False):
    """One atomic snapshot of a session: its fields, the last log entries asked for, and the total."""

    incarnation: bytes
    version: Version
    user: str
    created_ms: int
    expires_ms: int
    ttl_ms: int
    fields: dict[str, Field]
    tail: list[bytes]
    total: int


class Unchanged(msgspec.Struct, frozen=True, gc=False):
    """The caller's known version is still the current one."""

    expires_ms: int


class StoredOutcome(msgspec.Struct):
    """A finished turn: the opaque outcome bytes and the log entries that it refers to.

    ``entries`` are log entries ``start`` to ``start + len(entries)``. They live in the log; the outcome holds only the range.
    """

    outcome: bytes
    version: Version
    start: int
    entries: list[bytes]


# --- begin ---------------------------------------------------------------------------------------------------------


class BeginRequest(msgspec.Struct, gc=False):
    """Asks for the right to run a turn. Repeating it with the same ``token`` is harmless.

    Attributes:
        turn_id: the caller's name for the turn.
        token: 8 random bytes, one for each runner of the turn; makes a repeated begin recognisable.
        fingerprint: at most 32 bytes that stand for the input. ``b""`` takes over whatever was accepted under this
            id and never accepts anew (a takeover by another node).
        entry: the input as a log entry; it enters the log at the commit. b"" accepts a turn without one.
        handler: name of a registered handler, or "".
        birth: used where the session does not exist.
        lease_ms: length of the lease.
        place_ms: how long a queued place counts without being asked for again; 0 asks not to wait (`Busy`).
        tail: how many log entries to bring.
        known: the version that the caller holds a copy of.
    """

    turn_id: str
    token: bytes
    fingerprint: bytes
    entry: bytes
    handler: str
    birth: Birth
    lease_ms: int
    place_ms: int
    tail: int
    known: Version | None = None


class Granted(msgspec.Struct, gc=False):
    """The turn may run. ``attempt`` counts from 1; ``steps`` is the journal of earlier attempts, in order.

    ``record`` is None where nothing has been committed yet. ``entry`` is the accepted input: always in a takeover; else
    where it is another than the request's (it means the same, and was made at another time), else b"".
    """

    fence: int
    attempt: int
    incarnation: bytes
    now_ms: int
    record: Record | Unchanged | None
    steps: list[tuple[str, bytes]]
    entry: bytes = b""


class Replay(msgspec.Struct):
    """The turn is finished already: this is what it stored."""

    stored: StoredOutcome


class Running(msgspec.Struct, frozen=True):
    """The same turn runs elsewhere; its lease ends in ``lease_left_ms`` unless it is renewed."""

    lease_left_ms: int


class Queued(msgspec.Struct, frozen=True):
    """The input is accepted and waits behind ``ahead`` others; ask again before the place runs out."""

    ahead: int
    lease_left_ms: int


class Busy(msgspec.Struct, frozen=True):
    """Another turn runs (or waits) and the caller did not want to wait. Nothing was stored."""

    lease_left_ms: int


class Mismatch(msgspec.Struct, frozen=True):
    """This turn id was used with another fingerprint."""


class Parked(msgspec.Struct, frozen=True):
    """The turn waits for something outside: for a signal, or for the time when it goes on without, in ``left_ms``."""

    left_ms: int


class Absent(msgspec.Struct, frozen=True):
    """A takeover found nothing accepted under this id."""


class WrongUserFound(msgspec.Struct, frozen=True):
    """The living session belongs to another user. Nothing was read or written."""


BeginReply = Granted | Replay | Running | Queued | Parked | Busy | Mismatch | Absent | WrongUserFound


# --- a running turn -----------------------------------------------------------------------------------------------


class Signalled(msgspec.Struct, frozen=True):
    """The lease was renewed, and the turn has been signalled since it was granted: its whole journal."""

    steps: list[tuple[str, bytes]]


class EventChunks(msgspec.Struct, frozen=True):
    """What is kept of a turn's events: the ``chunks`` of the attempt with this ``fence`` from the asked position on.

    ``fence`` 0: nothing is kept. ``start``: position of the first chunk; 0 where the attempt is another than the caller's.
    """

    fence: int = 0
    start: int = 0
    chunks: list[bytes] = []


# --- commit --------------------------------------------------------------------------------------------------------

Existence = Literal["may", "must", "new", "unborn"]
"""Whether the session ``may`` exist (created if not), ``must`` exist, or must be ``new``: without a commit, though a pending turn
may have given birth to it, which ``unborn`` rules out too."""


class Delta(msgspec.Struct, gc=False):
    """One atomic write: of a turn (``turn_id`` and ``fence`` set) or of an update outside a turn.

    Attributes:
        commit_id: 16 random bytes; the new version's identity, and the name by which an update is resolved.
        turn_id, fence: the turn that this ends, and the fence that it was granted; "" and 0 for an update.
        incarnation: the life that this was made in; b"" where any will do (updates only).
        base: the version that it was made on; None with blind changes only.
        strict: any other base is a conflict (else only fields that both sides changed).
        rooted: all of it was made on the base, which therefore has to be part of this session's history. A base that cannot
            be (another commit id under the current counter, or a higher counter: a failover lost it) is a conflict of
            every changed field; field counters say nothing then, because both sides of a fork count alike.
        changes: changed fields. appends: new log entries. A turn's accepted input is put before them.
        outcome: opaque bytes to store under the turn id (or under ``commit_id`` for an update).
        existence: see `Existence`. birth: used where the session is created here.
        ttl_ms: replaces the session's sliding ttl; None keeps it.

    A delta without changes, appends, outcome and ttl only moves the expiry (a touch) and keeps the version. A new ttl is a new
    version: a copy of the old one would tell the old ttl.
    """

    commit_id: bytes
    turn_id: str = ""
    fence: int = 0
    incarnation: bytes = b""
    base: Version | None = None
    strict: bool = False
    changes: list[Change] = []
    appends: list[bytes] = []
    outcome: bytes = b""
    existence: Existence = "may"
    birth: Birth = Birth()
    ttl_ms: int | None = None
    rooted: bool = False


class Committed(msgspec.Struct, gc=False):
    """Applied. ``on_base`` tells whether ``Delta.base`` was still current (nothing was merged in between).

    ``start`` is the log position of the first entry that this commit wrote.
    """

    version: Version
    incarnation: bytes
    start: int
    expires_ms: int
    now_ms: int
    on_base: bool


class Seen(msgspec.Struct):
    """This turn (or update) was committed before: nothing was written now."""

    stored: StoredOutcome


class Conflict(msgspec.Struct, frozen=True):
    """The base was overtaken, or was never part of this history (`Delta.rooted`).

    ``names`` are the fields that both sides changed (all that were to change, without a common history); empty where the base
    was strict.
    """

    names: tuple[str, ...] = ()


class Fenced(msgspec.Struct, frozen=True):
    """A higher fence was given out, or the turn was withdrawn or resolved as rejected."""


class Gone(msgspec.Struct, frozen=True):
    """That life of the session is over, or there is no session."""


class AlreadyThere(msgspec.Struct, frozen=True):
    """``existence="new"`` (or ``"unborn"``) met a living session."""


CommitReply = Committed | Seen | Conflict | Fenced | Gone | AlreadyThere | WrongUserFound


# --- resolve, log, listings ----------------------------------------------------------------------------------------


class Rejected(msgspec.Struct, frozen=True):
    """The write was not applied, and now never will be."""


class Unresolvable(msgspec.Struct, frozen=True):
    """Outcomes of that age may have been dropped already (`OutcomeLimits`): nobody can tell any more."""


ResolveReply = StoredOutcome | Rejected | Unresolvable


class LogPage(msgspec.Struct):
    """Log entries ``start`` to ``start + len(entries)`` of ``total``."""

    entries: list[bytes]
    start: int
    total: int


class Listing(msgspec.Struct):
    """One page of session ids. ``cursor`` asks for the next page; "" means that this was the last.

    A page may be empty before the last one.
    """

    ids: list[str]
    cursor: str


class Packed(msgspec.Struct, frozen=True):
    """What a packing moved into pages: so many log entries, their bytes, and by how many bytes the pages have grown."""

    entries: int = 0
    entry_bytes: int = 0
    page_bytes: int = 0


class Overdue(msgspec.Struct, frozen=True):
    """An accepted turn that nobody holds: its lease or its place has run out, or its runner let go of it."""

    key: SessionKey
    turn_id: str
    handler: str
    attempt: int
    since_ms: int


class Finding(msgspec.Struct, frozen=True):
    """One line of a backend's self-check. ``level`` "bad" means that promises do not hold; ``mend`` says what to do."""

    level: Literal["ok", "note", "bad"]
    subject: str
    text: str
    mend: str = ""
