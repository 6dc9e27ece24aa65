"""Requests as the functions read them, and their replies as records. It mirrors the formats in the Lua functions."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, calcsize, error, pack
from typing import Any, Final

from holdfast.backends.records import (
    ANY,
    BeginRequest,
    Committed,
    Delta,
    Existence,
    Field,
    Granted,
    OutcomeLimits,
    Record,
    SessionKey,
    StoredOutcome,
    Unchanged,
    Version,
)
from holdfast.backends.redis.keys import bytes_text, subject_of, text_bytes
from holdfast.backends.redis.pages import damaged as damaged
from holdfast.backends.redis.pages import read_pages
from holdfast.backends.redis.wire import Arg
from holdfast.errors import FutureFormat, InvalidInput, LimitExceeded

_NO_VERSION: Final = bytes(8)
_NARROW: Final = 0xFFFFFFFF
"""Durations and counters below this go as 4 bytes, others as 8."""

_BYTE: Final = tuple(bytes((n,)) for n in range(256))
_I4 = Struct("<I").pack
_I8 = Struct("<Q").pack
_2I4 = Struct("<II").pack
_2I8 = Struct("<QQ").pack
_4I4 = Struct("<IIII").pack
_4I8 = Struct("<QQQQ").pack
_USUAL = Struct("<IIH").pack
_H = Struct("<H").pack
_BEGIN = Struct("<B8sB8sB8sH").pack
_2H = Struct("<HH").pack
_FENCE = Struct("<QHB").pack
_HEAD = Struct("<H16sQHB8s4s8sHH").pack  # the same where a turn's id has eight bytes or more; "4s" fills up with zeros
_LIMITS = Struct("<QII").pack
_GRANT = Struct("<BQI16sQBQ").unpack
_COMMITTED = Struct("<BBQ16sQQQ").unpack_from
_COMMITTED_SIZE: Final = calcsize("<BBQ16sQQQ")
_STORED = Struct("<BQ16sQ")
_COUNTER = Struct("<Q").unpack_from
_META = Struct("<IBB16s16s14QIB")
_META_FORMAT: Final = 1
_META_PAGED: Final = 2
"""The head of a session with pages: how many entries are in them stands at its very end, in 8 bytes."""

# What the Lua functions assume where a call brings no limits.
_USUAL_AGE: Final = 24 * 3600 * 1000
_USUAL_LIMITS: Final = (256, 64, _USUAL_AGE)


def ends_of(version: Version) -> bytes:
    """Eight of the sixteen random bytes of a commit id: enough to tell versions apart, half of them on the wire."""
    id_ = version.commit_id
    return id_[:4] + id_[12:]


def short(text: bytes) -> bytes:
    """Text of at most 65535 bytes, behind its length."""
    try:
        return _H(len(text)) + text
    except error:
        raise LimitExceeded("an id or name is longer than 65535 bytes") from None


def _byte_length(data: bytes, what: str) -> bytes:
    if len(data) > 255:
        raise LimitExceeded(f"{what} is longer than 255 bytes")
    return _BYTE[len(data)]


# --- requests ------------------------------------------------------------------------------------------------------


def pack_begin(request: BeginRequest, age_ms: int, indexed_ms: int, *, with_birth: bool) -> bytes:
    """The packed argument of `begin`; the input entry is the other one.

    ``with_birth`` can be left out where a copy of the session is known: `begin` asks for it if it needs it after all.
    """
    birth = request.birth
    turn = text_bytes(request.turn_id)
    ttl, max_age = birth.ttl_ms, birth.max_age_ms
    wide = max(request.lease_ms, request.place_ms, request.tail, age_ms, ttl, max_age) >= _NARROW
    usual = not wide and age_ms == _USUAL_AGE and request.tail < 65536
    flags = 2 if wide else 32 if usual else 0
    known = _NO_VERSION
    if request.known is not None:
        flags |= 16
        known = ends_of(request.known)
    more: tuple[bytes, ...] = ()
    if with_birth:
        flags |= 1
        more = ((_2I8 if wide else _2I4)(ttl, max_age),)
    if request.handler:
        flags |= 4
        more = (*more, short(text_bytes(request.handler)))
    if birth.user:
        flags |= 8
        more = (*more, short(text_bytes(birth.user)), _I8(indexed_ms))
    token, fingerprint = request.token, request.fingerprint
    if usual and not more and len(token) == len(fingerprint) == 8 and len(turn) <= 0xFFFF:
        head = _BEGIN(flags, known, 8, token, 8, fingerprint, len(turn))
        return head + turn + _USUAL(request.lease_ms, request.place_ms, request.tail)
    return b"".join(
        (
            _BYTE[flags],
            known,
            _byte_length(token, "a token"),
            token,
            _byte_length(fingerprint, "a fingerprint"),
            fingerprint,
            short(turn),
            _USUAL(request.lease_ms, request.place_ms, request.tail)
            if usual
            else (_4I8 if wide else _4I4)(request.lease_ms, request.place_ms, request.tail, age_ms),
            *more,
        )
    )


_EXISTENCE: Final[Mapping[Existence, int]] = {"may": 0, "must": 256, "new": 512, "unborn": 512 + 8192}


class CommitPacker:
    """Packs commits under one setting of limits."""

    def __init__(self, limits: OutcomeLimits) -> None:
        usual = (limits.turns, limits.updates, limits.age_ms) == _USUAL_LIMITS
        self._limits = b"" if usual else _LIMITS(limits.age_ms, limits.turns, limits.updates)

    def pack(self, delta: Delta, indexed_ms: int, *, whole_id: bool) -> list[Arg]:
        """The arguments of `commit`. ``whole_id`` sends the turn id too, not only its end: for a repeated or late commit."""
        if len(delta.commit_id) != 16:
            raise InvalidInput("a commit id has 16 bytes")
        fence, incarnation = delta.fence, delta.incarnation
        turn = text_bytes(delta.turn_id) if fence else b""
        tag = turn[-8:]
        wide, counters = _counters(delta)
        base, flags = _NO_VERSION, 0
        if delta.base is not None:
            flags, base = 1, ends_of(delta.base)
        if incarnation:
            flags |= 2
        if delta.strict:
            flags |= 4
        more: list[bytes] = []
        if (
            wide
            or not fence
            or delta.ttl_ms is not None
            or delta.birth.user
            or whole_id
            or self._limits
            or delta.rooted
        ):
            flags |= self._rare(delta, wide, indexed_ms, turn if whole_id else b"", more)
        elif delta.existence != "may":
            flags |= _EXISTENCE[delta.existence]
        sets: list[Arg] = []
        dels: list[Arg] = []
        for name, value, _ in delta.changes:
            if value is None:
                dels.append("=" + name)
            else:
                sets += ("=" + name, value)
        numbers = (len(sets) >> 1, len(dels))
        if len(tag) == 8:
            fixed = _HEAD(flags, delta.commit_id, fence, len(turn), 8, tag, incarnation[:4], base, *numbers)
        else:
            fence_and_tag = _FENCE(fence, len(turn), len(tag)) + tag
            fixed = b"".join(
                (_H(flags), delta.commit_id, fence_and_tag, incarnation[:4] or _NO_VERSION[:4], base, _2H(*numbers))
            )
        head = b"".join((fixed, *more, counters, delta.outcome))
        return [head, *delta.appends, *sets, *dels]

    def _rare(self, delta: Delta, wide: bool, indexed_ms: int, turn: bytes, more: list[bytes]) -> int:
        """Adds what a turn's commit mostly does without, and returns its flags."""
        flags = 2048 if wide else 0
        number, two = (_I8, _2I8) if wide else (_I4, _2I4)
        if delta.ttl_ms is not None:
            flags |= 8
            more.append(number(delta.ttl_ms))
        if not delta.fence:
            flags |= 16
            more.append(two(delta.birth.ttl_ms, delta.birth.max_age_ms))
        if delta.birth.user:
            flags |= 32
            more += (short(text_bytes(delta.birth.user)), _I8(indexed_ms))
        if turn:
            flags |= 64
            more.append(short(turn))
        if self._limits:
            flags |= 128
            more.append(self._limits)
        if delta.existence != "may":
            flags |= _EXISTENCE[delta.existence]
        if delta.incarnation and not delta.fence:  # with a fence four bytes do: it is never given out twice
            flags |= 1024
            more.append(delta.incarnation[4:])
        if delta.rooted and delta.base is not None:
            flags |= 4096
            more.append(_I8(delta.base.counter))
        return flags


