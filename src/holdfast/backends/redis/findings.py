"""What `holdfast store check` says of a server. What this user may not ask for is a note, never a failure."""

from __future__ import annotations

import time
from typing import Any, Final, Literal

from holdfast.backends.records import Finding
from holdfast.backends.redis.address import Address
from holdfast.backends.redis.health import EVICTION_MEND, Info, ask, info
from holdfast.backends.redis.library import PREFIX
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.packing import milliseconds
from holdfast.backends.redis.rights import excess, user_of

Level = Literal["ok", "note", "bad"]

_PINGS: Final = 5
_CLOCK_S: Final = 1.0
_LAG_S: Final = 10
_FSYNC: Final = {
    "always": "append-only file with appendfsync always: an acknowledged write survives a power cut",
    "everysec": "append-only file with appendfsync everysec: a power cut loses about the last second",
    "no": "append-only file with appendfsync no: a power cut loses what the system had not written yet",
}


async def findings(node: Node) -> list[Finding]:
    """One line for each thing that an operator should know."""
    facts = await info(node)
    found = [_server(node, facts), _tls(node.address)]
    if facts:
        found += [_eviction(facts), _memory(facts), await _durability(node, facts)]
        found += [await _replicas(node, facts), _clients(facts)]
    return [
        *found,
        await _functions(node),
        await _acl(node, user_of(node.address)),
        await _clock(node),
        await _latency(node),
    ]


def _server(node: Node, facts: Info) -> Finding:
    if not facts:
        return Finding(
            "note",
            "server",
            f"at {node.where}; this user may not run INFO: version, eviction, memory, durability and replicas are unknown",
            "grant +info, which reads only",
        )
    name, version = ("Valkey", "valkey_version") if "valkey_version" in facts else ("Redis", "redis_version")
    return Finding("ok", "server", f"{name} {facts.get(version)} at {node.where}, {facts.get('redis_mode')}")


def _tls(address: Address) -> Finding:
    if address.tls is not None:
        if not address.tls.verify:
            return Finding("bad", "TLS", "yes, but the server's certificate is not verified", "leave out tls_verify=no")
        return Finding("ok", "TLS", "yes; the server's certificate is verified, its name too")
    if address.path:
        return Finding("ok", "TLS", "not needed on a Unix socket")
    if address.host.startswith("127.") or address.host in ("localhost", "::1"):
        return Finding("ok", "TLS", "no, and the server is on this machine")
    return Finding("note", "TLS", "no: password and sessions cross the network in clear", "rediss:// in the URL")


def _eviction(facts: Info) -> Finding:
    policy = facts.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return Finding("ok", "eviction", "noeviction: a full memory refuses writes and loses nothing")
    return Finding("bad", "eviction", f"{policy}: a full memory deletes parts of sessions", EVICTION_MEND)


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
    level: Level = "bad" if share >= 0.95 else "note"
    return Finding(level, "memory", text, "raise maxmemory, shorten ttl, or spread sessions over more servers")


async def _config(node: Node, name: str) -> str:
    """A setting's value; "" where this user may not read it."""
    reply = await ask(node, "CONFIG", "GET", name)
    return reply[1].decode() if isinstance(reply, list) and len(reply) == 2 else ""


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
    fsync = await _config(node, "appendfsync")
    text = _FSYNC.get(fsync, "append-only file; this user may not read appendfsync (CONFIG GET)")
    mend = "" if fsync == "always" else "appendfsync always, if a power cut must lose nothing"
    return Finding("ok" if fsync == "always" else "note", "durability", text, mend)


