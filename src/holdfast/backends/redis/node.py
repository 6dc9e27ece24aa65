"""One Redis server: its lanes, its functions, and its errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from holdfast.backends.records import SessionKey
from holdfast.backends.redis.forms import FUNCTIONS, Form
from holdfast.backends.redis.lane import Address, Lane
from holdfast.backends.redis.loading import load
from holdfast.backends.redis.mapping import error_for, lacks_functions
from holdfast.backends.redis.wire import Arg, ReplyError

LARGE_BATCH: Final = 256
"""How many commands of a listing are sent together."""


class Node:
    """Calls to one server. Small ones share ``connections`` lanes, large ones have a lane of their own."""

    def __init__(self, address: Address, *, timeout: float, connections: int, max_waiting: int) -> None:
        self.where = address.where
        self.address = address
        self.form: Form = FUNCTIONS
        self.timeout = timeout
        self.lanes = [Lane(address, timeout=timeout, max_waiting=max_waiting) for _ in range(connections)]
        self.large = Lane(address, timeout=timeout, max_waiting=max_waiting)
        self._only = self.lanes[0] if connections == 1 else None
        self._loading: asyncio.Task[None] | None = None

    def lane(self, key: SessionKey) -> Lane:
        """The lane of this session: always the same one, so that its calls keep their order."""
        return self._only or self.lanes[hash(key) % len(self.lanes)]

    async def write(self, key: SessionKey, call: Sequence[Arg]) -> Any:
        """A function that writes, as (name, 1, session key, arguments...)."""
        reply = await (self._only or self.lane(key)).call(self.form.write(call), write=True)
        if reply.__class__ is ReplyError:
            return await self._again(key, self.form.write(call), str(reply), write=True)
        return reply

    async def read(self, key: SessionKey, call: Sequence[Arg], *, large: bool = False) -> Any:
        """A function that only reads."""
        lane = self.large if large else self._only or self.lane(key)
        reply = await lane.call(self.form.read(call), write=False)
        if reply.__class__ is ReplyError:
            return await self._again(key, self.form.read(call), str(reply), write=False)
        return reply

    async def _again(self, key: SessionKey, command: Sequence[Arg], text: str, *, write: bool) -> Any:
        """After an error: once more if the server had lost the functions (nothing was applied then), else raises."""
        if lacks_functions(text):
            await self.load_functions()
            reply = await self.lane(key).call(command, write=write)
            if reply.__class__ is not ReplyError:
                return reply
            text = str(reply)
        raise error_for(text, write=write, where=self.where, subject=f"session {key.id!r}")

    async def read_atomic(self, key: SessionKey, commands: Sequence[Sequence[Arg]], *, large: bool = False) -> Any:
        """Plain reading commands as of one moment."""
        lane = self.large if large else self.lane(key)
        reply = await lane.read_atomic(commands)
        for part in reply if reply.__class__ is list else (reply,):
            if part.__class__ is ReplyError:
                raise error_for(str(part), write=False, where=self.where, subject=f"session {key.id!r}")
        return reply

    async def command(self, key: SessionKey, args: Sequence[Arg]) -> Any:
        """A plain command without lasting effect."""
        reply = await self.lane(key).call(args, write=False)
        if reply.__class__ is ReplyError:
            raise error_for(str(reply), write=False, where=self.where, subject=f"session {key.id!r}")
        return reply

    async def batch(self, commands: Sequence[Sequence[Arg]], *, write: bool = False) -> list[Any]:
        """Many independent commands on the lane for large replies, `LARGE_BATCH` together."""
        replies: list[Any] = []
        for at in range(0, len(commands), LARGE_BATCH):
            replies += await self.large.batch(commands[at : at + LARGE_BATCH], write=write)
        return replies

    async def functions(self, calls: Sequence[Sequence[Arg]], *, write: bool) -> list[Any]:
        """Many independent function calls on the lane for large replies; loads the functions first if they are missing."""
        said = self.form.write if write else self.form.read
        commands = [said(call) for call in calls]
        reply = await self.large.call(commands[0], write=write)
        if reply.__class__ is ReplyError:
            if not lacks_functions(str(reply)):
                raise error_for(str(reply), write=write, where=self.where)
            await self.load_functions()
            return await self.batch(commands, write=write)
        return [reply, *await self.batch(commands[1:], write=write)]

    async def load_functions(self) -> None:
        """Puts our functions on the server. Callers at the same time share one attempt.

        Raises:
            ServerUnsuitable: where the server has others of the same names.
            StoreUnavailable: where this user may not, or the server is not reached.
        """
        if self._loading is None:
            self._loading = asyncio.create_task(load(self.large, self.form), name="holdfast-redis-functions")
            self._loading.add_done_callback(self._loaded)
        await asyncio.shield(self._loading)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()

    async def close(self) -> None:
        """Closes all lanes."""
        if self._loading is not None:
            self._loading.cancel()
        for lane in (*self.lanes, self.large):
            await lane.close()
