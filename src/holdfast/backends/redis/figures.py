"""Figures of Redis as measures: of a server, from its INFO; of a node's own connections to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from holdfast.backends.measures import Kind, Measure

Labels = tuple[tuple[str, str], ...]

# the field of INFO, the measure's name, its kind and what it means
_PLAIN: Final[tuple[tuple[str, str, Kind, str], ...]] = (
    ("used_memory", "redis_used_memory_bytes", "gauge", "Memory that the server uses."),
    ("maxmemory", "redis_max_memory_bytes", "gauge", "The server's maxmemory; 0 is no limit."),
    ("mem_fragmentation_ratio", "redis_memory_fragmentation_ratio", "gauge", "Resident memory by used memory."),
    ("evicted_keys", "redis_evicted_keys", "counter", "Keys deleted because memory was short: parts of sessions."),
    ("expired_keys", "redis_expired_keys", "counter", "Keys that expired."),
    ("rejected_connections", "redis_rejected_connections", "counter", "Connections refused because of maxclients."),
    ("connected_clients", "redis_connected_clients", "gauge", "Connections of all clients."),
    ("blocked_clients", "redis_blocked_clients", "gauge", "Clients in a blocking call (WAIT too)."),
    ("connected_slaves", "redis_connected_replicas", "gauge", "Replicas that are connected to this server."),
    ("total_commands_processed", "redis_commands", "counter", "Commands that the server ran, of all clients."),
    ("total_net_input_bytes", "redis_net_input_bytes", "counter", "Bytes that the server got, from all clients."),
    ("total_net_output_bytes", "redis_net_output_bytes", "counter", "Bytes that the server sent, to all clients."),
    ("aof_enabled", "redis_aof_enabled", "gauge", "1 where the append-only file is on."),
    ("loading", "redis_loading", "gauge", "1 while the server loads its data and serves nothing."),
    ("uptime_in_seconds", "redis_uptime_seconds", "gauge", "Seconds since the server's start."),
)
_STATES: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("role", "master", "redis_is_primary", "1 where the server takes writes, 0 on a replica."),
    ("aof_last_write_status", "ok", "redis_aof_ok", "1 where the last write to the append-only file went well."),
    ("rdb_last_bgsave_status", "ok", "redis_snapshot_ok", "1 where the last snapshot went well."),
)
_LAG_BYTES: Final = "Bytes of the primary's stream that the replica has not confirmed."
_LAG_SECONDS: Final = "Seconds since the replica last confirmed anything; about 1 for a healthy one."
_ONLINE: Final = "1 where the replica follows, 0 while it still copies the data."

BREAKER: Final = {"closed": 0, "half_open": 1, "open": 2}
"""The values of ``redis_client_breaker_state``."""


def server_measures_of(facts: Mapping[str, str], server: str) -> list[Measure]:
    """INFO's facts (field to text) of the server at ``server`` (host:port). What a server does not tell is left out."""
    at = (("server", server),)
    found = []
    for field, name, kind, meaning in _PLAIN:
        value = _number(facts.get(field, ""))
        if value is not None:
            found.append(Measure(name, kind, value, at, meaning))
    for field, good, name, meaning in _STATES:
        if field in facts:
            found.append(Measure(name, "gauge", int(facts[field] == good), at, meaning))
    return [*found, *_replicas(facts, at)]


def _replicas(facts: Mapping[str, str], at: Labels) -> Iterator[Measure]:
    """Of lines like ``slave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=1``."""
    written = _number(facts.get("master_repl_offset", ""))
    for field, text in facts.items():
        if not (field.startswith("slave") and field[5:].isdecimal()):
            continue
        parts = dict(part.partition("=")[::2] for part in text.split(","))
        labels = (*at, ("replica", f"{parts.get('ip', '')}:{parts.get('port', '')}"))
        yield Measure("redis_replica_online", "gauge", int(parts.get("state") == "online"), labels, _ONLINE)
        offset, lag = _number(parts.get("offset", "")), _number(parts.get("lag", ""))
        if written is not None and offset is not None:
            yield Measure("redis_replica_lag_bytes", "gauge", max(0.0, written - offset), labels, _LAG_BYTES)
        if lag is not None:
            yield Measure("redis_replica_lag_seconds", "gauge", lag, labels, _LAG_SECONDS)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class ClientFigures(NamedTuple):
    """What a node knows of its own traffic with one server; counts since the node's start.

    Attributes:
        queued: calls that wait for their replies, by connection ("small-0", "large", ...).
        waiting: callers that wait for a connection to be made.
        connections, max_connections: open now, and how many there may be.
        sent, received: bytes.
        pages_packed, pages_failed: of messages older than the tail.
    """

    server: str
    queued: Mapping[str, int] = {}
    waiting: int = 0
    connections: int = 0
    max_connections: int = 0
    connects: int = 0
    calls: int = 0
    sent: int = 0
    received: int = 0
    refused: int = 0
    breaker: Literal["closed", "half_open", "open"] = "closed"
    dropped_hints: int = 0
    pages_packed: int = 0
    pages_failed: int = 0


def client_measures_of(client: ClientFigures) -> list[Measure]:
    """The node's side of one server."""
    at = (("server", client.server),)

    def gauge(name: str, value: float, meaning: str, labels: Labels = ()) -> Measure:
        return Measure(f"redis_client_{name}", "gauge", value, (*at, *labels), meaning)

    def counter(name: str, value: float, meaning: str, labels: Labels = ()) -> Measure:
        return Measure(f"redis_client_{name}", "counter", value, (*at, *labels), meaning)

    packed = "Pages of old messages that were packed, by result."
    return [
        *(
            gauge("queue_depth", depth, "Calls that wait for their replies, by connection.", (("connection", name),))
            for name, depth in client.queued.items()
        ),
        gauge("waiting_callers", client.waiting, "Callers that wait for a connection to be made."),
        gauge("connections", client.connections, "Open connections."),
        gauge("max_connections", client.max_connections, "Connections that there may be."),
        gauge("breaker_state", BREAKER[client.breaker], "The circuit breaker: 0 closed, 1 half open, 2 open."),
        counter("connects", client.connects, "Connections that were made."),
        counter("calls", client.calls, "Commands that were sent."),
        counter("sent_bytes", client.sent, "Bytes to the server."),
        counter("received_bytes", client.received, "Bytes from the server."),
        counter("refused_calls", client.refused, "Calls refused early: the queue was full, or the breaker open."),
        counter("dropped_hints", client.dropped_hints, "Hints that were dropped; polling makes up for them."),
        counter("packed_pages", client.pages_packed, packed, (("result", "done"),)),
        counter("packed_pages", client.pages_failed, packed, (("result", "failed"),)),
    ]
