"""A backend around a backend, which counts and times every call."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Any, TypeVar

from holdfast.backends.contract import Backend, Watch
from holdfast.backends.records import (
    BeginReply,
    BeginRequest,
    CommitReply,
    Committed,
    Delta,
    EventChunks,
    Fenced,
    Finding,
    Granted,
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
from holdfast.telemetry.calls import MERGED, RESUMED, CallRecorder, Calls

T = TypeVar("T")


class MeteredBackend:
    """Does what ``inner`` does. What ``inner`` has beside the contract is found here under the same name.

    The three that a turn always waits for are written out: a coroutine less on its way.
    """

    def __init__(self, inner: Backend, recorder: CallRecorder) -> None:
        self.inner = inner
        self.name = inner.name
        self.recorder = recorder
        self._ops = recorder.ops
        self._load, self._begin, self._commit = self._ops["load"], self._ops["begin"], self._ops["commit"]

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not set yet: a copy or an unpickled one is being made
            raise AttributeError(name)
        return getattr(self.inner, name)

    # --- sessions ---

    async def load(self, key: SessionKey, *, tail: int, known: Version | None = None) -> Record | Unchanged | None:
        started = perf_counter()
        try:
            reply = await self.inner.load(key, tail=tail, known=known)
        except BaseException as error:
            self._load.failed(error, perf_counter() - started)
            raise
        self._load.done(reply.__class__, perf_counter() - started)
        return reply

    async def commit(self, key: SessionKey, delta: Delta) -> CommitReply:
        started = perf_counter()
        try:
            reply = await self.inner.commit(key, delta)
        except BaseException as error:
            self._commit.failed(error, perf_counter() - started)
            raise
        kind: object = reply.__class__
        if isinstance(reply, Committed) and not reply.on_base and delta.base is not None:
            kind = MERGED
        self._commit.done(kind, perf_counter() - started)
        return reply

    async def delete(self, key: SessionKey) -> bool:
        return await _timed(self._ops["delete"], self.inner.delete(key))

    async def read_log(self, key: SessionKey, *, start: int, count: int) -> LogPage | None:
        return await _timed(self._ops["read_log"], self.inner.read_log(key, start=start, count=count))

    async def scan(self, tenant: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await _timed(self._ops["scan"], self.inner.scan(tenant, cursor=cursor, limit=limit))

    async def by_user(self, tenant: str, user: str, *, cursor: str = "", limit: int = 100) -> Listing:
        return await _timed(self._ops["by_user"], self.inner.by_user(tenant, user, cursor=cursor, limit=limit))

    # --- turns ---

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        started = perf_counter()
        try:
            reply = await self.inner.begin(key, request)
        except BaseException as error:
            self._begin.failed(error, perf_counter() - started)
            raise
        kind: object = reply.__class__
        if isinstance(reply, Granted) and reply.attempt > 1:
            kind = RESUMED
        self._begin.done(kind, perf_counter() - started)
        return reply

    async def record(
        self, key: SessionKey, turn_id: str, *, fence: int, name: str, value: bytes, lease_ms: int
    ) -> Fenced | None:
        call = self.inner.record(key, turn_id, fence=fence, name=name, value=value, lease_ms=lease_ms)
        return await _timed(self._ops["record"], call)

    async def renew(self, key: SessionKey, turn_id: str, *, fence: int, lease_ms: int) -> Fenced | Signalled | None:
        return await _timed(self._ops["renew"], self.inner.renew(key, turn_id, fence=fence, lease_ms=lease_ms))

    async def signal(
        self, key: SessionKey, name: str, value: bytes, *, turn_id: str = "", ahead: bool = False
    ) -> tuple[str, ...]:
        call = self.inner.signal(key, name, value, turn_id=turn_id, ahead=ahead)
        return await _timed(self._ops["signal"], call)

    async def park(self, key: SessionKey, turn_id: str, *, fence: int, name: str, for_ms: int) -> Fenced | bytes | None:
        call = self.inner.park(key, turn_id, fence=fence, name=name, for_ms=for_ms)
        return await _timed(self._ops["park"], call)

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        await _timed(self._ops["release"], self.inner.release(key, turn_id, token=token, withdraw=withdraw))

    async def resolve(self, key: SessionKey, op: str | bytes, *, fence: int = 0, age_ms: int = 0) -> ResolveReply:
        return await _timed(self._ops["resolve"], self.inner.resolve(key, op, fence=fence, age_ms=age_ms))

    async def overdue(self, *, limit: int = 100) -> list[Overdue]:
        return await _timed(self._ops["overdue"], self.inner.overdue(limit=limit))

    # --- streams ---

    async def append_events(
        self, key: SessionKey, turn_id: str, *, fence: int, chunk: bytes, keep_ms: int
    ) -> Fenced | None:
        call = self.inner.append_events(key, turn_id, fence=fence, chunk=chunk, keep_ms=keep_ms)
        return await _timed(self._ops["append_events"], call)

    async def read_events(self, key: SessionKey, turn_id: str, *, fence: int = 0, start: int = 0) -> EventChunks:
        call = self.inner.read_events(key, turn_id, fence=fence, start=start)
        return await _timed(self._ops["read_events"], call)

    # --- signals, end ---

    async def publish(self, key: SessionKey, hint: bytes) -> None:
        await _timed(self._ops["publish"], self.inner.publish(key, hint))

    def watch(self, key: SessionKey) -> AbstractAsyncContextManager[Watch]:
        """Not timed: it lasts as long as somebody waits."""
        return self.inner.watch(key)

    async def check(self) -> list[Finding]:
        return await _timed(self._ops["check"], self.inner.check())

    async def close(self) -> None:
        await self.inner.close()


async def _timed(calls: Calls, call: Awaitable[T]) -> T:
    started = perf_counter()
    try:
        reply = await call
    except BaseException as error:
        calls.failed(error, perf_counter() - started)
        raise
    calls.done(reply if reply.__class__ is bool else reply.__class__, perf_counter() - started)
    return reply
