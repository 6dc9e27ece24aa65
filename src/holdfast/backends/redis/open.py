"""Opening the Redis backend."""

from __future__ import annotations

from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis.backend import RedisBackend
from holdfast.backends.redis.health import ensure_suitable
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.lane import Address
from holdfast.backends.redis.mapping import AccessRefused
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.rights import user_of
from holdfast.backends.redis.subscriber import Subscriber
from holdfast.errors import ConfigError


async def open_redis(
    url: str,
    *,
    timeout: float = 5.0,
    outcomes: OutcomeLimits | None = None,
    prefix: str = "hf",
    connections: int = 1,
    max_waiting: int = 10_000,
    allow_eviction: bool = False,
) -> RedisBackend:
    """Connects to a Redis server (6.2 or newer), checks it and loads the functions where they are missing.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads it.
        timeout: seconds by which every call ends, connecting included.
        outcomes: how many finished turns and updates are remembered for each session.
        prefix: what every key begins with.
        connections: connections for small calls; one carries tens of thousands a second.
        max_waiting: how many calls may wait on a connection; more are refused with `StoreUnavailable`.
        allow_eviction: open a server that may evict keys, and so lose parts of sessions, all the same.

    Raises:
        StoreUnavailable: the server cannot be reached.
        ServerUnsuitable: it is too old, or may lose what it acknowledged.
        ConfigError: URL, user, password or rights are wrong.
    """
    if connections < 1 or max_waiting < 1 or timeout <= 0:
        raise ConfigError("connections and max_waiting must be at least 1, timeout above 0 seconds")
    address = Address(url)
    keys = Keys(prefix)
    node = Node(address, timeout=timeout, connections=connections, max_waiting=max_waiting)
    try:
        await ensure_suitable(node, keys.probe(), allow_eviction=allow_eviction)
    except BaseException as error:
        await node.close()
        if isinstance(error, AccessRefused):  # an open store goes on: its password may be under rotation
            raise ConfigError(f"{error} (user {user_of(address.connection(timeout))!r})") from error
        raise
    return RedisBackend(node, keys, Subscriber(address, timeout), outcomes or OutcomeLimits())
