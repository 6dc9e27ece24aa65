"""A session's slot, stopped anywhere on its way from one primary of a Cluster to another."""

from __future__ import annotations

import subprocess
from typing import cast

from holdfast.backends.records import SessionKey
from holdfast.backends.redis.keys import Keys
from holdfast.testing.calls import KEY
from holdfast.testing.clusters import ClusterNode, RedisCluster

NAMES = Keys("hf")


def names_of(kinds: str, key: SessionKey = KEY, turn_id: str = "t1") -> list[str]:
    """The session's keys, and those of its partition, by their letters."""
    base = NAMES.session(key).partition("}")[0] + "}:"
    own = {"i": f"{base}i:{key.tenant}", "p": f"{base}p", "f": f"{base}f"}
    return [own.get(kind) or NAMES.sibling(key, kind) + (f":{turn_id}" if kind == "j" else "") for kind in kinds]


class HalfMoved:
    """Begins to move the slot of ``key``, away from ``source`` to ``target``."""

    def __init__(self, cluster: RedisCluster, key: SessionKey = KEY) -> None:
        self.cluster = cluster
        self.slot = cluster.slot_of(NAMES.session(key))
        self.source = cluster.node_of(self.slot)
        self.target = next(node for node in cluster.primaries() if node is not self.source)
        cluster.begin_migration(self.slot, self.target)

    def move(self, names: list[str]) -> None:
        """Moves these keys, those of them that exist."""
        self.source.command("MIGRATE", self.target.host, self.target.port, "", 0, 5000, "KEYS", *names)

    def move_all(self) -> None:
        self.cluster.move_keys(self.slot, self.target)

    def finish(self) -> None:
        """The rest of the way: the slot is the target's."""
        self.cluster.finish_migration(self.slot, self.target)

    def fix(self) -> None:
        """What an operator does about a stuck move."""
        subprocess.run(
            ["redis-cli", "--cluster", "fix", self.source.where], check=True, capture_output=True, timeout=60
        )

    def stored(self) -> dict[tuple[str, str], object]:
        """Every key of the slot by where it is, byte for byte."""
        found: dict[tuple[str, str], object] = {}
        for side, node in (("source", self.source), ("target", self.target)):
            with node.connect() as connection:
                for name in self._there(node):
                    connection.command("ASKING")
                    found[side, name] = connection.command("DUMP", name)
        return found

    def refusals(self) -> int:
        """How often the source has refused a call because of the move."""
        stats = self.source.info("errorstats")
        counts = [stats.get(f"errorstat_{name}", "count=0") for name in ("TRYAGAIN", "ASK")]
        return sum(int(count.removeprefix("count=")) for count in counts)

    def _there(self, node: ClusterNode) -> list[str]:
        return cast(list[str], node.command("CLUSTER", "GETKEYSINSLOT", self.slot, 1000))
