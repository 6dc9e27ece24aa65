"""Redis URLs: which servers, how to reach them, and the settings in the query.

`redis://user:password@host:6379/0`, `unix:///path?db=0`, `redis+sentinel://h:p,h:p/service/db`, `redis+cluster://h:p,h:p`.
With TLS: `rediss://`, `rediss+sentinel://`, `rediss+cluster://`. `valkey` and `valkeys` stand for `redis` and `rediss`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from holdfast.backends.redis.address import DEFAULT_PORT, Address, Login, Tls
from holdfast.errors import ConfigError

Kind = Literal["single", "sentinel", "cluster"]
Durability = Literal["memory", "replicated", "fsync"]

SENTINEL_PORT: Final = 26379
SCHEMES: Final = (
    "unix",
    *(name + kind for name in ("redis", "rediss", "valkey", "valkeys") for kind in ("", "+sentinel", "+cluster")),
)
"""What a URL of this backend starts with."""

_TLS: Final = {
    "tls_ca": "ca",
    "tls_cert": "cert",
    "tls_key": "key",
    "tls_server_name": "server_name",
    # redis-py's names for the same
    "ssl_ca_certs": "ca",
    "ssl_certfile": "cert",
    "ssl_keyfile": "key",
}
_ESCAPES: Final = (
    "in a user or password write %2F for /, %3F for ?, %23 for #, %5B for [ and %40 for @, "
    "or put it into a file (password_file=...)"
)
_SWITCH: Final = {"yes": True, "no": False, "true": True, "false": False, "required": True, "none": False}


class Settings(msgspec.Struct, frozen=True):
    """The backend's settings in a URL's query.

    Attributes:
        prefix: what every key begins with.
        connections: connections for small calls to each server; one carries tens of thousands a second.
        max_waiting: how many calls may wait on a connection; more are refused.
        allow_eviction: serve a server that may evict keys, and so lose parts of sessions.
        durability: when a write counts as done: ``memory`` (the primary has it), ``replicated`` (so
            do all replicas that could be promoted, and a majority of the data nodes), ``fsync`` (it is on the primary's disk).
        replicas: how many replicas ``replicated`` waits for; 0 makes a majority of the data nodes there are at start.
        pack: compress older messages into pages, beside the turns.
        page_messages: messages in a full page.
        keep: so many of a session's newest messages are not packed: the tail that turns load, at least.
    """

    prefix: str = "hf"
    connections: int = 1
    max_waiting: int = 10_000
    allow_eviction: bool = False
    durability: Durability = "memory"
    replicas: int = 0
    pack: bool = True
    page_messages: int = 128
    keep: int = 32


class Target(msgspec.Struct, frozen=True):
    """What a URL names.

    Attributes:
        seeds: the servers that it lists: the server itself, Sentinels, or nodes of a Cluster; the first one is `address`.
        address: the login and TLS of data servers.
        service: what the Sentinels call the set.
        sentinel: the Sentinels' own login and TLS.
    """

    kind: Kind
    seeds: tuple[tuple[str, int], ...]
    address: Address
    settings: Settings
    service: str = ""
    sentinel: Address | None = None


def parse(url: str) -> Target:
    """The servers and settings that a URL names. Raises `ConfigError` that says what is wrong, never with the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"the Redis URL cannot be read: an IPv6 address needs both brackets; {_ESCAPES}") from None
    if parts.fragment or (parts.scheme != "unix" and "@" in parts.path) or "@" in parts.query.partition("=")[0]:
        raise ConfigError(f"the Redis URL cannot be read: {_ESCAPES}")
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"{parts.scheme}: is no Redis URL; write one of {', '.join(SCHEMES)}")
    name, _, kind_name = parts.scheme.partition("+")
    kind: Kind = "sentinel" if kind_name == "sentinel" else "cluster" if kind_name == "cluster" else "single"
    query = _Query(parts.query)
    tls = query.tls() if name in ("rediss", "valkeys") else None
    user, password, hosts = _netloc(parts.netloc)
    port = SENTINEL_PORT if kind == "sentinel" else DEFAULT_PORT
    seeds = tuple(_host(host, port) for host in hosts.split(",")) if hosts else (("localhost", port),)
    if kind == "single" and len(seeds) > 1:
        raise ConfigError(
            "several hosts: write redis+sentinel://h:p,h:p/service for Sentinels, or redis+cluster://h:p,h:p for a Cluster"
        )
    service, db = ("", "") if name == "unix" else _path(kind, parts.path)
    login = Login(
        query.secret("username", user),
        query.secret("password", password),
        query.text("client_name", "holdfast"),
        query.number("db", int(db or 0), least=0),
    )
    if kind == "cluster" and login.db:
        raise ConfigError("a Cluster has database 0 only")
    query.text("protocol", "")  # a client's usual option; this one speaks RESP2 on its connections
    address = Address(
        *seeds[0],
        path=unquote(parts.path) if name == "unix" else "",
        login=login,
        tls=tls,
        primary=kind == "sentinel",
    )
    sentinel = None
    if kind == "sentinel":
        own = Login(query.secret("sentinel_username", ""), query.secret("sentinel_password", ""), login.client_name)
        sentinel = Address(*seeds[0], login=own, tls=tls if query.switch("sentinel_tls", tls is not None) else None)
    settings = query.settings()
    if settings.replicas and settings.durability != "replicated":
        raise ConfigError("replicas=... is for durability=replicated")
    query.all_known()
    return Target(kind, seeds, address, settings, service, sentinel)


