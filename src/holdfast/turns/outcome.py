"""What a finished turn left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from holdfast.backends.records import SessionKey, StoredOutcome, Version
from holdfast.errors import FutureFormat
from holdfast.sessions.codec import Codec, decoded
from holdfast.sessions.message import Message, MessageCodec
from holdfast.sessions.session import Messages

Status = Literal["completed", "failed", "cancelled"]


class _Kept(msgspec.Struct, array_like=True, omit_defaults=True):
    """The opaque outcome bytes: everything that is not in the log."""

    status: int = 0
    error: str = ""
    attempts: int = 1


_STATUSES: Final[tuple[Status, ...]] = ("completed", "failed", "cancelled")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class Outcome:
    """A finished turn.

    Attributes:
        session_id, turn_id: which one.
        status: "completed"; "failed" after the last attempt (``error`` says why); "cancelled" by the user or by a newer
            message, with what had been said until then.
        version: the session's version that its commit made.
        start: log position of its first message.
        attempts: how often its handler was started.
        replayed: True where the outcome was stored before and the handler was not called now.
        messages: what it added to the log, the input first.
    """

    __slots__ = ("attempts", "error", "messages", "replayed", "session_id", "start", "status", "turn_id", "version")

    def __init__(
        self,
        session_id: str,
        turn_id: str,
        version: Version,
        start: int,
        messages: Sequence[Message],
        *,
        status: Status = "completed",
        error: str = "",
        attempts: int = 1,
        replayed: bool = False,
    ) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self.version = version
        self.start = start
        self.messages = messages
        self.status = status
        self.error = error
        self.attempts = attempts
        self.replayed = replayed

    @property
    def reply(self) -> str:
        """What the assistant said in this turn; several replies are joined by line ends."""
        return "\n".join([message.content for message in self.messages if message.role == "assistant"])

    def __repr__(self) -> str:
        return (
            f"Outcome({self.session_id!r}, {self.turn_id!r}, {self.status}, version={self.version.counter}, "
            f"messages={len(self.messages)}, replayed={self.replayed})"
        )


def kept_bytes(codec: Codec, status: Status = "completed", *, error: str = "", attempts: int = 1) -> bytes:
    """The part of an outcome that a commit stores under the turn id. Nothing for the usual one."""
    if status == "completed" and attempts == 1:
        return b""
    return codec.seal(_encode(_Kept(_STATUSES.index(status), error, attempts)), "outcome")


def from_stored(
    key: SessionKey, turn_id: str, stored: StoredOutcome, codec: Codec, messages: MessageCodec, *, replayed: bool
) -> Outcome:
    """The outcome that a backend keeps under a turn id. Raises `CorruptRecord`, `FutureFormat`."""
    kept: _Kept = decoded(_decode, codec.open(stored.outcome)) if stored.outcome else _Kept()
    if not 0 <= kept.status < len(_STATUSES):
        raise FutureFormat(f"session {key.id!r}: turn {turn_id!r} ended in a way that this release does not know")
    return Outcome(
        key.id,
        turn_id,
        stored.version,
        stored.start,
        Messages(messages, stored.entries),
        status=_STATUSES[kept.status],
        error=kept.error,
        attempts=kept.attempts,
        replayed=replayed,
    )
