"""The backend's promises once more, as a small model in plain dicts: what each call must answer.

It restates `holdfast.backends.contract` without looking at `holdfast.backends.rules`, so that a mistake has to be made
twice to go unseen. It leaves out the limits of outcomes. What a backend chooses freely (incarnations, fences) it takes
from the actual reply, and checks that it is new, or higher than before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.backends.contract import HOLD_MS
from holdfast.backends.records import (
    ANY,
    Absent,
    AlreadyThere,
    BeginReply,
    BeginRequest,
    Birth,
    Busy,
    CommitReply,
    Committed,
    Conflict,
    Delta,
    EventChunks,
    Fenced,
    Field,
    Gone,
    Granted,
    Mismatch,
    Parked,
    Queued,
    Record,
    Rejected,
    Replay,
    ResolveReply,
    Running,
    Seen,
    SessionKey,
    Signalled,
    StoredOutcome,
    Version,
    WrongUserFound,
)


@dataclass
class Waiting:
    """An accepted turn."""

    token: bytes
    fingerprint: bytes
    entry: bytes
    place_until: int = 0
    due: int = 0
    attempt: int = 0
    steps: dict[str, bytes] = field(default_factory=dict)
    parked: str | None = None
    """The name of the signal that it waits for, until it is due."""


@dataclass
class Said:
    """The events that a session keeps."""

    turn_id: str
    fence: int
    until: int = 0
    chunks: list[bytes] = field(default_factory=list)


@dataclass
class Life:
    """One life of a session."""

    incarnation: bytes
    birth: Birth
    created: int
    ttl: int
    expires: int
    held_until: int = 0
    commits: list[bytes] = field(default_factory=list)
    fields: dict[str, Field] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    """In the order of arrival."""
    runner: str = ""
    lease_until: int = 0
    fence: float = 0
    told: bool = False
    """The runner was signalled since it was granted."""
    said: Said | None = None
    done: dict[str | bytes, tuple[StoredOutcome, bytes]] = field(default_factory=dict)
    """Outcome and fingerprint by turn id or commit id."""

    def version(self) -> Version:
        return Version(len(self.commits), self.commits[-1])


class Model:
    """Says what each call must answer, given what it answered where the backend is free to choose."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lives: dict[SessionKey, Life] = {}
        self._barred: set[tuple[SessionKey, bytes]] = set()
        self._incarnations: set[bytes] = set()
        self._highest: dict[SessionKey, float] = {}

    def living(self, key: SessionKey) -> Life | None:
        """The session's life now; drops one that has expired and is not held."""
        life = self._lives.get(key)
        if life is not None and life.expires and self._clock() >= life.expires:
            held = bool(life.waiting) and self._clock() < life.held_until
            if not held:
                del self._lives[key]
                return None
        return life

    def record(self, key: SessionKey) -> Record | None:
        """What `load` must bring, with the whole log."""
        life = self.living(key)
        if life is None or not life.commits:
            return None
        return Record(
            incarnation=life.incarnation,
            version=life.version(),
            user=life.birth.user,
            created_ms=life.created,
            expires_ms=life.expires,
            ttl_ms=life.ttl,
            fields=dict(life.fields),
            tail=list(life.log),
            total=len(life.log),
        )

    def overdue(self) -> set[tuple[SessionKey, str, int]]:
        """Session, turn id and due time of every accepted turn that nobody holds."""
        lives = [(key, self.living(key)) for key in list(self._lives)]
        return {
            (key, turn_id, mine.due)
            for key, life in lives
            if life is not None
            for turn_id, mine in life.waiting.items()
            if mine.due <= self._clock()
        }

    # --- turns ---

    def begin(self, key: SessionKey, request: BeginRequest, actual: BeginReply) -> BeginReply:
        now, life = self._clock(), self.living(key)
        if (
            life is not None
            and "" not in (life.birth.user, request.birth.user)
            and life.birth.user != request.birth.user
        ):
            return WrongUserFound()
        if life is not None and request.turn_id in life.done:
            stored, fingerprint = life.done[request.turn_id]
            return Replay(stored) if request.fingerprint in (b"", fingerprint) else Mismatch()
        mine = life.waiting.get(request.turn_id) if life is not None else None
        if mine is None and not request.fingerprint:
            return Absent()
        if mine is not None and request.fingerprint not in (b"", mine.fingerprint):
            return Mismatch()
        if life is not None:
            leased = life.runner != "" and now < life.lease_until
            left = max(0, life.lease_until - now) if life.runner else 0
            if mine is not None and leased and life.runner == request.turn_id:
                if mine.token != request.token:
                    return Running(left)
                return self._grant(life, mine, key, request, actual)
            if mine is not None and mine.parked is not None and now < mine.due:
                return Parked(mine.due - now)
            line = list(life.waiting)
            before = line[: line.index(request.turn_id)] if mine is not None else line
            ahead = sum(now < life.waiting[turn_id].place_until for turn_id in before) + leased
            if ahead and not request.place_ms:
                return Busy(left)
            if ahead:
                mine = mine or self._accept(life, request)
                mine.token, mine.parked = request.token, None
                mine.place_until = mine.due = now + request.place_ms
                life.held_until = max(life.held_until, mine.due + HOLD_MS)
                return Queued(ahead, left)
        life = life or self._born(key, request.birth, getattr(actual, "incarnation", b""))
        mine = mine or self._accept(life, request)
        fence = getattr(actual, "fence", 0)
        assert fence > self._highest.get(key, 0), f"fence {fence} is not above {self._highest.get(key)}"
        self._highest[key] = life.fence = fence
        life.runner, life.told = request.turn_id, False
        life.lease_until = mine.due = now + request.lease_ms
        life.held_until = max(life.held_until, mine.due + HOLD_MS)
        mine.token, mine.place_until, mine.parked = request.token, 0, None
        mine.attempt += 1
        return self._grant(life, mine, key, request, actual)

    def _accept(self, life: Life, request: BeginRequest) -> Waiting:
        life.waiting[request.turn_id] = Waiting(request.token, request.fingerprint, request.entry)
        return life.waiting[request.turn_id]

    def _grant(self, life: Life, mine: Waiting, key: SessionKey, request: BeginRequest, actual: BeginReply) -> Granted:
        return Granted(
            fence=int(life.fence),
            attempt=mine.attempt,
            incarnation=life.incarnation,
            now_ms=self._clock(),
            record=self.record(key),
            steps=list(mine.steps.items()),
            entry=b"" if request.fingerprint and request.entry == mine.entry else mine.entry,
        )

    def _held(self, key: SessionKey, turn_id: str, fence: int) -> Life | None:
        """The session's life if this is its runner."""
        life = self.living(key)
        if life is None or turn_id not in life.waiting or life.runner != turn_id or life.fence != fence:
            return None
        return life

    def journal(
        self, key: SessionKey, turn_id: str, fence: int, step: tuple[str, bytes] | None, lease: int
    ) -> Fenced | Signalled | None:
        """`record`, or `renew` where there is no step."""
        life = self._held(key, turn_id, fence)
        if life is None:
            return Fenced()
        life.lease_until = life.waiting[turn_id].due = self._clock() + lease
        life.held_until = max(life.held_until, life.lease_until + HOLD_MS)
        steps = life.waiting[turn_id].steps
        if step is not None:
            steps[step[0]] = step[1]
            return None
        return Signalled(list(steps.items())) if life.told else None

    def signal(self, key: SessionKey, name: str, value: bytes, turn_id: str, ahead: bool) -> tuple[str, ...]:
        life = self.living(key)
        if life is None:
            return ()
        line = list(life.waiting)
        if turn_id and turn_id not in line:
            return ()
        if ahead:
            before = line[: line.index(turn_id)]
            queued = {other for other in before if self._clock() < life.waiting[other].place_until}
            reached = [other for other in line if other != turn_id and (other in queued or other == life.runner)]
        elif turn_id:
            reached = [turn_id]
        else:
            reached = [other for other in line if life.waiting[other].parked == name][:1]
            reached = reached or [other for other in line if other == life.runner]
        for other in reached:
            mine = life.waiting[other]
            mine.steps.setdefault(name, value)
            if mine.parked is not None:
                mine.parked, mine.due = None, self._clock()
            if other == life.runner:
                life.told = True
        return tuple(reached)

    def park(self, key: SessionKey, turn_id: str, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        life = self._held(key, turn_id, fence)
        if life is None:
            return Fenced()
        mine = life.waiting[turn_id]
        if name in mine.steps:
            return mine.steps[name]
        self._let_go(life, turn_id)
        mine.parked, mine.due = name, self._clock() + for_ms
        mine.attempt -= 1
        life.held_until = max(life.held_until, mine.due + HOLD_MS)
        return None

    def release(self, key: SessionKey, turn_id: str, token: bytes, withdraw: bool) -> None:
        life = self.living(key)
        if life is None or turn_id not in life.waiting or life.waiting[turn_id].token != token:
            return
        self._let_go(life, turn_id)
        if withdraw:
            del life.waiting[turn_id]
            if not life.waiting and not life.commits:
                del self._lives[key]

    def _let_go(self, life: Life, turn_id: str) -> None:
        mine = life.waiting[turn_id]
        mine.token, mine.place_until, mine.due, mine.parked = b"", 0, self._clock(), None
        if life.runner == turn_id:
            life.runner, life.lease_until = "", 0

    def resolve(self, key: SessionKey, op: str | bytes, fence: int) -> ResolveReply:
        life = self.living(key)
        if life is not None and op in life.done:
            return life.done[op][0]
        if isinstance(op, bytes):
            self._barred.add((key, op))
        elif life is not None and op in life.waiting and life.fence <= fence:
            life.fence = fence + 0.5  # above the holder's, below any that will be given out
            self._let_go(life, op)
        return Rejected()

    # --- streams ---

    def append_events(self, key: SessionKey, turn_id: str, fence: int, chunk: bytes, keep: int) -> Fenced | None:
        life = self._held(key, turn_id, fence)
        if life is None:
            return Fenced()
        if life.said is None or life.said.fence != fence or self._clock() >= life.said.until:
            life.said = Said(turn_id, fence)
        life.said.chunks.append(chunk)
        life.said.until = self._clock() + keep
        return None

    def read_events(self, key: SessionKey, turn_id: str, fence: int, start: int) -> EventChunks:
        life = self.living(key)
        if life is None or life.said is None or life.said.turn_id != turn_id or self._clock() >= life.said.until:
            return EventChunks()
        first = start if life.said.fence == fence else 0
        return EventChunks(life.said.fence, first, life.said.chunks[first:])

    # --- commits ---

    def commit(self, key: SessionKey, delta: Delta, actual: CommitReply) -> CommitReply:
        life = self.living(key)
        op: str | bytes = delta.turn_id if delta.fence else delta.commit_id
        if life is None and (delta.fence or delta.incarnation or delta.existence == "must"):
            return Gone()
        if life is not None:
            if delta.incarnation not in (b"", life.incarnation):
                return Gone()
            if delta.existence == "must" and not delta.fence and not life.commits:
                return Gone()
            if "" not in (life.birth.user, delta.birth.user) and life.birth.user != delta.birth.user:
                return WrongUserFound()
            if op in life.done:
                return Seen(life.done[op][0])
        if not delta.fence and (key, delta.commit_id) in self._barred:
            return Fenced()
        if delta.existence == "new" and life is not None and life.commits:
            return AlreadyThere()
        if delta.fence and (life is None or delta.turn_id not in life.waiting or life.fence != delta.fence):
            return Fenced()
        current = life.version() if life is not None and life.commits else None
        lost = delta.base is not None and delta.base.counter >= (current.counter if current else 0)
        if delta.rooted and lost and current != delta.base and not delta.strict:
            return Conflict(tuple(c.name for c in delta.changes))
        if current != delta.base:
            stored = {} if life is None else {name: value.counter for name, value in life.fields.items()}
            clashes = tuple(c.name for c in delta.changes if c.counter not in (ANY, stored.get(c.name, 0)))
            if delta.strict or clashes:
                return Conflict(() if delta.strict else clashes)
        life = life or self._born(key, delta.birth, getattr(actual, "incarnation", b""))
        return self._apply(life, delta, op, current == delta.base)

    def _apply(self, life: Life, delta: Delta, op: str | bytes, on_base: bool) -> Committed:
        now, start = self._clock(), len(life.log)
        ended = life.waiting.pop(delta.turn_id) if delta.fence else None
        if ended is not None:
            life.runner, life.lease_until = "", 0
            life.log += [ended.entry] if ended.entry else []
        life.log += delta.appends
        life.commits.append(delta.commit_id)
        for change in delta.changes:
            life.fields.pop(change.name, None)
            if change.value is not None:
                life.fields[change.name] = Field(change.value, len(life.commits))
        life.ttl = life.ttl if delta.ttl_ms is None else delta.ttl_ms
        life.expires = _ends(now, life.created, life.ttl, life.birth.max_age_ms)
        if not life.waiting:
            life.held_until = 0
        stored = StoredOutcome(delta.outcome, life.version(), start, life.log[start:])
        life.done[op] = (stored, b"" if ended is None else ended.fingerprint)
        return Committed(life.version(), life.incarnation, start, life.expires, now, on_base)

    def delete(self, key: SessionKey) -> bool:
        life = self.living(key)
        if life is not None:
            del self._lives[key]
        return life is not None and bool(life.commits)

    def _born(self, key: SessionKey, birth: Birth, incarnation: bytes) -> Life:
        assert len(incarnation) == 16, f"{incarnation!r} is no incarnation"
        assert incarnation not in self._incarnations, "an incarnation was used twice"
        self._incarnations.add(incarnation)
        now = self._clock()
        expires = _ends(now, now, birth.ttl_ms, birth.max_age_ms)
        self._lives[key] = Life(incarnation, birth, now, birth.ttl_ms, expires)
        return self._lives[key]


def _ends(now: int, created: int, ttl: int, max_age: int) -> int:
    slid, capped = now + ttl, created + max_age
    if ttl and max_age:
        return min(slid, capped)
    return slid if ttl else capped if max_age else 0
