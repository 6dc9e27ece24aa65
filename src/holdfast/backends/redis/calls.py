"""Calls as the backend makes them: sent to whoever has the key, and sent again where that is sure to be harmless.

A call is repeated, until its deadline, only when it surely was not applied: nothing was sent, or the server refused it before it
began. A write whose reply is lost is `OutcomeUnknown` at once; what became of it is the caller's to find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from holdfast.backends.redis.acks import Quorum
from holdfast.backends.redis.keys import named
from holdfast.backends.redis.mapping import code_of, error_for, lacks_functions
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.topology import OneServer, Topology, Way
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import StoreError, StoreUnavailable

LARGE_BATCH: Final = 256
"""How many commands of a listing are sent together."""

_DURABLE: Final = frozenset("bcrvdusz")
"""Functions whose effect, or whose answer, has to survive a failover at ``replicated``. Leases and tidying need not."""


class TransactionRefused(StoreError):
    """A Cluster's slot is being moved, and MULTI cannot read from two sides. A function call can wait for the end of it."""


_Sender = Callable[[Node, bool], Awaitable[Any]]
_ASKING: Final = ("ASKING",)


class Calls:
    """Function calls and reading commands, by key.

    Args:
        timeout: seconds by which every call ends, repeats included.
        quorum: which replicas have to have a write before it counts; None waits for none.
    """

    def __init__(self, topology: Topology, *, timeout: float, quorum: Quorum | None = None) -> None:
        self.topology = topology
        self.timeout = timeout
        self._now = asyncio.get_running_loop().time
        self._only = topology.node("") if isinstance(topology, OneServer) else None
        self._quorum = quorum

    async def write(self, letter: str, key: str, *args: Arg) -> Any:
        """The reply of a function that writes."""
        deadline = self._now() + self.timeout
        node = self._only or self.topology.node(key)
        trouble: StoreUnavailable | str | None = None
        if node is None:
            trouble = self._nowhere()
        else:
            try:
                before, behind = node.form.writes[letter]
                command = (*before, key, *args, *behind)
                lane = node.lane(key)
                sent = lane.send(command, deadline)
                reply = await (lane.call(command, write=True, deadline=deadline) if sent is None else sent)
                if reply.__class__ is ReplyError:
                    trouble = str(reply)
            except StoreUnavailable as error:
                trouble = error
        if trouble is not None:

            def send(node: Node, asking: bool) -> Awaitable[Any]:
                command = node.form.writes[letter].command(key, *args)
                return _send(node, key, command, write=True, deadline=deadline, asking=asking)

            node, reply = await self._again(send, key, node, trouble, True, deadline)
        # a list from `renew`, too: steps that a signal has written, which the turn is going to act on
        if self._quorum is not None and (letter in _DURABLE or reply.__class__ is list):
            assert node is not None
            await node.acks.wait(_counter_beside(key), self._quorum, deadline)
        return reply

    async def read(self, letter: str, key: str, *args: Arg, large: bool = False) -> Any:
        """The reply of a function that only reads."""
        deadline = self._end()

        def send(node: Node, asking: bool) -> Awaitable[Any]:
            command = node.form.reads[letter].command(key, *args)
            return _send(node, key, command, write=False, deadline=deadline, asking=asking, large=large)

        return await self._reading(send, key, deadline)

    async def read_atomic(self, key: str, commands: Sequence[Sequence[Arg]], *, large: bool = False) -> Any:
        """Plain reading commands as of one moment.

        Raises:
            TransactionRefused: read it by a function.
        """
        deadline = self._end()

        async def send(node: Node, _: bool) -> Any:
            lane = node.large if large else node.lane(key)
            reply = await lane.read_atomic(commands, deadline=deadline)
            for part in reply if reply.__class__ is list else (reply,):
                if part.__class__ is ReplyError:
                    if code_of(str(part)) in ("ASK", "TRYAGAIN"):
                        raise TransactionRefused(f"{named(key)}: {part}")
                    return part
            return reply

        return await self._reading(send, key, deadline)

    async def command(self, key: str, args: Sequence[Arg]) -> Any:
        """A plain command without lasting effect."""
        deadline = self._end()

        def send(node: Node, asking: bool) -> Awaitable[Any]:
            return _send(node, key, args, write=False, deadline=deadline, asking=asking)

        return await self._reading(send, key, deadline)

    async def batch(self, commands: Sequence[tuple[str, Sequence[Arg]]], *, write: bool = False) -> list[Any]:
        """Many independent commands, each with its key, on the lanes for large replies, `LARGE_BATCH` together.

        Each may be repeated on its own: only commands that do no harm twice belong here.
        """
        replies: list[Any] = []
        for at in range(0, len(commands), LARGE_BATCH):
            replies += await self._batch(commands[at : at + LARGE_BATCH], write, self._end())
        return replies

    async def functions(self, letter: str, calls: Sequence[tuple[str, Sequence[Arg]]], *, write: bool) -> list[Any]:
        """One function over many keys."""
        commands: list[tuple[str, Sequence[Arg]]] = []
        for key, args in calls:
            node = self._only or self.topology.node(key)
            if node is None:
                raise self._nowhere()
            spelling = (node.form.writes if write else node.form.reads)[letter]
            commands.append((key, spelling.command(key, *args)))
        return await self.batch(commands, write=write)

    async def close(self) -> None:
        await self.topology.close()

    # --- repeating ---

    def _end(self) -> float:
        return self._now() + self.timeout

    def _nowhere(self) -> StoreUnavailable:
        return StoreUnavailable(f"no primary is known behind {self.topology.where}; nothing was sent")

    async def _reading(self, send: _Sender, key: str, deadline: float = 0.0) -> Any:
        node = self._only or self.topology.node(key)
        trouble: StoreUnavailable | str
        if node is None:
            trouble = self._nowhere()
        else:
            try:
                reply = await send(node, False)
                if reply.__class__ is not ReplyError:
                    return reply
                trouble = str(reply)
            except StoreUnavailable as error:
                trouble = error
        return (await self._again(send, key, node, trouble, False, deadline or self._end()))[1]

    async def _again(
        self,
        send: _Sender,
        key: str,
        node: Node | None,
        trouble: StoreUnavailable | str,
        write: bool,
        deadline: float,
    ) -> tuple[Node, Any]:
        """Goes on after a refusal, until the deadline. Raises the last refusal where nothing helps."""
        loaded: set[Node] = set()
        way: Way | None = None
        while True:
            asking, way = way is not None and way.asking, None
            if node is not None and isinstance(trouble, str) and lacks_functions(trouble):
                if node not in loaded:
                    loaded.add(node)
                    try:
                        await node.load_functions()
                        way = Way(node, asking)
                    except StoreUnavailable as error:
                        trouble = error
                        continue
            elif self._now() < deadline:
                way = await self.topology.way_on(key, node, trouble, deadline)
            if way is None:
                raise self._error(trouble, node, key, write)
            node = way.node
            try:
                reply = await send(node, way.asking)
            except StoreUnavailable as error:
                trouble = error
                continue
            if reply.__class__ is not ReplyError:
                return node, reply
            trouble = str(reply)

    def _error(self, trouble: StoreUnavailable | str, node: Node | None, key: str, write: bool) -> StoreError:
        if isinstance(trouble, StoreUnavailable):
            return trouble
        where = node.where if node else self.topology.where
        return error_for(trouble, write=write, where=where, subject=named(key))

    async def _batch(self, commands: Sequence[tuple[str, Sequence[Arg]]], write: bool, deadline: float) -> list[Any]:
        by_node: dict[Node | None, list[int]] = {}
        for position, (key, _) in enumerate(commands):
            by_node.setdefault(self._only or self.topology.node(key), []).append(position)
        replies: list[Any] = [None] * len(commands)

        async def at(node: Node | None, positions: list[int]) -> None:
            trouble: StoreUnavailable | None = None
            found: Sequence[Any] = ()
            if node is not None:
                try:
                    part = [commands[position][1] for position in positions]
                    found = await node.large.batch(part, write=write, deadline=deadline)
                except StoreUnavailable as error:
                    trouble = error
            else:
                trouble = self._nowhere()
            if trouble is not None:
                key = commands[positions[0]][0]
                if await self.topology.way_on(key, node, trouble, deadline) is None or self._now() >= deadline:
                    raise trouble
                found = await self._batch([commands[position] for position in positions], write, deadline)
            for position, reply in zip(positions, found, strict=True):
                key, args = commands[position]
                if reply.__class__ is ReplyError:
                    send = partial(_send_large, key, args, write, deadline)
                    _, reply = await self._again(send, key, node, str(reply), write, deadline)
                replies[position] = reply

        await asyncio.gather(*[at(node, positions) for node, positions in by_node.items()])
        return replies


def _send(
    node: Node,
    key: str,
    args: Sequence[Arg],
    *,
    write: bool,
    deadline: float,
    asking: bool,
    large: bool = False,
) -> Awaitable[Any]:
    lane = node.large if large else node.lane(key)
    return lane.call(args, write=write, deadline=deadline, before=_ASKING if asking else ())


def _send_large(
    key: str, args: Sequence[Arg], write: bool, deadline: float, node: Node, asking: bool
) -> Awaitable[Any]:
    return _send(node, key, args, write=write, deadline=deadline, asking=asking, large=True)


def _counter_beside(key: str) -> str:
    """A counter in the same slot, so on the same server."""
    return key[: key.index("}") + 1] + ":w"
