"""The contract's decisions as plain functions without I/O, shared by the backends that run in Python.

A backend loads a `Head` (and a `Pending`), asks here what to do, and writes. `redis/functions/*.lua` states the same rules in
Lua; the contract suite holds both to one behaviour.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from holdfast.backends.contract import HOLD_MS
from holdfast.backends.records import (
    ANY,
    NEVER,
    AlreadyThere,
    BeginRequest,
    Birth,
    Conflict,
    Delta,
    Fenced,
    Gone,
    Version,
    WrongUserFound,
)

FENCE_BITS: Final = 16
"""Random bits at the low end of a fence. A Redis function counts exactly up to 2^53, so 2^37 grants a partition remain."""

PARKED: Final = 9
"""Bytes of a parked turn's token; see `parked_token`."""

NO_COMMIT: Final = bytes(16)
"""The commit id of a session that was born by `begin` and has no commit yet."""


class Head(msgspec.Struct):
    """What a session's life is, beside its fields and its log."""

    incarnation: bytes
    user: str
    created_ms: int
    ttl_ms: int
    max_age_ms: int
    expires_ms: int
    hold_ms: int = NEVER
    """Pending turns keep the session alive until then."""
    counter: int = 0
    commit_id: bytes = NO_COMMIT
    total: int = 0
    fence: int = 0
    """The highest fence given out in this life."""
    running: str = ""
    """The turn id that was last granted and not yet ended."""
    lease_ms: int = 0
    """When its lease runs out."""
    turns: int = 0
    """Stored outcomes of turns so far; the next one's place in their ring."""
    updates: int = 0
    """The same for updates."""
    dropped_ms: int = 0
    """The youngest outcome that a ring has dropped was stored then."""
    signalled: bool = False
    """The running turn was signalled since it was granted."""

    @property
    def version(self) -> Version:
        return Version(self.counter, self.commit_id)


class Pending(msgspec.Struct):
    """One accepted turn that is not finished."""

    turn_id: str
    token: bytes
    order: int
    """Place in the order of arrival."""
    fingerprint: bytes
    handler: str
    entry: bytes
    place_ms: int = 0
    """Until when its place in the queue counts; 0 when it is not waiting."""
    attempt: int = 0
    due_ms: int = 0
    """From when on it is overdue: the end of its lease or place."""


def born(birth: Birth, incarnation: bytes, now: int) -> Head:
    """A new life. It has no commit yet and only lives as long as a pending turn holds it."""
    return Head(
        incarnation=incarnation,
        user=birth.user,
        created_ms=now,
        ttl_ms=birth.ttl_ms,
        max_age_ms=birth.max_age_ms,
        expires_ms=slid(now, now, birth.ttl_ms, birth.max_age_ms),
    )


def new_incarnation(seed: bytes) -> bytes:
    """Sixteen bytes that no other life has: eight of whoever gives birth (see the contract), and eight of the store's."""
    return seed[:8].ljust(8, b"\x00") + os.urandom(8)


def seed_of(commit_id: bytes) -> bytes:
    """What a commit that gives birth puts into the incarnation."""
    return commit_id[4:12]


def slid(now: int, created: int, ttl: int, max_age: int) -> int:
    """``min(now + ttl, created + max_age)``, where 0 means without limit."""
    ends = [end for end, limit in ((now + ttl, ttl), (created + max_age, max_age)) if limit != NEVER]
    return min(ends) if ends else NEVER


def ends_ms(head: Head) -> int:
    """When this life ends if nobody comes: its expiry, or the hold of a pending turn if that is later."""
    return NEVER if head.expires_ms == NEVER else max(head.expires_ms, head.hold_ms)


def alive(head: Head, now: int) -> bool:
    ends = ends_ms(head)
    return ends == NEVER or now < ends


def visible(head: Head, now: int) -> bool:
    """A session shows itself from its first commit on."""
    return head.counter > 0 and alive(head, now)


