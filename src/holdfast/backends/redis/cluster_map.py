"""What one node of a Cluster says about who has which slots.

Claims are weighed as the nodes themselves weigh them: each primary has a ``config-epoch``, which rises with every failover that it
wins and every slot that it takes over, and of two claims to a slot the one of the higher epoch is true. So a primary that was
cut off from the majority, and still tells the old map, is outvoted by any node that has seen the new one; and each answer can be
taken as it comes, without waiting for those of nodes that are frozen.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from holdfast.backends.redis.address import Address
from holdfast.errors import ConfigError, ServerUnsuitable, StoreUnavailable

Place = tuple[str, int]
"""Host and port."""


class Claim(NamedTuple):
    """Who has a slot, and how new that is."""

    epoch: float
    place: Place


class View(NamedTuple):
    """One node's map. Equal ones are equal tuples.

    Attributes:
        ranges: first slot, last slot, whose.
        nodes: where all nodes are, replicas too.
    """

    ranges: tuple[tuple[int, int, Claim], ...]
    nodes: frozenset[Place]

    def claim(self, slot: int) -> Claim | None:
        """Who has this slot."""
        at = bisect_right(self.ranges, slot, key=lambda one: one[0]) - 1
        if at < 0 or self.ranges[at][1] < slot:
            return None
        return self.ranges[at][2]


async def view_of(address: Address, within: float) -> View:
    """Asks one node, on a connection of its own.

    Args:
        within: seconds.

    Raises:
        StoreUnavailable: it cannot be asked.
        ServerUnsuitable: it is no node of a Cluster.
        ConfigError: it refuses the user, the password, or the question.
    """
    connection = address.connection(within)
    try:
        async with asyncio.timeout(within):
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py lacks the types
            nodes = await _answer(connection, "NODES")
            slots = await _answer(connection, "SLOTS")
            return read_view(nodes.decode("utf-8", "replace"), slots, address.host)
    except (RedisError, OSError, TimeoutError) as error:
        raise _trouble(address, error) from error
    finally:
        await connection.disconnect(nowait=True)


async def _answer(connection: AbstractConnection, what: str) -> Any:
    await connection.send_command("CLUSTER", what)
    return await connection.read_response()


def read_view(nodes: str, slots: list[Any], asked: str) -> View:
    """A view from the replies of CLUSTER NODES (the epochs) and CLUSTER SLOTS (the addresses, as the nodes announce them).

    Args:
        asked: the host that was asked; a node that does not know its own name means this one.
    """
    epochs = {}
    for line in nodes.splitlines():
        parts = line.split(" ")
        if len(parts) > 6:
            epochs[parts[0]] = int(parts[6])
    ranges: list[tuple[int, int, Claim]] = []
    places: set[Place] = set()
    for first, last, *members in slots:
        found = [_place(member, asked) for member in members]
        places.update(place for place in found if place)
        if found and (primary := found[0]) is not None:
            ranges.append((first, last, Claim(epochs.get(members[0][2].decode(), 0), primary)))
    return View(tuple(sorted(ranges)), frozenset(places))


def _place(member: list[Any], asked: str) -> Place | None:
    host = (member[0] or b"").decode()
    if host == "?":  # set to be known by a name that it does not have yet
        return None
    return host or asked, member[1]


def redirection(text: str, asked: str) -> tuple[int, Place]:
    """Slot and place that a MOVED or ASK names; without a host it means the one that was asked."""
    _, slot, where, *_ = text.split(" ")
    host, _, port = where.rpartition(":")
    return int(slot), (host or asked, int(port))


def _trouble(address: Address, error: BaseException) -> Exception:
    text = str(error)
    if isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
        return ConfigError(f"Redis at {address.where} refuses the user or password in the URL ({text})")
    if isinstance(error, ResponseError) and ("NOPERM" in text or "no permissions" in text):
        return ConfigError(
            f"Redis at {address.where}: this user lacks the rights +cluster|nodes +cluster|slots "
            f"+cluster|countkeysinslot, which redis+cluster:// needs ({text[:100]})"
        )
    if isinstance(error, ResponseError) and "cluster support disabled" in text:
        return ServerUnsuitable(f"Redis at {address.where} is no node of a Cluster: write redis:// in its URL")
    return StoreUnavailable(f"the node at {address.where} cannot be asked: {text or type(error).__name__}")
