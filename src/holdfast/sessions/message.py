"""One entry of a session's append-only log."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from holdfast.errors import CorruptRecord, InvalidInput, UnsupportedValue
from holdfast.sessions import frame
from holdfast.sessions.codec import Codec, decoded, from_ext

Role = Literal["user", "assistant", "tool", "system"]
_ROLES: Final[tuple[Role, ...]] = ("user", "assistant", "tool", "system")
_CODES: Final[dict[str, int]] = {role: code for code, role in enumerate(_ROLES)}


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the assistant asked for. ``arguments`` maps names to values of the codec's types."""

    id: str
    name: str
    arguments: dict[str, Any] = {}


class Citation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a statement comes from. ``start`` and ``end`` are character offsets in the document; ``collection`` is the one of the
    knowledge that holds it, empty for the default one."""

    document: str
    quote: str = ""
    title: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    url: str = ""
    collection: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One message: who said what, and what belongs to it.

    Attributes:
        role: user, assistant, tool or system.
        content: the text.
        turn_id: the turn that wrote it; "" outside a turn, and where a page of the log begins in the middle of a turn. Filled in
            when it is appended.
        created_at: seconds since the Unix epoch (whole ones unless given), by the clock of the node that wrote it; for
            display only.
        tool_calls: tools that an assistant's message asks for.
        tool_call_id: in a tool's message, the call that it answers.
        citations: sources of an assistant's message.
        metadata: anything else, of the codec's types.
    """

    role: Role
    content: str = ""
    turn_id: str = ""
    created_at: float = 0.0
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    citations: tuple[Citation, ...] = ()
    metadata: dict[str, Any] = {}

    @classmethod
    def user(cls, content: str, **metadata: Any) -> Message:
        return cls("user", content, metadata=metadata)

    @classmethod
    def assistant(cls, content: str, **metadata: Any) -> Message:
        return cls("assistant", content, metadata=metadata)


class _Entry(msgspec.Struct, array_like=True, gc=False):
    """A message as the log keeps it: by position, and short, because it is sent and kept once for every message.

    ``turn`` None says "of the same turn as the entry before"; 16 bytes are an id of 32 hex digits, 17 one of a UUID's form.
    """

    role: int
    content: str
    created_at: float
    turn: Any = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    citations: tuple[Citation, ...] = ()
    metadata: dict[str, Any] = {}


class MessageCodec:
    """Messages to log entries and back, within a `Codec`'s limits."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Entry, ext_hook=from_ext).decode

    def encode(self, message: Message, turn_id: str = "", *, follows: bool = False) -> bytes:
        """The log entry. ``follows``: it comes right behind another entry of the same turn.

        Raises `UnsupportedValue` or `LimitExceeded`, naming the place in the message.
        """
        try:
            self.check(message)
            at = message.created_at or int(time.time())
            turn = None if follows else _short(turn_id or message.turn_id)
            head = (_CODES[message.role], message.content, at, turn)
            if _is_simple(message) and not message.metadata:
                payload = self._encode(head[:3] if follows else head)
            else:
                payload = self._encode((*head, *self._rest(message)))
                self._decode(payload)  # a field of a wrong type would make the whole log unreadable
        except InvalidInput:
            raise
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise UnsupportedValue(f"message cannot be stored: {error}", "message") from None
        return self._codec.seal(payload, "message")

    def check(self, message: Message) -> None:
        """Raises `UnsupportedValue` for a role or content that no message has."""
        if message.role not in _CODES:
            raise UnsupportedValue(f"message.role is {message.role!r}; it is one of {sorted(_ROLES)}", "message.role")
        if type(message.content) is not str:
            raise UnsupportedValue(
                f"message.content has type {type(message.content).__name__}; it is text", "message.content"
            )
        if not message.content.isascii():
            self._codec.checked(message.content, "message.content")

    def meaning(self, message: Message) -> bytes:
        """Bytes that are the same whenever the same thing is said: without time and turn."""
        self.check(message)
        content = (_CODES[message.role], message.content, *self._rest(message))
        return msgspec.msgpack.encode(content, order="deterministic")

    def decode(self, entry: bytes) -> Message:
        """One message. Raises `CorruptRecord` or `FutureFormat`."""
        return self.decode_all((entry,))[0]

    def decode_all(self, entries: Iterable[bytes], turn_id: str = "") -> list[Message]:
        """Messages that lie side by side in the log, each with its turn as far as that is among them.

        ``turn_id`` is the turn of the entry before them, where that is known.
        """
        messages = []
        parsed: list[_Entry] = decoded(self._parsed, entries)
        for entry in parsed:
            if not 0 <= entry.role < len(_ROLES):
                raise CorruptRecord("a stored message is damaged: no such role")
            if entry.turn is not None:
                turn_id = _long(entry.turn)
            messages.append(
                Message(
                    _ROLES[entry.role],
                    entry.content,
                    turn_id,
                    entry.created_at,
                    entry.tool_calls,
                    entry.tool_call_id,
                    entry.citations,
                    entry.metadata,
                )
            )
        return messages

    def _parsed(self, entries: Iterable[bytes]) -> list[_Entry]:
        decode, open_, plain, size = self._decode, self._codec.open, frame.PLAIN_HEADER, frame.HEADER_BYTES
        return [decode(entry[size:] if entry[:size] == plain else open_(entry)) for entry in entries]

    def _rest(self, message: Message) -> tuple[Any, ...]:
        """What comes behind the usual fields, checked."""
        check = self._codec.checked
        metadata = check(message.metadata, "message.metadata") if message.metadata else message.metadata
        calls = tuple(
            ToolCall(call.id, call.name, check(call.arguments, f"message.tool_calls[{index}].arguments"))
            for index, call in enumerate(message.tool_calls)
        )
        return calls, message.tool_call_id, message.citations, metadata


def _short(turn_id: str) -> str | bytes:
    if len(turn_id) in (32, 36):
        digits = turn_id.replace("-", "") if len(turn_id) == 36 else turn_id
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            return turn_id
        short = raw if len(turn_id) == 32 else b"-" + raw
        if (raw.hex() if short is raw else _long(short)) == turn_id:
            return short
    return turn_id


def _long(turn: object) -> str:
    if isinstance(turn, str):
        return turn
    if isinstance(turn, bytes) and len(turn) == 16:
        return turn.hex()
    if isinstance(turn, bytes) and len(turn) == 17:
        return str(UUID(bytes=turn[1:]))
    raise CorruptRecord("a stored message is damaged: no such turn id")


def _is_simple(message: Message) -> bool:
    """Are role, content and metadata (checked one by one) all that the caller has set?"""
    return not (
        message.tool_calls
        or message.citations
        or message.tool_call_id
        or message.created_at
        or message.turn_id
        or type(message.metadata) is not dict
    )


def as_message(value: str | Message) -> Message:
    """A user's message from plain text, or the message itself."""
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return Message("user", value)
    raise UnsupportedValue(f"a turn's input is text or a Message, not {type(value).__name__}", "input")
