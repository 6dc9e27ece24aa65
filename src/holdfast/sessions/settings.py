"""Every limit and time of a store, with its default."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from holdfast.errors import ConfigError, InvalidId
from holdfast.sessions.codec import CodecLimits
from holdfast.sessions.durations import Duration, milliseconds
from holdfast.sessions.ids import checked_id, checked_tenant


class OptionsBesideTtl(TypedDict, total=False):
    """`StoreOptions` for a function that has a ``ttl`` of its own."""

    max_age: Duration | None
    tenant: str
    tail: int
    lease: Duration
    wait: Duration
    timeout: Duration
    settle: Duration
    poll: Duration
    max_attempts: int
    conflict_retries: int
    max_keys: int
    max_value_bytes: int
    max_decoded_bytes: int
    max_depth: int
    compress_from: int
    cache_bytes: int
    cache_age: Duration
    outcomes: int
    outcome_age: Duration
    event_group: Duration
    event_keep: Duration
    event_bytes: int


class StoreOptions(OptionsBesideTtl, total=False):
    """Keyword arguments of `holdfast.open_store`; see `StoreSettings` for what they mean. Durations: ``"2h"`` or seconds."""

    ttl: Duration | None


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A store's settings, checked. Times are milliseconds here, whatever they were written in.

    Attributes:
        ttl_ms: a session expires this long after its last commit; 0 is never. Each session keeps its own.
        max_age_ms: and this long after its creation at the latest; 0 is without limit.
        tenant: part of every key.
        tail: messages that a turn loads.
        lease_ms: how long a node may be silent before another may take its turn over. Renewed three times in that time.
        wait_ms: how long a turn waits for its session (queue, or the same turn running elsewhere).
        timeout_ms: deadline of every call to the backend.
        settle_ms: how long a lost reply is followed up before `OutcomeUnknown` is raised.
        poll_ms: how often a waiting turn asks again where no signal comes; a quarter of a short lease if not given.
        max_attempts: a turn that failed this often is given up for good.
        conflict_retries: how often a turn is run again because both sides changed the same key.
        max_keys: state keys of a session. codec: bounds of one value.
        cache_bytes, cache_age_ms: bounds of the near cache; 0 bytes is off.
        event_group_ms: a running turn's events are written together, so long after the first of them.
        event_keep_ms: and kept so long after the last one, for whoever follows the turn on another node.
        event_bytes: of one turn; what comes after is not kept, and told by the outcome alone.
        outcomes, outcome_age_ms: finished turns remembered for each session, by number and age.
    """

    ttl_ms: int = 0
    max_age_ms: int = 0
    tenant: str = ""
    tail: int = 20
    lease_ms: int = 10_000
    wait_ms: int = 30_000
    timeout_ms: int = 5_000
    settle_ms: int = 10_000
    poll_ms: int = 500
    max_attempts: int = 5
    conflict_retries: int = 5
    max_keys: int = 1000
    codec: CodecLimits = CodecLimits()
    cache_bytes: int = 64 * 1024 * 1024
    cache_age_ms: int = 300_000
    event_group_ms: int = 50
    event_keep_ms: int = 120_000
    event_bytes: int = 1024 * 1024
    outcomes: int = 256
    outcome_age_ms: int = 24 * 3600 * 1000

    @property
    def place_ms(self) -> int:
        """How long a place in the queue counts without being asked for again: six polls, at least 3 s."""
        return max(3_000, 6 * self.poll_ms)


_DURATIONS = frozenset(
    {
        "ttl",
        "max_age",
        "lease",
        "wait",
        "timeout",
        "settle",
        "poll",
        "cache_age",
        "outcome_age",
        "event_group",
        "event_keep",
    }
)
_OPTIONAL = frozenset({"ttl", "max_age"})
_CODEC = {
    "max_value_bytes": "value_bytes",
    "max_decoded_bytes": "decoded_bytes",
    "max_depth": "depth",
    "compress_from": "compress_from",
}
_MAY_BE_ZERO = frozenset({"tail", "cache_bytes", "conflict_retries"})


def settings_from(options: StoreOptions) -> StoreSettings:
    """Checked settings. Raises `ConfigError` for an unknown name or a value out of range, naming what would do."""
    values: dict[str, Any] = {}
    limits: dict[str, int] = {}
    for name, value in options.items():
        if name not in StoreOptions.__annotations__:
            known = ", ".join(sorted(StoreOptions.__annotations__))
            raise ConfigError(f"unknown option {name!r}; a store takes: {known}")
        if name in _DURATIONS:
            if value is None and name not in _OPTIONAL:
                raise ConfigError(f"{name} needs a duration; without limit is not offered here")
            values[f"{name}_ms"] = milliseconds(name, value)  # type: ignore[arg-type]  # checked inside
        elif name == "tenant":
            try:
                values["tenant"] = "" if value == "" else checked_tenant(checked_id("tenant", value))
            except InvalidId as error:
                raise ConfigError(f"tenant={value!r:.60}: {error}") from None
        else:
            (limits if name in _CODEC else values)[_CODEC.get(name, name)] = _whole(name, value)
    if "lease_ms" in values and "poll_ms" not in values:
        values["poll_ms"] = min(StoreSettings().poll_ms, max(1, values["lease_ms"] // 4))
    if limits:
        values["codec"] = CodecLimits(**limits)
    settings = StoreSettings(**values)
    if settings.codec.decoded_bytes < settings.codec.value_bytes:
        raise ConfigError("max_decoded_bytes is smaller than max_value_bytes: what is written could not be read again")
    if settings.poll_ms * 2 > settings.lease_ms:
        raise ConfigError("poll has to be at most half of lease, or waiting turns notice a dead node late")
    return settings


def _whole(name: str, value: object) -> int:
    least = 0 if name in _MAY_BE_ZERO else 1
    if type(value) is not int or value < least:
        raise ConfigError(f"{name}={value!r} has to be a whole number of at least {least}")
    return value
