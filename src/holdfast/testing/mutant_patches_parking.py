"""How the mutants of signals, of parking and of events are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from holdfast.backends import rules
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import Signalled
from holdfast.backends.rules import Head, Pending
from holdfast.testing.mutant_patches import Apply, method, rule


def spoiling(name: str, spoil: Callable[..., Any]) -> Apply:
    """``spoil(original, backend, key, ...)`` stands for one method of `MemoryBackend`."""
    original = getattr(MemoryBackend, name)

    async def mutated(self: Any, *args: Any, **options: Any) -> Any:
        return await spoil(original, self, *args, **options)

    return method(name, mutated)


# --- signals ---


def reaching(choose: Callable[..., list[Pending] | None]) -> Apply:
    """``choose(head, turns, name, turn_id, ahead, now)`` says which turns a signal is for, or None: those of the rule."""
    original = rules.signalled

    def mutated(head: Head, pending: Any, *rest: Any) -> list[Pending]:
        turns = sorted(pending, key=lambda turn: turn.order)
        found = choose(head, turns, *rest)
        return original(head, turns, *rest) if found is None else found

    return rule("signalled", mutated)


def those_behind_too(head: Head, turns: list[Pending], name: str, turn_id: str, ahead: bool, now: int) -> Any:
    there = ahead and any(turn.turn_id == turn_id for turn in turns)
    return [turn for turn in turns if turn.turn_id != turn_id and not rules.is_parked(turn, now)] if there else None


def those_parked_too(head: Head, turns: list[Pending], name: str, turn_id: str, ahead: bool, now: int) -> Any:
    ids = [turn.turn_id for turn in turns]
    return turns[: ids.index(turn_id)] if ahead and turn_id in ids else None


def the_running_one(head: Head, turns: list[Pending], name: str, turn_id: str, ahead: bool, now: int) -> Any:
    return None if turn_id else [turn for turn in turns if turn.turn_id == head.running]


def any_parked_one(head: Head, turns: list[Pending], name: str, turn_id: str, ahead: bool, now: int) -> Any:
    return None if turn_id else [turn for turn in turns if rules.is_parked(turn, now)][:1] or None


def the_last_parked_one(head: Head, turns: list[Pending], name: str, turn_id: str, ahead: bool, now: int) -> Any:
    return None if turn_id else [turn for turn in turns if turn.token == rules.parked_token(name)][-1:] or None


async def last_signal_wins(signal: Any, self: Any, key: Any, name: str, value: bytes, **to: Any) -> Any:
    reached = await signal(self, key, name, value, **to)
    for turn_id in reached:
        self._lives[key].journal[turn_id][name] = value
    return reached


async def never_told(renew: Any, self: Any, *args: Any, **options: Any) -> Any:
    reply = await renew(self, *args, **options)
    return None if isinstance(reply, Signalled) else reply


async def told_once(renew: Any, self: Any, key: Any, *args: Any, **options: Any) -> Any:
    reply = await renew(self, key, *args, **options)
    if isinstance(reply, Signalled):
        self._lives[key].head.signalled = False
    return reply


@contextmanager
def told_ever_after() -> Iterator[None]:
    grant = rules.grant

    def mutated(head: Head, *rest: Any) -> None:
        signalled = head.signalled
        grant(head, *rest)
        head.signalled = signalled

    with patch.object(rules, "grant", mutated):
        yield


# --- parking ---


async def deaf_park(park: Any, self: Any, key: Any, turn_id: str, *, fence: int, name: str, for_ms: int) -> Any:
    """Parks although the signal is there: nobody wakes the turn any more."""
    reply = await park(self, key, turn_id, fence=fence, name=name, for_ms=for_ms)
    if isinstance(reply, bytes):
        life, now = self._living(key)
        rules.park(life.head, life.pending[turn_id], name, for_ms, now)
        return None
    return reply


async def without_check(call: Any, self: Any, *args: Any, **options: Any) -> Any:
    """The holder's fence is not looked at."""
    with patch.object(rules, "holds", lambda head, turn_id, fence: True):
        return await call(self, *args, **options)


def counted(head: Head, mine: Pending, *_: Any) -> None:
    mine.attempt += 1


def due_at_once(head: Head, mine: Pending, name: str, for_ms: int, now: int) -> None:
    mine.due_ms = now


def in_its_place(head: Head, mine: Pending, *_: Any) -> None:
    mine.place_ms = mine.due_ms


def with_its_lease(head: Head, mine: Pending, *_: Any) -> None:
    head.running, head.lease_ms = mine.turn_id, mine.due_ms


@contextmanager
def park_without_hold() -> Iterator[None]:
    park = rules.park

    def mutated(*args: Any) -> None:
        with patch.object(rules, "hold", lambda head, until: None):
            park(*args)

    with patch.object(rules, "park", mutated):
        yield


# --- events ---


async def behind_those_of_others(append: Any, self: Any, key: Any, turn_id: str, *, fence: int, **rest: Any) -> Any:
    life, _ = self._living(key)
    before = list(life.events.chunks) if life is not None and life.events and life.events.fence != fence else []
    refused = await append(self, key, turn_id, fence=fence, **rest)
    if refused is None:
        life.events.chunks[:0] = before
    return refused


async def kept_for_ever(append: Any, self: Any, *args: Any, keep_ms: int, **rest: Any) -> Any:
    return await append(self, *args, keep_ms=1 << 50, **rest)


async def kept_from_the_first(append: Any, self: Any, key: Any, *args: Any, fence: int, **rest: Any) -> Any:
    life, now = self._living(key)
    events = life.events if life is not None else None
    until = events.until_ms if events and events.fence == fence and now < events.until_ms else None
    refused = await append(self, key, *args, fence=fence, **rest)
    if refused is None and until is not None:
        life.events.until_ms = until
    return refused


async def renewed_by_events(append: Any, self: Any, key: Any, turn_id: str, *, fence: int, **rest: Any) -> Any:
    refused = await append(self, key, turn_id, fence=fence, **rest)
    if refused is None:
        self._held(key, turn_id, fence, 600_000)
    return refused


async def read_from_the_start(read: Any, self: Any, key: Any, turn_id: str, *, fence: int = 0, start: int = 0) -> Any:
    return await read(self, key, turn_id, fence=fence)


async def read_on_anyhow(read: Any, self: Any, key: Any, turn_id: str, *, fence: int = 0, start: int = 0) -> Any:
    kept = await read(self, key, turn_id)
    return await read(self, key, turn_id, fence=kept.fence, start=start)


async def read_of_any_turn(read: Any, self: Any, key: Any, turn_id: str, **rest: Any) -> Any:
    life, _ = self._living(key)
    turn_id = life.events.turn_id if life is not None and life.events else turn_id
    return await read(self, key, turn_id, **rest)


def events_end_with_their_turn(apply: Callable[[], Any], life: Any, delta: Any) -> Any:
    done = apply()
    if delta.fence:
        life.events = None
    return done


@contextmanager
def events_outlive_their_session() -> Iterator[None]:
    """The next life of the session shows them."""
    begun, delete = MemoryBackend._begun, MemoryBackend.delete
    left: dict[Any, Any] = {}

    async def deleting(self: Any, key: Any) -> bool:
        life, _ = self._living(key)
        left[key] = life.events if life is not None else None
        return await delete(self, key)

    def beginning(self: Any, key: Any, *rest: Any) -> Any:
        life = begun(self, key, *rest)
        life.events = left.pop(key, None)
        return life

    with patch.object(MemoryBackend, "delete", deleting), patch.object(MemoryBackend, "_begun", beginning):
        yield
