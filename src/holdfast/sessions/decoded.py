"""A cached session's messages, kept decoded from one turn to the next: a turn then decodes what is new, not the whole tail."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Final

from holdfast.sessions import frame
from holdfast.sessions.message import Message, MessageCodec

MESSAGE_BYTES: Final = 300
"""Bytes of Python objects of one decoded message beside its text, rounded up (sys.getsizeof)."""


class DecodedTail:
    """What the last reader of a cached session decoded. It is only used for the very entries (objects) it came from.

    Messages are shared between readers, so nothing that a reader can change is kept (metadata, a tool's arguments); nor is
    what was compressed, because its text may be far larger than the entry that the cache has counted.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[Sequence[bytes], list[Message]] | None = None

    def read(self, codec: MessageCodec, entries: Sequence[bytes]) -> list[Message]:
        """The same as ``codec.decode_all(entries)``."""
        kept = self._kept(codec, entries)
        new = entries[len(kept) :]
        messages = kept + codec.decode_all(new, kept[-1].turn_id if kept else "")
        self._last = (entries, messages) if all(map(frame.is_plain, new)) else None
        return messages

    def _kept(self, codec: MessageCodec, entries: Sequence[bytes]) -> list[Message]:
        """Messages of the first entries, as far as they were decoded before."""
        if self._last is None or not entries:
            return []
        known, messages = self._last
        first = entries[0]
        try:
            at = known.index(first)
        except ValueError:
            return []
        count = min(len(known) - at, len(entries))
        kept = messages[at : at + count]
        if not all(map(is_, known[at : at + count], entries)):
            return []
        for message in kept:
            if message.metadata or message.tool_calls:
                return []
        if at and kept[0].turn_id == messages[at - 1].turn_id and codec.decode(first).turn_id != kept[0].turn_id:
            # the page begins in the middle of a turn, whose id its messages have only from what stood before
            whole = next((n for n, message in enumerate(kept) if message.turn_id != kept[0].turn_id), len(kept))
            kept[:whole] = codec.decode_all(entries[:whole])
        return kept
