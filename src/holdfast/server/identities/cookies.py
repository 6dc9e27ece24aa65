"""The signed cookie of the page: who a browser is, without a look into the store for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.server.callers import Caller, Role

CSRF_HEADER: Final = "X-Holdfast-CSRF"
"""Has to come with whatever changes something by a cookie."""

VISITOR: Final = "visitor-"
"""Begins the user of every visitor."""

_LONGEST: Final = 4096
_VERSION: Final = "v1"


class Token(msgspec.Struct, frozen=True, rename={"expires": "e", "id": "i"}):
    """What a cookie says.

    Attributes:
        id: 128 random bits: what is revoked, and what the CSRF token belongs to. expires: seconds since the epoch.
        tenant, user, role, scopes, name, visitor: as in `Caller`.
        key: begins the digest of the access key that its bearer logged in with: with the key, the cookie is gone.
    """

    id: str
    expires: int
    tenant: str = ""
    user: str = ""
    role: Role = "user"
    scopes: tuple[str, ...] = ()
    name: str = ""
    visitor: bool = False
    key: str = ""

    @property
    def caller(self) -> Caller:
        """Whoever has the cookie."""
        return Caller(self.tenant, self.user, self.role, frozenset(self.scopes), self.name, self.visitor)


def visitors_token(tenant: str, seconds: float) -> Token:
    """For somebody new."""
    user = VISITOR + os.urandom(16).hex()
    return Token(_new_id(), int(time.time() + seconds), tenant, user, name="visitor", visitor=True)


def token_of(caller: Caller, seconds: float, key: str = "") -> Token:
    """For somebody who said who they are."""
    return Token(
        _new_id(),
        int(time.time() + seconds),
        caller.tenant,
        caller.user,
        caller.role,
        tuple(sorted(caller.scopes)),
        caller.name,
        False,
        key,
    )


class Signer:
    """Signs with the first secret, and takes what any of them signed: so they can be changed without logging anybody out.

    Args:
        name: the cookie's, without `__Host-`. secure: whether browsers send it by https only.
    """

    def __init__(self, secrets: Sequence[str], *, secure: bool, name: str = "holdfast") -> None:
        self._keys = [_derived(secret, "cookie") for secret in secrets]
        self._csrf_keys = [_derived(secret, "csrf") for secret in secrets]
        self.secure = secure
        self.cookie = f"__Host-{name}" if secure else name

    def sign(self, token: Token) -> str:
        """The cookie's value."""
        text = f"{_VERSION}.{_text(msgspec.json.encode(token))}"
        return f"{text}.{_text(_mac(self._keys[0], text))}"

    def read(self, value: str) -> Token | None:
        """What a cookie says; None where it is not ours, was changed, or is over."""
        text, _, mac = value.rpartition(".")
        version, _, payload = text.partition(".")
        if len(value) > _LONGEST or version != _VERSION or not value.isascii():
            return None
        given = _bytes(mac)
        fits = [hmac.compare_digest(_mac(key, text), given) for key in self._keys]
        if not any(fits):
            return None
        try:
            token = msgspec.json.decode(_bytes(payload), type=Token)
        except msgspec.MsgspecError:
            return None
        return token if token.expires > time.time() else None

    def csrf(self, token: Token) -> str:
        """What a page has to send along: only one that may read our answers knows it, and it fits this cookie alone."""
        return _text(_mac(self._csrf_keys[0], token.id))

    def csrf_fits(self, token: Token, given: str) -> bool:
        """Whether it does."""
        sent = given.encode("utf-8", "replace")
        fits = [hmac.compare_digest(_text(_mac(key, token.id)).encode(), sent) for key in self._csrf_keys]
        return any(fits)

    def given(self, header: str) -> Token | None:
        """The token in a `Cookie` header."""
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie:
                return self.read(value.strip())
        return None

    def set_cookie(self, token: Token) -> str:
        """The `Set-Cookie` header that gives it to a browser; scripts do not see it."""
        seconds = max(0, token.expires - int(time.time()))
        return f"{self.cookie}={self.sign(token)}; Path=/; Max-Age={seconds}; {self._how}"

    def drop_cookie(self) -> str:
        """The `Set-Cookie` header that takes it away."""
        return f"{self.cookie}=; Path=/; Max-Age=0; {self._how}"

    @property
    def _how(self) -> str:
        return "HttpOnly; SameSite=Lax" + ("; Secure" if self.secure else "")


def _new_id() -> str:
    return os.urandom(16).hex()


def _derived(secret: str, use: str) -> bytes:
    """A key for one use only, so that one signature never passes for another."""
    return hmac.digest(secret.encode(), f"holdfast {use}".encode(), hashlib.sha256)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