def users_differ(head: Head, asked: str) -> bool:
    return asked != "" and head.user != "" and head.user != asked


def leased_to_another(head: Head, turn_id: str, now: int) -> bool:
    return head.running != "" and head.running != turn_id and now < head.lease_ms


def leased_to(head: Head, turn_id: str, now: int) -> bool:
    return head.running == turn_id and now < head.lease_ms


def lease_left(head: Head, now: int) -> int:
    return max(0, head.lease_ms - now) if head.running else 0


def ahead_of(order: int, others: Iterable[Pending], now: int) -> int:
    """How many live places stand before this one; a place that ran out stalls nobody."""
    return sum(1 for other in others if other.order < order and now < other.place_ms)


def same_input(stored: bytes, asked: bytes) -> bool:
    return asked == b"" or stored == asked


def grant(head: Head, mine: Pending, request: BeginRequest, fence: int, now: int) -> None:
    """Gives the session to this turn (changes ``head`` and ``mine``)."""
    head.fence = fence
    head.running = mine.turn_id
    head.signalled = False
    head.lease_ms = now + request.lease_ms
    mine.token = request.token
    mine.place_ms = 0
    mine.attempt += 1
    mine.due_ms = head.lease_ms
    hold(head, head.lease_ms)


def enqueue(head: Head, mine: Pending, request: BeginRequest, now: int) -> None:
    """Gives the turn a place in the queue, or keeps it (changes ``head`` and ``mine``)."""
    mine.token = request.token
    mine.place_ms = mine.due_ms = now + request.place_ms
    hold(head, mine.place_ms)


def fence_of(number: int, token: bytes) -> int:
    """The fence of the ``number``-th grant: it rises with the number, and carries two random bytes of the runner's token.

    A failover that loses grants has the new primary count them a second time. Without the random bytes two runners would hold
    one and the same fence, and both would pass.
    """
    return number << FENCE_BITS | int.from_bytes(token[:2].ljust(2, b"\0"), "little")


def park(head: Head, mine: Pending, name: str, for_ms: int, now: int) -> None:
    """Lets go of a running turn until ``name`` is signalled (changes ``head`` and ``mine``)."""
    let_go(head, mine, now)
    mine.token = parked_token(name)
    mine.due_ms = now + for_ms
    mine.attempt = max(0, mine.attempt - 1)
    hold(head, mine.due_ms)


def parked_token(name: str) -> bytes:
    """What a parked turn has in the place of its runner's token, which has 8 bytes: which name it waits for, in 9."""
    return b"P" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def is_parked(mine: Pending, now: int) -> bool:
    return len(mine.token) == PARKED and now < mine.due_ms


def signalled(head: Head, pending: Iterable[Pending], name: str, turn_id: str, ahead: bool, now: int) -> list[Pending]:
    """The turns that `Turns.signal` is for, in order of arrival."""
    turns = sorted(pending, key=lambda turn: turn.order)
    named = [turn for turn in turns if turn.turn_id == turn_id]
    if not turn_id:
        waiting = [turn for turn in turns if turn.token == parked_token(name)]
        return waiting[:1] or [turn for turn in turns if turn.turn_id == head.running]
    if not ahead or not named:
        return [] if ahead else named
    return [
        turn
        for turn in turns
        if turn.turn_id != turn_id
        and (turn.turn_id == head.running or (now < turn.place_ms and turn.order < named[0].order))
    ]


def wake(mine: Pending, now: int) -> None:
    """A parked turn that is signalled becomes due (changes ``mine``)."""
    if len(mine.token) == PARKED:
        mine.token, mine.due_ms = b"", now


def hold(head: Head, until: int) -> None:
    head.hold_ms = max(head.hold_ms, until + HOLD_MS)


def fence_stands(head: Head, fence: int) -> bool:
    """Is this still the highest fence? A lease that ran out without being overtaken still stands."""
    return head.fence == fence


