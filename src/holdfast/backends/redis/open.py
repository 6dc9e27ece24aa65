"""Opening the Redis backend: a URL becomes a topology of checked servers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, TypedDict, Unpack

import msgspec

from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.backend import RedisBackend
from holdfast.backends.redis.calls import Calls
from holdfast.backends.redis.cluster import Cluster
from holdfast.backends.redis.cluster_hints import ShardHints
from holdfast.backends.redis.durability import quorum
from holdfast.backends.redis.forms import Form
from holdfast.backends.redis.health import ensure_suitable
from holdfast.backends.redis.keys import PARTITIONS, Keys
from holdfast.backends.redis.library import CLUSTER, SERVER, Library
from holdfast.backends.redis.mapping import AccessRefused
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.pages import PageLimits
from holdfast.backends.redis.rights import user_of
from holdfast.backends.redis.sentinel import SentinelSet
from holdfast.backends.redis.subscriber import Subscriber
from holdfast.backends.redis.topology import OneServer, Topology
from holdfast.backends.redis.urls import Durability, Settings, Target, parse
from holdfast.errors import ConfigError, StoreTimeout, StoreUnavailable

_MakeNode = Callable[[Address], Node]
_PAUSE_S: Final = 0.1


class SettingsOptions(TypedDict, total=False):
    """`Settings` as keyword arguments; they go before those of the URL."""

    prefix: str
    connections: int
    max_waiting: int
    allow_eviction: bool
    durability: Durability
    replicas: int
    pack: bool
    page_messages: int
    keep: int


async def open_redis(
    url: str, *, timeout: float = 5.0, outcomes: OutcomeLimits | None = None, **options: Unpack[SettingsOptions]
) -> RedisBackend:
    """Connects to Redis (6.2 or newer), checks it, and loads the functions where they are missing.

    Args:
        url: see `holdfast.backends.redis.urls`.
        timeout: seconds by which every call ends, connecting included.
        outcomes: how many finished turns and updates are remembered for each session.
        options: see `Settings`.

    Raises:
        StoreUnavailable: no server can be reached.
        ServerUnsuitable: one is too old, may lose what it acknowledged, or cannot give the durability asked for.
        ConfigError: URL, certificates, user, password or rights are wrong.
    """
    target = parse(url)
    settings = msgspec.structs.replace(target.settings, **options)
    if settings.connections < 1 or settings.max_waiting < 1 or timeout <= 0:
        raise ConfigError("connections and max_waiting must be at least 1, timeout above 0 seconds")
    if settings.page_messages < 1 or settings.keep < 1:
        raise ConfigError("page_messages and keep must be at least 1")
    keys = Keys(settings.prefix)

    form: list[Form] = []  # found out once: a primary that comes later runs our Lua in the same way

    def node_at(address: Address) -> Node:
        node = Node(
            address,
            timeout=timeout,
            connections=settings.connections,
            max_waiting=settings.max_waiting,
            library=library_of(target),
        )
        node.form = form[0] if form else node.form
        return node

    topology: Topology | None = None
    try:
        topology = await topology_of(target, node_at, timeout)
        await _check_all(topology, keys, settings, timeout)
        form.append(topology.primaries()[0].form)
        waits_for = await quorum(topology, settings)
    except BaseException as error:
        if topology is not None:
            await topology.close()
        if isinstance(error, AccessRefused):
            raise ConfigError(f"{error} (user {user_of(target.address)!r})") from error
        raise
    calls = Calls(topology, timeout=timeout, quorum=waits_for)
    pages = PageLimits(settings.page_messages, settings.keep)
    subscriber = _subscriber(topology, timeout)
    return RedisBackend(calls, keys, subscriber, outcomes or OutcomeLimits(), pages, packs=settings.pack)


async def topology_of(target: Target, node_at: _MakeNode, timeout: float) -> Topology:
    """The servers that a URL names, looked up. Whoever calls it closes it."""
    if target.kind == "single":
        return OneServer(node_at(target.address))
    several = (SentinelSet if target.kind == "sentinel" else Cluster)(target, node_at, timeout)
    try:
        await several.start()
    except BaseException:
        await several.close()
        raise
    return several


async def _check_all(topology: Topology, keys: Keys, settings: Settings, timeout: float) -> None:
    """Checks every primary; waits for those of a Cluster that are just failing over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    cluster = isinstance(topology, Cluster)
    checked: set[Node] = set()
    while left := [node for node in topology.primaries() if node not in checked]:
        node = left[0]
        probe = probe_of(topology, node, keys)
        try:
            await ensure_suitable(node, probe, allow_eviction=settings.allow_eviction, cluster=cluster)
            checked.add(node)
        except (StoreUnavailable, StoreTimeout) as error:
            if not isinstance(topology, Cluster) or isinstance(error, AccessRefused) or loop.time() > deadline:
                raise
            topology.look_soon()
            await asyncio.sleep(_PAUSE_S)


def probe_of(topology: Topology, node: Node, keys: Keys) -> str:
    """A key for trying out rights, on this primary."""
    if not isinstance(topology, Cluster):
        return keys.probe()
    return random.choice([probe for p in range(PARTITIONS) if topology.node(probe := keys.probe(p)) is node])


def library_of(target: Target) -> Library:
    """The functions for these servers."""
    return CLUSTER if target.kind == "cluster" else SERVER


def _subscriber(topology: Topology, timeout: float) -> Subscriber | ShardHints:
    if isinstance(topology, Cluster):
        hints = ShardHints(topology, timeout)
        topology.on_change(hints.moved)
        return hints

    def address() -> Address | None:
        node = topology.node("")
        return node.address if node else None

    subscriber = Subscriber(address, timeout)
    topology.on_change(subscriber.moved)
    return subscriber
