"""One conversation as a caller sees it: a snapshot that remembers its version and what was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from holdfast.backends.records import Record, SessionKey, Version
from holdfast.sessions.decoded import DecodedTail
from holdfast.sessions.message import Message, MessageCodec
from holdfast.sessions.state import State


class Messages(Sequence[Message]):
    """The last messages of a session, oldest first, decoded when they are read."""

    __slots__ = ("_cached", "_codec", "_decoded", "_entries")

    def __init__(self, codec: MessageCodec, entries: Sequence[bytes], cached: DecodedTail | None = None) -> None:
        self._codec = codec
        self._entries = entries
        self._cached = cached
        self._decoded: list[Message] | None = None

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Messages({len(self)})"

    def _all(self) -> list[Message]:
        if self._decoded is None:
            cached, codec = self._cached, self._codec
            self._decoded = codec.decode_all(self._entries) if cached is None else cached.read(codec, self._entries)
        return self._decoded


class Session:
    """A loaded session.

    Attributes:
        id, tenant, user: whose conversation it is ("" where there is no tenant or user).
        state: its named values; change them and `save`, or use a turn.
        messages: the loaded tail of the log, oldest first.
        total: how many messages the log has.
        version: what the store checks at commit; None where nothing was committed yet.
        ttl: its sliding time to live in seconds; None is without.
        created_at, expires_at: seconds since the epoch by the store's clock; ``expires_at`` None is never.
        stale: True only where `load` was allowed to bring an unconfirmed copy, and did.
        age: then, how many seconds ago the store last confirmed it; else 0.
    """

    __slots__ = (
        "age",
        "created_at",
        "expires_at",
        "id",
        "incarnation",
        "messages",
        "stale",
        "state",
        "tenant",
        "total",
        "ttl",
        "user",
        "version",
    )

    def __init__(self, key: SessionKey, record: Record | None, state: State, messages: Messages) -> None:
        self.tenant, self.id = key
        self.state = state
        self.messages = messages
        self.version: Version | None = None
        self.incarnation = b""
        self.user = ""
        self.total = 0
        self.created_at: float | None = None
        self.expires_at: float | None = None
        self.ttl: float | None = None
        self.stale = False
        self.age = 0.0
        if record is not None:
            self.version = record.version
            self.incarnation = record.incarnation
            self.user = record.user
            self.ttl = record.ttl_ms / 1000 if record.ttl_ms else None
            self.total = record.total
            self.created_at = record.created_ms / 1000
            self.expires_at = record.expires_ms / 1000 if record.expires_ms else None

    def __repr__(self) -> str:
        counter = self.version.counter if self.version else 0
        return f"Session({self.id!r}, version={counter}, messages={self.total}, {self.state!r})"