def _netloc(netloc: str) -> tuple[str, str, str]:
    """User, password and the list of hosts."""
    login, at, hosts = netloc.rpartition("@")
    user, _, password = login.partition(":") if at else ("", "", "")
    return unquote(user), unquote(password), hosts


def _host(text: str, port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        number = rest.removeprefix(":")
    else:
        host, _, number = text.partition(":")
    if number and not (number.isdecimal() and 0 < int(number) < 65536):
        raise ConfigError(f"what follows the host in the Redis URL is not a port; {_ESCAPES}")
    return unquote(host) or "localhost", int(number or port)


def _path(kind: Kind, path: str) -> tuple[str, str]:
    """Service and number of the database."""
    names = [unquote(part) for part in path.split("/") if part]
    service = ""
    if kind == "sentinel":
        if not names:
            raise ConfigError("name the service that the Sentinels watch: redis+sentinel://host:26379/mymaster/0")
        service = names.pop(0)
    if len(names) > 1 or (names and not names[0].isdecimal()):
        raise ConfigError(f"{path!r} in the Redis URL is not a database: write redis://host:6379/0")
    return service, names[0] if names else ""


class _Query:
    """The options of a URL, taken out one by one."""

    def __init__(self, query: str) -> None:
        self._left: dict[str, str] = {}
        self._asked: list[str] = []
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in self._left:
                raise ConfigError(f"{name} stands twice in the Redis URL")
            self._left[name] = value

    def text(self, name: str, default: str) -> str:
        self._asked.append(name)
        return self._left.pop(name, default)

    def secret(self, name: str, default: str) -> str:
        """A value of its own, or what the file ``<name>_file`` holds, without the line's end."""
        file = self.text(f"{name}_file", "")
        if not file:
            return self.text(name, default)
        try:
            return Path(file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}_file={file!r} cannot be read: {error}") from None

    def number(self, name: str, default: int, *, least: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or int(value) < least:
            raise ConfigError(f"{name}={value!r} in the Redis URL has to be a whole number of at least {least}")
        return int(value)

    def switch(self, name: str, default: bool) -> bool:
        value = self.text(name, "yes" if default else "no").lower()
        if value not in _SWITCH:
            raise ConfigError(f"{name}={value!r} in the Redis URL has to be yes or no")
        return _SWITCH[value]

    def tls(self) -> Tls:
        found = {field: value for name, field in _TLS.items() if (value := self.text(name, ""))}
        verify = self.switch("tls_verify", True) and self.switch("ssl_cert_reqs", True)
        if found.get("key") and not found.get("cert"):
            raise ConfigError("tls_key needs tls_cert, the certificate that it belongs to")
        return Tls(**found, verify=verify)

    def settings(self) -> Settings:
        usual = Settings()
        durability = self.text("durability", usual.durability)
        if durability not in ("memory", "replicated", "fsync"):
            raise ConfigError(f"durability={durability!r} is no level: there are memory, replicated and fsync")
        return Settings(
            prefix=self.text("prefix", usual.prefix),
            connections=self.number("connections", usual.connections, least=1),
            max_waiting=self.number("max_waiting", usual.max_waiting, least=1),
            allow_eviction=self.switch("allow_eviction", usual.allow_eviction),
            durability=durability,  # type: ignore[arg-type]  # checked above
            replicas=self.number("replicas", usual.replicas, least=0),
            pack=self.switch("pack", usual.pack),
            page_messages=self.number("page_messages", usual.page_messages, least=1),
        )

    def all_known(self) -> None:
        if self._left:
            name, value = next(iter(self._left.items()))
            if "@" in value:
                raise ConfigError(f"the Redis URL cannot be read: {_ESCAPES}")
            if name in _TLS or name in ("tls_verify", "ssl_cert_reqs"):
                raise ConfigError(f"{name} in a Redis URL without TLS: write rediss:// in place of redis://")
            known = ", ".join(sorted(self._asked))
            raise ConfigError(f"unknown option {name[:40]!r} in the Redis URL; it takes {known}")
