"""Who a key belongs to."""

from __future__ import annotations

import hashlib
from typing import Final

from holdfast.backends.records import SessionKey
from holdfast.encryption.envelope import OWNER_BYTES
from holdfast.sessions.ids import MARK, shortened

_FILED: Final = "traces"
"""What is kept beside a tenant under a user and something else (`turns.tenants`)."""
_USERS_OWN: Final = "deliveries"
"""What is kept beside a tenant under the user alone."""


def tenant_proper(tenant: str) -> str:
    """The tenant whose data this is: what Holdfast keeps beside a tenant (`turns.tenants.belonging`) belongs to the same. A digest
    stands for a name that is so long that nothing can be added to it."""
    proper = tenant.rpartition(MARK)[0] if MARK in tenant else tenant
    short = shortened(proper)
    return proper if short == proper else MARK + short


def owner_of(tenant: str, user: str) -> bytes:
    """Stands for a user of a tenant in what is stored; of sessions without a user, for the tenant itself.

    What is noted of a user's sessions, beside the tenant, is the user's too (`sessions.ids.filed_under`).
    """
    kept = tenant.rpartition(MARK)[2] if MARK in tenant else ""
    if kept == _FILED:
        user = user.rpartition(MARK)[0]
    elif kept and kept != _USERS_OWN:
        user = ""  # a list of the tenant's: its "user" is no person
    return _digest(OWNER_BYTES, b"owner", tenant_proper(tenant), shortened(user))


def place_of(key: SessionKey) -> bytes:
    """Binds a value to its session; the same for no two."""
    tenant, session = key.tenant.encode(), key.id.encode()
    return len(tenant).to_bytes(2) + tenant + len(session).to_bytes(2) + session


def turn_mark(turn_id: str | bytes) -> bytes:
    """Stands for a turn (or for an update's commit id) in a log entry's head."""
    raw = turn_id.encode() if isinstance(turn_id, str) else b"\x00update" + turn_id
    return hashlib.blake2b(raw, digest_size=8).digest()


def session_mark(key: SessionKey) -> str:
    """Under which an erased session is remembered, without its id."""
    return _digest(24, b"session", key.tenant, key.id).hex()


def _digest(size: int, what: bytes, *parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=size, person=what.ljust(16, b"\x00"))
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4) + raw)
    return digest.digest()
