"""The source's bytes as JSON values, or what they are instead. Nothing is guessed, unpacked or unpickled."""

from __future__ import annotations

import json
from typing import Any, Final

from holdfast.cli.moving_mapping import Mapping, Unusable

_NOT_JSON: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes((0x80, protocol)), "a Python pickle, which is never opened") for protocol in range(2, 6)),
)
"""The first bytes of what people put into Redis instead of JSON."""


def parsed(mapping: Mapping, raw: bytes, where: str = "") -> Any:
    """A JSON text's value. Raises `Unusable`, which begins with ``where`` and says what it is if it is no JSON."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Unusable("not_json", f"{where}{_what(raw)}") from None
    twice = _once if mapping.settings.duplicate_keys == "refuse" else None
    try:
        return json.loads(text, parse_constant=no_constant, object_pairs_hook=twice)
    except Unusable as error:
        raise Unusable(error.reason, f"{where}{error}") from None
    except (ValueError, RecursionError) as error:
        raise Unusable("not_json", f"{where}{_what(raw) if _looks_packed(raw) else f'not JSON: {error}'}") from None


def _what(raw: bytes) -> str:
    for start, name in _NOT_JSON:
        if raw.startswith(start):
            return f"not JSON but {name}"
    if _looks_packed(raw):
        return "not JSON but " + ("zlib" if raw[:1] == b"\x78" else "a Python pickle, which is never opened")
    return "not JSON, and no UTF-8 text at all"


def _looks_packed(raw: bytes) -> bool:
    """zlib's header (its 16 bits are a multiple of 31), or a pickle of protocol 0, which is text and ends with a stop."""
    zlib = len(raw) > 2 and raw[0] == 0x78 and int.from_bytes(raw[:2], "big") % 31 == 0
    return zlib or (raw[:2] in (b"(d", b"(l", b"(i", b"cc", b"c_") and raw.endswith(b"."))


def no_constant(name: str) -> Any:
    """For json's ``parse_constant``: refuses NaN and the infinities."""
    raise Unusable("not_json", f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Unusable(
            "duplicate_key", f'the key {name!r} stands twice in one object; duplicate_keys = "last" takes the last'
        )
    return found


def fields_of(mapping: Mapping, fields: dict[bytes, bytes]) -> dict[str, Any]:
    """A hash's fields: JSON where one is an object or a list, else the text that it is."""
    found: dict[str, Any] = {}
    for name, raw in fields.items():
        try:
            field, text = name.decode(), raw.decode()
        except UnicodeDecodeError:
            raise Unusable("not_json", f"field {name!r:.60}: {_what(raw)}") from None
        found[field] = parsed(mapping, raw, f"field {field!r:.60}: ") if text.lstrip()[:1] in ("{", "[") else text
    return found


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)
