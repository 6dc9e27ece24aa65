"""From which address a request comes: its socket's, or the one that trusted proxies tell."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from starlette.types import Scope

_Address = IPv4Address | IPv6Address

_MOST: Final = 32
"""Proxies of one request that are looked at."""

_FOR: Final = re.compile(r"""(?:^|[;\s])for=(?:"((?:[^"\\]|\\.)*)"|([^;,\s]*))""", re.IGNORECASE)
_PART: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_LONGEST: Final = 80
"""Characters of an address with its port; clients come again, so what was read is kept."""

_SITE: Final = 64
"""Bits of an IPv6 address that name a customer; behind them it has as many addresses as it likes."""

_log: Final = logging.getLogger(__name__)


class Addresses:
    """Finds out a request's client address, as limits count it.

    A proxy's header is believed only as far as trusted proxies wrote it: it is read from its end, and the first address that is
    no trusted proxy's is the client's. What stands before that, the client may have invented.

    Args:
        trusted: networks of proxies. header: where they write, ``x-forwarded-for`` or ``forwarded`` (RFC 7239).
    """

    def __init__(self, trusted: Sequence[str] = (), header: str = "x-forwarded-for") -> None:
        self._trusted = [ipaddress.ip_network(one) for one in trusted]
        self._header = header.encode()
        self._warned = False

    def of(self, scope: Scope) -> str:
        """The address ("192.0.2.7", or "2001:db8:1:2::/64"); "" where it is not known: behind a proxy of the own network that
        nobody has named, all clients would be one."""
        client = scope.get("client")
        peer = read(client[0]) if client else None
        told = [value for name, value in scope["headers"] if name == self._header]
        if not self._trusted:
            if told and (peer is None or peer.is_private):
                self._warn()
                return ""
            return _counted(peer)
        if peer is not None and not self._is_trusted(peer):
            return _counted(peer)
        found = peer
        for hop in reversed(self._hops(b",".join(told).decode("latin-1"))):
            if hop is None:
                break  # what a trusted proxy could not name, nobody can
            found = hop
            if not self._is_trusted(hop):
                break
        return _counted(found)

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted if network.version == address.version)

    def _hops(self, text: str) -> list[_Address | None]:
        if self._header == b"forwarded":
            parts = _PART.findall(text)[-_MOST:]
            named = [_FOR.search(part) for part in parts]
            return [read(one[1] or one[2] or "") if one else None for one in named]
        return [read(part) for part in text.split(",")[-_MOST:]] if text.strip() else []

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "requests come through a proxy that limits.trusted_proxies does not name: clients' addresses are not known, and no "
                "limit by address holds"
            )


def read(text: str) -> _Address | None:
    """An address as proxies write it: ``192.0.2.7``, ``192.0.2.7:4711``, ``2001:db8::1``, ``[2001:db8::1]:4711``; else None."""
    return _read(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=8192)
def _read(text: str) -> _Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=8192)
def _counted(address: _Address | None) -> str:
    if address is None:
        return ""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), _SITE), strict=False)) if not address.is_loopback else "::1"
