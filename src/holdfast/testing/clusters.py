"""A Redis Cluster for a test to break and to reshard."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

from holdfast.testing.access import Access
from holdfast.testing.places import ServerMissing, free_port
from holdfast.testing.redis_connection import RedisConnection
from holdfast.testing.server_group import close_all, start_all, wait_until
from holdfast.testing.servers import SAVED_FOR_A_KILL, RedisServer

SLOTS: Final = 16_384
_ASK_S: Final = 1.0
_BATCH: Final = 100
_MOVE_MS: Final = 5000
_SETTLE_S: Final = 30.0


class ClusterNode(RedisServer):
    """One server of a Cluster. Started again, it takes its place again: it keeps its node id, and its data are saved."""

    def __init__(self, options: Mapping[str, str], access: Access) -> None:
        super().__init__(options, access=access)
        self._bus_port = 0

    def _choose_port(self) -> None:
        super()._choose_port()
        self._bus_port = free_port()

    def _config_lines(self) -> list[str]:
        tls = ["tls-cluster yes"] if self.access.certificates is not None else []
        own = ["cluster-enabled yes", f"cluster-port {self._bus_port}", *tls, *self.access.follow_lines()]
        return [*own, *super()._config_lines()]

    def view(self) -> View:
        """What it says of itself now."""
        with self.connect(_ASK_S) as connection:
            lines = str(connection.command("CLUSTER", "NODES")).splitlines()
        parts = next(line.split() for line in lines if "myself" in line.split()[2])
        return View(parts[0], "master" in parts[2].split(","), parts[3], int(parts[6]), _ranges(parts[8:]))


class View(NamedTuple):
    """A node's own line of CLUSTER NODES.

    Attributes:
        id: its name in the Cluster.
        follows: the id of its primary; '-' for a primary.
        epoch: of two that claim a slot, the higher one has it.
        slots: what it serves.
    """

    id: str
    is_primary: bool
    follows: str
    epoch: int
    slots: frozenset[int]


def _ranges(words: Iterable[str]) -> frozenset[int]:
    found: set[int] = set()
    for word in words:
        if not word.startswith("["):  # that is a slot on its way
            first, _, last = word.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


class RedisCluster:
    """Primaries and replicas of a Cluster on loopback, for a ``with`` or ``async with``. Everything is saved, for a kill
    and not for a power cut (``appendfsync no``).

    A primary keeps its replicas: none moves to another primary by itself.

    Args:
        primaries: at least 3.
        replicas: for each primary.
        node_timeout_ms: after how long without a reply a node counts as down, in milliseconds.
        access: user, password and TLS of all nodes.
        options: more lines of every redis.conf.

    Raises:
        ServerMissing: redis-server or redis-cli is not installed, or the Cluster did not come up.
    """

    def __init__(
        self,
        *,
        primaries: int = 3,
        replicas: int = 1,
        node_timeout_ms: int = 1500,
        access: Access | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._replicas = replicas
        self._access = access or Access()
        self._options = {
            **SAVED_FOR_A_KILL,
            "repl-diskless-sync-delay": "0",
            "cluster-node-timeout": str(node_timeout_ms),
            "cluster-allow-replica-migration": "no",
            "cluster-replica-validity-factor": "0",
            **(options or {}),
        }
        self.nodes = [ClusterNode(self._options, self._access) for _ in range(primaries * (1 + replicas))]

    # --- life ---

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_all(self.nodes)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(close_all, self.nodes)

    def _start(self) -> None:
        try:
            start_all(self.nodes)
            self._create()
            wait_until(self._trouble, 30.0)
        except BaseException:
            close_all(self.nodes)
            raise

    def _create(self) -> None:
        program = shutil.which("redis-cli")
        if program is None:
            raise ServerMissing("redis-cli is not installed: install redis-tools to make a Cluster")
        hosts = [node.where for node in self.nodes]
        create = ["--cluster", "create", *hosts, "--cluster-replicas", str(self._replicas), "--cluster-yes"]
        done = subprocess.run(
            [program, *self._access.cli(), *create],
            env={**os.environ, **({"REDISCLI_AUTH": self._access.password} if self._access.password else {})},
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise ServerMissing(f"redis-cli made no Cluster: {(done.stdout + done.stderr)[-500:]}")

    # --- who is what ---

    @property
    def url(self) -> str:
        """What `open_store` takes: all nodes as seeds, with user, password and TLS files."""
        hosts = ",".join(node.where for node in self.nodes)
        return f"{self._access.scheme}+cluster://{self._access.userinfo}{hosts}{self._access.query()}"

    def primaries(self) -> list[ClusterNode]:
        """The nodes that are up, say that they are primaries, and have slots that no newer one claims, or none at all."""
        views = self._views()
        return [node for node, view in views.items() if view.is_primary and not _overtaken(view, views.values())]

    def replicas(self) -> list[ClusterNode]:
        """The nodes that are up and say that they are replicas."""
        return [node for node, view in self._views().items() if not view.is_primary]

    def replicas_of(self, primary: ClusterNode) -> list[ClusterNode]:
        """Those of them that follow this one."""
        name = primary.view().id
        return [node for node, view in self._views().items() if view.follows == name]

    def node_of(self, slot: int) -> ClusterNode:
        """The primary that serves a slot.

        Raises:
            LookupError: no node that is up claims it.
        """
        claims = [(view.epoch, node) for node, view in self._views().items() if view.is_primary and slot in view.slots]
        if not claims:
            raise LookupError(f"no node that is up serves slot {slot}")
        return max(claims, key=lambda claim: claim[0])[1]

    def slot_of(self, key: str | bytes) -> int:
        """The slot of a key: CLUSTER KEYSLOT."""
        return int(cast(int, self._any().command("CLUSTER", "KEYSLOT", key)))

    def _views(self) -> dict[ClusterNode, View]:
        found = {}
        for node in self.nodes:
            if node.up:
                try:
                    found[node] = node.view()
                except (OSError, RuntimeError):  # it starts, ends, or hangs
                    continue
        return found

    def _any(self) -> ClusterNode:
        return next(node for node in self.nodes if node.up)

    # --- what a test waits for ---

    async def wait_ok(self, within: float = 30.0) -> None:
        """Returns once all nodes that are up serve all slots, agree on who has which, and every replica has its data.

        Raises:
            TimeoutError: not ``within`` so many seconds.
        """
        await asyncio.to_thread(wait_until, self._trouble, within)

    async def wait_for_primary(
        self, slot: int, other_than: ClusterNode | None = None, within: float = 30.0
    ) -> ClusterNode:
        """The primary of a slot, once there is one (and it is another).

        Raises:
            TimeoutError: there is none ``within`` so many seconds.
        """
        found: list[ClusterNode] = []

        def trouble() -> str:
            try:
                found[:] = [self.node_of(slot)]
            except LookupError as error:
                return str(error)
            return f"{found[0].where} still serves slot {slot}" if found[0] is other_than else ""

        await asyncio.to_thread(wait_until, trouble, within)
        return found[0]

    def _trouble(self) -> str:
        """What is missing for a whole Cluster; '' if nothing is."""
        try:
            for node in self.nodes:
                if not node.up:
                    continue
                facts = dict(line.split(":", 1) for line in str(node.command("CLUSTER", "INFO")).split("\r\n") if line)
                if facts["cluster_state"] != "ok" or facts["cluster_slots_ok"] != str(SLOTS):
                    return f"{node.where} says the Cluster is not ok"
                if int(facts["cluster_known_nodes"]) < len(self.nodes):
                    return f"{node.where} knows {facts['cluster_known_nodes']} nodes"
                if node.info("replication").get("master_link_status", "up") != "up":
                    return f"the replica {node.where} has no link to its primary"
        except (OSError, RuntimeError) as error:
            return str(error)
        return self._dispute()

    def _dispute(self) -> str:
        """Whether nodes that are up differ on who has which slot; '' if none does."""
        try:
            maps = {_map(str(node.command("CLUSTER", "NODES"))) for node in self.nodes if node.up}
        except (OSError, RuntimeError) as error:
            return str(error)
        return "the nodes do not agree on the slots" if len(maps) > 1 else ""

    # --- moving slots ---

    async def add_primary(self, within: float = 30.0) -> ClusterNode:
        """A new empty node joins by CLUSTER MEET; it serves no slot until `reshard` gives it some."""
        node = ClusterNode(self._options, self._access)
        await node.start()
        met = self._any()
        self.nodes.append(node)
        met.command("CLUSTER", "MEET", node.host, node.port, node._bus_port)
        await self.wait_ok(within)
        return node

    async def reshard(self, slots: Iterable[int], source: ClusterNode, target: ClusterNode) -> int:
        """Moves slots with their keys while the Cluster serves, one after the other. Returns how many keys moved.

        All nodes have heard of it then. Redis 7.0 may lose a slot that moves again at once, back above all, to a late
        message (github.com/redis/redis/pull/12344): nodes that go on disagreeing are told again, as an operator would.

        Raises:
            TimeoutError: the nodes do not agree within 30 s.
        """
        return await asyncio.to_thread(self._reshard, list(slots), source, target)

    def _reshard(self, slots: list[int], source: ClusterNode, target: ClusterNode) -> int:
        with ExitStack() as stack:
            open_to = {node: stack.enter_context(node.connect()) for node in self.primaries()}
            moved = 0
            for slot in slots:
                _begin(slot, source, target, open_to)
                moved += _move(slot, open_to[source], target, None)
                _finish(slot, target, open_to)
            ends = time.monotonic() + _SETTLE_S
            while True:
                try:
                    wait_until(self._dispute, _SETTLE_S / 10)
                    return moved
                except TimeoutError:
                    if time.monotonic() > ends:
                        raise
                for slot in slots:
                    _finish(slot, target, open_to)

    def begin_migration(self, slot: int, target: ClusterNode) -> None:
        """From now on the slot is half-migrated: its owner answers ASK for keys that it does not have."""
        source = self.node_of(slot)
        with source.connect() as here, target.connect() as there:
            _begin(slot, source, target, {source: here, target: there})

    def move_keys(self, slot: int, target: ClusterNode, count: int | None = None) -> int:
        """Moves ``count`` keys of a slot whose migration has begun, or all. Returns how many moved."""
        with self.node_of(slot).connect() as here:
            return _move(slot, here, target, count)

    def finish_migration(self, slot: int, target: ClusterNode) -> None:
        """Moves what is left of the slot, and gives it to the target for good. `wait_ok` returns when all nodes know."""
        self.move_keys(slot, target)
        with ExitStack() as stack:
            _finish(slot, target, {node: stack.enter_context(node.connect()) for node in self.primaries()})


Connections = Mapping[ClusterNode, RedisConnection]


def _begin(slot: int, source: ClusterNode, target: ClusterNode, open_to: Connections) -> None:
    from_id, to_id = (str(open_to[node].command("CLUSTER", "MYID")) for node in (source, target))
    open_to[target].command("CLUSTER", "SETSLOT", slot, "IMPORTING", from_id)
    open_to[source].command("CLUSTER", "SETSLOT", slot, "MIGRATING", to_id)


def _move(slot: int, source: RedisConnection, target: ClusterNode, count: int | None) -> int:
    """Moves keys in batches, with what lets the source log in to the target."""
    login = target.access.login()
    auth = [f"AUTH{'2' if len(login) == 3 else ''}", *login[1:]] if login else []
    moved = 0
    while count is None or moved < count:
        batch = _BATCH if count is None else min(_BATCH, count - moved)
        keys = cast(list[str], source.command("CLUSTER", "GETKEYSINSLOT", slot, batch))
        if not keys:
            break
        names = [key.encode("utf-8", "surrogateescape") for key in keys]
        source.command("MIGRATE", target.host, target.port, "", 0, _MOVE_MS, *auth, "KEYS", *names)
        moved += len(keys)
    return moved


def _finish(slot: int, target: ClusterNode, open_to: Connections) -> None:
    """The target hears it first: until it does, nobody else would serve the slot."""
    to_id = str(open_to[target].command("CLUSTER", "MYID"))
    for node in sorted(open_to, key=lambda node: node is not target):
        open_to[node].command("CLUSTER", "SETSLOT", slot, "NODE", to_id)


def _overtaken(view: View, others: Iterable[View]) -> bool:
    """Whether a newer primary claims all that this one does."""
    taken = {slot for other in others if other.is_primary and other.epoch > view.epoch for slot in other.slots}
    return bool(view.slots) and view.slots <= taken


def _map(nodes: str) -> frozenset[tuple[str, frozenset[int]]]:
    """Who has which slots by CLUSTER NODES."""
    lines = [line.split() for line in nodes.splitlines()]
    return frozenset((line[0], _ranges(line[8:])) for line in lines if len(line) > 8)
