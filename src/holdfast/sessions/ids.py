"""The one rule for every id: opaque text of 1 to 256 characters."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from holdfast.errors import InvalidId

MAX_ID: Final = 256
_LONG_NAME: Final = 200
MARK: Final = "\x1f"
"""What no caller's tenant holds."""


def checked_id(kind: str, value: object) -> str:
    """The ``kind`` id itself, or `InvalidId`."""
    return checked_text(f"{kind} id", value)


def checked_text(what: str, value: object) -> str:
    """The text itself, or `InvalidId`: not text, empty, longer than 256 characters, or half a surrogate pair."""
    if type(value) is not str:
        raise InvalidId(f"a {what} is text, not {type(value).__name__}")
    if not 0 < len(value) <= MAX_ID:
        raise InvalidId(f"a {what} has 1 to {MAX_ID} characters, not {len(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidId(f"this {what} is not valid Unicode: {error.reason}") from None
    return value


def checked_name(kind: str, value: object) -> str:
    """The same for an optional name (tenant, user), where "" means none."""
    return "" if value == "" or value is None else checked_id(kind, value)


def checked_tenant(value: object) -> str:
    """A tenant as a caller may name it: as `checked_name`, without U+001F, behind which stands what Holdfast keeps for a tenant
    apart from its sessions (`turns.tenants`)."""
    tenant = checked_name("tenant", value)
    if MARK in tenant:
        raise InvalidId("a tenant id holds no U+001F")
    return tenant


def shortened(name: str) -> str:
    """A user's or tenant's name, or a digest of one that is so long that nothing can be added to it."""
    return name if len(name) <= _LONG_NAME else hashlib.blake2b(name.encode(), digest_size=32).hexdigest()


def filed_under(user: str, what: str) -> str:
    """The user under whom something is filed that belongs to a user and to one of its sessions: found by both together."""
    return f"{shortened(user)}{MARK}{hashlib.blake2b(what.encode(), digest_size=16).hexdigest()}"


def new_id() -> str:
    """A session id of 256 random bits, as 43 URL-safe characters: it cannot be guessed."""
    return secrets.token_urlsafe(32)
