"""What was erased lately, told to every node that uses the vault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.errors import StoreError
from holdfast.sessions.message import Message
from holdfast.sessions.store import SessionStore

_FEED: Final = "feed"
_LOOKS: Final = 3
"""Looks within the age of a key: one may fail."""
_TAIL: Final = 100
LEAST_S: Final = 3600.0
"""The log lives at least so long after an entry: a node that did not look for half of that trusts nothing that it keeps."""
_IDLE_S: Final = 60.0
"""So long after the last use of a key the background looks end."""


class Erasure(msgspec.Struct, frozen=True):
    """A user whose keys were destroyed."""

    tenant: str
    user: str
    owner: bytes


class ErasedFeed:
    """A log in the vault that each node looks at several times a second, while it uses any key.

    A look costs one small round trip, whatever the number of users: mostly "unchanged".

    Args:
        age: seconds after which what a node knows is too old to go by. told: gets each erasure that this node had not seen. lost:
            called where it may have missed some, and where nothing was used for long: nothing that it keeps may be used any more.
    """

    def __init__(
        self, store: SessionStore, age: float, told: Callable[[Erasure], None], lost: Callable[[], None]
    ) -> None:
        self._store = store
        self.age = age
        self._told = told
        self._lost = lost
        self._seen: int | None = None
        self._life = b""
        self._looked = float("-inf")
        self._used = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def fresh(self) -> bool:
        """Whether what this node knows may be gone by."""
        now = self._used = time.monotonic()
        return now - self._looked < self.age

    async def refresh(self) -> None:
        """Looks, if that is due. Raises the store's errors: nothing may be read or written by keys that may be gone."""
        if self.fresh:
            return
        async with self._lock:
            if not self.fresh:
                await self._look()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_on(), name="holdfast-erased")

    async def add(self, erasure: Erasure, *, keep: float) -> None:
        """Tells all nodes; this one at once."""
        self._told(erasure)
        text = msgspec.json.encode(erasure).decode()
        await self._store.update(_FEED, {}, append=[Message("system", text)], ttl=max(keep, LEAST_S))

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
            self._looking = None

    async def _look_on(self) -> None:
        while time.monotonic() - self._used < _IDLE_S:
            await asyncio.sleep(self.age / _LOOKS)
            with suppress(StoreError):  # too old soon, and then whoever uses a key hears of it
                async with self._lock:
                    await self._look()
        self._looked = float("-inf")
        self._lost()  # nobody tells this node any more: keys and copies do not stay in its memory

    async def _look(self) -> None:
        started = time.monotonic()
        found = await self._store.load(_FEED, tail=_TAIL)
        life = b"" if found is None else found.incarnation
        if self._seen is not None and (started - self._looked > LEAST_S / 2 or self._life not in (b"", life)):
            self._lost()  # the log that this node read is over, perhaps with entries that it never saw
        if found is None:
            self._seen, self._life = 0, b""
        else:
            if self._seen is None or found.incarnation != self._life:
                new = 0 if self._seen is None else found.total
                self._life = found.incarnation
            else:
                new = found.total - self._seen
            for message in await self._last(list(found.messages), found.total, new):
                self._told(msgspec.json.decode(message.content, type=Erasure))
            self._seen = found.total
        self._looked = started

    async def _last(self, tail: list[Message], total: int, new: int) -> list[Message]:
        if new <= len(tail):
            return tail[len(tail) - new :]
        return [message async for message in self._store.messages(_FEED, start=total - new)]
