"""Durability levels: can the servers give the one that was asked for, and how many replicas does it wait for?"""

from __future__ import annotations

from typing import Any

from holdfast.backends.redis.acks import Majority, Quorum, majority_of
from holdfast.backends.redis.health import info
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.sentinel import SentinelSet
from holdfast.backends.redis.topology import Topology
from holdfast.backends.redis.urls import Settings
from holdfast.backends.redis.wire import ReplyError
from holdfast.errors import ServerUnsuitable


async def quorum(topology: Topology, settings: Settings) -> Quorum | None:
    """Which replicas a write waits for; None where it waits for none.

    Raises:
        ServerUnsuitable: the servers cannot give the level.
    """
    if settings.durability == "fsync":
        for node in topology.primaries():
            await _ensure_fsync(node)
    if settings.durability != "replicated":
        return None
    primaries = topology.primaries()
    counts = [int((await info(node)).get("connected_slaves", 0)) for node in primaries]
    if isinstance(topology, SentinelSet):
        counts = [max(topology.replicas, *counts)]
    for node, count in zip(primaries, counts, strict=True):
        if count < max(1, settings.replicas):
            raise ServerUnsuitable(
                f"Redis at {node.where} has {count} replicas; durability=replicated "
                f"{f'with replicas={settings.replicas} ' if settings.replicas else ''}needs more: "
                "add replicas, or open with durability=memory if a failover may lose the last writes"
            )
    if isinstance(topology, SentinelSet) and not settings.replicas:
        return topology
    # of a Cluster each shard counts for itself, so the smallest one sets the number that all can give
    return Majority(settings.replicas or majority_of(min(counts)))


async def _ensure_fsync(node: Node) -> None:
    facts = await info(node)
    if facts.get("aof_enabled") != "1":
        raise ServerUnsuitable(f"Redis at {node.where} has no append-only file: durability=fsync needs appendonly yes")
    reply: Any = await node.large.call(("CONFIG", "GET", "appendfsync"), write=False)
    if reply.__class__ is ReplyError:
        raise ServerUnsuitable(
            f"Redis at {node.where} does not say how it syncs ({reply}): durability=fsync needs the right +config|get"
        )
    if reply[1] != b"always":
        raise ServerUnsuitable(
            f"Redis at {node.where} has appendfsync {reply[1].decode()}: durability=fsync needs appendfsync always"
        )
