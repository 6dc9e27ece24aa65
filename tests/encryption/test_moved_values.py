"""What rests in the store cannot be moved, cut, changed or put back: each try is an error, never another value."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from key_rings import encrypted

from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import Birth, Committed, Field, Record, SessionKey, StoredOutcome
from holdfast.encryption.backend import EncryptedBackend
from holdfast.encryption.envelope import ENTRY, INPUT, head_of
from holdfast.errors import CorruptRecord, NotEncrypted, UnreadableRecord
from holdfast.testing.calls import ending, got, granted, put, record_of, run_turn, update

TRIES = 10_000
SESSIONS, TURNS = 40, 8


class Tampered(MemoryBackend):
    """Shows one record that somebody has changed, in place of the real one."""

    shown: Record | None = None

    async def load(self, key: SessionKey, *, tail: int, known: object = None) -> Record | None:
        if self.shown is not None:
            return msgspec.structs.replace(self.shown, fields=dict(self.shown.fields), tail=list(self.shown.tail))
        return await super().load(key, tail=tail)  # type: ignore[return-value]


def _key(number: int) -> SessionKey:
    return SessionKey("acme", f"s-{number}")


async def _filled(inner: MemoryBackend, backend: EncryptedBackend) -> dict[SessionKey, Record]:
    """Sessions of three users, as they rest; each had a former life, in which the same fields and messages were written."""
    for number in range(SESSIONS):
        key, birth = _key(number), Birth(f"user-{number % 3}")
        for _ in range(2):
            await put(backend, {f"field-{n}": b"\x10\x00value" for n in range(4)}, key, birth=birth)
            for turn in range(TURNS):
                grant = await granted(backend, f"t-{number}-{turn}", key)
                sets = {"field-0": b"turn %d" % turn}
                base = grant.record.version if isinstance(grant.record, Record) else None
                done = ending(f"t-{number}-{turn}", grant, sets, appends=[b"one", b"two"], base=base)
                got(await backend.commit(key, done), Committed)
                if not turn % 3:
                    await put(backend, {}, key, appends=[b"by an update"])
            if "former" not in former_of(key):
                former_of(key)["former"] = await record_of(inner, key)
                await backend.delete(key)
    return {_key(number): await record_of(inner, _key(number)) for number in range(SESSIONS)}


_former: dict[SessionKey, dict[str, Record]] = {}


def former_of(key: SessionKey) -> dict[str, Record]:
    return _former.setdefault(key, {})


def _flip(value: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(value) * 8)
    return value[: at // 8] + bytes([value[at // 8] ^ 1 << at % 8]) + value[at // 8 + 1 :]


def _with_field(record: Record, name: str, value: bytes) -> Record:
    return msgspec.structs.replace(record, fields={**record.fields, name: Field(value, record.fields[name].counter)})


def _with_entry(record: Record, at: int, value: bytes) -> Record:
    return msgspec.structs.replace(record, tail=[*record.tail[:at], value, *record.tail[at + 1 :]])


def _is_update(record: Record, at: int) -> bool:
    head = head_of(record.tail[at], INPUT, ENTRY)
    return head.kind == ENTRY and head.place is not None and head.place.at == 0


Attack = Callable[[Record, Record, Record, random.Random], Record]


def _attacks() -> dict[str, Attack]:
    def name_of(record: Record, dice: random.Random) -> str:
        return dice.choice(sorted(record.fields))

    def place_of(record: Record, dice: random.Random) -> int:
        return dice.randrange(1, len(record.tail) - 1)

    def flip_field(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        name = name_of(mine, dice)
        return _with_field(mine, name, _flip(mine.fields[name].value, dice))

    def flip_entry(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        at = place_of(mine, dice)
        return _with_entry(mine, at, _flip(mine.tail[at], dice))

    def cut_field(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        name = name_of(mine, dice)
        value = mine.fields[name].value
        return _with_field(mine, name, value[: dice.randrange(len(value))])

    def cut_entry(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        at = place_of(mine, dice)
        return _with_entry(mine, at, mine.tail[at][: dice.randrange(len(mine.tail[at]))])

    def other_sessions_field(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        name = name_of(mine, dice)
        return _with_field(mine, name, other.fields[name].value)

    def other_field(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        one, two = dice.sample(sorted(mine.fields), 2)
        return _with_field(_with_field(mine, one, mine.fields[two].value), two, mine.fields[one].value)

    def former_lifes_field(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        name = name_of(mine, dice)
        return _with_field(mine, name, old.fields[name].value)

    def other_sessions_entry(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        at = place_of(mine, dice)
        return _with_entry(mine, at, other.tail[at])

    def former_lifes_entry(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        at = dice.choice([at for at in range(1, len(mine.tail) - 1) if mine.tail[at][11] != INPUT])
        return _with_entry(mine, at, old.tail[at])

    def swapped_entries(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        one, two = dice.sample(range(1, len(mine.tail)), 2)
        while _is_update(mine, one) and _is_update(mine, two):  # updates have no order that could be checked
            one, two = dice.sample(range(1, len(mine.tail)), 2)
        return _with_entry(_with_entry(mine, one, mine.tail[two]), two, mine.tail[one])

    def doubled_entry(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        one, two = dice.sample(range(1, len(mine.tail)), 2)
        return _with_entry(mine, one, mine.tail[two])

    def swapped_turns(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        whole = [at for at in range(len(mine.tail) - 2) if mine.tail[at][11] == INPUT]
        one, two = dice.sample(whole, 2)
        tail = list(mine.tail)
        tail[one : one + 3], tail[two : two + 3] = mine.tail[two : two + 3], mine.tail[one : one + 3]
        return msgspec.structs.replace(mine, tail=tail)

    def in_clear(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        return _with_field(mine, name_of(mine, dice), b"\x10\x00\xa5forged"[: dice.randrange(2, 9)])

    def entry_as_field(mine: Record, other: Record, old: Record, dice: random.Random) -> Record:
        return _with_field(mine, name_of(mine, dice), dice.choice(mine.tail))

    return {name: made for name, made in locals().items() if name not in ("name_of", "place_of")}


async def test_nothing_that_was_changed_or_moved_is_ever_read() -> None:
    inner = Tampered()
    backend = encrypted(inner)
    records = await _filled(inner, backend)
    attacks, dice, keys = list(_attacks().items()), random.Random(7), list(records)
    refused: Counter[str] = Counter()
    for number in range(TRIES):
        name, attack = attacks[number % len(attacks)]
        key, other = dice.sample(keys, 2)
        inner.shown = attack(records[key], records[other], former_of(key)["former"], dice)
        if inner.shown == records[key]:
            continue
        with pytest.raises(UnreadableRecord):
            await backend.load(key, tail=1_000)
            pytest.fail(f"{name} was read")
        refused[name] += 1
    inner.shown = None
    for key in keys:
        assert (await record_of(backend, key)).fields["field-1"].value == b"\x10\x00value"
    assert sum(refused.values()) > TRIES * 0.97, refused
    assert min(refused.values()) > TRIES / len(attacks) * 0.8, refused
    await backend.close()


async def test_an_outcome_or_an_entry_of_another_turn_is_no_replay() -> None:
    inner = MemoryBackend()
    backend = encrypted(inner)
    key = _key(0)
    for turn in ("t1", "t2"):
        await run_turn(backend, turn, {"a": b"1"}, key)
    one = got(await inner.resolve(key, "t1"), StoredOutcome)
    two = got(await inner.resolve(key, "t2"), StoredOutcome)

    class Lying(MemoryBackend):
        async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> StoredOutcome:
            return self.answer

        answer: StoredOutcome = one

    lying = Lying()
    lying._lives = inner._lives
    liar = EncryptedBackend(lying, backend.vault)
    assert isinstance(await liar.resolve(key, "t1"), StoredOutcome)
    for answer in (
        two,
        msgspec.structs.replace(one, outcome=two.outcome),
        msgspec.structs.replace(one, entries=two.entries),
        msgspec.structs.replace(one, entries=one.entries[::-1]),
        msgspec.structs.replace(one, entries=one.entries[1:] + two.entries[:1]),
    ):
        lying.answer = answer
        with pytest.raises(CorruptRecord):
            await liar.resolve(key, "t1")
    await backend.close()


async def test_a_value_in_clear_is_read_only_where_that_is_allowed() -> None:
    inner = MemoryBackend()
    strict, lenient = encrypted(inner), encrypted(inner, allow_plaintext=True)
    await inner.commit(_key(1), update({"a": b"\x10\x00old"}, appends=[b"\x10\x00said"]))
    with pytest.raises(NotEncrypted):
        await strict.load(_key(1), tail=5)
    record = await record_of(lenient, _key(1))
    assert (record.fields["a"].value, record.tail) == (b"\x10\x00old", [b"\x10\x00said"])
    await lenient.commit(_key(1), update({"b": b"new"}, appends=[b"more"]))
    record = await record_of(lenient, _key(1))
    assert (record.fields["b"].value, record.tail[-1]) == (b"new", b"more")
    assert b"new" not in (await record_of(inner, _key(1))).fields["b"].value
    for backend in (strict, lenient):
        await backend.close()