async def _replicas(node: Node, facts: Info) -> Finding:
    if facts.get("role") != "master":
        return Finding("bad", "replication", "this server is a replica and takes no writes", "use the primary's URL")
    wanted = await _config(node, "min-replicas-to-write")
    asks = f"; min-replicas-to-write {wanted}" if wanted else ""
    count = int(facts.get("connected_slaves", 0))
    if not count:
        return Finding(
            "note", "replication", f"no replicas: nothing takes over if this machine is lost{asks}", "add a replica"
        )
    lags, late = [], False
    for number in range(count):
        one = dict(part.split("=", 1) for part in facts.get(f"slave{number}", "").split(",") if "=" in part)
        behind = int(facts.get("master_repl_offset", 0)) - int(one.get("offset", 0))
        lags.append(
            f"{one.get('ip')}:{one.get('port')} {one.get('state')}, lag {one.get('lag')} s, {behind} bytes behind"
        )
        late = late or one.get("state") != "online" or int(one.get("lag", 0)) > _LAG_S
    text = f"{count} replica{'s' if count > 1 else ''} connected ({'; '.join(lags)}){asks}"
    if late:
        return Finding("note", "replication", text, "look at the replica's log and at the network")
    if wanted == "0":
        mend = "min-replicas-to-write 1, so that a primary that is cut off stops acknowledging"
        return Finding("note", "replication", text, mend)
    return Finding("ok", "replication", text)


def _clients(facts: Info) -> Finding:
    connected, limit = int(facts.get("connected_clients", 0)), int(facts.get("maxclients", 0))
    text = f"{connected} connected" + (f", at most {limit}" if limit else "")
    if limit and connected >= 0.8 * limit:
        return Finding("note", "clients", text, "raise maxclients, or close what need not be connected")
    return Finding("ok", "clients", text)


async def _functions(node: Node) -> Finding:
    if node.form.name != "functions":
        return Finding(
            "note",
            "functions",
            "not available here, using scripts by EVALSHA: slower, and loaded anew after a restart or failover",
            "Redis 7.0 or newer, with FCALL",
        )
    reply = await ask(node, "FUNCTION", "LIST", "LIBRARYNAME", f"{PREFIX}*", "WITHCODE")
    if reply is None:
        return Finding(
            "ok", "functions", f"{node.library.name} answers; this user may not list those of other releases"
        )
    sizes = _sizes(reply)
    if node.library.name not in sizes:
        return Finding("note", "functions", f"{node.library.name} is missing; the next call loads it")
    others = [f"{name} ({size / 1024:.0f} KiB)" for name, size in sorted(sizes.items()) if name != node.library.name]
    if not others:
        return Finding("ok", "functions", f"{node.library.name} is loaded")
    return Finding(
        "ok",
        "functions",
        f"{node.library.name} is loaded; other releases' too: {', '.join(others)}",
        "once no node of that release is left: holdfast store init URL --prune NAME",
    )


def _sizes(reply: Any) -> dict[str, int]:
    """The libraries in a reply to FUNCTION LIST WITHCODE, and how long their text is."""
    libraries = [dict(zip(one[::2], one[1::2], strict=True)) for one in reply]
    return {one[b"library_name"].decode(): len(one[b"library_code"]) for one in libraries}


async def _acl(node: Node, user: str) -> Finding:
    too_much = await excess(node.large)
    if not too_much:
        return Finding("ok", "rights", f"user {user!r} may do what a node needs, and nothing that was tried beyond it")
    return Finding(
        "note",
        "rights",
        f"user {user!r} may do more than it needs: {', '.join(too_much)}",
        "holdfast store init URL prints the line for a user of its own",
    )


async def _clock(node: Node) -> Finding:
    began = time.time()
    reply = await ask(node, "TIME")
    ahead = milliseconds(reply) / 1000 - (began + time.time()) / 2
    text = f"the server's is {abs(ahead):.2f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= _CLOCK_S:
        return Finding("ok", "clock", text)
    return Finding("note", "clock", f"{text}; leases and expiry go by the server's", "run NTP on both")


async def _latency(node: Node) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        await ask(node, "PING")
        times.append(time.perf_counter() - began)
    middle = sorted(times)[_PINGS // 2] * 1000
    level: Level = "ok" if middle < 5 else "note"
    mend = "" if middle < 5 else "a turn takes two round trips: put the nodes nearer to the server"
    return Finding(level, "latency", f"round trip {middle:.2f} ms", mend)
