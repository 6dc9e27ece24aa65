"""The contract's `Turns` as functions over `Rows`; all but `overdue` run on the writer."""

from __future__ import annotations

import sqlite3

from holdfast.backends import rules
from holdfast.backends.records import (
    NEVER,
    Absent,
    BeginReply,
    BeginRequest,
    Busy,
    Fenced,
    Granted,
    Mismatch,
    Overdue,
    Parked,
    Queued,
    Rejected,
    Replay,
    ResolveReply,
    Running,
    SessionKey,
    Signalled,
    Unresolvable,
    WrongUserFound,
)
from holdfast.backends.rules import Pending
from holdfast.backends.sqlite.rows import Life, Rows, head_of
from holdfast.backends.sqlite.text import text


def begin(rows: Rows, key: SessionKey, request: BeginRequest) -> BeginReply:
    now = rows.now()
    life = rows.living_here(key, now)
    takeover = request.fingerprint == b""
    pending: dict[str, Pending] = {}
    if life is not None:
        if rules.users_differ(life.head, request.birth.user):
            return WrongUserFound()
        if done := rows.outcome(life, request.turn_id, now):
            if not rules.same_input(done.body.fingerprint, request.fingerprint):
                return Mismatch()
            return Replay(rows.stored(life, done))
        pending = rows.pending(life.sid, entry_of=request.turn_id)
    mine = pending.get(request.turn_id)
    if mine is None and takeover:
        return Absent()
    if mine is not None and not rules.same_input(mine.fingerprint, request.fingerprint):
        return Mismatch()
    if life is not None and (waits := _waits(rows, life, mine, pending, request, now)):
        return waits
    if life is None:
        life = rows.bear(key, request.birth, request.token, now)
    return _grant(rows, life, mine, pending, request, now)


def _waits(
    rows: Rows, life: Life, mine: Pending | None, pending: dict[str, Pending], request: BeginRequest, now: int
) -> Running | Granted | Parked | Queued | Busy | None:
    """Why the turn cannot have the session now (or has it already); None where it can."""
    head = life.head
    if mine is not None and rules.leased_to(head, mine.turn_id, now):
        if mine.token != request.token:
            return Running(rules.lease_left(head, now))
        return _granted(rows, life, mine, request, now)
    if mine is not None and rules.is_parked(mine, now):
        return Parked(mine.due_ms - now)
    order = mine.order if mine is not None else _next_order(pending)
    ahead = rules.ahead_of(order, pending.values(), now)
    leased = rules.leased_to_another(head, request.turn_id, now)
    if not (leased or ahead):
        return None
    if not request.place_ms:
        return Busy(rules.lease_left(head, now))
    known = mine is not None
    mine = mine or _new(request, order)
    rules.enqueue(head, mine, request, now)
    _keep(rows, life, mine, known)
    return Queued(ahead + leased, rules.lease_left(head, now))


def _grant(
    rows: Rows, life: Life, mine: Pending | None, pending: dict[str, Pending], request: BeginRequest, now: int
) -> Granted:
    # Read before the first write: a corrupt session refuses the turn and changes nothing.
    record = rows.snapshot(life, request.tail, request.known)
    known = mine is not None
    mine = mine or _new(request, _next_order(pending))
    rules.grant(life.head, mine, request, rows.next_fence(life), now)
    _keep(rows, life, mine, known)
    reply = _granted(rows, life, mine, request, now, with_record=False, fresh=not known)
    reply.record = record
    return reply


def _granted(
    rows: Rows,
    life: Life,
    mine: Pending,
    request: BeginRequest,
    now: int,
    *,
    with_record: bool = True,
    fresh: bool = False,
) -> Granted:
    return Granted(
        fence=life.head.fence,
        attempt=mine.attempt,
        incarnation=life.head.incarnation,
        now_ms=now,
        record=rows.snapshot(life, request.tail, request.known) if with_record else None,
        steps=[] if fresh else rows.steps(life.sid, mine.turn_id),
        entry=b"" if request.fingerprint and mine.entry == request.entry else mine.entry,
    )


def _next_order(pending: dict[str, Pending]) -> int:
    return max((other.order for other in pending.values()), default=0) + 1


def _new(request: BeginRequest, order: int) -> Pending:
    return Pending(
        turn_id=request.turn_id,
        token=request.token,
        order=order,
        fingerprint=request.fingerprint,
        handler=request.handler,
        entry=request.entry,
    )


def _keep(rows: Rows, life: Life, mine: Pending, known: bool) -> None:
    if known:
        rows.save_pending(life.sid, mine)
    else:
        rows.accept(life.sid, mine)
    rows.save(life)


def record(
    rows: Rows, key: SessionKey, turn_id: str, fence: int, name: str, value: bytes, lease_ms: int
) -> Fenced | None:
    life = _held(rows, key, turn_id, fence, lease_ms)
    if life is None:
        return Fenced()
    rows.put_step(life.sid, turn_id, name, value)
    return None


