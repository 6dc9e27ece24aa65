"""What an encrypted value looks like, and what it is bound to.

    0x10 0x01   format 1, cipher 1 (the header of `sessions.frame`, where 0 in the second byte means "in clear")
    8 bytes     the owner: stands for tenant and user, whose key it is
    1 byte      which of the owner's keys
    1 byte      the kind of value
    14 bytes    of a log entry only: turn (8), index in the turn (2), the counter that the turn was made on (4)
    12 bytes    nonce
    ...         AES-256-GCM ciphertext, 16 bytes of tag at its end

Associated data: all of the above before the nonce, and the *place* where the value belongs: tenant, session, life, name.
"""

from __future__ import annotations

from os import urandom
from struct import Struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.encryption.ring import NONCE_BYTES
from holdfast.errors import CorruptRecord, NotEncrypted

MARK: Final = b"\x10\x01"
OWNER_BYTES: Final = 8
_HEAD: Final = Struct("<2s8sBB")
_LOG: Final = Struct("<8sHI")
_pack_log: Final = _LOG.pack
_TAG_BYTES: Final = 16
_MOST_INDEX: Final = 0xFFFF
_MOST_COUNTER: Final = 0xFFFFFFFF

FIELD, INPUT, ENTRY, OUTCOME, STEP, SIGNAL, EVENTS = range(1, 8)
"""Kinds of values. ``INPUT`` (a turn's accepted input) and ``ENTRY`` are entries of the log."""
IN_LOG: Final = (INPUT, ENTRY)


_KIND: Final = tuple(bytes([kind]) for kind in range(16))


class LogPlace(NamedTuple):
    """Where a log entry belongs: its turn (a digest), its place there, and the counter of the session that the turn was made on (0
    where it says nothing)."""

    turn: bytes
    at: int
    counter: int = 0


class OwnerKey(NamedTuple):
    """One key of an owner, ready for use. ``head``: what values begin with that it encrypts."""

    owner: bytes
    number: int
    cipher: AESGCM
    head: bytes

    @classmethod
    def of(cls, owner: bytes, number: int, cipher: AESGCM) -> OwnerKey:
        return cls(owner, number, cipher, MARK + owner + bytes([number]))


class Head(NamedTuple):
    """What stands in front of an encrypted value."""

    owner: bytes
    number: int
    kind: int
    place: LogPlace | None
    raw: bytes


def seal(key: OwnerKey, kind: int, place: bytes, value: bytes) -> bytes:
    """The value, encrypted and bound to ``place``."""
    head = key.head + _KIND[kind]
    nonce = urandom(NONCE_BYTES)
    return head + nonce + key.cipher.encrypt(nonce, value, head + place)


def seal_entry(
    key: OwnerKey, kind: int, place: bytes, value: bytes, turn: bytes, at: int = 0, counter: int = 0
) -> bytes:
    """The same for an entry of the log, bound to its turn too."""
    if at > _MOST_INDEX or counter > _MOST_COUNTER:
        at, counter = min(at, _MOST_INDEX), min(counter, _MOST_COUNTER)
    head = key.head + _KIND[kind] + _pack_log(turn, at, counter)
    nonce = urandom(NONCE_BYTES)
    return head + nonce + key.cipher.encrypt(nonce, value, head + place)


def is_sealed(stored: bytes) -> bool:
    """Whether it says that it is encrypted."""
    return stored[:2] == MARK


def owner_in(sealed: bytes) -> bytes:
    """Whose key an encrypted value says it is written with."""
    return sealed[len(MARK) : len(MARK) + OWNER_BYTES]


def head_of(stored: bytes, *kinds: int) -> Head:
    """What an encrypted value says of itself; nothing of it can be trusted before `opened`. Raises `CorruptRecord`."""
    if stored[:2] != MARK:
        raise NotEncrypted(
            "a stored value is not encrypted, and [encryption] allow_plaintext is off: it was written before encryption was set "
            "up, or by somebody else"
        )
    if len(stored) < _HEAD.size + NONCE_BYTES + _TAG_BYTES:
        raise CorruptRecord(f"an encrypted value has {len(stored)} bytes; it is truncated")
    _, owner, number, kind = _HEAD.unpack_from(stored)
    if kind not in kinds:
        raise CorruptRecord("an encrypted value is of another kind than belongs here; it was moved")
    if kind not in IN_LOG:
        return Head(owner, number, kind, None, stored[: _HEAD.size])
    size = _HEAD.size + _LOG.size
    if len(stored) < size + NONCE_BYTES + _TAG_BYTES:
        raise CorruptRecord(f"an encrypted value has {len(stored)} bytes; it is truncated")
    return Head(owner, number, kind, LogPlace(*_LOG.unpack_from(stored, _HEAD.size)), stored[:size])


def opened(stored: bytes, head: Head, cipher: AESGCM, place: bytes) -> bytes:
    """The value in clear. Raises `CorruptRecord` where it is damaged, or bound to another place."""
    at = len(head.raw)
    try:
        return cipher.decrypt(stored[at : at + NONCE_BYTES], stored[at + NONCE_BYTES :], head.raw + place)
    except InvalidTag:
        raise CorruptRecord("an encrypted value is damaged, or was moved here from another place") from None
