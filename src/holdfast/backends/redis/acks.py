"""Waiting for replicas: one WAIT for all writes that were answered before it, on a connection of its own.

WAIT blocks the connection that it is sent on, and counts what that connection wrote last. So every batch begins with a small
write of its own: it lies behind all writes that the server answered before, and whoever has it has them.
"""

from __future__ import annotations

import asyncio
from typing import Final

from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.mapping import code_of
from holdfast.backends.redis.wire import ReplyError
from holdfast.errors import OutcomeUnknown, StoreError

_MARGIN_S: Final = 0.05
"""WAIT gives up this much before its callers' deadline, so that its answer still arrives."""
_ELSEWHERE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN"})
"""This counter's slot of a Cluster has left the server, or is about to."""


class Acks:
    """The replicas' acknowledgements of one server's writes."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._next: asyncio.Future[None] | None = None
        self._next_deadline = 0.0
        self._next_keys: set[str] = set()
        self._needed = 0
        self._task: asyncio.Task[None] | None = None

    async def wait(self, key: str, needed: int, deadline: float) -> None:
        """Returns once ``needed`` replicas have all that this server has answered until now.

        Args:
            key: a counter on this server, free for this.
            deadline: by the loop's clock.

        Raises:
            OutcomeUnknown: fewer have it by the deadline: a failover may lose the write, or not.
        """
        loop = asyncio.get_running_loop()
        batch = self._next
        if batch is None:
            batch = self._next = loop.create_future()
            batch.add_done_callback(_seen)
            self._next_deadline, self._next_keys = 0.0, set()
        self._next_deadline = max(self._next_deadline, deadline)
        self._next_keys.add(key)
        self._needed = needed
        if self._task is None:
            self._task = loop.create_task(self._run(), name="holdfast-redis-wait")
        await asyncio.wait([batch], timeout=max(0.0, deadline - loop.time()))
        if not batch.done():
            raise self._short("no answer to WAIT by the deadline")
        if (error := batch.exception()) is not None:
            raise OutcomeUnknown(*error.args) from error

    async def _run(self) -> None:
        try:
            while (batch := self._next) is not None:
                self._next = None
                try:
                    short = await self._one_batch(self._next_keys, self._next_deadline)
                except StoreError as error:
                    batch.set_exception(self._short(str(error)))
                else:
                    if short:
                        batch.set_exception(self._short(short))
                    else:
                        batch.set_result(None)
        finally:
            self._task = None

    async def _one_batch(self, keys: set[str], deadline: float) -> str:
        """What is short of it; "" where enough replicas have it. Any one counter will do: WAIT counts the whole server."""
        short = ""
        for key in keys:
            short = await self._counted(key, deadline)
            if code_of(short) not in _ELSEWHERE:
                break
        return short

    async def _counted(self, key: str, deadline: float) -> str:
        needed = self._needed
        left_ms = int((deadline - asyncio.get_running_loop().time() - _MARGIN_S) * 1000)
        # no time left is no wait at all: WAIT with 0 would block for ever
        marked, count = await self.lane.batch(
            [("INCR", key), ("WAIT", needed, max(1, left_ms))], write=True, deadline=deadline
        )
        for reply in (marked, count):
            if reply.__class__ is ReplyError:
                return str(reply)
        return "" if count >= needed else f"{count} of {needed} replicas have it"

    def _short(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(f"Redis at {self.lane.where} took a write, but not enough replicas are known to: {why}")


def _seen(batch: asyncio.Future[None]) -> None:
    if not batch.cancelled():
        batch.exception()
