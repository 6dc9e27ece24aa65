"""``[access]``: who may use the server, and as whom."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from holdfast.config.fields import Seconds, Section

RoleName = Literal["user", "operator", "admin"]
ScopeName = Literal[
    "sessions:read", "sessions:write", "turns:write", "handover", "traces:read", "metrics:read", "privacy"
]
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{0,200}")
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_SHORTEST_SECRET: Final = 32


def _hash(value: str) -> str:
    if not _HASH.fullmatch(value):
        raise ValueError("is not sha256: and 64 hexadecimal digits; `holdfast access new-key` makes one")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("has control characters, or more than 200 characters")
    return value


def _moment(value: Any) -> Any:
    """A date is its end in UTC; a time without zone is UTC."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, 23, 59, 59, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _secrets(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(f"{value!r} is not an origin like https://shop.example (and `*` is not to be had: name them)")
    return value.lower()


def _safe_url(value: str) -> str:
    """Keys that others could change on the way would let anybody in."""
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError(f"{value!r} has to be https (or http on loopback)")
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


Name = Annotated[str, AfterValidator(_name)]
Origin = Annotated[str, AfterValidator(_origin)]
SafeUrl = Annotated[str, AfterValidator(_safe_url)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class KeySection(Section):
    """``[[access.keys]]``: one access key.

    Attributes:
        name: for the audit log, and to revoke it. hash: of the key, as `holdfast access new-key` prints it.
        role: see docs/access.md. tenant: whose sessions ("" the store's own tenant).
        user: who has it; "" is an application that acts for any user of the tenant. Operators and admins are called by
            the key's name where this is "".
        scopes: what it may do, of what its role may; empty is all. expires: when it stops; a date is its end in UTC.
    """

    name: Name = Field(min_length=1)
    hash: Annotated[str, AfterValidator(_hash)]
    role: RoleName = "user"
    tenant: Name = ""
    user: Name = ""
    scopes: tuple[ScopeName, ...] = ()
    expires: Moment | None = None


class JwtSection(Section):
    """``[access.jwt]``: tokens of an identity provider (OpenID Connect).

    Attributes:
        issuer, audience: which `iss` and `aud` they have. algorithms: no other is taken, whatever a token says.
        jwks_url, jwks_file: where the provider's public keys are; with neither, the provider is asked (discovery).
        leeway: how far its clock may be off. refresh: so often keys are asked for again. unknown_key_pause: the shortest time
            between two questions for a key that is not known. timeout: of a question.
        user_claim, tenant_claim, roles_claim: what names user, tenant, roles; dots lead into objects. Without
            ``tenant_claim`` all are of ``tenant``.
        roles: from the provider's names of roles to those here; the highest counts. default_role: of whoever has none of them; ""
            refuses them.
        max_bytes: of a token.
    """

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    algorithms: tuple[Literal[_ALGORITHMS], ...] = Field(default=("RS256", "ES256"), min_length=1)  # type: ignore[valid-type]
    jwks_url: SafeUrl | None = None
    jwks_file: Path | None = None
    leeway: Seconds = 60.0
    refresh: Seconds = 3600.0
    unknown_key_pause: Seconds = 30.0
    timeout: Seconds = 5.0
    user_claim: str = "sub"
    tenant_claim: str = ""
    tenant: Name = ""
    roles_claim: str = "roles"
    roles: dict[str, RoleName] = Field(default_factory=dict)
    default_role: RoleName | Literal[""] = "user"
    max_bytes: int = Field(default=8192, ge=256, le=65536)

    @model_validator(mode="after")
    def _keys(self) -> JwtSection:
        if self.jwks_url and self.jwks_file:
            raise ValueError("has jwks_url and jwks_file: one of them says where the keys are")
        if not self.jwks_url and not self.jwks_file:
            _safe_url(self.issuer)
        return self


class AccessSection(Section):
    """``[access]``.

    Attributes:
        keys, key_file: access keys; the file is read again when it changes (`holdfast access new-key --file`).
        jwt: tokens of an identity provider.
        visitors: whether the chat page lets anybody talk, each a user of ``visitor_tenant`` of their own. visitors_last,
            logins_last: how long the cookie of a visitor, and of somebody who logged in, is good.
        secret, secret_file: what cookies are signed with, the same on all nodes: the first one signs, all of them are taken.
            In a file, one a line.
        https: whether browsers come by https: the cookie is `Secure`, and they are told to come so only. Left out:
            the cookie is, unless the server listens on loopback.
        origins: pages of other origins that may use the API from a browser.
        metrics, readiness: whether ``/metrics`` and ``/readyz`` are open, or need a key of an operator.
    """

    keys: tuple[KeySection, ...] = ()
    key_file: Path | None = None
    jwt: JwtSection | None = None
    visitors: bool = False
    visitor_tenant: Name = ""
    visitors_last: Seconds = 30 * 24 * 3600.0
    logins_last: Seconds = 12 * 3600.0
    secret: Annotated[tuple[SecretStr, ...], BeforeValidator(_secrets)] = ()
    secret_file: Path | None = None
    https: bool | None = None
    origins: tuple[Origin, ...] = ()
    metrics: Literal["open", "keys"] = "open"
    readiness: Literal["open", "keys"] = "open"

    @model_validator(mode="after")
    def _checked(self) -> AccessSection:
        names = [key.name for key in self.keys]
        if len(set(names)) < len(names):
            raise ValueError("two keys have one name")
        if any(len(secret) < _SHORTEST_SECRET for secret in self.secrets):
            raise ValueError(f"a secret has at least {_SHORTEST_SECRET} characters")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets in clear, those of ``secret_file`` too; the first one signs."""
        given = [secret.get_secret_value() for secret in self.secret]
        if self.secret_file is not None:
            try:
                given += [line.strip() for line in self.secret_file.read_text(encoding="utf-8").splitlines()]
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"secret_file {str(self.secret_file)!r} cannot be read: {error}") from None
        return tuple(secret for secret in given if secret)

    @property
    def identifies(self) -> bool:
        """Whether anything here tells callers apart."""
        return bool(self.keys or self.key_file or self.jwt or self.visitors)

    @property
    def closed(self) -> frozenset[str]:
        """Paths beside the API that ask who comes."""
        asked = {"/metrics": self.metrics, "/readyz": self.readiness}
        return frozenset(path for path, who in asked.items() if who == "keys")

    @property
    def several_tenants(self) -> bool:
        """Whether callers of other tenants than the store's own may come."""
        of_tokens = self.jwt is not None and bool(self.jwt.tenant_claim or self.jwt.tenant)
        return of_tokens or bool(self.key_file or self.visitor_tenant) or any(key.tenant for key in self.keys)