def _counters(delta: Delta) -> tuple[bool, bytes]:
    """Are 8-byte numbers needed? And the counters of the changed fields: those of values first, then of removals."""
    changes = delta.changes
    if len(changes) > 0xFFFF:
        raise LimitExceeded("one commit changes more than 65535 fields")
    birth = delta.birth
    longest = max(delta.ttl_ms or 0, birth.ttl_ms, birth.max_age_ms)
    if longest < _NARROW:
        if not changes:
            return False, b""
        if len(changes) == 1 and ANY < changes[0].counter < _NARROW:
            return False, _I4(changes[0].counter)  # the usual case, without the cost of a format made for it
    elif not changes:
        return True, b""
    counters = [c.counter for c in changes if c.value is not None] + [c.counter for c in changes if c.value is None]
    wide = longest >= _NARROW or max(counters) >= _NARROW
    any_ = 0xFFFFFFFFFFFFFFFF if wide else _NARROW
    return wide, pack(f"<{len(counters)}{'Q' if wide else 'I'}", *[any_ if c == ANY else c for c in counters])


# --- replies -------------------------------------------------------------------------------------------------------


class Meta:
    """What listings and loads need of a session's head."""

    __slots__ = (
        *("commit_id", "counter", "created", "expires", "hold", "incarnation"),
        *("paged", "total", "ttl", "used", "user"),
    )

    def __init__(self, data: bytes, subject: str = "") -> None:
        if len(data) > 5 and data[4] not in (_META_FORMAT, _META_PAGED):
            raise FutureFormat(f"{subject}: written in a format that this release does not know; upgrade this node")
        try:
            head = _META.unpack_from(data)
            at = _META.size + int(head[20])
            user_length = int.from_bytes(data[at : at + 2], "little")
            self.user = bytes_text(data[at + 2 : at + 2 + user_length])
        except (error, UnicodeDecodeError):
            raise damaged(subject, "its head") from None
        if head[0] != len(data):
            raise damaged(subject, "its head")
        self.incarnation: bytes = head[3]
        self.commit_id: bytes = head[4]
        self.counter: int = head[5]
        self.created: int = head[6]
        self.ttl: int = head[7]
        self.expires: int = head[9]
        self.hold: int = head[10]
        self.used: int = head[11]
        self.total: int = head[16]
        self.paged = int.from_bytes(data[-8:], "little") if data[4] == _META_PAGED else 0
        if self.paged and self.paged >= self.total:
            raise damaged(subject, "its head")

    def visible(self, now: int) -> bool:
        """Committed at least once, and not over at ``now``."""
        return self.counter > 0 and (self.expires == 0 or now < self.expires or now < self.hold)


