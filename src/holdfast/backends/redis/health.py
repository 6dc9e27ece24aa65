"""Whether a server can keep the promises: the checks at open. Those of `holdfast store check` are in findings.py."""

from __future__ import annotations

import logging
from typing import Any, Final

from holdfast.backends.redis.loading import try_out
from holdfast.backends.redis.mapping import RIGHTS, code_of, error_for
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.rights import missing_right, missing_right_of, user_of
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import ConfigError, ServerUnsuitable

OLDEST: Final = (6, 2)
EVICTION_MEND: Final = "CONFIG SET maxmemory-policy noeviction (and the same in redis.conf)"
_log: Final = logging.getLogger(__name__)

Info = dict[str, str]


async def ask(node: Node, *args: Arg) -> Any:
    """One command's reply; None where this user may not, or the server has no such command."""
    reply = await node.large.call(args, write=False)
    if reply.__class__ is not ReplyError:
        return reply
    text = str(reply)
    if code_of(text) in RIGHTS or text.lower().startswith("err unknown"):
        return None
    raise error_for(text, write=False, where=node.where)


async def info(node: Node) -> Info:
    """INFO as a flat mapping; empty where the user may not ask."""
    reply = await ask(node, "INFO")
    if reply is None:
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


async def ensure_suitable(node: Node, probe_key: str, *, allow_eviction: bool, cluster: bool = False) -> None:
    """Refuses a server that cannot keep the promises, finds out how it runs our Lua, and puts it there if need be.

    Raises:
        ServerUnsuitable: too old, a cluster node, or it may evict.
        ConfigError: the user lacks a right.
    """
    facts = await info(node)
    if facts:
        _ensure_kind(node.where, facts, allow_eviction=allow_eviction, cluster=cluster)
    elif not allow_eviction:
        _log.warning(
            "Redis at %s: this user may not run INFO, so nobody has checked that the server evicts no sessions",
            node.where,
        )
    if lacked := await missing_right(node.large, probe_key, sharded=node.library.sharded):
        raise _lacks(node, lacked)
    tried = await try_out(node.large, node.library, probe_key)
    if lacked := ", ".join(f"the command {name}" for name in tried.missing):
        raise _lacks(node, lacked)
    if lacked := await missing_right_of(tried.form, node.large, probe_key):
        raise _lacks(node, lacked)
    node.form = tried.form


def _lacks(node: Node, what: str) -> ConfigError:
    user = user_of(node.address)
    return ConfigError(
        f"Redis at {node.where}: user {user!r} lacks a right, {what}; `holdfast store init URL`, run with an administrator's "
        "user, prints the rights that it needs"
    )


def _ensure_kind(where: str, facts: Info, *, allow_eviction: bool, cluster: bool) -> None:
    version = facts.get("redis_version", "0")
    if _numbers(version) < OLDEST:
        raise ServerUnsuitable(f"Redis at {where} is {version}; 6.2 or newer is needed")
    if facts.get("redis_mode") == "sentinel":
        raise ServerUnsuitable(f"Redis at {where} is a Sentinel: write redis+sentinel://host:port/service in its URL")
    if (facts.get("cluster_enabled") == "1") != cluster:
        is_one, other = ("is no node", "redis://") if cluster else ("is a node", "redis+cluster://")
        raise ServerUnsuitable(f"Redis at {where} {is_one} of a Cluster: write {other} in its URL")
    policy = facts.get("maxmemory_policy", "unknown")
    if policy != "noeviction" and not allow_eviction:
        raise ServerUnsuitable(
            f"Redis at {where} has maxmemory-policy {policy}: when memory is short it would delete parts of "
            f"sessions. {EVICTION_MEND}, or open with ?allow_eviction=yes if losing sessions is acceptable"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
