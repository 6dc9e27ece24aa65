"""Composes the parts: a URL and options become a store."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import OutcomeLimits
from holdfast.errors import ConfigError, UnknownScheme
from holdfast.sessions.ids import MARK
from holdfast.sessions.settings import StoreOptions, StoreSettings, settings_from
from holdfast.turns.store import TurnStore

if TYPE_CHECKING:
    from holdfast.backends.redis.init_server import Initialised
    from holdfast.encryption import Encryption
    from holdfast.encryption.erased import Erasure
    from holdfast.sessions.near_cache import NearCache

_ON_ITS_WAY_S: Final = 5.0

Opener = Callable[[str, StoreSettings], Awaitable[Backend]]


class _Opening:
    """A store about to be opened: ``await`` it, or enter it with ``async with``."""

    def __init__(self, url: str, settings: StoreSettings, encryption: Encryption | None) -> None:
        self._url = url
        self._settings = settings
        self._encryption = encryption
        self._store: TurnStore | None = None

    def __await__(self) -> Generator[Any, None, TurnStore]:
        return self._open().__await__()

    async def __aenter__(self) -> TurnStore:
        self._store = await self._open()
        return self._store

    async def __aexit__(self, *exc: object) -> None:
        if self._store is not None:
            await self._store.close()

    async def _open(self) -> TurnStore:
        store = TurnStore(await open_backend(self._url, self._settings, self._encryption), self._settings)
        forget_erased(store.backend, store.cache)
        return store


def open_store(url: str, *, encryption: Encryption | None = None, **options: Unpack[StoreOptions]) -> _Opening:
    """Opens the store behind a URL: ``async with open_store(url) as store`` or ``store = await open_store(url)``.

    URLs: ``memory:``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite::memory:``,
    ``redis://user:password@host:6379/0``, ``redis+sentinel://h:p,h:p/service/0``, ``redis+cluster://h:p,h:p``, ``unix:///path``;
    ``rediss`` for TLS. Options: see `holdfast.StoreSettings`; durations are seconds or text like ``"2h"``. With ``encryption``
    (`holdfast.encryption.Encryption`) all that sessions hold is encrypted at rest.

    Raises `UnknownScheme`, `ConfigError` (an option, the URL, a server that cannot keep the promises), `MissingExtra`
    and `StoreUnavailable`.
    """
    if not isinstance(url, str):
        raise ConfigError(f"a store's URL is text, not {type(url).__name__}")
    _opener(url)
    return _Opening(url, settings_from(options), encryption)


def lives_in_process(url: str) -> bool:
    """Do this URL's sessions live in the memory of one process?"""
    scheme = url.partition(":")[0].lower()
    return scheme == "memory" or (scheme == "sqlite" and _sqlite_path(url)[0] == ":memory:")


def file_of(url: str) -> str | None:
    """The absolute path of the file that a URL names; None where it names none."""
    if url.partition(":")[0].lower() != "sqlite" or lives_in_process(url):
        return None
    return os.path.abspath(_sqlite_path(url)[0])  # noqa: PTH100 -- it looks at no disk


def anchored(url: str) -> str:
    """The same URL, with a relative path counted from the working directory of now."""
    path = file_of(url)
    return url if path is None else f"sqlite:///{quote(path)}?synchronous={_sqlite_path(url)[1]}"


async def open_backend(url: str, settings: StoreSettings, encryption: Encryption | None = None) -> Backend:
    """The backend alone, for tools that work below sessions."""
    inner = await _opener(url)(url, settings)
    if encryption is None:
        return inner
    try:
        return await _encrypted(inner, url, settings, encryption)
    except BaseException:
        await inner.close()
        raise


async def _encrypted(inner: Backend, url: str, settings: StoreSettings, encryption: Encryption) -> Backend:
    from holdfast.encryption.backend import EncryptedBackend
    from holdfast.encryption.vault import Vault

    place = vault_of(url, encryption)
    if lives_in_process(place) and not lives_in_process(url):
        raise ConfigError(
            "the vault would be in this process's memory: all users' keys, and so all data, would be lost with it"
        )
    apart = place != url and not (place == "memory:" and url == "memory:")
    if apart and (path := file_of(place)) is not None:
        with suppress(OSError):  # there already, or SQLite says what is wrong with the place
            os.close(
                os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            )  # users' keys are nobody else's to read
    backend = await _opener(place)(place, settings) if apart else inner
    vault = Vault(backend, encryption.kms, owned=apart, timeout_ms=settings.timeout_ms, key_age=encryption.key_age)
    return EncryptedBackend(inner, vault, allow_plaintext=encryption.allow_plaintext)


def vault_of(url: str, encryption: Encryption) -> str:
    """The URL of the store with users' keys: the one that was given, a file beside a SQLite file, or the store's own."""
    if encryption.vault:
        return url if _one_place(encryption.vault, url) else encryption.vault
    path = file_of(url)
    return url if path is None else f"sqlite:///{quote(path)}.keys"


