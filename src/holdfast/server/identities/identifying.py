"""Who sent a request: by an access key, a provider's token, or the page's cookie."""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from holdfast.config import Config
from holdfast.server.callers import EVERYBODY, Caller
from holdfast.server.identities.cookies import CSRF_HEADER, Signer, Token
from holdfast.server.identities.keys import AccessKeys, known_key, plain_keys
from holdfast.server.identities.provider_tokens import ProviderTokens
from holdfast.server.identities.revoking import Revoked
from holdfast.server.problems import CROSS_SITE, UNAUTHORIZED, Refused
from holdfast.turns.store import TurnStore

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY_BYTES: Final = 16
"""Of an access key's digest in a cookie: enough to find it again."""

_STATE: Final = "holdfast.identified"
_log: Final = logging.getLogger(__name__)


class Identified(NamedTuple):
    """A request's caller, and what told so: the cookie's token, or the beginning of an access key's digest."""

    caller: Caller
    token: Token | None = None
    key: str = ""


class Identities:
    """Everybody whom the server knows.

    Attributes:
        signer: of cookies; None where there are none, for want of a secret. revoked: cookies that are over.
        asks: whether callers have to say who they are at all.
    """

    def __init__(self, config: Config, store: TurnStore) -> None:
        access, server = config.access, config.server
        self.access = access
        self.asks = config.knows_callers
        self.revoked = Revoked(store)
        self._keys = AccessKeys(
            [
                *plain_keys(server.keys, "user"),
                *plain_keys(server.operators, "operator"),
                *map(known_key, access.keys),
            ],
            access.key_file,
        )
        self._tokens = ProviderTokens(access.jwt) if access.jwt is not None else None
        kept = access.secrets
        if access.visitors and not kept:
            _log.warning("visitors are known to this process only: set [access] secret_file")
            kept = (secrets.token_urlsafe(32),)
        secure = not server.on_loopback if access.https is None else access.https
        self.signer = Signer(kept, secure=secure) if kept and self.asks else None

    async def identify(self, scope: Mapping[str, Any]) -> Identified:
        """Who sent the request. Raises `Refused`, and the store's errors."""
        if not self.asks:
            return Identified(EVERYBODY)
        headers = Headers(raw=scope["headers"])
        if headers.get("authorization"):
            found = await self.bearer(headers["authorization"])
        else:
            found = await self.by_cookie(headers)
            if found is not None and scope["method"] not in _SAFE:
                self._check_forged(found, headers)
        if found is None:
            raise Refused(UNAUTHORIZED)
        return found

    async def bearer(self, header: str) -> Identified | None:
        """Whoever has this key or token."""
        scheme, _, given = header.partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer":
            return None
        if self._tokens is not None and given.count(".") == 2:
            caller = await self._tokens.caller(given)
            return Identified(caller) if caller is not None else None
        known = self._keys.find(given.encode("utf-8", "surrogateescape"))
        return None if known is None else Identified(known.caller, key=known.digest[:_KEY_BYTES].hex())

    async def by_cookie(self, headers: Headers) -> Identified | None:
        """Whoever has this cookie, if it is good. Raises the store's errors."""
        token = self.signer.given(headers.get("cookie", "")) if self.signer is not None else None
        if token is None or (token.visitor and not self.access.visitors):
            return None
        if token.key and not self._keys.still(bytes.fromhex(token.key)):
            return None
        if await self.revoked.has(token.id):
            return None
        return Identified(token.caller, token)

    def check_origin(self, headers: Headers) -> None:
        """Raises `Refused` for what another site's page has a browser send."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin.lower() in self.access.origins:
            return
        if site is not None:
            if site not in ("same-origin", "none"):
                raise Refused(CROSS_SITE)
            return
        if origin is not None and not _same(urlsplit(origin).netloc, headers.get("host", "")):
            raise Refused(CROSS_SITE)

    def _check_forged(self, found: Identified, headers: Headers) -> None:
        self.check_origin(headers)
        assert self.signer is not None
        assert found.token is not None
        if not self.signer.csrf_fits(found.token, headers.get(CSRF_HEADER, "")):
            raise Refused(CROSS_SITE)


def identified_of(scope: Any) -> Identified:
    """How the rim knew this request's caller."""
    found: Identified = scope.get(_STATE) or Identified(EVERYBODY)
    return found


def set_identified(scope: Any, found: Identified) -> None:
    """For the rim."""
    scope[_STATE] = found


def _same(one: str, other: str) -> bool:
    """Whether two hosts are one; without a host there is nothing to be the same as."""
    return bool(one) and hmac.compare_digest(one.lower().encode(), other.lower().encode())
