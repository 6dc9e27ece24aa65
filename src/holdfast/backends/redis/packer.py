"""Packing: messages that no turn loads any more go into pages, off the turn's path.

The commit that brings a session over the next multiple of the step asks for it, so that of several nodes usually one does the
work; where two do, one of them is told that it came too late. A full page is packed at once, less than that when the session
has been left alone for a while: one that is busy would have its last page written again and again. Whatever goes wrong is made
good by the next packing.
"""

from __future__ import annotations

import asyncio
import struct
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from holdfast.backends.records import Packed, SessionKey
from holdfast.backends.redis.calls import Calls
from holdfast.backends.redis.ending import end
from holdfast.backends.redis.keys import Keys, subject_of
from holdfast.backends.redis.pages import PAGE_BYTES, PageLimits, digest_of, make_page, mark_of, pieces_of, read_pages
from holdfast.errors import HoldfastError

_UNPACKED, _PACK = "yq"
TOGETHER: Final = 2
"""So many sessions are packed at the same time."""
WORKER: Final = "holdfast-redis-packing"
"""The name of the tasks that pack; they end when nothing waits any more."""
_WAITING: Final = 8192
"""So many may wait for it; more are left to their next turns."""
_IN_A_THREAD: Final = 12 * 1024
"""From so many bytes on a page is compressed in a thread."""
_COLLISIONS: Final = 3
"""After so many packings in a row that came too late the session is left to whoever is faster."""


class PackCounts(msgspec.Struct):
    """What was packed since the start: pages written, entries moved, their bytes, bytes by which pages grew; and what failed."""

    pages: int = 0
    entries: int = 0
    entry_bytes: int = 0
    page_bytes: int = 0
    too_late: int = 0
    failed: int = 0
    left_out: int = 0


class Packer:
    """Packs sessions of one server: on request, and in the background when they have `grown`."""

    def __init__(self, calls: Calls, keys: Keys, limits: PageLimits) -> None:
        self._calls = calls
        self._keys = keys
        self.limits = limits
        self._waiting: OrderedDict[SessionKey, float] = OrderedDict()
        self._sooner = asyncio.Event()
        self._workers: set[asyncio.Task[None]] = set()
        self._closed = False
        self.counts = PackCounts()

    def grown(self, key: SessionKey, start: int, added: int) -> None:
        """After a commit that put ``added`` entries at position ``start``: packs soon if that passed the next step."""
        old, new = (max(0, place - self.limits.keep) for place in (start, start + added))
        step, page = self.limits.step, self.limits.page
        if self._closed or old // step == new // step:
            return
        if len(self._waiting) >= _WAITING:
            self.counts.left_out += 1
            return
        now = asyncio.get_running_loop().time()
        whole = old // page != new // page
        self._waiting[key] = now if whole else now + self.limits.idle
        self._waiting.move_to_end(key, last=not whole)
        if whole:
            self._sooner.set()
        if len(self._workers) < TOGETHER:
            worker = asyncio.create_task(self._work(), name=WORKER)
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        now = asyncio.get_running_loop().time
        while self._waiting:
            key, due = next(iter(self._waiting.items()))
            if due > now():
                self._sooner.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._sooner.wait(), due - now())
                continue
            del self._waiting[key]
            try:
                await self._pack(key, self.limits.step)
            except HoldfastError:
                self.counts.failed += 1

    async def pack(self, key: SessionKey) -> Packed:
        """Packs all that can be packed now, in the caller's time.

        Raises `StoreError` where the server fails or the session is damaged; what was packed by then stays so.
        """
        return await self._pack(key, max(1, self.limits.step // 4))

    async def _pack(self, key: SessionKey, least: int) -> Packed:
        limits = self.limits
        ask = struct.pack("<4I", limits.keep, least, limits.page, PAGE_BYTES)
        done = Packed()
        too_late = 0
        while too_late < _COLLISIONS:
            source = await self._calls.read(_UNPACKED, self._keys.session(key), ask, large=True)
            if source is None:
                break
            request, page, moved = await self._next_page(key, source)
            reply = await self._calls.write(_PACK, self._keys.session(key), request, *pieces_of(page))
            if reply == b"K":
                too_late = 0
                done = self._counted(done, moved)
            else:
                too_late += 1
                self.counts.too_late += 1
        return done

    async def _next_page(self, key: SessionKey, source: Sequence[Any]) -> tuple[bytes, bytes, Packed]:
        """What the pack function takes: its packed argument and the page; and what that moves."""
        head, found, entries = source
        incarnation = head[:16]
        paged, first, mark = struct.unpack("<QQ8s", head[16:])
        size, before = sum(map(len, entries)), sum(len(piece or b"") for piece in found[1:])
        make = partial(_page_of, self.limits.page, paged, first, found, entries, subject_of(key))
        page, total = await asyncio.to_thread(make) if size + before > _IN_A_THREAD else make()
        request = incarnation + struct.pack("<QQ8s", paged, first, mark)
        request += struct.pack("<II8s", len(entries), total, mark_of(page)) + digest_of(entries)
        return request, page, Packed(len(entries), size, len(page) - before)

    def _counted(self, done: Packed, moved: Packed) -> Packed:
        counts = self.counts
        counts.pages += 1
        counts.entries += moved.entries
        counts.entry_bytes += moved.entry_bytes
        counts.page_bytes += moved.page_bytes
        return Packed(
            done.entries + moved.entries, done.entry_bytes + moved.entry_bytes, done.page_bytes + moved.page_bytes
        )

    async def close(self) -> None:
        """Drops what waits and ends what is under way; a page that was sent is either whole or not there."""
        self._closed = True
        self._waiting.clear()
        await end(self._workers)


def _page_of(
    most: int, paged: int, first: int, found: Sequence[Any], entries: Sequence[bytes], subject: str
) -> tuple[bytes, int]:
    """The page that ``entries`` make, behind those of the page ``found`` if there is one."""
    whole = [*read_pages(found, first, paged, subject), *entries]
    size = sum(map(len, whole))
    return make_page(first, whole, full=len(whole) >= most or size >= PAGE_BYTES - size // len(whole))
