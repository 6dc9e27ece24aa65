"""A primary that Sentinels watch: who it is now, learned at once when that changes.

Every Sentinel is listened to (``+switch-master``), and asked again after a refusal. Where they disagree, the answer of the highest
``config-epoch`` counts: epochs number the failovers that a majority agreed on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, Final, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from holdfast.backends.redis.acks import Place, majority_of
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.ending import end
from holdfast.backends.redis.listening import Listening
from holdfast.backends.redis.mapping import AccessRefused, code_of
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.topology import Way
from holdfast.backends.redis.urls import Target
from holdfast.errors import ConfigError, StoreOverloaded, StoreUnavailable

_PAUSE_S: Final = 0.1
"""Between two tries of a call while there is no primary; up to twice that, at random."""
_CROWD: Final = 20
"""More callers than that pause longer, all together about as often; a new primary wakes them all."""
_LONGEST_PAUSE_S: Final = 0.5
"""The same, of a crowd."""
_APART_S: Final = 0.1
"""Between two questions to the same Sentinel, however many callers wait for the answer."""
_ASK_S: Final = 1.0
"""A Sentinel that says nothing for this long is left aside."""
_IDLE_S: Final = 5.0
_PASSING: Final = frozenset({"READONLY", "MASTERDOWN", "LOADING", "NOREPLICAS", "UNBLOCKED", "CLUSTERDOWN"})
"""Error replies that a failover ends."""


_EVENTS: Final = ("+switch-master", "+sdown", "-sdown", "+slave")
_LOOK_AGAIN_S: Final = 2.0
"""How often the Sentinels are asked without a reason."""


class _Replica(NamedTuple):
    """``down``: not to be promoted. ``follows``: it copies the primary."""

    down: bool
    follows: bool


class _Answer(NamedTuple):
    """One Sentinel's view."""

    epoch: int
    primary: Place
    replicas: Mapping[Place, _Replica]


