"""Random walks of several runners over a few sessions, each answer compared with `holdfast.testing.model`.

A walk is a list of `Step`; the same list over the same backend is the same walk. They come from a seed, or from Hypothesis,
which shrinks a failing walk to its essence::

    await play(backend, random_steps(seed=1, count=200), clock)

    @given(steps())
    def test_walks(walk):
        clock = FakeClock()
        asyncio.run(play(MyBackend(clock), walk, clock))

With a `FakeClock`, time passes too: leases run out, sessions expire. Without one, nothing does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    ANY,
    Birth,
    Change,
    Committed,
    Delta,
    Granted,
    Record,
    SessionKey,
    Unchanged,
    Version,
)
from holdfast.errors import MissingExtra
from holdfast.testing.calls import asking, new_commit_id, new_token, of_user, scanned
from holdfast.testing.clock import FakeClock
from holdfast.testing.model import Model

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

LEASE_MS: Final = 10_000
PLACE_MS: Final = 15_000
PAUSES_MS: Final = (1, 1_000, 4_999, 5_000, LEASE_MS - 1, LEASE_MS, PLACE_MS, 40_000, 59_999, 75_000, 200_000)
"""What a `pass` step may let pass; chosen to hit the ends of leases, places, ttls and holds."""

PARKS_MS: Final = (5_000, 40_000, 200_000)
"""How long a turn is parked; the longest is past every ttl."""

KEPT_MS: Final = (5_000, PLACE_MS, 75_000)
"""How long events are kept."""

SESSIONS: Final[Mapping[SessionKey, Birth]] = {
    SessionKey("acme", "s-0"): Birth("ann", ttl_ms=20_000),
    SessionKey("acme", "s-1"): Birth("", ttl_ms=30_000, max_age_ms=100_000),
    SessionKey("", "s-0"): Birth("ann"),
}
"""The sessions of a walk and what they are born with (without a clock: no ttl)."""

ACTIONS: Final = (
    *("begin", "begin", "begin", "begin", "takeover", "finish", "finish", "finish", "record", "renew", "release"),
    *("withdraw", "update", "update", "merge", "create", "delay", "delay-finish", "deliver", "deliver", "repeat"),
    *("resolve", "resolve", "touch", "look", "delete", "pass", "pass"),
    *("park", "park", "signal", "signal", "say", "say", "say", "follow", "renew"),
)
"""Kinds of steps, as often as they are likely."""


class Step(NamedTuple):
    """One step; the numbers are taken modulo what there is to choose from."""

    action: str
    session: int
    turn: int
    runner: int
    value: int


class Hand(NamedTuple):
    """What a runner was granted, perhaps long ago."""

    key: SessionKey
    turn_id: str
    token: bytes
    grant: Granted
    seen: Record | None


def random_steps(seed: int, count: int) -> list[Step]:
    """``count`` steps by dice with this seed."""
    dice = random.Random(seed)
    return [
        Step(dice.choice(ACTIONS), dice.randrange(3), dice.randrange(3), dice.randrange(3), dice.randrange(60))
        for _ in range(count)
    ]


def steps(max_size: int = 60) -> SearchStrategy[list[Step]]:
    """A Hypothesis strategy of walks. Raises `MissingExtra` where Hypothesis is not installed."""
    try:
        from hypothesis import strategies
    except ImportError as error:
        raise MissingExtra("walks by Hypothesis need it: pip install hypothesis") from error
    few, many = strategies.integers(0, 2), strategies.integers(0, 59)
    one = strategies.builds(Step, strategies.sampled_from(ACTIONS), few, few, few, many)
    return strategies.lists(one, max_size=max_size)


async def play(backend: Backend, walk: Sequence[Step], clock: FakeClock | None = None) -> Counter[str]:
    """Takes every step on an empty store and compares each answer with the model.

    Returns how often each kind of answer came. Raises `AssertionError` with the steps so far at the first difference.
    """
    scene = _Scene(backend, clock)
    for number, step in enumerate(walk):
        try:
            await scene.take(step)
            await scene.look_around()
        except AssertionError as error:
            trail = "\n".join(map(repr, walk[: number + 1]))
            raise AssertionError(f"{error}\nafter the steps\n{trail}") from error
    await scene.look_everywhere()
    return scene.answers


class _Scene:
    def __init__(self, backend: Backend, clock: FakeClock | None) -> None:
        self.backend = backend
        self.clock = clock
        self.model = Model(clock or (lambda: 1))
        self.hands: list[Hand] = []
        self.sent: list[tuple[SessionKey, Delta]] = []
        self.delayed: list[tuple[SessionKey, Delta]] = []
        self.seen: dict[SessionKey, Record] = {}
        self.applied: set[bytes] = set()
        self.twice: set[bytes] = set()
        """Commit ids that were applied in two lives: a base of that name may be either."""
        self.tokens: dict[tuple[SessionKey, str, int, bytes], bytes] = {}
        self.answers: Counter[str] = Counter()
        self.actions: dict[str, Callable[[SessionKey, Step], Any]] = {
            "begin": self.begin,
            "takeover": self.begin,
            "finish": self.finish,
            "record": self.journal,
            "renew": self.journal,
            "release": self.release,
            "withdraw": self.release,
            "update": self.update,
            "merge": self.update,
            "create": self.update,
            "touch": self.delete_or_look,
            "look": self.delete_or_look,
            "delete": self.delete_or_look,
            "delay": self.update,
            "delay-finish": self.finish,
            "deliver": self.deliver,
            "repeat": self.deliver,
            "resolve": self.resolve,
            "park": self.park,
            "signal": self.signal,
            "say": self.say,
            "follow": self.follow,
            "pass": self.pause,
        }

    async def take(self, step: Step) -> None:
        key = list(SESSIONS)[step.session % len(SESSIONS)]
        await self.actions[step.action](key, step)

    def birth(self, key: SessionKey, step: Step) -> Birth:
        user = "bob" if step.value % 13 == 12 else SESSIONS[key].user
        return Birth(user) if self.clock is None else msgspec.structs.replace(SESSIONS[key], user=user)

    def token(self, key: SessionKey, step: Step) -> bytes:
        """The runner's own token for a turn, another one in each life of the session."""
        life = self.model.living(key)
        place = (key, f"t{step.turn}", step.runner, life.incarnation if life is not None else b"")
        return self.tokens.setdefault(place, new_token())

    # --- steps ---

    async def begin(self, key: SessionKey, step: Step) -> None:
        turn_id, birth = f"t{step.turn}", self.birth(key, step)
        request = asking(
            turn_id,
            token=self.token(key, step),
            text=b"another input" if step.value % 11 == 10 else None,
            takeover=step.action == "takeover",
            lease_ms=LEASE_MS,
            place_ms=PLACE_MS if step.value % 3 else 0,
            tail=1_000,
        )
        request.birth = birth
        reply = await self.backend.begin(key, request)
        self.same(reply, self.model.begin(key, request, reply))
        if isinstance(reply, Granted):
            assert not isinstance(reply.record, Unchanged)
            self.tokens.pop((key, turn_id, step.runner, b""), None)
            self.tokens[key, turn_id, step.runner, reply.incarnation] = request.token
            self.hands.append(Hand(key, turn_id, request.token, reply, reply.record))

    async def finish(self, key: SessionKey, step: Step) -> None:
        if not self.hands:
            return
        hand = self.hands[-1 - step.value % min(4, len(self.hands))]
        delta = self.delta(hand.seen if step.value % 5 else self.seen.get(hand.key), step)
        delta.turn_id, delta.fence, delta.incarnation = hand.turn_id, hand.grant.fence, hand.grant.incarnation
        delta.appends, delta.outcome = [b"reply to " + hand.turn_id.encode()], b"outcome"
        if step.action == "finish":
            await self.commit(hand.key, delta)
        else:
            self.delayed.append((hand.key, delta))

    async def update(self, key: SessionKey, step: Step) -> None:
        seen = self.seen.get(key)
        delta = self.delta(seen, step)
        delta.birth = self.birth(key, step)
        if step.action == "create":
            delta.existence = "new"
        elif step.action == "merge" and seen is not None:
            delta.existence, delta.incarnation = "must", seen.incarnation
        if step.value % 17 == 16 and self.clock is not None:
            delta.ttl_ms = 25_000
        if step.action == "delay":
            self.delayed.append((key, delta))
        else:
            await self.commit(key, delta)

    def delta(self, seen: Record | None, step: Step) -> Delta:
        """Changes made on what was seen (perhaps long ago), blindly, or strictly."""
        value, name = step.value, f"f{step.value % 3}"
        if seen is not None and seen.version.commit_id in self.twice:
            seen = None
        counter = seen.fields[name].counter if seen is not None and name in seen.fields else 0
        base: Version | None = seen.version if seen is not None else None
        if base is not None and value % 29 == 28:  # a version that a failover lost
            base = Version(base.counter + step.turn, new_commit_id())
        return Delta(
            commit_id=new_commit_id(),
            base=base,
            strict=value % 7 == 6,
            rooted=value % 3 == 2,
            changes=[Change(name, None if value % 9 == 8 else b"%d" % value, ANY if value % 4 == 3 else counter)],
            appends=[b"note %d" % value] if value % 2 else [],
        )

    async def commit(self, key: SessionKey, delta: Delta) -> None:
        self.sent.append((key, delta))
        copy = msgspec.structs.replace(delta, changes=list(delta.changes), appends=list(delta.appends))
        reply = await self.backend.commit(key, copy)  # a copy, so that the backend cannot spoil what the model reads
        self.same(reply, self.model.commit(key, delta, reply))
        if isinstance(reply, Committed):
            (self.twice if delta.commit_id in self.applied else self.applied).add(delta.commit_id)

    async def deliver(self, key: SessionKey, step: Step) -> None:
        """A delayed commit arrives, or one that was sent before arrives again."""
        if step.action == "deliver" and self.delayed:
            await self.commit(*self.delayed.pop(step.value % len(self.delayed)))
        elif step.action == "repeat" and self.sent:
            await self.commit(*self.sent[-1 - step.value % min(6, len(self.sent))])

    async def resolve(self, key: SessionKey, step: Step) -> None:
        known = self.delayed + self.sent[-3:]
        if not known:
            return
        key, delta = known[step.value % len(known)]
        op: str | bytes = delta.turn_id if delta.fence else delta.commit_id
        reply = await self.backend.resolve(key, op, fence=delta.fence)
        self.same(reply, self.model.resolve(key, op, delta.fence))

    async def journal(self, key: SessionKey, step: Step) -> None:
        if not self.hands:
            return
        hand = self.hands[-1 - step.value % min(4, len(self.hands))]
        fence, entry = hand.grant.fence, (f"step-{step.turn}", b"%d" % step.value)
        if step.action == "renew":
            for _ in range(2):  # what it tells, it tells again
                reply = await self.backend.renew(hand.key, hand.turn_id, fence=fence, lease_ms=LEASE_MS)
                self.same(reply, self.model.journal(hand.key, hand.turn_id, fence, None, LEASE_MS))
        else:
            name, value = entry
            reply = await self.backend.record(
                hand.key, hand.turn_id, fence=fence, name=name, value=value, lease_ms=LEASE_MS
            )
            self.same(reply, self.model.journal(hand.key, hand.turn_id, fence, entry, LEASE_MS))

    async def park(self, key: SessionKey, step: Step) -> None:
        if not self.hands:
            return
        hand = self.hands[-1 - step.value % min(2, len(self.hands))]
        fence, name, for_ms = hand.grant.fence, _signal_name(step), PARKS_MS[step.turn]
        reply = await self.backend.park(hand.key, hand.turn_id, fence=fence, name=name, for_ms=for_ms)
        self.same(reply, self.model.park(hand.key, hand.turn_id, fence, name, for_ms))

    async def signal(self, key: SessionKey, step: Step) -> None:
        """To a turn by its name, to all ahead of it, or to whoever waits for it; mostly where many are there to hear it."""
        name, value, turn_id = _signal_name(step), b"signal %d" % step.value, f"t{step.turn}"
        if step.value % 4:
            key = max(SESSIONS, key=lambda key: len(self.line(key)))
            turn_id = self.line(key)[-1] if step.runner == 1 and self.line(key) else turn_id
        turn_id, ahead = turn_id if step.runner else "", step.runner == 1
        reply = await self.backend.signal(key, name, value, turn_id=turn_id, ahead=ahead)
        self.same(reply, self.model.signal(key, name, value, turn_id, ahead))

    def line(self, key: SessionKey) -> list[str]:
        """The session's accepted turns in the order of arrival."""
        life = self.model.living(key)
        return [] if life is None else list(life.waiting)

    async def say(self, key: SessionKey, step: Step) -> None:
        if not self.hands:
            return
        hand = self.hands[-1 - step.value % min(4, len(self.hands))]
        fence, chunk, keep_ms = hand.grant.fence, b"event %d" % step.value, KEPT_MS[step.turn]
        reply = await self.backend.append_events(hand.key, hand.turn_id, fence=fence, chunk=chunk, keep_ms=keep_ms)
        self.same(reply, self.model.append_events(hand.key, hand.turn_id, fence, chunk, keep_ms))
        await self.follow(hand.key, step)

    async def follow(self, key: SessionKey, step: Step) -> None:
        """Reads on where somebody had come to who perhaps followed another attempt, or another turn."""
        fence = self.hands[-1 - step.value % min(4, len(self.hands))].grant.fence if self.hands else 0
        for turn_id in ("t0", "t1", "t2"):
            reply = await self.backend.read_events(key, turn_id, fence=fence, start=step.runner)
            self.same(reply, self.model.read_events(key, turn_id, fence, step.runner))

    async def release(self, key: SessionKey, step: Step) -> None:
        turn_id, token, withdraw = f"t{step.turn}", self.token(key, step), step.action == "withdraw"
        if step.value % 3 == 0 and self.hands:  # somebody who was granted it, perhaps in a former life
            key, turn_id, token, *_ = self.hands[step.value % len(self.hands)]
        await self.backend.release(key, turn_id, token=token, withdraw=withdraw)
        self.model.release(key, turn_id, token, withdraw)

    async def delete_or_look(self, key: SessionKey, step: Step) -> None:
        if step.action == "delete" and step.value % 3 == 0:  # not too often: little happens in short lives
            self.same(await self.backend.delete(key), self.model.delete(key))
            return
        seen = self.model.record(key)
        if seen is not None:
            reply = await self.backend.load(key, tail=1, known=seen.version)
            self.same(reply, Unchanged(seen.expires_ms))
            self.seen[key] = seen

    async def pause(self, key: SessionKey, step: Step) -> None:
        if self.clock is not None:
            self.clock.advance_ms(PAUSES_MS[step.value % len(PAUSES_MS)])

    # --- comparing ---

    async def look_around(self) -> None:
        for key in SESSIONS:
            self.same(await self.backend.load(key, tail=1_000), self.model.record(key))
        if self.clock is not None:
            found = {(turn.key, turn.turn_id, turn.since_ms) for turn in await self.backend.overdue()}
            self.same(found, self.model.overdue())

    async def look_everywhere(self) -> None:
        for tenant in {key.tenant for key in SESSIONS}:
            records = {key: self.model.record(key) for key in SESSIONS if key.tenant == tenant}
            living = {key.id: record for key, record in records.items() if record is not None}
            self.same(set(await scanned(self.backend, tenant)), set(living))
            of_ann = {id_ for id_, record in living.items() if record.user == "ann"}
            self.same(set(await of_user(self.backend, "ann", tenant)), of_ann)

    def same(self, actual: object, expected: object) -> None:
        timed = self.clock is not None
        self.answers[type(actual).__name__] += 1
        if type(actual) is not type(expected) or _plain(actual, timed) != _plain(expected, timed):
            raise AssertionError(f"the model expects\n  {expected!r}\nand the backend says\n  {actual!r}")


def _signal_name(step: Step) -> str:
    """Now and then the name of a step that runners journal themselves."""
    return f"step-{2 + step.value % 3}"


_TIMES: Final = ("now_ms", "created_ms", "expires_ms", "lease_left_ms", "left_ms")


def _plain(value: object, timed: bool) -> object:
    """The value in plain types; without times, where the model has no clock."""
    if isinstance(value, msgspec.Struct):
        names = [name for name in value.__struct_fields__ if timed or name not in _TIMES]
        return [type(value).__name__, *(_plain(getattr(value, name), timed) for name in names)]
    if isinstance(value, list):
        return [_plain(item, timed) for item in value]
    return value
