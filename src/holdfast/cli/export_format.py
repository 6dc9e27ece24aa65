"""The export file: JSON lines that say what they are. Plain functions, no I/O.

A header line; for each session a ``session`` line with its state, ``messages`` lines of a page each, and an ``end`` line (or an
``abandoned`` line where it ended while it was read); a ``trailer`` line. A value of a type that JSON lacks is
``{"$": type, "v": text}``; a dict that has a key ``$`` is ``{"$": "dict", "v": {...}}``.
"""

from __future__ import annotations

import base64
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from holdfast import Citation, Message, Sensitive, ToolCall
from holdfast.errors import FutureFormat, InvalidInput

FORMAT: Final = "holdfast-export"
VERSION: Final = 1
PAGE: Final = 200
"""Messages of one line."""
MAX_LINE: Final = 256 << 20
"""Bytes of the longest line that is read."""


class DamagedLine(InvalidInput):
    """A line of an export that cannot be read."""


def line(kind: str, **parts: Any) -> bytes:
    """One line of an export."""
    return json.dumps({"kind": kind, **parts}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def parsed(raw: bytes, number: int) -> dict[str, Any]:
    """A line as a dict with a ``kind``. Raises `DamagedLine`, naming the line."""
    try:
        if len(raw) >= MAX_LINE:
            raise ValueError(f"it is longer than {MAX_LINE} bytes")
        found = json.loads(raw, parse_constant=_no_constant)
        if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
            raise ValueError("it is no line of an export")
    except (ValueError, RecursionError) as error:
        raise DamagedLine(f"line {number} is damaged: {error}") from None
    return found


def check_header(header: dict[str, Any]) -> None:
    """Raises `DamagedLine` where this is no export, `FutureFormat` where a newer release wrote it."""
    if header["kind"] != "header" or header.get("format") != FORMAT:
        raise DamagedLine("line 1 is not an export's header: this file was not made by `holdfast sessions export`")
    if header.get("version") != VERSION:
        raise FutureFormat(
            f"this export has format version {header.get('version')}, this release reads {VERSION}; update holdfast"
        )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# --- values ----------------------------------------------------------------------------------------------------------


def tagged(value: Any) -> Any:
    """A stored value in JSON's types, from which `untagged` makes the very same value."""
    match value:
        case None | bool() | str() | int() | float():
            return value
        case list():
            return [tagged(item) for item in value]
        case dict():
            plain = {name: tagged(item) for name, item in value.items()}
            return {"$": "dict", "v": plain} if "$" in plain else plain
        case bytes():
            return {"$": "bytes", "v": base64.b64encode(value).decode()}
        case datetime():
            return {"$": "datetime", "v": value.isoformat()}
        case date():
            return {"$": "date", "v": value.isoformat()}
        case Decimal():
            return {"$": "decimal", "v": str(value)}
        case UUID():
            return {"$": "uuid", "v": str(value)}
        case Sensitive():
            return {"$": "sensitive", "v": [value.kind, value.reveal()]}
        case set() | frozenset():
            return {"$": "set", "v": sorted((tagged(item) for item in value), key=json.dumps)}
    raise InvalidInput(f"a value of type {type(value).__name__} cannot be exported")


def untagged(value: Any) -> Any:
    """The value behind `tagged`. Raises `ValueError` or `TypeError` where there is none."""
    if isinstance(value, list):
        return [untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {name: untagged(item) for name, item in value.items()}
    if value.keys() != {"$", "v"}:
        raise ValueError('a tagged value has the keys "$" and "v" alone')
    return _typed(value["$"], value["v"])


def _typed(kind: Any, raw: Any) -> Any:
    match kind:
        case "dict":
            return {name: untagged(item) for name, item in raw.items()}
        case "set":
            return {untagged(item) for item in raw}
        case "bytes":
            return base64.b64decode(raw, validate=True)
        case "datetime":
            return datetime.fromisoformat(raw)
        case "date":
            return date.fromisoformat(raw)
        case "decimal":
            return Decimal(raw)
        case "uuid":
            return UUID(raw)
        case "sensitive":
            kind, text = raw
            return Sensitive(text, kind)
    raise ValueError(f"no type is called {kind!r:.40}")


# --- messages --------------------------------------------------------------------------------------------------------


def message_parts(message: Message) -> dict[str, Any]:
    """A message with its parts' full names; parts that are empty are left out."""
    parts: dict[str, Any] = {"role": message.role, "content": message.content, "created_at": message.created_at}
    if message.turn_id:
        parts["turn_id"] = message.turn_id
    if message.tool_calls:
        parts["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": tagged(call.arguments)} for call in message.tool_calls
        ]
    if message.tool_call_id:
        parts["tool_call_id"] = message.tool_call_id
    if message.citations:
        parts["citations"] = msgspec.to_builtins(message.citations)
    if message.metadata:
        parts["metadata"] = tagged(message.metadata)
    return parts


def message_of(parts: dict[str, Any]) -> Message:
    """The message behind `message_parts`. Raises `ValueError`, `TypeError` or `KeyError` where there is none."""
    known = msgspec.convert(parts, _Parts)
    return Message(
        known.role,  # type: ignore[arg-type]  # checked where it is encoded
        known.content,
        known.turn_id,
        known.created_at,
        tuple(ToolCall(call.id, call.name, untagged(call.arguments)) for call in known.tool_calls),
        known.tool_call_id,
        known.citations,
        untagged(known.metadata),
    )


class _Parts(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str
    created_at: float = 0.0
    turn_id: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    citations: tuple[Citation, ...] = ()
    metadata: dict[str, Any] = {}
