"""Opening the Redis backend: a URL becomes a topology of checked servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, Unpack

import msgspec

from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.backend import RedisBackend
from holdfast.backends.redis.calls import Calls
from holdfast.backends.redis.durability import quorum
from holdfast.backends.redis.health import ensure_suitable
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.mapping import AccessRefused
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.pages import PageLimits
from holdfast.backends.redis.rights import user_of
from holdfast.backends.redis.sentinel import SentinelSet
from holdfast.backends.redis.subscriber import Subscriber
from holdfast.backends.redis.topology import OneServer, Topology
from holdfast.backends.redis.urls import Durability, Target, parse
from holdfast.errors import ConfigError

_MakeNode = Callable[[Address], Node]


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

    def node_at(address: Address) -> Node:
        return Node(address, timeout=timeout, connections=settings.connections, max_waiting=settings.max_waiting)

    topology: Topology | None = None
    try:
        topology = await topology_of(target, node_at, timeout)
        for node in topology.primaries():
            await ensure_suitable(node, keys.probe(), allow_eviction=settings.allow_eviction)
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
    if target.kind == "sentinel":
        sentinels = SentinelSet(target, node_at, timeout)
        try:
            await sentinels.start()
        except BaseException:
            await sentinels.close()
            raise
        return sentinels
    raise ConfigError("redis+cluster:// is not served yet")


def _subscriber(topology: Topology, timeout: float) -> Subscriber:
    def address() -> Address | None:
        node = topology.node("")
        return node.address if node else None

    subscriber = Subscriber(address, timeout)
    topology.on_change(subscriber.moved)
    return subscriber
