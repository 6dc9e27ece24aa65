"""A backend that opens on its first call, and that a fork finds closed where it has to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from holdfast.backends.contract import Backend, Watch
from holdfast.backends.records import (
    BeginReply,
    BeginRequest,
    CommitReply,
    Delta,
    EventChunks,
    Fenced,
    Finding,
    Listing,
    LogPage,
    Overdue,
    Record,
    ResolveReply,
    SessionKey,
    Signalled,
    Unchanged,
    Version,
)
from holdfast.errors import StoreClosed

T = TypeVar("T")


class LazyBackend:
    """Opens what ``opener`` makes when it is first needed; a failed opening is tried again by the next call.

    Args:
        closes_at_fork: a fork waits until no call is under way and closes it; the next call opens it again. SQLite needs that:
            a child inherits its bookkeeping of locks that it does not hold, and then another process may remove the WAL
            that the child is writing to (seen here: acknowledged commits were gone).
    """

    def __init__(self, name: str, opener: Callable[[], Awaitable[Backend]], *, closes_at_fork: bool) -> None:
        self.name = name
        self._opener = opener
        self._closes_at_fork = closes_at_fork
        self._backend: Backend | None = None
        self._opening: asyncio.Task[Backend] | None = None
        self._calls = 0
        self._forks = 0
        self._changed: asyncio.Event | None = None
        self._closed = False

    @property
    def carried(self) -> bool:
        """Asked in a child of what it inherited: was this open, although a fork has to find it closed?"""
        return self._closes_at_fork and (self._backend is not None or self._opening is not None)

    # --- the contract ---

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        return await self._call(lambda backend: backend.load(key, tail=tail, known=known))

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        return await self._call(lambda backend: backend.commit(key, delta))

    async def delete(self, key: SessionKey) -> bool:
        return await self._call(lambda backend: backend.delete(key))

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        return await self._call(lambda backend: backend.read_log(key, start=start, count=count))

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await self._call(lambda backend: backend.scan(tenant, cursor=cursor, limit=limit))

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await self._call(lambda backend: backend.by_user(tenant, user, cursor=cursor, limit=limit))

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        return await self._call(lambda backend: backend.begin(key, request))

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        return await self._call(
            lambda backend: backend.record(key, turn_id, fence=fence, name=name, value=value, lease_ms=lease_ms)
        )

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        return await self._call(lambda backend: backend.renew(key, turn_id, fence=fence, lease_ms=lease_ms))

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        return await self._call(lambda backend: backend.signal(key, name, value, turn_id=turn_id, ahead=ahead))

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        return await self._call(lambda backend: backend.park(key, turn_id, fence=fence, name=name, for_ms=for_ms))

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        await self._call(lambda backend: backend.release(key, turn_id, token=token, withdraw=withdraw))

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        return await self._call(lambda backend: backend.resolve(key, op, fence=fence, age_ms=age_ms))

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        return await self._call(lambda backend: backend.overdue(limit=limit))

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        return await self._call(
            lambda backend: backend.append_events(key, turn_id, fence=fence, chunk=chunk, keep_ms=keep_ms)
        )

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        return await self._call(lambda backend: backend.read_events(key, turn_id, fence=fence, start=start))

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        await self._call(lambda backend: backend.publish(key, hint))

    @asynccontextmanager
    async def watch(self, key: SessionKey) -> AsyncIterator[Watch]:
        # after a fork it watches a backend that is gone: hints are lossy, and whoever waits polls as well
        backend = await self._call(_itself)
        async with backend.watch(key) as watch:
            yield watch

    async def check(self) -> list[Finding]:
        return await self._call(lambda backend: backend.check())

    async def close(self) -> None:
        self._closed = True
        self._notify()
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        if (backend := self._backend) is not None:
            self._backend = None
            await backend.close()

    # --- forks ---

    async def before_fork(self) -> None:
        if not self._closes_at_fork:
            return
        self._forks += 1
        while self._calls:
            await self._wait()
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._forks and (backend := self._backend) is not None:
            await backend.close()
            self._backend = None

    def after_fork(self) -> None:
        self._forks = max(0, self._forks - 1)
        self._notify()

    # --- inside ---

    async def _call(self, use: Callable[[Backend], Awaitable[T]]) -> T:
        while self._forks and not self._closed:
            await self._wait()
        self._calls += 1
        try:
            backend = self._backend
            if backend is None or self._closed:
                backend = await self._open()
            return await use(backend)
        finally:
            self._calls -= 1
            if not self._calls and self._forks:
                self._notify()

    async def _open(self) -> Backend:
        if self._closed:
            raise StoreClosed(f"this {self.name} store was closed by its owner; open another one")
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._opened())
            self._opening.add_done_callback(lambda opening: opening.cancelled() or opening.exception())
        return await asyncio.shield(self._opening)  # one caller's cancellation must not leave it half open

    async def _opened(self) -> Backend:
        try:
            self._backend = await self._opener()
            return self._backend
        finally:
            self._opening = None

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


async def _itself(backend: Backend) -> Backend:
    return backend
