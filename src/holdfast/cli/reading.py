"""An export's sessions, read line by line and checked before anything is written."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec

from holdfast import Store
from holdfast.cli.export_format import MAX_LINE, DamagedLine, check_header, message_of, parsed, untagged
from holdfast.errors import InvalidInput
from holdfast.sessions.ids import checked_id, checked_name

AT_ONCE_MESSAGES: Final = 2_000
AT_ONCE_BYTES: Final = 4 << 20
"""A session with no more messages, and no more bytes of them, is written in one atomic commit; a longer one in parts."""


class Head(msgspec.Struct):
    """A ``session`` line."""

    id: str
    messages: int
    state: dict[str, Any] = {}
    user: str = ""
    ttl_s: float | None = None
    expires_at: str | None = None
    digest: str = ""

    @property
    def expires_ms(self) -> int:
        return 0 if self.expires_at is None else round(datetime.fromisoformat(self.expires_at).timestamp() * 1000)


class Whole(msgspec.Struct):
    """A session whose lines are all there and all right.

    ``entries`` are its messages as log entries; None where they are too many to hold: then `parts` reads them again.
    """

    head: Head
    offset: int
    entries: list[bytes] | None


class Damaged(msgspec.Struct):
    """Something that cannot be imported, and why (the line is named)."""

    id: str
    why: str


def in_parts(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Log entries in parts of one commit each."""
    part: list[bytes] = []
    size = 0
    for entry in entries:
        if part and (len(part) >= AT_ONCE_MESSAGES or size + len(entry) > AT_ONCE_BYTES):
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry)
    if part:
        yield part


class ExportReader:
    """Reads a seekable export.

    Args:
        store: says how messages are encoded and how large values may be.
    """

    def __init__(self, file: BinaryIO, store: Store) -> None:
        self._file = file
        self._store = store
        self._number = 0
        self._ahead: dict[str, Any] | None = None
        self._ahead_raw = b""
        self._trailer: int | None = None
        self._damage = False
        """Lines were damaged that belong to no session that is known."""

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._file.tell()

    def sessions(self) -> Iterator[Whole | Damaged]:
        """One after the other. Raises `DamagedLine` or `FutureFormat` where the file as a whole is no export."""
        if (first := self._line()) is None:
            raise DamagedLine("the file is empty: this is no export")
        check_header(first)
        found = 0
        while True:
            try:
                line = self._next()
            except DamagedLine as error:
                self._damage = True
                yield Damaged("", str(error))
                self._skip()
                continue
            if line is None:
                break
            if line["kind"] == "trailer":
                self._trailer = line.get("sessions")
            elif line["kind"] == "session":
                found += 1
                yield self._session(line)
            else:
                self._damage = True
                yield Damaged(_id(line), f"line {self._number} belongs to no session")
                self._skip()
        if self._trailer is None:
            yield Damaged("", f"the file ends after line {self._number}, before its trailer: sessions may be missing")
        elif self._trailer != found and not self._damage:  # else it is known already why some are missing
            yield Damaged("", f"the trailer counts {self._trailer} sessions, the file has {found}")

    def parts(self, whole: Whole, skip: int) -> Generator[list[bytes], None, None]:
        """The log entries after the first ``skip`` of a session that was found whole, in parts of one commit each.

        It goes back in the file, and leaves it behind the session.
        """
        here = self._file.tell(), self._number, self._ahead, self._ahead_raw
        self._file.seek(whole.offset)
        self._ahead = None
        try:
            yield from in_parts(itertools.islice(self._entries(whole.head), skip, None))
        finally:
            position, self._number, self._ahead, self._ahead_raw = here
            self._file.seek(position)

    # --- inside ---

    def _session(self, line: dict[str, Any]) -> Whole | Damaged:
        session_id = _id(line)
        try:
            head = self._head(line)
            offset = self._file.tell()
            entries: list[bytes] | None = []
            size = 0
            for entry in self._entries(head):
                size += len(entry)
                if entries is not None:
                    entries.append(entry)
                    if len(entries) > AT_ONCE_MESSAGES or size > AT_ONCE_BYTES:
                        entries = None
            return Whole(head, offset, entries)
        except _Abandoned as abandoned:
            return Damaged(session_id, str(abandoned))
        except DamagedLine as error:
            self._skip()
            return Damaged(session_id, str(error))

    def _head(self, line: dict[str, Any]) -> Head:
        try:
            head = msgspec.convert(line, Head)
            checked_id("session", head.id)
            checked_name("user", head.user)
            head.state = {name: untagged(value) for name, value in head.state.items()}
            for name, value in head.state.items():
                self._store.codec.encode(value, checked_id("state key", name))
            if head.ttl_s is not None and not 0.001 <= head.ttl_s < 2**35:
                raise ValueError(f"ttl_s={head.ttl_s} is out of range")
            _ = head.expires_ms
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, InvalidInput) as error:
            raise DamagedLine(f"line {self._number}: {_short(error)}") from None
        head.digest = hashlib.blake2b(self._ahead_raw, digest_size=16).hexdigest()
        return head

    def _entries(self, head: Head) -> Iterator[bytes]:
        """The session's messages, encoded, up to its ``end`` line. Raises `DamagedLine`."""
        count = 0
        while True:
            line = self._next()
            if line is None:
                raise DamagedLine(f"the file ends after line {self._number}, within session {head.id!r}")
            kind = line["kind"]
            if kind in ("session", "trailer", "header"):
                self._ahead = line
                raise DamagedLine(f"line {self._number} begins something new, but session {head.id!r} has no end yet")
            if line.get("id") != head.id:
                raise DamagedLine(f"line {self._number} belongs to another session than {head.id!r}")
            if kind == "abandoned":
                raise _Abandoned(f"line {self._number}: the export left it out: {line.get('why', '')}")
            if kind == "end":
                if not count == line.get("messages") == head.messages:
                    raise DamagedLine(f"line {self._number}: {head.messages} messages are announced, {count} are here")
                return
            if kind != "messages" or line.get("start") != count or not isinstance(line.get("messages"), list):
                raise DamagedLine(f"line {self._number} is not the page of messages that comes after message {count}")
            for parts in line["messages"]:
                try:
                    entry = self._store.message_codec.encode(message_of(parts))
                except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, InvalidInput) as error:
                    raise DamagedLine(f"line {self._number}, message {count}: {_short(error)}") from None
                count += 1
                yield entry

    def _skip(self) -> None:
        """To the next session, over what belongs to a damaged one."""
        while self._ahead is None or self._ahead["kind"] not in ("session", "trailer"):
            self._ahead = None
            try:
                self._ahead = self._line()
            except DamagedLine:
                continue
            if self._ahead is None:
                return

    def _next(self) -> dict[str, Any] | None:
        if self._ahead is not None:
            line, self._ahead = self._ahead, None
            return line
        return self._line()

    def _line(self) -> dict[str, Any] | None:
        raw = self._file.readline(MAX_LINE)
        if not raw:
            return None
        self._number += 1
        self._ahead_raw = raw if len(raw) < AT_ONCE_BYTES else raw[:AT_ONCE_BYTES]
        return parsed(raw, self._number)


class _Abandoned(Exception):
    """The export says itself that this session is not whole."""


def _id(line: dict[str, Any]) -> str:
    found = line.get("id")
    return found if isinstance(found, str) else ""


def _short(error: Exception) -> str:
    return str(error)[:300] or type(error).__name__