def milliseconds(time: list[bytes]) -> int:
    """The reply of TIME (seconds, microseconds) in milliseconds."""
    return int(time[0]) * 1000 + int(time[1]) // 1000


def read_record(fields: list[bytes], tail: list[bytes], subject: str, meta: Meta | None = None) -> Record:
    """A record from HGETALL's flat list and the tail of the log."""
    state: dict[str, Field] = {}
    found = meta
    try:
        for at in range(0, len(fields), 2):
            name = fields[at]
            if name[0] == 61:  # "="
                value = fields[at + 1]
                state[name[1:].decode()] = Field(value[8:], _COUNTER(value)[0])
            elif name == b"m" and found is None:
                found = Meta(fields[at + 1], subject)
    except (error, IndexError, UnicodeDecodeError):
        raise damaged(subject, "a state field") from None
    if found is None:
        raise damaged(subject, "it has no head")
    return Record(
        incarnation=found.incarnation,
        version=Version(found.counter, found.commit_id),
        user=found.user,
        created_ms=found.created,
        expires_ms=found.expires,
        ttl_ms=found.ttl,
        fields=state,
        tail=tail,
        total=found.total,
    )


def put_older(record: Record, pages: list[Any], wanted: int, subject: str) -> None:
    """Completes a record's tail to ``wanted`` entries out of the pages that lie before it."""
    last = record.total - len(record.tail)
    record.tail = [*read_pages(pages, max(0, record.total - wanted), last, subject), *record.tail]


def read_granted(reply: Any, key: SessionKey, wanted: int) -> Granted:
    """The reply of a granted begin: one packed string, or that with fields, tail, journal, input and pages behind it.

    ``wanted`` is the length of the tail that was asked for.
    """
    if reply.__class__ is bytes:
        _, fence, attempt, incarnation, now, has, expires = _GRANT(reply)
        return Granted(fence, attempt, incarnation, now, None if has == 0 else Unchanged(expires), [])
    head, fields, tail, steps, entry, *pages = reply
    _, fence, attempt, incarnation, now, has, expires = _GRANT(head)
    record: Record | Unchanged | None = None
    if has == 1:
        record = Unchanged(expires)
    elif has == 2:
        record = read_record(fields, tail, subject_of(key))
        if pages:
            put_older(record, pages[0], wanted, subject_of(key))
    return Granted(fence, attempt, incarnation, now, record, read_steps(steps or []), entry or b"")


def pack_step(name: str, value: bytes) -> bytes:
    """One entry of a journal."""
    return short(text_bytes(name)) + value


def read_steps(entries: list[bytes]) -> list[tuple[str, bytes]]:
    """A journal in the order of the first writes; a name that was written again has its last value."""
    steps: dict[str, bytes] = {}
    for entry in entries:
        end = 2 + int.from_bytes(entry[:2], "little")
        steps[bytes_text(entry[2:end])] = entry[end:]
    return list(steps.items())


def read_committed(reply: bytes, commit_id: bytes) -> tuple[Committed, bool]:
    """The reply of an applied commit, and whether the user's index wants renewing. A touch brings the version it kept."""
    _, notes, counter, incarnation, start, expires, now = _COMMITTED(reply)
    if len(reply) > _COMMITTED_SIZE:
        commit_id = reply[_COMMITTED_SIZE:]
    return Committed(Version(counter, commit_id), incarnation, start, expires, now, notes & 1 == 1), notes >= 2


def read_stored(reply: list[Any], subject: str) -> StoredOutcome:
    """A stored outcome with its log entries, which may lie in pages by now."""
    head, entries, *older = reply
    _, counter, commit_id, start = _STORED.unpack_from(head)
    if older:
        pages, count = older
        entries = [*read_pages(pages, start, start + count - len(entries), subject), *entries]
    return StoredOutcome(head[_STORED.size :], Version(counter, commit_id), start, entries)
