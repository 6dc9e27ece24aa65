"""The public keys of an identity provider: read from a file, or asked for and kept."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from holdfast.config.access import JwtSection, is_loopback
from holdfast.errors import ConfigError
from holdfast.server.problems import PROVIDER_SILENT, Refused

_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100
_log: Final = logging.getLogger(__name__)

Jwk = Mapping[str, Any]


class PublicKey:
    """A key as it was published (``data``), and ready to check with: that takes longer to make than to use."""

    __slots__ = ("_made", "data")

    def __init__(self, data: Jwk) -> None:
        self.data = data
        self._made: dict[str, Any] = {}

    def made(self, make: Callable[..., Any], algorithm: str) -> Any:
        """What ``make`` makes of it for this algorithm. Raises as that."""
        found = self._made.get(algorithm)
        if found is None:
            found = self._made[algorithm] = make(dict(self.data), algorithm=algorithm)
        return found


class ProviderKeys:
    """Kept until they are old; an unknown key has them asked for again, but only so often, whoever sends nonsense.

    While the provider is silent, the keys of before are good.
    """

    def __init__(self, config: JwtSection) -> None:
        self._config = config
        self._keys: list[PublicKey] = []
        self._asked = -float("inf")
        self._answered = -float("inf")
        self._one_at_a_time = asyncio.Lock()
        if config.jwks_file is not None:
            self._keys = _read(config.jwks_file)

    async def find(self, kid: str | None, fits: Callable[[Jwk], bool]) -> PublicKey | None:
        """The key of that id among those that ``fits``; without an id, the only one. Raises `Refused` where there are none yet, and
        none are to be had."""
        config = self._config
        if config.jwks_file is not None:
            return self._found(kid, fits)
        if time.monotonic() - self._answered > config.refresh:
            await self._refreshed(self._answered)
        found = self._found(kid, fits)
        if found is None:
            await self._refreshed(self._answered)
            found = self._found(kid, fits)
        if found is None and not self._keys:
            raise Refused(PROVIDER_SILENT)
        return found

    def _found(self, kid: str | None, fits: Callable[[Jwk], bool]) -> PublicKey | None:
        candidates = [key for key in self._keys if fits(key.data) and (kid is None or key.data.get("kid") == kid)]
        return candidates[0] if len(candidates) == 1 else None

    async def _refreshed(self, before: float) -> None:
        async with self._one_at_a_time:
            now = time.monotonic()
            if self._answered > before or now - self._asked < self._config.unknown_key_pause:
                return  # somebody else has just asked
            self._asked = now
            try:
                async with asyncio.timeout(self._config.timeout):
                    self._keys = await self._ask()
                self._answered = time.monotonic()
            except Exception as error:  # noqa: BLE001  (whatever a provider or the way to it does)
                _log.warning("the identity provider's keys cannot be had: %s: %s", type(error).__name__, error)

    async def _ask(self) -> list[PublicKey]:
        import httpx  # takes long to import

        config = self._config
        async with httpx.AsyncClient(follow_redirects=False, timeout=config.timeout, trust_env=False) as http:
            url = config.jwks_url
            if url is None:
                about = await _json(http, config.issuer.rstrip("/") + "/.well-known/openid-configuration")
                if about.get("issuer") != config.issuer:
                    raise ValueError("the provider calls itself by another issuer")
                url = _safe(about.get("jwks_uri"))
            return _keys_of(await _json(http, url))


async def _json(http: Any, url: str) -> Any:
    """What is there, within bounds."""
    async with http.stream("GET", url, headers={"Accept": "application/json"}) as reply:
        if reply.status_code != 200:
            raise ValueError(f"the answer was {reply.status_code}")
        body = bytearray()
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError(f"the answer has more than {_MAX_BYTES} bytes")
    found = json.loads(bytes(body))
    if not isinstance(found, dict):
        raise ValueError("the answer is no JSON object")
    return found


def _safe(url: Any) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise ValueError("jwks_uri is not https")
    assert isinstance(url, str)
    return url


def _keys_of(found: Any) -> list[PublicKey]:
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
        raise ValueError("these are no keys, or too many")
    return [PublicKey(key) for key in keys if isinstance(key, dict) and key.get("use", "sig") == "sig"]


def _read(file: Path) -> list[PublicKey]:
    try:
        return _keys_of(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"access.jwt.jwks_file {str(file)!r} cannot be used: {error}") from None
