"""How the mutants of `holdfast.testing.mutants` are made: patches of `holdfast.backends.rules` and of `MemoryBackend`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from holdfast.backends import memory, rules
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import AlreadyThere, Conflict, Gone, WrongUserFound
from holdfast.backends.rules import Head

Apply = Callable[[], AbstractContextManager[Any]]


def rule(name: str, function: Callable[..., Any]) -> Apply:
    """Replaces one function of `rules`."""
    return lambda: patch.object(rules, name, function)


def method(name: str, function: Callable[..., Any]) -> Apply:
    """Replaces one method of `MemoryBackend`."""
    return lambda: patch.object(MemoryBackend, name, function)


def within(name: str, inner: str, function: Callable[..., Any]) -> Apply:
    """Replaces method ``inner`` of a `MemoryBackend` while its method ``name`` runs."""
    original = getattr(MemoryBackend, name)

    async def mutated(self: Any, *args: Any, **options: Any) -> Any:
        self.__dict__[inner] = function
        try:
            return await original(self, *args, **options)
        finally:
            del self.__dict__[inner]

    return method(name, mutated)


def after(name: str, spoil: Callable[..., None]) -> Apply:
    """Lets a function of `rules` do its work and then spoils it: ``spoil(head, ...)`` gets the same arguments."""
    original = getattr(rules, name)

    def mutated(*args: Any) -> Any:
        done = original(*args)
        spoil(*args)
        return done

    return rule(name, mutated)


@contextmanager
def no_fence_in_commit() -> Iterator[None]:
    refusal = rules.refusal

    def mutated(*args: Any) -> Any:
        with patch.object(rules, "fence_stands", lambda head, fence: True):
            return refusal(*args)

    with patch.object(rules, "refusal", mutated):
        yield


@contextmanager
def no_fence_in_journal() -> Iterator[None]:
    with patch.object(rules, "holds", lambda head, turn_id, fence: True):
        yield


@contextmanager
def overslept_is_fenced() -> Iterator[None]:
    held = MemoryBackend._held

    def mutated(self: Any, key: Any, turn_id: str, fence: int, lease_ms: int) -> Any:
        life, now = self._living(key)
        return None if life is None or life.head.lease_ms <= now else held(self, key, turn_id, fence, lease_ms)

    with patch.object(MemoryBackend, "_held", mutated):
        yield


@contextmanager
def fences_restart() -> Iterator[None]:
    granting = MemoryBackend._admit

    def mutated(self: Any, key: Any, life: Any, mine: Any, request: Any, now: int) -> Any:
        self._fence = 0 if life is None else life.head.fence >> rules.FENCE_BITS
        return granting(self, key, life, mine, request, now)

    with patch.object(MemoryBackend, "_admit", mutated):
        yield


def without_field_counters(head: Any, delta: Any, counter_of: Any) -> Any:
    return None if rules.on_base(head, delta) or not delta.strict else Conflict()


def on_any_counter(head: Head | None, delta: Any) -> bool:
    if head is None or head.counter == 0:
        return delta.base is None
    return delta.base is not None and bool(delta.base.counter == head.counter)


def lost_under_the_current_counter(head: Head | None, delta: Any) -> bool:
    if not delta.rooted or delta.base is None:
        return True
    return bool(delta.base.counter <= (0 if head is None else head.counter))


def ttl_is_a_touch(delta: Any) -> bool:
    return not (delta.fence or delta.changes or delta.appends or delta.outcome)


@contextmanager
def late_seen_check() -> Iterator[None]:
    """The base is asked about before the repeat is recognised."""
    commit = MemoryBackend.commit

    async def mutated(self: Any, key: Any, delta: Any) -> Any:
        life, _ = self._living(key)
        if life is not None and (refused := rules.base_refusal(life.head, delta, lambda n: memory._counter(life, n))):
            return refused
        return await commit(self, key, delta)

    with patch.object(MemoryBackend, "commit", mutated):
        yield


def any_life(head: Any, delta: Any) -> Any:
    if head is None:
        return Gone() if delta.existence == "must" else None
    if delta.existence == "must" and not delta.fence and head.counter == 0:
        return Gone()
    return WrongUserFound() if rules.users_differ(head, delta.birth.user) else None


@contextmanager
def blind_to_existence() -> Iterator[None]:
    refusal = rules.refusal

    def mutated(head: Any, delta: Any, pending: Any, counter_of: Any) -> Any:
        refused = refusal(head, delta, pending, counter_of)
        return None if isinstance(refused, AlreadyThere) else refused

    with patch.object(rules, "refusal", mutated):
        yield


@contextmanager
def half_commit() -> Iterator[None]:
    with patch.object(MemoryBackend, "_store", lambda *_: None):
        yield


def applying(spoil: Callable[..., Any]) -> Apply:
    original = MemoryBackend._apply

    def mutated(self: Any, life: Any, delta: Any, *rest: Any) -> Any:
        return spoil(lambda: original(self, life, delta, *rest), life, delta)

    return method("_apply", mutated)


def drop_merged(apply: Callable[[], Any], life: Any, delta: Any) -> Any:
    if not rules.on_base(life.head, delta):
        delta.appends = []
    return apply()


def drop_input(apply: Callable[[], Any], life: Any, delta: Any) -> Any:
    if delta.turn_id in life.pending:
        life.pending[delta.turn_id].entry = b""
    return apply()


def keep_stamps(apply: Callable[[], Any], life: Any, delta: Any) -> Any:
    stamps = {name: field.counter for name, field in life.fields.items()}
    done = apply()
    for change in delta.changes:
        if change.name in life.fields and change.name in stamps:
            life.fields[change.name] = life.fields[change.name]._replace(counter=stamps[change.name])
    return done


def removals_ignored(apply: Callable[[], Any], life: Any, delta: Any) -> Any:
    delta.changes = [change for change in delta.changes if change.value is not None]
    return apply()


@contextmanager
def journal_lost() -> Iterator[None]:
    granting = MemoryBackend._granted

    def mutated(self: Any, life: Any, mine: Any, request: Any, now: int) -> Any:
        grant = granting(self, life, mine, request, now)
        return grant if grant.attempt == 1 else _emptied(life, mine, grant)

    def _emptied(life: Any, mine: Any, grant: Any) -> Any:
        life.journal.pop(mine.turn_id, None)
        grant.steps = []
        return grant

    with patch.object(MemoryBackend, "_granted", mutated):
        yield


@contextmanager
def journal_left() -> Iterator[None]:
    apply = MemoryBackend._apply

    def mutated(self: Any, life: Any, delta: Any, *rest: Any) -> Any:
        journal = life.journal.get(delta.turn_id)
        done = apply(self, life, delta, *rest)
        if journal is not None:
            life.journal[delta.turn_id] = journal
        return done

    with patch.object(MemoryBackend, "_apply", mutated):
        yield


@contextmanager
def any_token() -> Iterator[None]:
    release = MemoryBackend.release

    async def mutated(self: Any, key: Any, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        life, _ = self._living(key)
        if life is not None and turn_id in life.pending:
            token = life.pending[turn_id].token
        await release(self, key, turn_id, token=token, withdraw=withdraw)

    with patch.object(MemoryBackend, "release", mutated):
        yield


@contextmanager
def not_slid() -> Iterator[None]:
    advance = rules.advance

    def mutated(head: Head, *rest: Any) -> None:
        expires = head.expires_ms
        advance(head, *rest)
        head.expires_ms = expires

    with patch.object(rules, "advance", mutated):
        yield


def hold_for_ever(head: Head, *_: Any) -> None:
    head.hold_ms = max(head.hold_ms, 1 << 50)


@contextmanager
def resolve_reads_only() -> Iterator[None]:
    resolve = MemoryBackend.resolve

    async def mutated(self: Any, key: Any, op: Any, *, fence: int = 0, age_ms: int = 0) -> Any:
        return await resolve(self, key, op, fence=-1 if isinstance(op, str) else fence, age_ms=age_ms)

    with patch.object(MemoryBackend, "resolve", mutated):
        yield


@contextmanager
def resolve_fences_anybody() -> Iterator[None]:
    resolve = MemoryBackend.resolve

    async def mutated(self: Any, key: Any, op: Any, *, fence: int = 0, age_ms: int = 0) -> Any:
        return await resolve(self, key, op, fence=1 << 60, age_ms=age_ms)

    with patch.object(MemoryBackend, "resolve", mutated):
        yield


@contextmanager
def one_ring() -> Iterator[None]:
    store = MemoryBackend._store

    def mutated(self: Any, life: Any, op: Any, outcome: Any, now: int) -> None:
        store(self, life, op, outcome, now)
        life.outcomes[op] = outcome
        while len(life.outcomes) > self._limits.turns:
            life.outcomes.pop(next(iter(life.outcomes)))

    with patch.object(MemoryBackend, "_store", mutated):
        yield
