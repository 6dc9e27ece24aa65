"""Single values, sealed and opened: what each kind of them is bound to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.backends.records import Change, Field, SessionKey
from holdfast.encryption.envelope import (
    ENTRY,
    FIELD,
    IN_LOG,
    INPUT,
    OUTCOME,
    SIGNAL,
    STEP,
    Head,
    LogPlace,
    OwnerKey,
    head_of,
    is_sealed,
    opened,
    seal,
    seal_entry,
)
from holdfast.encryption.lives import Life
from holdfast.encryption.log_order import check_order
from holdfast.encryption.owners import place_of, turn_mark
from holdfast.encryption.vault import Vault
from holdfast.errors import CorruptRecord

_SIGNALLED: Final = "\x1fsignal:"
"""With what the journal's name of a signal begins (`turns.marks`); other marks have no value, and stand in clear."""

Ciphers = dict[tuple[bytes, int], AESGCM]


class Values:
    """Seals at once, with a key that the caller has; opens with the keys that the values name."""

    def __init__(self, vault: Vault, *, allow_plaintext: bool) -> None:
        self._vault = vault
        self._allow_plaintext = allow_plaintext

    # --- in ---

    def seal(self, owner: OwnerKey, kind: int, key: SessionKey, value: bytes, *names: str) -> bytes:
        """A value that is bound to its session and to ``names``."""
        return seal(owner, kind, _place(place_of(key), *names), value)

    def changes(self, owner: OwnerKey, life: bytes, changes: Sequence[Change]) -> list[Change]:
        """A commit's changed fields; ``life``: the place of the session and its seed."""
        return [
            Change(name, None if value is None else seal(owner, FIELD, life + name.encode(), value), at)
            for name, value, at in changes
        ]

    def input(self, owner: OwnerKey, place: bytes, turn_id: str, entry: bytes) -> bytes:
        """Not bound to the session's life, which a turn may be the first to bring about; the rest of its turn is."""
        return seal_entry(owner, INPUT, place, entry, turn_mark(turn_id))

    def entries(
        self,
        owner: OwnerKey,
        life: bytes,
        op: str | bytes,
        entries: Sequence[bytes],
        first: int,
        counter: int,
    ) -> list[bytes]:
        """Log entries of one commit, the first of them at index ``first`` of its turn."""
        turn = turn_mark(op)
        return [seal_entry(owner, ENTRY, life, entry, turn, at, counter) for at, entry in enumerate(entries, first)]

    def outcome(self, owner: OwnerKey, key: SessionKey, op: str | bytes, outcome: bytes) -> bytes:
        return self.seal(owner, OUTCOME, key, outcome, _named(op))

    # --- out ---

    async def open(self, kind: int, key: SessionKey, stored: bytes, *names: str) -> bytes:
        """The value in clear. Raises `CorruptRecord`, `NotEncrypted`, `KeyUnavailable`, `Erased`."""
        if self._in_clear(stored):
            return stored
        head = head_of(stored, kind)
        return opened(stored, head, await self._vault.cipher(head.owner, head.number), _place(place_of(key), *names))

    async def fields(self, key: SessionKey, life: Life, fields: dict[str, Field]) -> dict[str, Field]:
        heads = {name: self._head(field.value, FIELD) for name, field in fields.items()}
        ciphers, place = await self._ciphers(heads.values()), place_of(key)
        clear: dict[str, Field] = {}
        for name, field in fields.items():
            if (head := heads[name]) is None:
                clear[name] = field
                continue
            at = place + life.seed + name.encode()
            clear[name] = Field(opened(field.value, head, ciphers[head.owner, head.number], at), field.counter)
        return clear

    async def log(
        self, key: SessionKey, life: Life, entries: Sequence[bytes], op: str | bytes | None = None
    ) -> list[bytes]:
        """Entries that lie side by side in the log, all of the turn (or update) ``op`` where one is named."""
        heads = [self._head(entry, *IN_LOG) for entry in entries]
        check_order(heads)
        sealed = [entry for entry, head in zip(entries, heads, strict=True) if head is not None]
        if len(set(sealed)) < len(sealed):
            raise CorruptRecord("the log has an entry twice")  # no two have the same nonce
        if op is not None:
            _check_turn([head.place for head in heads if head is not None and head.place is not None], op)
        ciphers, place = await self._ciphers(heads), place_of(key)
        clear: list[bytes] = []
        for entry, head in zip(entries, heads, strict=True):
            if head is None:
                clear.append(entry)
            else:
                at = place if head.kind == INPUT else place + life.seed
                clear.append(opened(entry, head, ciphers[head.owner, head.number], at))
        return clear

    async def open_input(self, key: SessionKey, turn_id: str, entry: bytes) -> bytes:
        if self._in_clear(entry):
            return entry
        head = head_of(entry, INPUT)
        if head.place != LogPlace(turn_mark(turn_id), 0):
            raise CorruptRecord("an accepted input is another turn's; it was moved")
        return opened(entry, head, await self._vault.cipher(head.owner, head.number), place_of(key))

    async def steps(self, key: SessionKey, turn_id: str, steps: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """A turn's journal; what was signalled is bound to its name, what the turn recorded to the turn too."""
        clear: list[tuple[str, bytes]] = []
        for name, value in steps:
            if (not value and not name.startswith(_SIGNALLED)) or self._in_clear(value):
                clear.append((name, value))
                continue
            head = head_of(value, STEP, SIGNAL)
            names = (name,) if head.kind == SIGNAL else (turn_id, name)
            cipher = await self._vault.cipher(head.owner, head.number)
            clear.append((name, opened(value, head, cipher, _place(place_of(key), *names))))
        return clear

    async def open_outcome(self, key: SessionKey, op: str | bytes, outcome: bytes) -> bytes:
        return await self.open(OUTCOME, key, outcome, _named(op))

    def owner_in(self, stored: bytes) -> bytes:
        """Whose key a value says it is written with; b"" where it is in clear."""
        return head_of(stored, *range(256)).owner if is_sealed(stored) else b""

    def _in_clear(self, stored: bytes) -> bool:
        return self._allow_plaintext and not is_sealed(stored)

    def _head(self, stored: bytes, *kinds: int) -> Head | None:
        return None if self._in_clear(stored) else head_of(stored, *kinds)

    async def _ciphers(self, heads: Iterable[Head | None]) -> Ciphers:
        found: Ciphers = {}
        for head in heads:
            if head is not None and (head.owner, head.number) not in found:
                found[head.owner, head.number] = await self._vault.cipher(head.owner, head.number)
        return found


def _check_turn(places: Sequence[LogPlace], op: str | bytes) -> None:
    """Raises `CorruptRecord` unless these are the entries of one turn, from its first one on."""
    turn = turn_mark(op)
    first = places[0].at if places else 0
    for expected, place in enumerate(places, first):
        if place.turn != turn or place.at != expected or first > 1:
            raise CorruptRecord("a turn's outcome refers to entries of another turn; it was changed or moved")


def _named(op: str | bytes) -> str:
    return op if isinstance(op, str) else "\x00" + op.hex()


def _place(place: bytes, *names: str) -> bytes:
    parts = [place]
    for name in names:
        raw = name.encode()
        parts += (len(raw).to_bytes(4), raw)
    return b"".join(parts)
