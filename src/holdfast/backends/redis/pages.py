"""Pages: log entries that lie compressed together. Their place and their directory are the functions' (pages.lua).

A page is HEAD, then the entries' lengths and the entries, compressed or not. HEAD: format version (high half) and compression
(low half), position of the first entry, number of entries, bytes uncompressed, CRC-32 of those. All but the last page of a
session are full and never change; the last one is written anew, larger, until it is full. A page is kept in one or two
pieces, so that they fill what Redis's allocator gives out (`pieces_of`).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise
from struct import Struct, error, unpack_from
from typing import Any, Final, NamedTuple
from zlib import crc32

from holdfast.errors import CorruptRecord, FutureFormat

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAGE_BYTES: Final = 32 * 1024
"""A page of several entries holds no more of them than this, uncompressed; a larger entry has a page of its own."""

_FORMAT: Final = 1
_PLAIN: Final = 0
_ZSTD: Final = 1
_HEAD: Final = Struct("<BQIII")
_SDS: Final = 6
"""Bytes that Redis adds to a string of this size: a header and a zero."""
_WORTH_CUTTING: Final = 2048
_CUT_COSTS: Final = 96
"""Bytes of one more field in a hash."""
_MOST: Final = 16 * 1024 * 1024
"""Compressed pages are at most this large when they are decompressed: more is damage, or an attack. Larger ones lie plain."""


class PageLimits(NamedTuple):
    """How a session's older messages are packed.

    Attributes:
        page: messages in a full page; a page is full with `PAGE_BYTES` too.
        keep: so many of the newest are never packed; the tail that turns load, at least.
        idle: seconds that a session has to be left alone before less than a full page is packed.
        step: so many messages beyond ``keep`` are worth a packing.
    """

    page: int = 128
    keep: int = 32
    idle: float = 10.0

    @property
    def step(self) -> int:
        return min(32, self.page)


def damaged(subject: str, what: str) -> CorruptRecord:
    """The error for a record of which ``what`` is wrong."""
    return CorruptRecord(
        f"{subject}: the stored record is damaged ({what}); restore it from a backup, or delete it".removeprefix(": ")
    )


def make_page(first: int, entries: Sequence[bytes], *, full: bool) -> tuple[bytes, int]:
    """A page of ``entries``, the first of which is at position ``first``; and its bytes uncompressed, without the lengths.

    A ``full`` one stays as it is and is worth more effort: level 9 instead of 3.
    """
    lengths = Struct(f"<{len(entries)}I").pack(*map(len, entries))
    body = b"".join((lengths, *entries))
    packed, compression = body, _PLAIN
    if len(body) <= _MOST:
        smaller = zstd.compress(body, 9 if full else 3)
        if len(smaller) < len(body):
            packed, compression = smaller, _ZSTD
    head = _HEAD.pack(_FORMAT << 4 | compression, first, len(entries), len(body), crc32(body))
    return head + packed, len(body) - len(lengths)


def pieces_of(page: bytes) -> list[bytes]:
    """The page cut so that little is lost to the allocator, of which sizes between two powers of two have four steps.

    jemalloc would give 20 KiB for 17; 16 and 1 fit. Where another allocator is in use it costs some 70 bytes a page.
    """
    needed = len(page) + _SDS
    if needed <= _WORTH_CUTTING:
        return [page]
    step = 1 << (needed.bit_length() - 3)
    fits = needed // step * step
    if needed == fits or fits + step - needed < _CUT_COSTS + _wasted(needed - fits + _SDS):
        return [page]
    return [page[: fits - _SDS], page[fits - _SDS :]]


def _wasted(needed: int) -> int:
    step = max(16, 1 << max(0, needed.bit_length() - 3))
    return -needed % step


def mark_of(page: bytes) -> bytes:
    """Eight bytes that stand for the page in the directory."""
    return hashlib.sha1(page, usedforsecurity=False).digest()[:8]


def digest_of(entries: Sequence[bytes]) -> bytes:
    """What the server compares with the entries that lie there: SHA-1, in hexadecimal, of each behind its length."""
    parts = (part for entry in entries for part in (len(entry).to_bytes(4, "little"), entry))
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest().encode()


def read_page(page: bytes, first: int, subject: str) -> list[bytes]:
    """All entries of the page that should begin at position ``first``.

    Raises:
        CorruptRecord: it is damaged, or another page.
        FutureFormat: a newer release wrote it.
    """
    try:
        kind, start, count, size, check = _HEAD.unpack_from(page)
    except error:
        raise damaged(subject, f"a page of {len(page)} bytes") from None
    if kind >> 4 > _FORMAT or (kind >> 4 == _FORMAT and kind & 15 > _ZSTD):
        raise FutureFormat(f"{subject}: its pages are in a format that this release does not know; upgrade this node")
    body = page[_HEAD.size :]
    if kind & 15 == _ZSTD:
        body = _decompressed(body, size, subject)
    if kind >> 4 != _FORMAT or start != first or len(body) != size or crc32(body) != check or 4 * count > size:
        raise damaged(subject, "a page")
    ends = list(accumulate(unpack_from(f"<{count}I", body), initial=4 * count))
    if ends[-1] != size:
        raise damaged(subject, "a page")
    return [body[at:end] for at, end in pairwise(ends)]


def _decompressed(packed: bytes, size: int, subject: str) -> bytes:
    if size > _MOST:
        raise damaged(subject, f"a page that would grow past {_MOST} bytes")
    decompressor = zstd.ZstdDecompressor()
    try:
        body = decompressor.decompress(packed, max_length=size + 1)
    except zstd.ZstdError:
        raise damaged(subject, "a page does not decompress") from None
    if not decompressor.eof or decompressor.unused_data:
        raise damaged(subject, "a page is truncated, or more than a page")
    return body


def read_pages(found: Sequence[Any], first: int, last: int, subject: str) -> list[bytes]:
    """Entries ``first`` to ``last`` (not included) out of pages.

    ``found`` is what the functions give: position, page, its last bytes or None, position...

    Raises:
        CorruptRecord: one is damaged, or they do not cover exactly what they should.
        FutureFormat: a newer release wrote one.
    """
    entries: list[bytes] = []
    begin = at = int(found[0]) if found else first
    for start, page, rest in zip(found[::3], found[1::3], found[2::3], strict=True):
        if start != at:
            raise damaged(subject, "its pages leave a gap")
        entries += read_page(page + rest if rest else page, start, subject)
        at = begin + len(entries)
    if not begin <= first <= last <= at:
        raise damaged(subject, "its pages do not reach its other messages")
    return entries[first - begin : last - begin]
