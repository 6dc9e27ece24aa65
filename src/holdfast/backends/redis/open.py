"""Opening the Redis backend."""

from __future__ import annotations

from holdfast.backends.records import OutcomeLimits
from holdfast.backends.redis.backend import RedisBackend
from holdfast.backends.redis.health import ensure_suitable
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.lane import Address
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.pages import PageLimits
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
    pack: bool = True,
    page_messages: int = 128,
    keep: int = 32,
) -> RedisBackend:
    """Connects to a Redis server (7.0 or newer), checks it and loads the functions.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads it.
        timeout: seconds by which every call ends, connecting included.
        outcomes: how many finished turns and updates are remembered for each session.
        prefix: what every key begins with.
        connections: connections for small calls; one carries tens of thousands a second.
        max_waiting: how many calls may wait on a connection; more are refused with `StoreUnavailable`.
        allow_eviction: open a server that may evict keys, and so lose parts of sessions, all the same.
        pack: compress older messages into pages, beside the turns.
        page_messages: messages in a full page.
        keep: so many of a session's newest messages are not packed; the tail that turns load, at least.

    Raises:
        StoreUnavailable: the server cannot be reached.
        ServerUnsuitable: it is too old, or may lose what it acknowledged.
        ConfigError: URL, user, password or rights are wrong.
    """
    if connections < 1 or max_waiting < 1 or timeout <= 0:
        raise ConfigError("connections and max_waiting must be at least 1, timeout above 0 seconds")
    if page_messages < 1 or keep < 1:
        raise ConfigError("page_messages and keep must be at least 1")
    address = Address(url)
    keys = Keys(prefix)
    node = Node(address, timeout=timeout, connections=connections, max_waiting=max_waiting)
    try:
        await ensure_suitable(node, keys.probe(), allow_eviction=allow_eviction)
    except BaseException:
        await node.close()
        raise
    pages = PageLimits(page_messages, keep)
    return RedisBackend(node, keys, Subscriber(address, timeout), outcomes or OutcomeLimits(), pages, packs=pack)
