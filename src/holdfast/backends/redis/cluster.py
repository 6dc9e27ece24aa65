"""A Redis Cluster: which primary has which partition, learned from refusals and by asking, and what to do while slots are moved.

A call that is refused because its slot is being moved waits: following ASK at once would run it on half of a session. It goes
to the taking side, with ASKING, only once the giving side has no key of the slot left (docs/decisions/cluster-slots.md).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from holdfast.backends.redis.address import Address
from holdfast.backends.redis.cluster_map import Place, View, redirection, view_of
from holdfast.backends.redis.ending import end
from holdfast.backends.redis.mapping import AccessRefused, code_of
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.slots import canary_beside, slots_by_tag, tag_of, tags_by_slot
from holdfast.backends.redis.topology import Way
from holdfast.backends.redis.urls import Target
from holdfast.backends.redis.wire import ReplyError
from holdfast.errors import ConfigError, StoreClosed, StoreError, StoreOverloaded, StoreUnavailable

_PAUSE_S: Final = 0.1
"""Between two tries while a primary is missing; up to twice that, at random."""
_MOVING_S: Final = (0.01, 0.05)
"""Between two looks at a slot that is being moved."""
_ASK_S: Final = 1.0
"""A node that says nothing for this long is left aside."""
_LOOK_S: Final = 0.2
"""So long a look waits for the nodes' answers; later ones count as well."""
_ASKED: Final = 9
"""How many nodes are asked for the map at a time."""
_SILENT_S: Final = 1.0
"""A primary that leaves a call without any answer for this long makes us ask the others."""
_KEEP_S: Final = 0.25
_REFRESH_S: Final = 60.0
"""The map is asked for so often without a cause, so that the nodes to ask are known."""
_PASSING: Final = frozenset({"READONLY", "MASTERDOWN", "LOADING", "NOREPLICAS", "UNBLOCKED", "CLUSTERDOWN"})
"""Error replies that a failover ends."""
_MOVED_EPOCH: Final = 0.5
"""MOVED names no epoch: it is newer than what it corrects, and older than the next epoch."""


