"""The codec: what goes in comes out, what cannot is refused by name, what is damaged is never read as something else."""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import CorruptRecord, FutureFormat, LimitExceeded, UnsupportedValue
from holdfast.sessions import frame
from holdfast.sessions.codec import Codec, CodecLimits

codec = Codec()

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**60), 10**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=8)))),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
)
members = scalars.filter(lambda value: value == value)
values = st.recursive(
    scalars | st.sets(members, max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_every_value_of_the_closed_set_comes_back_equal_and_of_its_type(value: Any) -> None:
    stored = codec.encode(value)
    back = codec.decode(stored)
    assert back == value
    assert _types(back) == _types(value)
    assert codec.encode(back) == stored, "one value, one encoding: a change is found by comparing bytes"


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_types(item) for item in value]
    if isinstance(value, set):
        return {type(item) for item in value}
    return type(value)


@pytest.mark.parametrize("item", [UUID(int=7), Decimal("1.50"), date(2026, 1, 2), datetime(2026, 1, 2, 3), 2**70])
def test_a_set_holds_any_single_value(item: Any) -> None:
    assert codec.decode(codec.encode({item, "x"})) == {item, "x"}


def test_a_single_value_counts_no_level_whatever_its_type() -> None:
    shallow = Codec(CodecLimits(depth=1))
    for leaf in (1, Decimal(1), uuid4(), date(2026, 1, 1), 2**70):
        assert shallow.decode(shallow.encode([leaf])) == [leaf]
    with pytest.raises(LimitExceeded):
        shallow.encode([[1]])


def test_tuples_come_back_as_lists_and_subclasses_as_what_they_are() -> None:
    class Color(enum.StrEnum):
        RED = "red"

    class Size(enum.IntEnum):
        L = 3

    stored = codec.encode(
        {"t": (1, (2,)), "e": Color.RED, "i": Size.L, "o": OrderedDict(a=1), "d": defaultdict(int, b=2)}
    )
    back = codec.decode(stored)
    assert back == {"t": [1, [2]], "e": "red", "i": 3, "o": {"a": 1}, "d": {"b": 2}}
    assert [type(back[name]) for name in "eio"] == [str, int, dict]


class _Thing:
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (_Thing(), "cart"),
        ({"items": [1, 2, 3, {"price": _Thing()}]}, "cart.items[3].price"),
        ({"two words": [_Thing()]}, "cart['two words'][0]"),
        ([[{1, 2, (3, 4)}]], "cart[0][0]"),
        ({"a": {5: 1}}, "cart.a"),
        ([1, float("nan")], "cart[1]"),
        ({"x": float("inf")}, "cart.x"),
        ([Decimal("NaN")], "cart[0]"),
        ({"s": "\ud800"}, "cart.s"),
        ({"ok": {"\udfff": 1}}, "cart.ok['\\udfff']"),
        ([1j], "cart[0]"),
        ([timedelta(1)], "cart[0]"),
        ({"f": print}, "cart.f"),
        ([memoryview(b"x")], "cart[0]"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        codec.encode(value, "cart")
    assert caught.value.path == path
    assert path in str(caught.value)


def test_a_path_stays_readable_however_deep_the_value_lies() -> None:
    value: Any = _Thing()
    for _ in range(50):
        value = {"a_rather_long_name_of_a_key": value}
    with pytest.raises(UnsupportedValue) as caught:
        codec.encode(value, "state")
    assert len(caught.value.path) < 250
    assert caught.value.path.startswith("state.a_rather")


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_bounded_where_the_setting_says() -> None:
    assert codec.decode(codec.encode(nested(64))) == nested(64)
    for depth in (65, 100):
        with pytest.raises(LimitExceeded, match="max_depth"):
            codec.encode(nested(depth))


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(LimitExceeded):
        codec.encode(value)


def test_size_is_bounded_before_compression_and_can_be_raised() -> None:
    big = "x" * 10_000_000
    with pytest.raises(LimitExceeded, match="max_value_bytes"):
        codec.encode(big, "blob")
    wide = Codec(CodecLimits(value_bytes=11_000_000))
    stored = wide.encode(big)
    assert len(stored) < 10_000
    assert wide.decode(stored) == big


def test_numbers_without_end_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="digits"):
        codec.encode(10**5000)
    with pytest.raises(LimitExceeded, match="digits"):
        codec.encode(Decimal("1" * 5000))
    assert codec.decode(codec.encode(10**3600)) == 10**3600


@given(values, st.data())
def test_a_truncated_value_is_an_error_never_another_value(value: Any, data: st.DataObject) -> None:
    stored = codec.encode(value)
    cut = data.draw(st.integers(0, len(stored) - 1))
    with pytest.raises(CorruptRecord):
        codec.decode(stored[:cut])


@pytest.mark.parametrize("cut", [2, 3, 10, 50, 90, 99])
def test_a_truncated_compressed_value_is_an_error(cut: int) -> None:
    stored = codec.encode(["the same words again"] * 500)
    assert stored[0] & 0x0F == frame.ZSTD
    with pytest.raises(CorruptRecord):
        codec.decode(stored[: len(stored) * cut // 100])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_typed_error(noise: bytes) -> None:
    for stored in (noise, b"\x10\x00" + noise, b"\x11\x00" + noise):
        with suppress(CorruptRecord, FutureFormat):
            codec.decode(stored)


@given(values, st.data())
def test_a_flipped_bit_is_a_value_or_a_typed_error(value: Any, data: st.DataObject) -> None:
    stored = bytearray(codec.encode(value))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(CorruptRecord, FutureFormat):
        codec.decode(bytes(stored))


def test_a_decompression_bomb_is_refused_without_being_unpacked() -> None:
    bomb = b"\x11\x00" + zstd.compress(bytes(200_000_000), 3)
    assert len(bomb) < 50_000
    with pytest.raises(CorruptRecord, match="decompressed"):
        codec.decode(bomb)


def test_a_header_without_a_body_is_an_error() -> None:
    for stored in (b"", b"\x10", b"\x10\x00", b"\x11\x00"):
        with pytest.raises(CorruptRecord):
            codec.decode(stored)


@pytest.mark.parametrize("header", [b"\x20\x00", b"\xf1\x00", b"\x12\x00"])
def test_a_future_format_asks_for_an_upgrade(header: bytes) -> None:
    with pytest.raises(FutureFormat, match="upgrade"):
        codec.decode(header + msgspec.msgpack.encode(1))


def test_an_encrypted_value_without_keys_is_an_error() -> None:
    with pytest.raises(CorruptRecord, match="key 3"):
        codec.decode(b"\x10\x03" + msgspec.msgpack.encode(1))


def test_nesting_that_was_not_made_by_us_is_an_error_not_a_crash() -> None:
    with pytest.raises(CorruptRecord):
        codec.decode(b"\x10\x00" + b"\x91" * 100_000 + b"\xc0")


@pytest.mark.parametrize(
    "ext",
    [
        (1, b"not a time"),
        (2, b"2026-99-99"),
        (3, b"1e"),
        (4, b"short"),
        (5, b"\x91\xc4\x01\x90"),  # a set that holds a list
        (6, b"9" * 6000),
        (99, b""),
    ],
)
def test_a_damaged_special_value_is_an_error(ext: tuple[int, bytes]) -> None:
    payload = msgspec.msgpack.encode(msgspec.msgpack.Ext(*ext))
    with pytest.raises(CorruptRecord):
        codec.decode(b"\x10\x00" + payload)


def test_compression_starts_where_the_setting_says_and_only_where_it_helps() -> None:
    small = Codec(CodecLimits(compress_from=10))
    assert small.encode("a" * 100)[0] & 0x0F == frame.ZSTD
    assert small.encode("a")[0] & 0x0F == frame.PLAIN
    assert small.encode(bytes(range(256)))[0] & 0x0F == frame.PLAIN
