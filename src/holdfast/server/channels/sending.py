"""One request to a platform, and what its answer means."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.server.channels.contract import Delivery

if TYPE_CHECKING:  # takes as long to import as a third of the server; nodes without channels need none
    import httpx

_READ: Final = 64 * 1024
_AGAIN: Final = frozenset({408, 425, 429})
"""Of the statuses 4xx, those that may be other the next time."""


class Sent(msgspec.Struct, frozen=True):
    """``status`` 0: no answer, and ``trouble`` says why. ``body``: as far as it was read."""

    status: int
    body: bytes = b""
    after: float = 0.0
    trouble: str = ""


async def post(http: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Sent:
    """Posts, and reads what is answered within ``timeout`` seconds; raises nothing that the network does."""
    import httpx

    try:
        async with asyncio.timeout(timeout), http.stream("POST", url, content=body, headers=headers) as reply:
            read = b""
            async for piece in reply.aiter_bytes():
                read += piece
                if len(read) > _READ:
                    break
            return Sent(reply.status_code, read[:_READ], _after(reply.headers.get("retry-after", "")))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        return Sent(0, trouble=type(error).__name__)


def delivery_of(sent: Sent) -> Delivery:
    """2xx has arrived; of the rest, whatever may be other the next time is tried again."""
    final = 300 <= sent.status < 500 and sent.status not in _AGAIN
    return Delivery(200 <= sent.status < 300, final, str(sent.status or sent.trouble), sent.after)


def _after(header: str) -> float:
    return float(header) if header.isascii() and header.isdecimal() and len(header) < 6 else 0.0
