"""Each setting wrong once: the error names it; each right once: it arrives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from holdfast import open_store
from holdfast.errors import ConfigError
from holdfast.sessions.durations import milliseconds
from holdfast.sessions.settings import StoreOptions, StoreSettings, settings_from

DURATIONS = [
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
]
COUNTS = [
    "tail",
    "max_attempts",
    "conflict_retries",
    "max_keys",
    "max_value_bytes",
    "max_decoded_bytes",
    "max_depth",
    "compress_from",
    "cache_bytes",
    "outcomes",
    "event_bytes",
]


def settings(**options: Any) -> StoreSettings:
    return settings_from(cast(StoreOptions, options))


def test_these_are_all_of_them() -> None:
    assert sorted([*DURATIONS, *COUNTS, "tenant"]) == sorted(StoreOptions.__annotations__)


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("bad", ["soon", 0, -1, True, float("nan"), float("inf"), [], "5 parsecs", 1e-9])
def test_a_wrong_duration_is_named(name: str, bad: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: bad})


@pytest.mark.parametrize("name", sorted(set(DURATIONS) - {"ttl", "max_age"}))
def test_only_expiry_can_be_without_limit(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: None})
    assert settings(ttl=None, max_age=None).ttl_ms == 0


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("bad", [-1, 1.5, "3", None, True])
def test_a_wrong_count_is_named(name: str, bad: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: bad})


@pytest.mark.parametrize("name", sorted(set(COUNTS) - {"tail", "cache_bytes", "conflict_retries"}))
def test_zero_is_refused_where_it_makes_no_sense(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: 0})


@pytest.mark.parametrize("bad", [None, 5, "x" * 257, b"x", "\ud800"])
def test_a_wrong_tenant_is_named(bad: Any) -> None:
    with pytest.raises(ConfigError, match="tenant"):
        settings(tenant=bad)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'ttls'.*\bttl\b"):
        settings(ttls=5)
    with pytest.raises(ConfigError, match="colour"):
        open_store("memory:", colour="red")  # type: ignore[call-arg]


def test_settings_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_decoded_bytes"):
        settings(max_value_bytes=10**9)
    with pytest.raises(ConfigError, match="poll"):
        settings(lease=1, poll=0.6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2h", 7_200_000),
        ("90s", 90_000),
        ("90", 90_000),
        (90, 90_000),
        (0.5, 500),
        ("250ms", 250),
        ("1.5m", 90_000),
        (" 7 d ", 604_800_000),
        ("1w", 604_800_000),
        (timedelta(minutes=5), 300_000),
        (None, 0),
    ],
)
def test_durations_as_people_write_them(value: Any, expected: int) -> None:
    assert milliseconds("ttl", value) == expected


def test_a_small_lease_brings_its_poll_along() -> None:
    assert settings(lease=0.6, poll=0.1).lease_ms == 600