def holds(head: Head, turn_id: str, fence: int) -> bool:
    """May this holder journal and renew? Yes until it is overtaken or lets go, also if it overslept."""
    return head.running == turn_id and fence_stands(head, fence)


def life_refusal(head: Head | None, delta: Delta) -> Gone | WrongUserFound | None:
    """Is this the life that the commit was made in? Asked first; ``head`` None means that there is no living session."""
    if head is None:
        return Gone() if delta.existence == "must" or delta.incarnation or delta.fence else None
    if delta.existence == "must" and not delta.fence and head.counter == 0:
        return Gone()
    if delta.incarnation and delta.incarnation != head.incarnation:
        return Gone()
    return WrongUserFound() if users_differ(head, delta.birth.user) else None


def refusal(
    head: Head | None, delta: Delta, pending: Pending | None, counter_of: Callable[[str], int]
) -> AlreadyThere | Fenced | Conflict | None:
    """Why a commit of the right life, not seen before, cannot be applied; or None.

    ``counter_of``: a field's stored counter, 0 where it is absent.
    """
    if head is not None and (delta.existence == "unborn" or (delta.existence == "new" and head.counter > 0)):
        return AlreadyThere()
    if delta.fence and (head is None or pending is None or not fence_stands(head, delta.fence)):
        return Fenced()
    return base_refusal(head, delta, counter_of)


def base_refusal(head: Head | None, delta: Delta, counter_of: Callable[[str], int]) -> Conflict | None:
    if on_base(head, delta):
        return None
    if delta.strict:
        return Conflict()
    if not may_be_ancestor(head, delta):
        return Conflict(tuple(change.name for change in delta.changes))
    names = tuple(
        change.name for change in delta.changes if change.counter != ANY and change.counter != counter_of(change.name)
    )
    return Conflict(names) if names else None


def on_base(head: Head | None, delta: Delta) -> bool:
    """Is ``delta.base`` the current version? A base of None is the version of a session without a commit."""
    if head is None or head.counter == 0:
        return delta.base is None
    return delta.base == head.version


def may_be_ancestor(head: Head | None, delta: Delta) -> bool:
    """False where a rooted commit's base, which is not the current version, cannot be an earlier one either."""
    if not delta.rooted or delta.base is None:
        return True
    return delta.base.counter < (0 if head is None else head.counter)


def is_touch(delta: Delta) -> bool:
    return not (delta.fence or delta.changes or delta.appends or delta.outcome or delta.ttl_ms is not None)


def advance(head: Head, delta: Delta, added: int, pending_left: bool, now: int) -> None:
    """Moves ``head`` past an applied commit that wrote ``added`` log entries (changes ``head``)."""
    if delta.ttl_ms is not None:
        head.ttl_ms = delta.ttl_ms
    head.expires_ms = slid(now, head.created_ms, head.ttl_ms, head.max_age_ms)
    if not is_touch(delta):
        head.counter += 1
        head.commit_id = delta.commit_id
        head.total += added
    if delta.fence:
        head.running, head.lease_ms = "", 0
    if not pending_left:
        head.hold_ms = NEVER


def let_go(head: Head, mine: Pending, now: int) -> None:
    """Gives up the lease or the place of a turn, which stays pending (changes ``head`` and ``mine``)."""
    if head.running == mine.turn_id:
        head.running, head.lease_ms = "", 0
    mine.token, mine.place_ms, mine.due_ms = b"", 0, now


def extend(head: Head, mine: Pending, lease_ms: int, now: int) -> None:
    """Renews a lease whose fence stands (changes ``head`` and ``mine``)."""
    head.running = mine.turn_id
    head.lease_ms = mine.due_ms = now + lease_ms
    hold(head, head.lease_ms)


def may_be_dropped(head: Head, age_ms: int, now: int, limit_ms: int = NEVER) -> bool:
    """Could an outcome stored in the last ``age_ms`` have been pushed out of its ring, or be past its age limit?"""
    return head.dropped_ms >= now - age_ms or (limit_ms != NEVER and age_ms >= limit_ms)