class SentinelSet:
    """The topology of one service. `start` finds its primary.

    Args:
        make: a node for an address.
    """

    def __init__(self, target: Target, make: Callable[[Address], Node], timeout: float) -> None:
        assert target.sentinel is not None
        self._sentinels = [target.sentinel.at(host, port) for host, port in target.seeds]
        self._service = target.service
        self._address = target.address
        self._make = make
        self._timeout = timeout
        self.where = f"the Sentinels of {target.service!r} at {', '.join(s.where for s in self._sentinels)}"
        self._node: Node | None = None
        self._epoch = -1
        self._followed: set[Place] = set()
        self._down: set[Place] = set()
        self._changed = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._listeners: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._look_wanted = False
        self._looked = 0.0
        self._pausing = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self.replicas = 0
        """How many replicas the Sentinels know, living or not."""

    async def start(self) -> None:
        """Finds the primary and begins to listen.

        Raises:
            StoreUnavailable: no Sentinel answers by the timeout, or none knows a primary.
            ConfigError: they refuse the user or password, or do not know the service.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while self._node is None:
            troubles = await self._look()
            if self._node is None:
                for trouble in troubles:
                    if isinstance(trouble, ConfigError):
                        raise trouble
                if loop.time() + _PAUSE_S > deadline:
                    why = "; ".join(sorted({str(trouble) for trouble in troubles})) or "they know no primary"
                    raise StoreUnavailable(f"{self.where}: no primary found: {why}")
                await asyncio.sleep(_PAUSE_S)
        self._listeners = [
            asyncio.create_task(self._listen(sentinel), name="holdfast-redis-sentinel") for sentinel in self._sentinels
        ]
        self._listeners.append(asyncio.create_task(self._look_again(), name="holdfast-redis-sentinel-again"))

    # --- topology ---

    def node(self, key: str) -> Node | None:
        return self._node

    def primaries(self) -> Sequence[Node]:
        return (self._node,) if self._node else ()

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def way_on(self, key: str, node: Node | None, trouble: StoreUnavailable | str, deadline: float) -> Way | None:
        if isinstance(trouble, str):
            if code_of(trouble) not in _PASSING:
                return None
        elif self._closed or isinstance(trouble, StoreOverloaded | AccessRefused):
            return None  # a primary that was retired says that it is closed: the next one is asked
        loop = asyncio.get_running_loop()
        if self._node is None or self._node is node:
            self._look_soon()
            self._pausing += 1
            usual = min(_LONGEST_PAUSE_S, _PAUSE_S * max(1.0, self._pausing / _CROWD))
            pause = min(usual * (1 + random.random()), max(0.0, deadline - loop.time()))
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
            finally:
                self._pausing -= 1
        return Way(self._node) if self._node and loop.time() < deadline else None

    # --- quorum: who has to have a write before no failover can lose it ---

    def needed(self) -> int:
        return max(majority_of(self.replicas), len(self._followed - self._down))

    def enough(self, online: Set[Place], acked: Set[Place]) -> bool:
        """Every replica that could become the primary has it, and with the primary they are a majority of the data nodes.

        A majority alone is not enough: a failover by hand promotes one replica while the old primary and another one still
        agree with each other. So one that follows no more still counts, until the Sentinels call it down or the primary is
        another.
        """
        self._followed |= online
        return len(acked) >= majority_of(self.replicas) and self._followed - self._down <= acked

    async def close(self) -> None:
        self._closed = True
        await end([*self._listeners, *([self._looking] if self._looking else [])])
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._node is not None:
            await self._node.close()
        await asyncio.sleep(0)  # lets closed transports go

    # --- looking ---

    def _look_soon(self) -> None:
        """Asks all Sentinels; once more where that is being done."""
        self._look_wanted = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_once(), name="holdfast-redis-sentinel-look")

    async def _look_once(self) -> None:
        loop = asyncio.get_running_loop()
        while self._look_wanted:
            await asyncio.sleep(self._looked + _APART_S - loop.time())
            self._look_wanted = False
            await self._look()
            self._looked = loop.time()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S * (0.75 + random.random() / 2))
            self._look_soon()

    async def _look(self) -> list[BaseException]:
        """Asks all Sentinels who the primary is, and takes the newest answer over; returns what failed."""
        answers = await asyncio.gather(*[self._ask(one) for one in self._sentinels], return_exceptions=True)
        good = [answer for answer in answers if isinstance(answer, _Answer)]
        if good:
            newest = self._newest(good)
            # at the first look nobody can tell which of two of one epoch is the old one
            unsure = self._node is None and any(
                one.epoch == newest.epoch and one.primary != newest.primary for one in good
            )
            self._take(newest, unsure)
            self._count([one for one in good if (one.epoch, one.primary) == (newest.epoch, newest.primary)])
        else:
            # nobody vouches for it any more: cut off from the Sentinels, a replica that comes back there may be promoted
            self._down.clear()
        return [answer for answer in answers if isinstance(answer, Exception)]

    def _place(self) -> Place | None:
        return (self._node.address.host, self._node.address.port) if self._node else None

    def _count(self, answers: Sequence[_Answer]) -> None:
        """Notes which replicas there are, which follow the primary, and which a majority of all Sentinels calls down."""
        known = set[Place]().union(*(answer.replicas for answer in answers))
        majority = len(self._sentinels) // 2 + 1
        self.replicas = len(known)
        self._followed &= known
        self._down.clear()
        for place in known:
            views = [view for answer in answers if (view := answer.replicas.get(place))]
            if any(view.follows for view in views):
                self._followed.add(place)
            if sum(view.down for view in views) >= majority:
                self._down.add(place)

    async def _ask(self, sentinel: Address) -> _Answer:
        connection = sentinel.connection(_ASK_S)
        try:
            async with asyncio.timeout(_ASK_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py lacks the types
                return await self._answer(connection, sentinel)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._trouble(sentinel, error) from error
        finally:
            await connection.disconnect(nowait=True)

    async def _answer(self, connection: AbstractConnection, sentinel: Address) -> _Answer:
        await connection.send_command("SENTINEL", "MASTER", self._service)
        facts = _facts(await connection.read_response())
        await connection.send_command("SENTINEL", "SLAVES", self._service)
        replicas = [_facts(one) for one in await connection.read_response()]
        return _Answer(
            int(facts["config-epoch"]),
            (facts["ip"], int(facts["port"])),
            {(one["ip"], int(one["port"])): _replica(one) for one in replicas},
        )

    def _trouble(self, sentinel: Address, error: BaseException) -> Exception:
        text = str(error)
        if isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            return ConfigError(
                f"the Sentinel at {sentinel.where} refuses the user or password ({text}): give its own as "
                "?sentinel_username=...&sentinel_password=... (or sentinel_password_file)"
            )
        if isinstance(error, ResponseError) and "unknown command" in text.lower():
            return ConfigError(f"Redis at {sentinel.where} is no Sentinel; for one server write redis:// in its URL")
        if isinstance(error, ResponseError) and "No such master" in text:
            return ConfigError(f"the Sentinel at {sentinel.where} watches no service {self._service!r}")
        return StoreUnavailable(f"the Sentinel at {sentinel.where} cannot be asked: {text or type(error).__name__}")

    def _newest(self, answers: Sequence[_Answer]) -> _Answer:
        """In the middle of a failover one Sentinel counts the new epoch already, and still names the old primary."""
        here = self._place()
        return max(answers, key=lambda one: (one.epoch, one.epoch > self._epoch and one.primary != here))

    def _take(self, answer: _Answer, unsure: bool) -> None:
        """Makes this the primary, unless an answer of the same epoch or a newer one was believed before."""
        if self._closed or self._place() == answer.primary or answer.epoch <= self._epoch:
            return
        self._epoch = answer.epoch - unsure
        old = self._node
        self._node = self._make(self._address.at(*answer.primary))
        self._followed.clear()
        self._down.clear()
        if old is not None:
            old.give_up("is not the primary any more")
            task = asyncio.create_task(old.close("is not the primary any more"))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._changed.set()
        self._changed = asyncio.Event()
        for callback in self._callbacks:
            callback()

    # --- listening ---

    async def _listen(self, sentinel: Address) -> None:
        """Hears of failovers from one Sentinel for as long as the store is open."""
        while True:
            connection = sentinel.connection(_ASK_S)
            try:
                await self._follow(connection)
            except (RedisError, OSError, TimeoutError):
                pass  # it is tried again below; the other Sentinels are listened to meanwhile
            finally:
                await connection.disconnect(nowait=True)
            await asyncio.sleep(1.0 + random.random())

    async def _follow(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py lacks the types
        await connection.send_command("SUBSCRIBE", *_EVENTS)
        self._look_soon()
        listening = Listening(connection, _IDLE_S)
        while True:
            message = await listening.message()
            if message[0] == b"message":
                self._look_soon()


def _replica(facts: Mapping[str, str]) -> _Replica:
    follows = facts.get("role-reported") == "slave" and facts.get("master-link-status") == "ok"
    return _Replica("_down" in facts.get("flags", ""), follows)


def _facts(flat: Any) -> dict[str, str]:
    return {flat[at].decode(): flat[at + 1].decode() for at in range(0, len(flat), 2)}
