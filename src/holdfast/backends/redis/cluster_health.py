"""What `holdfast store check` says of a Cluster: one line for the whole, then those of each primary with its address."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.backends.records import Finding
from holdfast.backends.redis.cluster import Cluster
from holdfast.backends.redis.findings import findings
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.slots import SLOTS
from holdfast.errors import StoreError


async def cluster_findings(cluster: Cluster) -> list[Finding]:
    """One primary that does not answer takes nothing from what the others say."""
    primaries = cluster.primaries()
    parts = await asyncio.gather(*[_of_node(node) for node in primaries])
    return [await _whole(primaries), *(finding for part in parts for finding in part)]


async def _of_node(node: Node) -> list[Finding]:
    try:
        found = await findings(node)
    except StoreError as error:
        return [Finding("bad", f"{node.where} server", str(error), "look at the server and its log")]
    return [Finding(one.level, f"{node.where} {one.subject}", one.text, one.mend) for one in found]


async def _whole(primaries: Any) -> Finding:
    trouble = ""
    for node in primaries:
        try:
            reply = await node.large.call(("CLUSTER", "INFO"), write=False)
            facts = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
        except (StoreError, AttributeError) as error:  # the second: an error reply, which is no text
            trouble = str(error)
            continue
        served = int(facts.get("cluster_slots_ok", 0))
        text = (
            f"state {facts.get('cluster_state')}, {served} of {SLOTS} slots served, "
            f"{facts.get('cluster_known_nodes')} nodes, {len(primaries)} of them primaries with sessions"
        )
        if facts.get("cluster_state") == "ok" and served == SLOTS:
            return Finding("ok", "cluster", text)
        return Finding("bad", "cluster", text, "redis-cli --cluster check HOST:PORT says which slots are not served")
    return Finding("bad", "cluster", f"no primary says how the Cluster is: {trouble}", "allow the user +cluster|info")