def renew(rows: Rows, key: SessionKey, turn_id: str, fence: int, lease_ms: int) -> Fenced | Signalled | None:
    life = _held(rows, key, turn_id, fence, lease_ms)
    if life is None:
        return Fenced()
    return Signalled(rows.steps(life.sid, turn_id)) if life.head.signalled else None


def _held(rows: Rows, key: SessionKey, turn_id: str, fence: int, lease_ms: int) -> Life | None:
    now = rows.now()
    life = rows.living_here(key, now)
    if life is None or not rules.holds(life.head, turn_id, fence):
        return None
    mine = rows.pending(life.sid).get(turn_id)
    if mine is None:
        return None
    rules.extend(life.head, mine, lease_ms, now)
    rows.save_pending(life.sid, mine)
    rows.save(life)
    return life


def signal(rows: Rows, key: SessionKey, name: str, value: bytes, turn_id: str, ahead: bool) -> tuple[str, ...]:
    now = rows.now()
    life = rows.living_here(key, now)
    if life is None:
        return ()
    head = life.head
    reached = rules.signalled(head, rows.pending(life.sid).values(), name, turn_id, ahead, now)
    for mine in reached:
        rows.put_first_step(life.sid, mine.turn_id, name, value)
        rules.wake(mine, now)
        rows.save_pending(life.sid, mine)
        if mine.turn_id == head.running and not head.signalled:
            head.signalled = True
            rows.save(life)
    if reached:
        rows.hint(key, b"signal")
    return tuple(mine.turn_id for mine in reached)


def park(rows: Rows, key: SessionKey, turn_id: str, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
    now = rows.now()
    life = rows.living_here(key, now)
    if life is None or not rules.holds(life.head, turn_id, fence):
        return Fenced()
    if (value := rows.step(life.sid, turn_id, name)) is not None:
        return value
    mine = rows.pending(life.sid).get(turn_id)
    if mine is None:
        return Fenced()
    rules.park(life.head, mine, name, for_ms, now)
    rows.save_pending(life.sid, mine)
    rows.save(life)
    rows.hint(key, b"release")
    return None


def release(rows: Rows, key: SessionKey, turn_id: str, token: bytes, withdraw: bool) -> None:
    now = rows.now()
    life = rows.living_here(key, now)
    pending = rows.pending(life.sid) if life is not None else {}
    mine = pending.pop(turn_id, None)
    if life is None or mine is None or mine.token != token:
        return
    rules.let_go(life.head, mine, now)
    if withdraw:
        rows.forget_pending(life.sid, turn_id)
        if not pending:
            life.head.hold_ms = NEVER
    else:
        rows.save_pending(life.sid, mine)
    if withdraw and not pending and life.head.counter == 0:
        rows.remove(life.sid)
    else:
        rows.save(life)
    rows.hint(key, b"release")


def resolve(rows: Rows, key: SessionKey, op: str | bytes, fence: int, age_ms: int) -> ResolveReply:
    now = rows.now()
    life = rows.living_here(key, now)
    if life is not None and (seen := rows.outcome(life, op, now)):
        return rows.stored(life, seen)
    if isinstance(op, bytes) and rows.is_rejected(key, op, now):
        return Rejected()
    mine = rows.pending(life.sid).get(op) if life is not None and isinstance(op, str) else None
    if life is not None and mine is not None and life.head.fence <= fence:
        # Certain, whatever a ring has dropped: this attempt's commit would have ended the pending turn.
        life.head.fence = rows.next_fence(life)
        rules.let_go(life.head, mine, now)
        rows.save_pending(life.sid, mine)
        rows.save(life)
        rows.hint(key, b"release")
        return Rejected()
    if life is not None and rules.may_be_dropped(life.head, age_ms, now, rows.limits.age_ms):
        return Unresolvable()
    if isinstance(op, bytes):
        rows.reject(key, op, now)
    return Rejected()


def overdue(rows: Rows, limit: int) -> list[Overdue]:
    """Walks the index on due times; a turn whose session has expired but is not yet swept is passed over."""
    now = rows.now()
    found: list[Overdue] = []
    for tenant, id_, head, turn_id, handler, attempt, due in _due(rows.db, now):
        if len(found) == limit:
            break
        key = SessionKey(text(tenant), text(id_))
        if rules.alive(head_of(head, key), now):
            found.append(Overdue(key, text(turn_id), text(handler), attempt, due))
    return found


def _due(db: sqlite3.Connection, now: int) -> sqlite3.Cursor:
    return db.execute(
        "SELECT s.tenant, s.id, s.head, p.turn_id, p.handler, p.attempt, p.due"
        " FROM pending AS p JOIN session AS s ON s.sid = p.sid WHERE p.due <= ? ORDER BY p.due",
        (now,),
    )
