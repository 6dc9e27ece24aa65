"""Waiting for replicas: one WAIT for all writes that were answered before it, on a connection of its own.

WAIT blocks the connection that it is sent on, and counts what that connection wrote last. So every batch begins with a small
write of its own: it lies behind all writes that the server answered before, and whoever has it has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from typing import Any, Final, Protocol

from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.mapping import code_of
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import OutcomeUnknown, StoreError

_SLICE_MS: Final = 200
_MARGIN_S: Final = 0.05
"""WAIT gives up this much before its callers' deadline, so that its answer still arrives."""
_ELSEWHERE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN"})
"""This counter's slot of a Cluster has left the server, or is about to."""


Place = tuple[str, int]
"""Host and port of a replica, as it announces them."""


class Quorum(Protocol):
    """Which replicas have to have a write before it counts."""

    def needed(self) -> int:
        """How many acknowledgements are worth waiting for."""
        ...

    def enough(self, online: Set[Place], acked: Set[Place]) -> bool:
        """Do these suffice? ``online`` are the primary's replicas of now."""
        ...


class Majority:
    """So many replicas, whichever they are."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def needed(self) -> int:
        return self._replicas

    def enough(self, online: Set[Place], acked: Set[Place]) -> bool:
        return len(acked) >= self._replicas


def majority_of(replicas: int) -> int:
    """So many replicas make, with their primary, a majority of the data nodes."""
    return (replicas + 1) // 2


class Acks:
    """The replicas' acknowledgements of one server's writes."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._next: asyncio.Future[None] | None = None
        self._next_deadline = 0.0
        self._next_keys: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, key: str, quorum: Quorum, deadline: float) -> None:
        """Returns once enough replicas have all that this server has answered until now.

        Args:
            key: a counter on this server, free for this.
            quorum: which replicas are enough; it may change while this waits.
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
        if self._task is None:
            self._task = loop.create_task(self._run(quorum), name="holdfast-redis-wait")
        await asyncio.wait([batch], timeout=max(0.0, deadline - loop.time()))
        if not batch.done():
            raise self._short("no answer to WAIT by the deadline")
        if (error := batch.exception()) is not None:
            raise OutcomeUnknown(*error.args) from error

    async def _run(self, quorum: Quorum) -> None:
        try:
            while (batch := self._next) is not None:
                self._next = None
                try:
                    short = await self._one_batch(self._next_keys, quorum, self._next_deadline)
                except StoreError as error:
                    batch.set_exception(self._short(str(error)))
                else:
                    if short:
                        batch.set_exception(self._short(short))
                    else:
                        batch.set_result(None)
        finally:
            self._task = None

    async def _one_batch(self, keys: set[str], quorum: Quorum, deadline: float) -> str:
        """What is short of it; "" where enough replicas have it."""
        now = asyncio.get_running_loop().time
        written = await self._mark(keys, deadline)
        while True:
            # 0 ms would be for ever. A slice, because what is enough may change.
            left_ms = max(1, min(_SLICE_MS, int((deadline - now() - _MARGIN_S) * 1000)))
            _, role = await self._send(("WAIT", quorum.needed(), left_ms), ("ROLE",), deadline=deadline)
            _offset(role)
            online = {(replica[0].decode(), int(replica[1])): int(replica[2]) for replica in role[2]}
            acked = {place for place, offset in online.items() if offset >= written}
            if quorum.enough(online.keys(), acked):
                return ""
            if now() + _MARGIN_S >= deadline:
                return f"{len(acked)} of {max(quorum.needed(), 1)} replicas have it"

    async def _mark(self, keys: set[str], deadline: float) -> int:
        """Writes on this connection; the server's offset behind that. Any counter will do: WAIT counts the whole server."""
        refused = ""
        for key in keys:
            marked, role = await self.lane.batch([("INCR", key), ("ROLE",)], write=True, deadline=deadline)
            if marked.__class__ is not ReplyError:
                return _offset(role)
            refused = str(marked)
            if code_of(refused) not in _ELSEWHERE:
                break
        raise OutcomeUnknown(refused)

    async def _send(self, *commands: Sequence[Arg], deadline: float) -> list[Any]:
        replies = await self.lane.batch(commands, write=True, deadline=deadline)
        for reply in replies:
            if reply.__class__ is ReplyError:
                raise OutcomeUnknown(str(reply))
        return replies

    def _short(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(f"Redis at {self.lane.where} took a write, but not enough replicas are known to: {why}")


def _offset(role: Any) -> int:
    """How much a primary has written. Raises `OutcomeUnknown` where it is none any more, or does not tell."""
    if role.__class__ is ReplyError:
        raise OutcomeUnknown(str(role))
    if role[0] != b"master":
        raise OutcomeUnknown("it is not the primary any more")
    return int(role[1])


def _seen(batch: asyncio.Future[None]) -> None:
    if not batch.cancelled():
        batch.exception()