def _one_place(one: str, other: str) -> bool:
    """Whether two URLs name one store, as far as they tell: whoever believes its backups to be two is wrong."""
    if (path := file_of(one)) is not None:
        return path == file_of(other)
    places = []
    for url in (one, other):
        try:
            parts = urlsplit(url)
            host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
            places.append((parts.scheme, host, parts.port or 6379, parts.path.strip("/") or "0"))
        except ValueError:  # several hosts
            return one == other
    return one == other or (places[0] == places[1] and places[0][1] is not None)


def forget_erased(backend: Backend, cache: NearCache) -> None:
    """Has a near cache over a backend forget a user who was erased, on whichever node; nothing where it is not encrypted."""
    vault = getattr(backend, "vault", None)
    if vault is None:
        return
    from holdfast.encryption.owners import owner_of

    def forget(erasure: Erasure) -> None:
        cache.forget(
            lambda key, user: (user == erasure.user or MARK in user) and owner_of(key.tenant, user) == erasure.owner
        )

    def told(erasure: Erasure) -> None:
        forget(erasure)
        # and once more: what was on its way when the news came may have been kept since
        asyncio.get_running_loop().call_later(_ON_ITS_WAY_S, forget, erasure)

    vault.listeners.append(told)
    vault.on_lost.append(cache.clear)


def _opener(url: str) -> Opener:
    scheme = url.partition(":")[0].lower() if ":" in url else ""
    if scheme not in _OPENERS:
        known = "memory:, sqlite:, redis: (rediss:, redis+sentinel:, redis+cluster:, unix:, valkey:)"
        raise UnknownScheme(f"no store is known for {shown_url(url)!r}; a store's URL starts with one of {known}")
    return _OPENERS[scheme]


async def _open_memory(url: str, settings: StoreSettings) -> Backend:
    if url.partition(":")[2].strip("/"):
        raise ConfigError("memory: takes nothing after the colon")
    return MemoryBackend(outcomes=_outcomes(settings))


async def _open_sqlite(url: str, settings: StoreSettings) -> Backend:
    from holdfast.backends.sqlite import open_sqlite

    path, synchronous = _sqlite_path(url)
    return await open_sqlite(
        path, timeout=settings.timeout_ms / 1000, outcomes=_outcomes(settings), synchronous=synchronous
    )


def _sqlite_path(url: str) -> tuple[str, Any]:
    rest, _, query = url.partition(":")[2].partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full")
    if options or synchronous not in ("full", "normal"):
        raise ConfigError("a sqlite URL takes only ?synchronous=full or ?synchronous=normal")
    if rest in (":memory:", "//:memory:", "///:memory:", "//"):
        return ":memory:", synchronous
    if not rest.startswith("///") or not rest[3:]:
        raise ConfigError("write sqlite:///relative/path.db, sqlite:////absolute/path.db or sqlite::memory:")
    return unquote(rest[3:]), synchronous


async def _open_redis(url: str, settings: StoreSettings) -> Backend:
    from holdfast.backends.redis import open_redis

    return await open_redis(
        url, timeout=settings.timeout_ms / 1000, outcomes=_outcomes(settings), keep=max(1, settings.tail)
    )


def init_redis(
    url: str, user: str, password: str, *, create: bool, prefix: str = "", prune: str = ""
) -> list[Initialised]:
    """Loads the functions on every Redis primary, with an administrator's URL; see `holdfast.backends.redis.init_server`."""
    if url.partition(":")[0].lower() not in _REDIS:
        raise ConfigError(f"{shown_url(url)} is no Redis server; only those are set up beforehand")
    from holdfast.backends.redis.init_server import NewUser, init_servers

    return asyncio.run(init_servers(url, NewUser(user, password, create), prefix=prefix, prune=prune))


_REDIS: Final = (
    "unix",
    *(name + kind for name in ("redis", "rediss", "valkey", "valkeys") for kind in ("", "+sentinel", "+cluster")),
)
_OPENERS: Final[dict[str, Opener]] = {
    "memory": _open_memory,
    "sqlite": _open_sqlite,
    **dict.fromkeys(_REDIS, _open_redis),
}


def _outcomes(settings: StoreSettings) -> OutcomeLimits:
    return OutcomeLimits(turns=settings.outcomes, age_ms=settings.outcome_age_ms)


def shown_url(url: str) -> str:
    """The URL without its passwords, for people."""
    start, at, rest = url.rpartition("@")
    if at:
        scheme, slashes, login = start.partition("://")
        user, colon, _ = login.partition(":")
        start = f"{scheme}{slashes}{user}{colon}{'***' if colon else ''}"
    return re.sub(r"(password=)[^&#]*", r"\1***", start + at + rest)[:200]
