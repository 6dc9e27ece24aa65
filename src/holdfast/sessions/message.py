"""One entry of a session's append-only log."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from holdfast.errors import InvalidInput, UnsupportedValue
from holdfast.sessions.codec import Codec, decoded, from_ext

Role = Literal["user", "assistant", "tool", "system"]
_ROLES = frozenset({"user", "assistant", "tool", "system"})


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the assistant asked for. ``arguments`` maps names to values of the codec's types."""

    id: str
    name: str
    arguments: dict[str, Any] = {}


class Citation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a statement comes from. ``start`` and ``end`` are character offsets in the document."""

    document: str
    quote: str = ""
    title: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    url: str = ""


class Message(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "role": "r",
        "content": "c",
        "turn_id": "t",
        "created_at": "at",
        "tool_calls": "tc",
        "tool_call_id": "ti",
        "citations": "ci",
        "metadata": "m",
    },
):
    """One message: who said what, and what belongs to it.

    Attributes:
        role: user, assistant, tool or system.
        content: the text.
        turn_id: the turn that wrote it; "" outside a turn. Filled in when it is appended.
        created_at: seconds since the Unix epoch, by the clock of the node that wrote it; for display only.
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


class MessageCodec:
    """Messages to log entries and back, within a `Codec`'s limits."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Message, ext_hook=from_ext).decode

    def encode(self, message: Message, turn_id: str = "") -> bytes:
        """The log entry. Raises `UnsupportedValue` or `LimitExceeded`, naming the place in the message."""
        try:
            payload = self._encode(self.stamped(message, turn_id))
            if not _is_simple(message):
                self._decode(payload)  # a field of a wrong type would make the whole log unreadable
        except InvalidInput:
            raise
        except (AttributeError, TypeError, ValueError) as error:
            raise UnsupportedValue(f"message cannot be stored: {error}", "message") from None
        return self._codec.seal(payload, "message")

    def stamped(self, message: Message, turn_id: str) -> Message:
        """The message as it will be stored: checked, with its turn and time."""
        if message.role not in _ROLES:
            raise UnsupportedValue(f"message.role is {message.role!r}; it is one of {sorted(_ROLES)}", "message.role")
        if type(message.content) is not str:
            raise UnsupportedValue(
                f"message.content has type {type(message.content).__name__}; it is text", "message.content"
            )
        check = self._codec.checked
        if not message.content.isascii():
            check(message.content, "message.content")
        metadata, calls, citations = message.metadata, message.tool_calls, message.citations
        if metadata:
            metadata = check(metadata, "message.metadata")
        if calls:
            calls = tuple(
                ToolCall(call.id, call.name, check(call.arguments, f"message.tool_calls[{index}].arguments"))
                for index, call in enumerate(calls)
            )
        return Message(
            message.role,
            message.content,
            turn_id or message.turn_id,
            message.created_at or round(time.time(), 3),
            calls,
            message.tool_call_id,
            citations,
            metadata,
        )

    def decode(self, entry: bytes) -> Message:
        """The message. Raises `CorruptRecord` or `FutureFormat`."""
        message: Message = decoded(self._decode, self._codec.open(entry))
        return message


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
