"""Values to bytes and back: MessagePack over a closed set of types, never pickle.

JSON's types, and bytes, datetime, date, Decimal, UUID, set, `Sensitive` (a node of a release without it refuses such a value).
Tuples become lists, as in JSON. Integers have any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec.msgpack import Ext

from holdfast.errors import CorruptRecord, LimitExceeded, UnsupportedValue
from holdfast.sensitive.value import Sensitive
from holdfast.sessions import frame

T = TypeVar("T")

_DATETIME, _DATE, _DECIMAL, _UUID, _SET, _INT, _SENSITIVE = range(1, 8)
_ALLOWED: Final = "JSON's types, bytes, datetime, date, Decimal, UUID, set, Sensitive"
_MAX_DIGITS: Final = 4000
"""Decimal digits of one integer or Decimal; Python itself refuses to parse more than 4300."""


class CodecLimits(msgspec.Struct, frozen=True):
    """Bounds of one stored value.

    Attributes:
        value_bytes: encoded size of one state value or message that may be written, bytes.
        decoded_bytes: size after decompression that is read at the most, bytes. Keep it above every
            ``value_bytes`` that was ever in force.
        depth: levels of nesting.
        compress_from: values of this size or more are compressed, bytes.
    """

    value_bytes: int = 1024 * 1024
    decoded_bytes: int = 64 * 1024 * 1024
    depth: int = 64
    compress_from: int = 2048


class Compression:
    """What was large enough to be compressed so far: how many values, their bytes before and after."""

    __slots__ = ("bytes_after", "bytes_before", "values")

    def __init__(self) -> None:
        self.values = self.bytes_before = self.bytes_after = 0

    def add(self, before: int, after: int) -> None:
        self.values += 1
        self.bytes_before += before
        self.bytes_after += after


class Codec:
    """Encodes and decodes single values within its limits.

    Attributes:
        compression: counts what this codec (and others that share it) compressed.
    """

    def __init__(self, limits: CodecLimits | None = None) -> None:
        self.limits = limits or CodecLimits()
        self.compression = Compression()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(ext_hook=from_ext).decode

    def encode(self, value: Any, path: str = "value") -> bytes:
        """The stored form. Raises `UnsupportedValue` (with the path) and `LimitExceeded`."""
        return self.seal(self._encode(self.checked(value, path)), path)

    def checked(self, value: Any, path: str) -> Any:
        """The value in types that MessagePack has; the very same object where nothing had to change."""
        try:
            return _plain(value, self.limits.depth)
        except _Refused as refused:
            raise refused.error(path) from None

    def seal(self, payload: bytes, path: str) -> bytes:
        """A payload within the size limit, with its header."""
        if len(payload) > self.limits.value_bytes:
            raise LimitExceeded(
                f"{path} takes {len(payload)} bytes, more than max_value_bytes={self.limits.value_bytes}; "
                "keep a reference in the session and the data elsewhere, or raise the limit"
            )
        framed = frame.wrap(payload, compress_from=self.limits.compress_from)
        if len(payload) >= self.limits.compress_from:
            self.compression.add(len(payload), len(framed))
        return framed

    def open(self, stored: bytes) -> bytes:
        """The payload behind the header, decompressed within the limit."""
        return frame.unwrap(stored, max_bytes=self.limits.decoded_bytes)

    def same(self, stored: bytes, other: bytes) -> bool:
        """Do both hold one payload? They may be compressed differently: by nodes with other settings or libraries."""
        return stored == other or (
            not (frame.is_plain(stored) and frame.is_plain(other)) and self.open(stored) == self.open(other)
        )

    def decode(self, stored: bytes) -> Any:
        """The value. Raises `CorruptRecord` or `FutureFormat`."""
        return decoded(self._decode, self.open(stored))


def decoded(decode: Callable[[T], Any], payload: T) -> Any:
    """``decode(payload)``, with every way in which damaged bytes can fail as one `CorruptRecord`."""
    try:
        return decode(payload)
    except (ValueError, TypeError, RecursionError, InvalidOperation, OverflowError, MemoryError) as error:
        raise CorruptRecord(f"a stored value is damaged: {type(error).__name__} while decoding") from None


class _Refused(Exception):
    """Travels up through the containers and gathers the path, which so costs nothing unless it is needed."""

    def __init__(self, reason: str, kind: type[UnsupportedValue | LimitExceeded] = UnsupportedValue) -> None:
        self.reason = reason
        self.kind = kind
        self.path: list[str] = []

    def error(self, root: str) -> UnsupportedValue | LimitExceeded:
        path = root + "".join(reversed(self.path))
        if len(path) > 200:
            path = path[:120] + " … " + path[-70:]
        message = f"{path} {self.reason}"
        return UnsupportedValue(message, path) if self.kind is UnsupportedValue else LimitExceeded(message)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _text(value)
    if kind is bool or value is None or kind is bytes:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else _big(value)
    if kind is float:
        if math.isfinite(value):
            return value
        raise _Refused(f"is {value}, which JSON does not have; store None or text")
    if kind is dict:
        return _plain_dict(value, _deeper(depth))
    if kind is list or kind is tuple:
        return _plain_list(value, _deeper(depth))
    return _special(value, depth)


def _deeper(depth: int) -> int:
    if depth <= 0:
        raise _Refused("is nested deeper than max_depth allows", LimitExceeded)
    return depth - 1


def _plain_dict(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise _Refused(f"has a key of type {type(key).__name__} ({key!r:.40}); keys are text")
        try:
            plain = _plain(item, depth)
            if not key.isascii():
                _text(key)
        except _Refused as refused:
            refused.path.append(f".{key[:40]}" if key.isidentifier() else f"[{key[:40]!r}]")
            raise
        if plain is not item:
            changed[key] = plain
    if changed:
        return {**value, **changed}
    return value if type(value) is dict else dict(value)


def _plain_list(value: list[Any] | tuple[Any, ...], depth: int) -> list[Any] | tuple[Any, ...]:
    result: list[Any] | None = None
    for index, item in enumerate(value):
        try:
            plain = _plain(item, depth)
        except _Refused as refused:
            refused.path.append(f"[{index}]")
            raise
        if plain is not item:
            if result is None:
                result = list(value)
            result[index] = plain
    return value if result is None else result


def _special(value: Any, depth: int) -> Any:
    if isinstance(value, datetime):
        return Ext(_DATETIME, value.isoformat().encode())
    if isinstance(value, date):
        return Ext(_DATE, value.isoformat().encode())
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _Refused(f"is Decimal({value}), which is not a number")
        return Ext(_DECIMAL, _digits(str(value)))
    if isinstance(value, UUID):
        return Ext(_UUID, value.bytes)
    if isinstance(value, set | frozenset):
        _deeper(depth)
        return Ext(_SET, msgspec.msgpack.encode(_set_items(value)))
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, Sensitive):
        return Ext(_SENSITIVE, msgspec.msgpack.encode((_text(value.kind), _text(value.reveal()))))
    # subclasses (enums, ordered and default dicts, numpy's float64) are stored as the plain type that they are
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return _plain(int.__int__(value), depth)
    if isinstance(value, float):
        return _plain(float.__float__(value), depth)
    if isinstance(value, dict):
        return _plain_dict(value, _deeper(depth))
    if isinstance(value, list | tuple):
        return _plain_list(list(value), _deeper(depth))
    raise _Refused(f"has type {type(value).__name__}; a session holds {_ALLOWED}")


def _set_items(value: set[Any] | frozenset[Any]) -> list[bytes]:
    items = []
    for item in value:
        if isinstance(item, tuple | frozenset):
            raise _Refused(f"is a set that holds a {type(item).__name__}; a set holds single values")
        items.append(msgspec.msgpack.encode(_plain(item, 0)))
    return sorted(items)  # one set, one encoding: a change is found by comparing bytes


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Refused("is text that is not valid Unicode (half of a surrogate pair)") from None
    return value


def _big(value: int) -> Ext:
    if value.bit_length() > _MAX_DIGITS * 3:
        raise _Refused(f"is an integer of more than {_MAX_DIGITS} digits", LimitExceeded)
    return Ext(_INT, _digits(str(value)))


def _digits(text: str) -> bytes:
    if len(text) > _MAX_DIGITS:
        raise _Refused(f"is a number of more than {_MAX_DIGITS} digits", LimitExceeded)
    return text.encode()


def from_ext(code: int, data: memoryview) -> Any:
    raw = bytes(data)
    match code:
        case 1:
            return datetime.fromisoformat(raw.decode())
        case 2:
            return date.fromisoformat(raw.decode())
        case 3:
            return Decimal(raw.decode())
        case 4:
            return UUID(bytes=raw)
        case 5:
            items: list[bytes] = msgspec.msgpack.decode(raw, type=list[bytes])
            return {msgspec.msgpack.decode(item, ext_hook=from_ext) for item in items}
        case 6:
            return int(raw.decode())
        case 7:
            kind, text = msgspec.msgpack.decode(raw, type=tuple[str, str])
            return Sensitive(text, kind)
    raise ValueError(f"extension type {code} is not of this format")
