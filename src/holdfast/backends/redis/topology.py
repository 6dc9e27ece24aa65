"""Which server has a key, and how to go on when it says that it has not. One file for each kind: sentinel.py, cluster.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from holdfast.backends.redis.node import Node
from holdfast.errors import StoreUnavailable


class Way(NamedTuple):
    """Where to send a call again. ``asking``: with ASKING before it (a Cluster's slot that is being moved)."""

    node: Node
    asking: bool = False


class Topology(Protocol):
    """The servers behind one URL."""

    where: str

    def node(self, key: str) -> Node | None:
        """The primary that has this key ("" is any), as far as it is known now. It does no I/O."""
        ...

    async def way_on(self, key: str, node: Node | None, trouble: StoreUnavailable | str, deadline: float) -> Way | None:
        """After a call that surely was not applied: where to send it again, or None if that will not help.

        It may look for the servers anew and pause, not longer than until ``deadline`` (by the loop's clock).

        Args:
            node: where it was sent; None where no server was known.
            trouble: the error, or the text of the server's error reply.
        """
        ...

    def primaries(self) -> Sequence[Node]:
        """All primaries that are known now."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Calls back after a primary has changed."""
        ...

    async def close(self) -> None:
        """Closes all nodes and stops looking."""
        ...


class OneServer:
    """A topology of one server. A call that fails is not repeated: there is nobody else to ask."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.where = node.where

    def node(self, key: str) -> Node:
        return self._node

    async def way_on(self, key: str, node: Node | None, trouble: StoreUnavailable | str, deadline: float) -> Way | None:
        return None

    def primaries(self) -> Sequence[Node]:
        return (self._node,)

    def on_change(self, callback: Callable[[], None]) -> None:
        pass

    async def close(self) -> None:
        await self._node.close()
