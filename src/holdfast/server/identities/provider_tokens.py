"""Tokens of an identity provider (JWT): checked, and read as a caller."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from holdfast.config.access import JwtSection
from holdfast.errors import MissingExtra
from holdfast.server.callers import Caller, Role
from holdfast.server.identities.provider_keys import Jwk, ProviderKeys, PublicKey

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
_FAMILIES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}
_RSA_BITS: Final = 2048
_RANKS: Final[tuple[Role, ...]] = ("user", "operator", "admin")
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class ProviderTokens:
    """Checks tokens as `[access.jwt]` says. The algorithm is chosen here, never by the token: it only says which of ours."""

    def __init__(self, config: JwtSection) -> None:
        try:
            import jwt
        except ImportError as error:
            raise MissingExtra('[access.jwt] needs PyJWT: pip install "holdfast[server]"') from error
        self._jwt = jwt
        self._config = config
        self._keys = ProviderKeys(config)

    async def caller(self, token: str) -> Caller | None:
        """Whoever the token was given to; None where it is not good. Raises `Refused` while the provider's keys cannot be had."""
        config = self._config
        if len(token) > config.max_bytes:
            return None
        try:
            header = self._jwt.get_unverified_header(token)
        except self._jwt.PyJWTError:
            return None
        algorithm, kid = str(header.get("alg")), header.get("kid")
        if algorithm not in config.algorithms or "crit" in header or not _typed(header.get("typ", "JWT")):
            return None
        key = await self._keys.find(kid if isinstance(kid, str) else None, lambda jwk: _fits(jwk, algorithm))
        claims = self._claims(token, key, algorithm) if key is not None else None
        return self._caller(claims) if claims is not None else None

    def _claims(self, token: str, key: PublicKey, algorithm: str) -> Mapping[str, Any] | None:
        config = self._config
        try:
            public = key.made(self._jwt.PyJWK, algorithm)
            if getattr(public.key, "key_size", _RSA_BITS) < _RSA_BITS and key.data.get("kty") == "RSA":
                return None
            claims: Mapping[str, Any] = self._jwt.decode(
                token,
                public,
                algorithms=[algorithm],
                audience=config.audience,
                issuer=config.issuer,
                leeway=config.leeway,
                options={"require": ["exp", "iss", "aud"], "verify_iat": False},
            )
        except self._jwt.PyJWTError:
            return None
        except (ValueError, TypeError, OverflowError):  # numbers and shapes that nobody who means it sends
            return None
        return claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller | None:
        config = self._config
        user = _claim(claims, config.user_claim)
        tenant = _claim(claims, config.tenant_claim) if config.tenant_claim else config.tenant
        if not isinstance(user, str) or not _PLAIN.fullmatch(user):
            return None
        if not isinstance(tenant, str) or (tenant and not _PLAIN.fullmatch(tenant)):
            return None
        if config.tenant_claim and not tenant:
            return None  # it would be let into the default tenant
        role = self._role(_claim(claims, config.roles_claim))
        return Caller(tenant, user, role, name=user) if role else None

    def _role(self, told: Any) -> Role | None:
        names = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        roles = [self._config.roles[name] for name in names if isinstance(name, str) and name in self._config.roles]
        return max(roles, key=_RANKS.index, default=self._config.default_role or None)


def _typed(kind: Any) -> bool:
    return isinstance(kind, str) and kind.lower() in _TYPES


def _fits(key: Jwk, algorithm: str) -> bool:
    """Whether a key is for this algorithm: a key for one is never used for another."""
    if key.get("kty") != _FAMILIES.get(algorithm[:2]) or key.get("alg", algorithm) != algorithm:
        return False
    return algorithm not in _CURVES or key.get("crv") == _CURVES[algorithm]


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by names with dots between them."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
