"""What the tests of pages share: entries, key names, the two halves of a packing."""

from __future__ import annotations

import struct
from typing import Any

from holdfast.backends.contract import Backend
from holdfast.backends.records import LogPage, SessionKey
from holdfast.backends.redis import RedisBackend
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.pages import PAGE_BYTES, pieces_of
from holdfast.testing.calls import KEY, got
from holdfast.testing.servers import RedisServer

NAMES = Keys("hf")
SESSION = NAMES.session(KEY)
LOG, PAGES = NAMES.sibling(KEY, "l"), NAMES.sibling(KEY, "z")


def said(first: int, count: int) -> list[bytes]:
    """Entries that can be told apart, of several lengths."""
    return [b"entry %d " % n * (n % 7 + 1) for n in range(first, first + count)]


def of(server: RedisServer, kind: str) -> list[str]:
    """The keys of a kind."""
    found = server.command("KEYS", f"hf:*:{kind}:*")
    assert isinstance(found, list)
    return found


async def log_of(backend: Backend, key: SessionKey = KEY) -> list[bytes]:
    return got(await backend.read_log(key, start=0, count=1_000_000), LogPage).entries


async def source_of(backend: RedisBackend) -> Any:
    """What a packer begins with: the last page, and the entries to pack."""
    limits = backend.packer.limits
    ask = struct.pack("<4I", limits.keep, 1, limits.page, PAGE_BYTES)
    return await backend._calls.read("y", SESSION, ask)


async def send(backend: RedisBackend, made: Any) -> Any:
    """What it ends with: the page that it made, sent to the server."""
    request, page, _ = made
    return await backend._calls.write("q", SESSION, request, *pieces_of(page))
