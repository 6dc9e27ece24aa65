"""What a running turn tells, kept in the store for a short time: so that it can be followed from any node.

Writing never holds up the turn: events wait until the chunk before them is written, also where the store takes that only later.
Whoever follows gets from the outcome what it never took.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.backends.records import EventChunks, SessionKey
from holdfast.errors import InvalidInput, StoreError, UnreadableRecord
from holdfast.sessions.codec import Codec

if TYPE_CHECKING:  # the store makes runs, a run writes into its store
    from holdfast.turns.store import TurnStore

Emit = Callable[[str, dict[str, Any]], None]
"""Takes one event of a running turn: its kind and its data (JSON types). Must not block."""

ATTEMPT: Final = "attempt"
"""The first event whenever a handler is started: what was told before does not count any more. Its data: ``fence``, which names
the attempt, and ``number``, counted from 1."""

PARKED: Final = "parked"
"""Told, on each node for itself, to whoever waits for a turn that waits for a signal. Its data: ``left``, in seconds, and
``waiting_for``, which is "" where another node has parked it."""

TOKEN: Final = "token"
"""The kind of an event that brings a further piece of the reply, as ``text``."""

Event = tuple[int, str, dict[str, Any]]
"""An event's number in its attempt, its kind and its data."""

_UNFOLLOWED: Final = 5
"""So much longer events are gathered while nobody follows them on another node."""
_TOGETHER: Final = 500
"""So many events are one chunk at the most."""
_LAST_S: Final = 1.0
_AGAIN_S: Final = 0.5
"""After so long a chunk that the store did not take is written again."""
_MOST: Final = 100_000
"""So many events of one attempt are remembered, in case somebody wants to follow it later."""


class EventWriter:
    """The events of one attempt, numbered from 1, and what of them is in the store.

    They are written, together, from the moment that somebody wants them; until then they only lie here.
    """

    __slots__ = (
        "_bytes",
        "_events",
        "_fence",
        "_kept_until",
        "_key",
        "_owed",
        "_store",
        "_taken",
        "_timer",
        "_turn_id",
        "_wanted",
        "_writing",
    )

    def __init__(self, store: TurnStore, key: SessionKey, turn_id: str, fence: int) -> None:
        self._store = store
        self._key = key
        self._turn_id = turn_id
        self._fence = fence
        self._events: list[Event] = []
        self._taken = 0
        self._bytes = 0
        self._kept_until = math.inf
        self._wanted = False
        self._owed = False
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[bool] | None = None

    def add(self, kind: str, data: dict[str, Any]) -> None:
        """Takes the next event."""
        if len(self._events) < _MOST:
            self._events.append((len(self._events) + 1, kind, data))
            if self._wanted and self._timer is None and self._writing is None:
                self._plan()

    def want(self, *, elsewhere: bool = False) -> None:
        """From now on they are written, those of before too. ``elsewhere``: somebody follows them on another node. Else they only
        matter if this node dies: they are written less often, and not at all of a turn that ends before that.
        """
        if elsewhere and not self._owed:
            self._owed = True
            self._unplan()
        self._wanted = True
        if self._timer is None and self._writing is None:
            self._plan()

    async def finish(self) -> None:
        """Writes the last ones; waits a moment for that, and no longer."""
        self._unplan()
        if self._wanted and (self._taken or self._owed or self._writing is not None):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    if self._writing is not None:
                        await asyncio.wait([self._writing])
                    self._unplan()
                    await self._write_new()

    def drop(self) -> None:
        """Writes nothing any more."""
        self._wanted = False
        self._unplan()
        if self._writing is not None:
            self._writing.cancel()

    def said(self) -> str:
        """The reply as far as it was told."""
        return said(self._events)

    def _plan(self, at_least: float = 0.0) -> None:
        """The next chunk, after a while."""
        if self._taken < len(self._events):
            group = self._store.settings.event_group_ms / 1000
            pause = max(at_least, group if self._owed else group * _UNFOLLOWED)
            self._timer = asyncio.get_running_loop().call_later(pause, self._start)

    def _unplan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write_new(), name="holdfast-events")
        self._writing.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[bool]) -> None:
        self._writing = None
        if self._wanted and not task.cancelled():
            self._plan(0.0 if task.result() else _AGAIN_S)

    async def _write_new(self) -> bool:
        """False where the store did not take all of it."""
        end = len(self._events)
        if time.monotonic() > self._kept_until:  # what was written before is gone
            self._taken = self._bytes = 0
        while self._taken < end:
            upto = min(self._taken + _TOGETHER, end)
            if not await self._write(self._events[self._taken : upto]):
                return False
            self._taken = upto
        return True

    async def _write(self, events: list[Event]) -> bool:
        settings = self._store.settings
        if self._bytes >= settings.event_bytes:
            return True
        try:
            chunk = self._store.codec.encode(events, f"events of turn {self._turn_id!r}")
        except InvalidInput:  # too large together, or one of them cannot be stored
            half = len(events) // 2
            return not half or (await self._write(events[:half]) and await self._write(events[half:]))
        try:
            await self._store.backend.append_events(
                self._key, self._turn_id, fence=self._fence, chunk=chunk, keep_ms=settings.event_keep_ms
            )
        except StoreError:  # if it was written after all: each event has its number
            return False
        self._bytes += len(chunk)
        self._kept_until = time.monotonic() + settings.event_keep_ms / 1000
        return True


class EventTail:
    """Passes on what a turn tells on another node, each event once."""

    def __init__(self, store: TurnStore, key: SessionKey, turn_id: str, emit: Emit) -> None:
        self._store = store
        self._key = key
        self._turn_id = turn_id
        self._emit = emit
        self._fence = 0
        self._start = 0
        self._seen = 0

    def parked(self, left: float, waiting_for: str) -> None:
        """The turn waits for a signal, for so many seconds; "" where another node knows for which."""
        self._emit(PARKED, {"left": left, "waiting_for": waiting_for})

    async def read(self) -> None:
        """All that is new. Where the store cannot be reached it is left for the next time."""
        with suppress(StoreError):
            found = await self._store.backend.read_events(
                self._key, self._turn_id, fence=self._fence, start=self._start
            )
            if found.fence not in (0, self._fence):  # 0: none are kept (any more)
                self._fence, self._seen = found.fence, 0
            self._start = found.start + len(found.chunks)
            for number, kind, data in decoded_events(self._store.codec, found):
                if number > self._seen:
                    self._seen = number
                    self._emit(kind, data)


def said(events: list[Event]) -> str:
    """The reply as far as these events tell it."""
    texts: list[str] = []
    for _, kind, data in events:
        if kind == ATTEMPT:
            texts.clear()
        elif kind == TOKEN and isinstance(text := data.get("text"), str):
            texts.append(text)
    return "".join(texts)


async def said_before(store: TurnStore, key: SessionKey, turn_id: str) -> str:
    """The reply as far as the last attempt told it, by what is kept of that; "" where the store does not say."""
    with suppress(StoreError):
        return said(decoded_events(store.codec, await store.backend.read_events(key, turn_id)))
    return ""


def decoded_events(codec: Codec, found: EventChunks) -> list[Event]:
    """The events in chunks, each once; those that cannot be read are left out."""
    events: list[Event] = []
    last = 0
    for chunk in found.chunks:
        with suppress(
            UnreadableRecord, msgspec.ValidationError
        ):  # the latter: it can be read, and is no list of events
            for number, kind, data in msgspec.convert(codec.decode(chunk), list[Event]):
                if number > last:
                    events.append((number, kind, data))
                    last = number
    return events
