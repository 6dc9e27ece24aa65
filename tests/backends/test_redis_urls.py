"""What a Redis URL names, and how a wrong one is refused."""

from __future__ import annotations

import pytest

from holdfast.backends.redis.urls import SCHEMES, Kind, parse
from holdfast.errors import ConfigError
from holdfast.wiring import shown_url


@pytest.mark.parametrize(
    ("url", "kind", "seeds", "service", "db"),
    [
        ("redis://h", "single", (("h", 6379),), "", 0),
        ("redis://", "single", (("localhost", 6379),), "", 0),
        ("redis://h:1/3", "single", (("h", 1),), "", 3),
        ("redis://h:1?db=3", "single", (("h", 1),), "", 3),
        ("valkey://[::1]:7/2", "single", (("::1", 7),), "", 2),
        ("redis+sentinel://a:1,b:2,c/main/5", "sentinel", (("a", 1), ("b", 2), ("c", 26379)), "main", 5),
        ("valkeys+sentinel://a/my%20set", "sentinel", (("a", 26379),), "my set", 0),
        ("redis+cluster://a:1,b:2", "cluster", (("a", 1), ("b", 2)), "", 0),
        ("rediss+cluster://u:p@a:1,[::2]", "cluster", (("a", 1), ("::2", 6379)), "", 0),
    ],
)
def test_servers_of_a_url(url: str, kind: Kind, seeds: tuple[tuple[str, int], ...], service: str, db: int) -> None:
    target = parse(url)
    assert (target.kind, target.seeds, target.service, target.address.login.db) == (kind, seeds, service, db)
    assert (target.address.tls is not None) == url.startswith(("rediss", "valkeys"))


def test_login_and_settings() -> None:
    target = parse(
        "redis+sentinel://node:p%40s%3As@a/main?sentinel_username=watch&sentinel_password=s3cret&prefix=x&connections=2"
        "&max_waiting=7&allow_eviction=yes&durability=replicated&replicas=2&client_name=me"
    )
    assert (target.address.login.username, target.address.login.password) == ("node", "p@s:s")
    assert target.sentinel is not None
    assert (target.sentinel.login.username, target.sentinel.login.password) == ("watch", "s3cret")
    assert target.address.login.client_name == "me"
    settings = target.settings
    assert (settings.prefix, settings.connections, settings.max_waiting) == ("x", 2, 7)
    assert (settings.allow_eviction, settings.durability, settings.replicas) == (True, "replicated", 2)


def test_a_unix_socket() -> None:
    target = parse("unix:///run/redis%20server.sock?db=2&username=u&password=p")
    assert (target.address.path, target.address.login.db) == ("/run/redis server.sock", 2)
    assert (target.address.login.username, target.address.login.password) == ("u", "p")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://a:1,b:2", "redis\\+sentinel://.*redis\\+cluster://"),
        ("redis+sentinel://a:1", "name the service"),
        ("redis://h/x", "not a database"),
        ("redis://h/1/2", "not a database"),
        ("redis://h:port", "not a port"),
        ("redis://h:70000", "not a port"),
        ("redis+cluster://h/1", "database 0 only"),
        ("redis://h?nonsense=1", "unknown option 'nonsense'.*durability"),
        ("redis://h?db=x", "db='x'"),
        ("redis://h?db=1&db=2", "stands twice"),
        ("redis://h?connections=0", "at least 1"),
        ("redis://h?allow_eviction=maybe", "yes or no"),
        ("redis://h?durability=eternal", "memory, replicated and fsync"),
        ("redis://h?tls_ca=x", "rediss://"),
        ("redis://h?password_file=/nowhere/x", "password_file='/nowhere/x' cannot be read"),
        ("rediss://h?tls_key=k", "tls_key needs tls_cert"),
        ("redis://[::1", "cannot be read"),
        ("redis://h?replicas=2", "durability=replicated"),
        ("http://h", "is no Redis URL"),
    ],
)
def test_a_wrong_url_says_what_to_write(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(url)


@pytest.mark.parametrize(
    "secret", ["hunter2/x", "12/hunter2", "12?hunter2", "12#hunter2", "hunter2[x", "/hunter2", "?hunter2=1"]
)
def test_a_password_that_needs_escaping_is_not_shown_and_told_how(secret: str) -> None:
    with pytest.raises(ConfigError, match="%2F") as caught:
        parse(f"redis://user:{secret}@h:1/0")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_message_shows_a_password(scheme: str) -> None:
    url = f"{scheme}://u:s3cret@h:port/0?sentinel_password=s3cret2&nonsense=1"
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in shown_url(url)
