"""What a server is and what it can promise: the checks at open, and those of `holdfast store check`."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

from holdfast.backends.records import Finding
from holdfast.backends.redis.library import Library
from holdfast.backends.redis.mapping import RIGHTS, code_of, error_for
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import ConfigError, ServerUnsuitable

_OLDEST: Final = (7, 0)
_PINGS: Final = 5
_EVICTION_MEND: Final = "CONFIG SET maxmemory-policy noeviction (and the same in redis.conf)"

Info = dict[str, str]


async def _ask(node: Node, *args: Arg) -> Any:
    reply = await node.large.call(args, write=False)
    if reply.__class__ is ReplyError and code_of(str(reply)) in RIGHTS:
        raise ConfigError(str(error_for(str(reply), write=False, where=node.where))) from None
    return reply


async def info(node: Node) -> Info:
    """INFO as a flat mapping; raises `ConfigError` where the user may not ask."""
    reply = await _ask(node, "INFO")
    if reply.__class__ is ReplyError:
        raise error_for(str(reply), write=False, where=node.where)
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


async def ensure_suitable(
    node: Node, library: Library, probe_key: str, *, allow_eviction: bool, cluster: bool = False
) -> None:
    """Refuses a server that cannot keep the promises, and puts our functions there.

    Raises:
        ServerUnsuitable: too old, a cluster node, or it may evict.
        ConfigError: the user lacks a right.
    """
    facts = await info(node)
    version = facts.get("redis_version", "0")
    if _numbers(version) < _OLDEST:
        raise ServerUnsuitable(f"Redis at {node.where} is {version}; 7.0 or newer is needed (functions)")
    if (facts.get("cluster_enabled") == "1") != cluster:
        is_one, other = ("is no node", "redis://") if cluster else ("is a node", "redis+cluster://")
        raise ServerUnsuitable(f"Redis at {node.where} {is_one} of a Cluster: write {other} in its URL")
    policy = facts.get("maxmemory_policy", "unknown")
    if policy != "noeviction" and not allow_eviction:
        raise ServerUnsuitable(
            f"Redis at {node.where} has maxmemory-policy {policy}: when memory is short it would delete parts of "
            f"sessions. {_EVICTION_MEND}, or open with allow_eviction=True if losing sessions is acceptable"
        )
    await node.load_functions(library)
    reply = await _ask(node, "FCALL", library.function("p"), 1, probe_key)
    if reply.__class__ is ReplyError:
        raise error_for(str(reply), write=False, where=node.where)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


async def findings(node: Node, library: Library) -> list[Finding]:
    """One line for each thing that an operator should know."""
    facts = await info(node)
    return [
        Finding("ok", "server", f"Redis {facts.get('redis_version')} at {node.where}, {facts.get('redis_mode')}"),
        _eviction(facts),
        _memory(facts),
        await _durability(node, facts),
        _replicas(facts),
        await _functions(node, library),
        await _latency(node),
    ]


def _eviction(facts: Info) -> Finding:
    policy = facts.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return Finding("ok", "eviction", "noeviction: a full memory refuses writes and loses nothing")
    return Finding("bad", "eviction", f"{policy}: a full memory deletes parts of sessions", _EVICTION_MEND)


def _memory(facts: Info) -> Finding:
    used, limit = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    if not limit:
        return Finding(
            "note",
            "memory",
            f"{used / 2**20:.1f} MiB used, no limit: the system may kill the server when memory runs out",
            "set maxmemory to what the machine can give",
        )
    share = used / limit
    text = f"{used / 2**20:.1f} of {limit / 2**20:.1f} MiB used ({share:.0%})"
    if share < 0.8:
        return Finding("ok", "memory", text)
    level: Any = "bad" if share >= 0.95 else "note"
    return Finding(level, "memory", text, "raise maxmemory, shorten ttl, or spread sessions over more servers")


async def _durability(node: Node, facts: Info) -> Finding:
    if facts.get("aof_enabled") != "1":
        return Finding(
            "note",
            "durability",
            "no append-only file: a restart loses what was written since the last snapshot, or everything",
            "appendonly yes",
        )
    if facts.get("aof_last_write_status", "ok") != "ok":
        return Finding("bad", "durability", "the last write to the append-only file failed", "look at disk and log")
    reply = await node.large.call(("CONFIG", "GET", "appendfsync"), write=False)
    fsync = reply[1].decode() if isinstance(reply, list) and len(reply) == 2 else "unknown"
    texts = {
        "always": "append-only file with appendfsync always: an acknowledged write survives a power cut",
        "everysec": "append-only file with appendfsync everysec: a power cut loses about the last second",
        "no": "append-only file with appendfsync no: a power cut loses what the system had not written yet",
    }
    text = texts.get(fsync, "append-only file; appendfsync cannot be read by this user")
    mend = "" if fsync == "always" else "appendfsync always, if a power cut must lose nothing"
    return Finding("ok" if fsync == "always" else "note", "durability", text, mend)


def _replicas(facts: Info) -> Finding:
    if facts.get("role") != "master":
        return Finding("bad", "replication", "this server is a replica and takes no writes", "use the primary's URL")
    count = int(facts.get("connected_slaves", 0))
    if count:
        return Finding("ok", "replication", f"{count} replicas connected")
    return Finding("note", "replication", "no replicas: nothing takes over if this machine is lost", "add a replica")


async def _functions(node: Node, library: Library) -> Finding:
    reply = await node.large.call(("FUNCTION", "LIST", "LIBRARYNAME", library.name), write=False)
    if reply.__class__ is ReplyError:
        return Finding("note", "functions", "this user may not list them (fine if they are called)")
    if reply:
        return Finding("ok", "functions", f"{library.name} is loaded")
    return Finding("note", "functions", f"{library.name} is missing; the next call loads it")


async def _latency(node: Node) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = perf_counter()
        await _ask(node, "PING")
        times.append(perf_counter() - began)
    middle = sorted(times)[_PINGS // 2] * 1000
    level: Any = "ok" if middle < 5 else "note"
    mend = "" if middle < 5 else "a turn takes two round trips: put the nodes nearer to the server"
    return Finding(level, "latency", f"round trip {middle:.2f} ms", mend)
