"""Reading another application's keys, page by page, while it goes on working. Nothing here writes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from holdfast.errors import ConfigError, MissingExtra, StoreUnavailable
from holdfast.wiring import shown_url

if TYPE_CHECKING:
    from redis.asyncio import Redis

PAGE: Final = 500
"""Keys that one SCAN looks at."""
_READ_AHEAD_BYTES: Final = 8 << 20
"""Values that are asked for together, in bytes (one larger value comes alone)."""
_ELEMENT_BYTES: Final = 1024
"""What an element of a list or hash counts for in that; its real size is not known before it is read."""

Value = bytes | list[bytes] | dict[bytes, bytes]


class SourceUnavailable(StoreUnavailable):
    """The server that sessions are read from did not answer, or refused; run the import again, it goes on."""


class Found(msgspec.Struct):
    """One key and its value, as of one moment; ``ttl_ms`` None is without end."""

    key: bytes
    value: Value
    ttl_ms: int | None
    companion: dict[bytes, bytes] | None = None

    def digest(self, mapping: bytes) -> bytes:
        """16 bytes that stand for the value, and for the ``mapping`` that is applied to it."""
        made = hashlib.blake2b(mapping, digest_size=16)
        for part in _flat(self.value):
            made.update(len(part).to_bytes(8, "little"))
            made.update(part)
        for part in _flat(self.companion or {}):
            made.update(len(part).to_bytes(8, "big"))
            made.update(part)
        return made.digest()


class Missed(msgspec.Struct):
    """A key that no value can be had of; ``reason`` "" where it has merely expired since it was listed."""

    key: bytes
    reason: str = ""
    why: str = ""


class Source:
    """Keys of one Redis server (a primary or a replica; one node of a Cluster) that match a pattern.

    Args:
        url: as redis-py takes it: ``redis://``, ``rediss://`` or ``unix://``.
        pattern: of SCAN's MATCH.
        companion: names the hash that belongs to a key, or gives None.
        max_bytes: larger values are not read.
        own: keys with this beginning are passed over (the target's, on the same server).

    Raises `ConfigError` for a URL that is none, and `MissingExtra`.
    """

    def __init__(
        self, url: str, pattern: str, *, companion: Callable[[bytes], bytes | None], max_bytes: int, own: bytes
    ) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError as error:
            raise MissingExtra('reading from Redis needs redis-py: pip install "holdfast[redis]"') from error
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ConfigError(
                f"{shown_url(url)!r} is no Redis server to read from: write redis://host:6379/0 (of a Sentinel set the "
                "primary or a replica; of a Cluster each primary, one after the other)"
            )
        try:
            self._redis: Redis = Redis.from_url(url, socket_timeout=30, socket_connect_timeout=10)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{shown_url(url)!r} is not a Redis URL: {error}") from None
        self._redis.connection_pool.connection_kwargs["decode_responses"] = False  # a key need not be UTF-8
        self._where = shown_url(url)
        self._pattern = pattern.encode()
        self._companion = companion
        self._max_bytes = max_bytes
        self._own = own

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._redis.aclose()

    async def size(self) -> int:
        """How many keys the database has, of any pattern."""
        return int(await self._asked(self._redis.dbsize()))

    async def pages(self) -> AsyncGenerator[tuple[list[Found | Missed], int], None]:
        """All matching keys that live the whole time, some perhaps twice; and how many keys were looked at for them."""
        cursor = 0
        while True:
            cursor, keys = await self._asked(self._redis.scan(cursor, match=self._pattern, count=PAGE))
            looked_at = PAGE
            wanted = [key for key in dict.fromkeys(keys) if not (self._own and key.startswith(self._own))]
            async for found in self._values(wanted):
                yield found, looked_at
                looked_at = 0
            yield [], looked_at
            if not cursor:
                return

    async def _values(self, keys: list[bytes]) -> AsyncIterator[list[Found | Missed]]:
        kinds = await self._pipelined([("TYPE", key) for key in keys])
        sized = [(key, _text(kind)) for key, kind in zip(keys, kinds, strict=True)]
        asks = [(_SIZE.get(kind, "EXISTS"), key) for key, kind in sized]
        batch: list[tuple[bytes, str]] = []
        size = 0
        missed: list[Found | Missed] = []
        for (key, kind), reply in zip(sized, await self._pipelined(asks), strict=True):
            length = reply if isinstance(reply, int) else 0
            length *= 1 if kind == "string" else _ELEMENT_BYTES
            if (problem := self._problem(key, kind, length, reply)) is not None:
                missed.append(problem)
                continue
            if batch and size + length > _READ_AHEAD_BYTES:
                yield await self._read(batch)
                batch, size = [], 0
            batch.append((key, kind))
            size += length
        if batch or missed:
            yield [*missed, *await self._read(batch)]

    def _problem(self, key: bytes, kind: str, length: int, reply: object) -> Missed | None:
        if isinstance(reply, Exception):
            return Missed(key, "unreadable", f"the source answered: {reply}")
        if kind == "none":
            return Missed(key)
        if kind not in _SIZE:
            return Missed(key, "wrong_type", f"the key holds a {kind}; strings, lists and hashes are read")
        if length > self._max_bytes:
            return Missed(key, "too_large", f"the value takes {length} bytes, more than --max-bytes {self._max_bytes}")
        return None

    async def _read(self, batch: Sequence[tuple[bytes, str]]) -> list[Found | Missed]:
        companions = [self._companion(key) if kind == "list" else None for key, kind in batch]
        commands: list[tuple[bytes | str | int, ...]] = []
        for (key, kind), companion in zip(batch, companions, strict=True):
            commands += [_READ[kind](key), ("PTTL", key)]  # PTTL comes second: what has expired by then is not taken
            if companion is not None:
                commands.append(("HGETALL", companion))
        replies = iter(await self._pipelined(commands))
        return [
            _found(key, next(replies), next(replies), None if companion is None else next(replies))
            for (key, _), companion in zip(batch, companions, strict=True)
        ]

    async def _pipelined(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        if not commands:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        replies: list[Any] = await self._asked(pipe.execute(raise_on_error=False))
        return replies

    async def _asked(self, question: Awaitable[Any]) -> Any:
        from redis.exceptions import RedisError

        try:
            return await question
        except (RedisError, OSError) as error:
            raise SourceUnavailable(
                f"the source {self._where} did not answer as it should: {str(error)[:200] or type(error).__name__}; "
                "run the import again, it goes on where it stopped"
            ) from error


_SIZE: Final = {"string": "STRLEN", "list": "LLEN", "hash": "HLEN"}
_READ: Final[dict[str, Callable[[bytes], tuple[bytes | str | int, ...]]]] = {
    "string": lambda key: ("GET", key),
    "list": lambda key: ("LRANGE", key, 0, -1),
    "hash": lambda key: ("HGETALL", key),
}


def _found(key: bytes, value: Any, left: Any, companion: Any) -> Found | Missed:
    for reply in (value, left, companion):
        if isinstance(reply, Exception):
            return Missed(key, "unreadable", f"the source answered: {reply}")
    if left in (-2, 0) or value is None:
        return Missed(key)
    return Found(key, value, None if left < 0 else left, companion)


def _text(kind: object) -> str:
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


def _flat(value: Value) -> Iterable[bytes]:
    if isinstance(value, bytes):
        return (value,)
    if isinstance(value, list):
        return value
    return (part for name in sorted(value) for part in (name, value[name]))
