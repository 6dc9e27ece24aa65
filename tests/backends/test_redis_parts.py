"""The Redis backend's parts without a server: key names, error replies, options."""

from __future__ import annotations

import pytest

from holdfast.backends.records import SessionKey
from holdfast.backends.redis.keys import PARTITIONS, Keys, decoded, encoded, partition_of
from holdfast.backends.redis.lane import Address
from holdfast.backends.redis.mapping import error_for, lacks_functions
from holdfast.backends.redis.open import open_redis
from holdfast.errors import (
    ConfigError,
    CorruptRecord,
    FutureFormat,
    OutcomeUnknown,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

REPLIES: list[tuple[str, bool, type[StoreError], str]] = [
    ("OOM command not allowed when used memory > 'maxmemory'.", True, StoreFull, "maxmemory"),
    ("OOM allow-oom flag is not set on the function", True, StoreFull, "delete"),
    ("MISCONF Errors writing to the AOF file: No space left on device", True, StoreFull, "disk"),
    ("READONLY You can't write against a read only replica.", True, StoreUnavailable, "primary"),
    ("LOADING Redis is loading the dataset in memory", False, StoreUnavailable, "loading"),
    ("MASTERDOWN Link with MASTER is down", False, StoreUnavailable, "primary"),
    ("BUSY Redis is busy running a script.", False, StoreUnavailable, "busy"),
    ("NOAUTH Authentication required.", False, StoreUnavailable, "password"),
    ("WRONGPASS invalid username-password pair", False, StoreUnavailable, "password"),
    ("NOPERM this user has no permissions to run the 'fcall' command", True, StoreUnavailable, "ACL"),
    ("ERR The user executing the script can't run this command or subcommand", True, StoreUnavailable, "ACL"),
    ("NOREPLICAS Not enough good replicas to write.", True, StoreUnavailable, "min-replicas"),
    ("MOVED 1234 127.0.0.1:7000", True, StoreUnavailable, "cluster"),
    ("HFCORRUPT log script: h1234c, on @user_function:1.", True, CorruptRecord, r"\(log\)"),
    ("HFFORMAT 2 script: h1234c, on @user_function:1.", True, FutureFormat, "upgrade"),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", False, CorruptRecord, "something else"),
    ("ERR data string too short script: h1234c, on @user_function:1.", True, CorruptRecord, "damaged"),
    ("ERR attempt to index nil script: h1234c, on @user_function:1.", True, OutcomeUnknown, "inside a write"),
    ("ERR attempt to index nil script: h1234l, on @user_function:1.", False, StoreError, "answered"),
    ("ERR Function not found", True, StoreUnavailable, "functions"),
    ("ERR something new", True, StoreError, "something new"),
]


@pytest.mark.parametrize(("text", "write", "kind", "says"), REPLIES)
def test_error_replies_are_mapped(text: str, write: bool, kind: type[StoreError], says: str) -> None:
    error = error_for(text, write=write, where="127.0.0.1:6379", subject="session 's-1'")
    assert next(one for one in type(error).__mro__ if one.__module__ == kind.__module__) is kind
    with pytest.raises(kind, match=says):
        raise error
    assert "s-1" in str(error)


def test_only_a_missing_function_asks_for_loading() -> None:
    assert lacks_functions("ERR Function not found")
    assert not lacks_functions("ERR no such key")


def test_key_names_are_a_stored_format() -> None:
    keys = Keys("hf")
    assert keys.session(SessionKey("acme", "s-1")) == "hf:{ah}:s:acme:s-1"
    assert keys.sibling(SessionKey("", "a:s:}"), "l") == "hf:{ja}:l::a%3As%3A%7D"
    assert partition_of("acme", "s-1") == 10 * 32 + 17


@pytest.mark.parametrize("text", ["", "a", "a b", "%", "%41", "ü", "漢", "}", "\0", "\ud800", "a/b?c=d", "x" * 256])
def test_ids_are_encoded_reversibly(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert not set(encoded(text)) & set(":{}*?[]\\ \0/")


def test_sessions_spread_over_the_partitions() -> None:
    hit = {partition_of("", f"s-{n}") for n in range(20_000)}
    assert len(hit) == PARTITIONS


@pytest.mark.parametrize("prefix", ["", "a:b", "{x}", "a" * 33, "a b"])
def test_a_prefix_that_would_break_the_layout_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        Keys(prefix)


def test_a_url_that_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="URL"):
        Address("http://localhost")
    with pytest.raises(ConfigError, match="URL"):
        Address("redis://localhost/0?no_such_option=1").connection(1)


async def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError):
        await open_redis("redis://localhost", connections=0)