class Cluster:
    """The topology of a Cluster. `start` finds the primaries.

    Args:
        make: a node for an address.
    """

    def __init__(self, target: Target, make: Callable[[Address], Node], timeout: float) -> None:
        self._address = target.address
        self._seeds = list(target.seeds)
        self._make = make
        self._timeout = timeout
        self._now = asyncio.get_running_loop().time
        self.where = f"the Cluster at {', '.join(f'{host}:{port}' for host, port in target.seeds)}"
        self._owner: dict[str, Node] = {}  # by tag: all that a call looks at
        self._epoch: dict[int, float] = {}
        self._moved_at: dict[int, float] = {}
        self._nodes: dict[Place, Node] = {}
        self._guests: set[Node] = set()  # taking sides of slots that are being moved: no owners yet
        self._any: Node | None = None
        self._known: set[Place] = set()
        self._last: View | None = None
        self._looked_at = 0.0
        self._changed = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._asks: dict[Place, asyncio.Task[None]] = {}
        self._troubles: dict[Place, Exception] = {}  # of the nodes that were asked for the map last
        self._keeping: asyncio.Task[None] | None = None
        self._moves: dict[int, asyncio.Task[Way | None]] = {}
        self._moving_to: dict[int, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Finds who has each partition and begins to watch over the primaries.

        Raises:
            StoreUnavailable: no node answers by the timeout, or slots are without a primary.
            ServerUnsuitable: a server that is no node of a Cluster.
            ConfigError: they refuse the user, the password, or the question.
        """
        deadline = self._now() + self._timeout
        while True:
            await self._look()
            for trouble in self._troubles.values():
                if isinstance(trouble, ConfigError):
                    raise trouble
            if len(self._owner) == len(slots_by_tag()):
                break
            if self._now() + _PAUSE_S > deadline:
                why = "; ".join(sorted({str(trouble) for trouble in self._troubles.values()}))
                why = why or "slots are without a primary"
                raise StoreUnavailable(f"{self.where} does not serve: {why}. Look at CLUSTER INFO")
            await asyncio.sleep(_PAUSE_S)
        self._keeping = asyncio.create_task(self._keep(), name="holdfast-redis-cluster")

    # --- topology ---

    def node(self, key: str) -> Node | None:
        return self._owner.get(tag_of(key)) if key else self._any

    def primaries(self) -> Sequence[Node]:
        return list(dict.fromkeys(self._owner.values()))

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def way_on(self, key: str, node: Node | None, trouble: StoreUnavailable | str, deadline: float) -> Way | None:
        if self._closed or isinstance(trouble, StoreOverloaded | AccessRefused):
            return None
        if isinstance(trouble, str):
            code = code_of(trouble)
            if code == "MOVED" and node is not None:
                return await self._moved(trouble, node, deadline)
            if code in ("ASK", "TRYAGAIN") and key and node is not None:
                return await self._moving(key, node, deadline)
            if code not in _PASSING:
                return None
        if not key:
            self._another(node)
            await asyncio.sleep(random.uniform(*_MOVING_S))
        elif node in self._guests and node is not self.node(key):
            self._dismiss(node)
        if self.node(key) in (None, node):
            self.look_soon()
            await self._pause(deadline)
        now = self.node(key)
        return Way(now) if now and self._now() < deadline else None

    def look_soon(self) -> None:
        """Asks the nodes for the map, unless that is being done."""
        if not self._closed and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_once(), name="holdfast-redis-cluster-look")

    async def close(self) -> None:
        self._closed = True
        background = (self._looking, self._keeping, *self._moves.values(), *self._asks.values())
        await end(task for task in background if task is not None)
        await asyncio.gather(*self._closing, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()

    async def _pause(self, deadline: float) -> None:
        """Until something changed, but not for long."""
        pause = min(_PAUSE_S * (1 + random.random()), max(0.0, deadline - self._now()))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()

    def _another(self, node: Node | None) -> None:
        """Lets another primary answer what any can."""
        if self._any is node:
            others = [one for one in self.primaries() if one is not node]
            self._any = random.choice(others) if others else node

    # --- slots that move ---

    async def _moved(self, text: str, node: Node, deadline: float) -> Way | None:
        slot, place = redirection(text, node.address.host)
        owner = self._nodes.get(place)
        current = self._owner.get(tags_by_slot().get(slot, ("",))[0])
        if owner is None or owner is not current:
            if self._now() - self._moved_at.get(slot, 0.0) < _MOVING_S[0]:  # two nodes that name each other
                await asyncio.sleep(random.uniform(*_MOVING_S))
            self._moved_at[slot] = self._now()
            self._give(slot, place, int(self._epoch.get(slot, 0)) + _MOVED_EPOCH)
            self._announce()
            if owner is None:
                self.look_soon()
        return Way(self._nodes[place]) if self._now() < deadline else None

    async def _moving(self, key: str, node: Node, deadline: float) -> Way:
        """Waits until all of the slot is on one side; callers at the same time share one look."""
        slot = slots_by_tag()[tag_of(key)]
        task = self._moves.get(slot)
        if task is None:
            task = asyncio.create_task(self._settled(slot, canary_beside(key), node), name="holdfast-redis-slot")
            self._moves[slot] = task
            task.add_done_callback(lambda _: self._moves.pop(slot, None))
        await asyncio.wait([task], timeout=max(0.0, deadline - self._now()))
        if task.done() and task.cancelled():
            raise StoreClosed("this Redis store is closed")
        way = task.result() if task.done() else None
        if way is not None and self._now() < deadline:
            return way
        if task.done() and self._now() < deadline:
            return Way(node)
        raise StoreUnavailable(
            f"slot {slot} is being moved from {node.where} to {self._moving_to.get(slot, 'another node')}, which did "
            "not end by the deadline; nothing was applied. If it is stuck: redis-cli --cluster fix"
        )

    async def _settled(self, slot: int, canary: str, node: Node) -> Way | None:
        """Where a call can go that was refused because of its slot's move. None if that is not over by the timeout."""
        ends = self._now() + self._timeout
        taking: Node | None = None
        if node in self._guests:
            await asyncio.sleep(random.uniform(*_MOVING_S))
        while self._now() < ends:
            try:
                there, left = await node.lanes[0].batch(
                    [("EXISTS", canary), ("CLUSTER", "COUNTKEYSINSLOT", slot)], deadline=ends
                )
            except StoreError:
                return Way(node)  # the call meets the same, and is told what
            code = code_of(str(there)) if there.__class__ is ReplyError else ""
            if code == "MOVED":
                return await self._moved(str(there), node, ends)
            if code == "ASK":
                _, place = redirection(str(there), node.address.host)
                taking = self._at(place)
                self._moving_to[slot] = taking.where
                if taking not in self._owner.values():
                    self._guests.add(taking)
                if left == 0:
                    # New keys cannot appear here any more: what is missing on this side is refused with ASK.
                    return Way(taking, asking=True)
            elif taking is None or not await self._left(taking, slot, ends):
                return Way(
                    node
                )  # the move was given up, and nothing is on the other side (redis-cli --cluster fix does so)
            await asyncio.sleep(random.uniform(*_MOVING_S))
        return None

    async def _left(self, node: Node, slot: int, deadline: float) -> bool:
        """Does a node that is to have nothing of this slot still have some?"""
        with suppress(StoreError):
            left = await node.lanes[0].call(("CLUSTER", "COUNTKEYSINSLOT", slot), write=False, deadline=deadline)
            return left.__class__ is int and left > 0
        return False

    # --- the map ---

    async def _look_once(self) -> None:
        await self._look()
        await asyncio.sleep(_PAUSE_S / 2)  # whoever fails at once does not make us ask without a pause

    async def _look(self) -> None:
        """Asks some nodes for the map, and takes over what is new in each answer as it comes, and what failed.

        Frozen nodes hold up nobody: their answers are not waited for, and they are not asked twice at a time.
        """
        self._looked_at = self._now()
        known = (self._known | set(self._nodes) or set(self._seeds)) - set(self._asks)
        places = random.sample(sorted(known), min(_ASKED, len(known)))
        if not set(places) & set(self._seeds):
            places += {random.choice(self._seeds)} - set(self._asks)
        for place in places:
            self._asks[place] = asyncio.create_task(self._ask(place), name="holdfast-redis-cluster-ask")
            self._asks[place].add_done_callback(lambda _, place=place: self._asks.pop(place, None))  # type: ignore[misc]
        if self._asks:
            await asyncio.wait(list(self._asks.values()), timeout=_LOOK_S)

    async def _ask(self, place: Place) -> None:
        try:
            self._take(await view_of(self._address.at(*place), min(_ASK_S, self._timeout)))
        except (ConfigError, StoreUnavailable) as error:
            self._troubles[place] = error
        else:
            self._troubles.pop(place, None)

    def _take(self, view: View) -> None:
        """Takes over the claims that are newer than what is known."""
        if self._closed or view == self._last:
            return
        self._last = view
        self._known = set(view.nodes)
        changed = False
        for slot in tags_by_slot():
            claim = view.claim(slot)
            if claim is not None and claim.epoch > self._epoch.get(slot, -1.0):
                changed |= self._give(slot, claim.place, claim.epoch)
        if changed:
            self._retire(set(self._nodes.values()) - set(self._owner.values()) - self._guests)
            self._announce()

    def _give(self, slot: int, place: Place, epoch: float) -> bool:
        """Notes who has a slot; did that change?"""
        owner = self._at(place)
        self._guests.discard(owner)
        self._epoch[slot] = epoch
        tags = tags_by_slot().get(slot, ())
        changed = any(self._owner.get(tag) is not owner for tag in tags)
        self._owner.update(dict.fromkeys(tags, owner))
        if self._any is None:
            self._any = owner
        return changed

    def _at(self, place: Place) -> Node:
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = self._make(self._address.at(*place))
        return node

    def _dismiss(self, guest: Node | None) -> None:
        if guest is not None:
            self._guests.discard(guest)
            self._retire([guest])

    def _retire(self, nodes: Iterable[Node]) -> None:
        """Ends what waits on nodes that are no primaries any more; those calls go on at the new ones."""
        for node in nodes:
            self._nodes.pop((node.address.host, node.address.port), None)
            if self._any is node:
                self._any = next(iter(self._owner.values()), None)
            node.give_up("is not a primary any more")
            task = asyncio.create_task(node.close("is not a primary any more"))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        for callback in self._callbacks:
            callback()

    async def _keep(self) -> None:
        """Asks for the map where a primary keeps silent: frozen ones refuse nothing."""
        since: dict[Any, tuple[object, float]] = {}
        while True:
            await asyncio.sleep(_KEEP_S)
            now, silent = self._now(), False
            lanes = [lane for node in self._nodes.values() for lane in (*node.lanes, node.large)]
            seen = {}
            for lane in lanes:
                if (oldest := lane.oldest) is not None:
                    before = since.get(lane)
                    seen[lane] = before if before and before[0] is oldest else (oldest, now)
                    silent |= now - seen[lane][1] >= _SILENT_S
            since = seen
            if silent or now - self._looked_at >= _REFRESH_S:
                self.look_soon()
