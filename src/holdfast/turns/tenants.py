"""Tenants that belong to a real one: what Holdfast keeps for it, apart from its sessions."""

from __future__ import annotations

import hashlib
from typing import Final

from holdfast.sessions.ids import MARK, MAX_ID

FAILED: Final = "\x1ffailed"
"""Notes of turns that failed for good."""

TRACES: Final = "\x1ftraces"
"""What turns noted while they ran."""

HANDOVERS: Final = "\x1fhandovers"
"""Who waits for a person."""

WAITING: Final = "waiting"
"""The session there that is the list: a state key for each conversation."""

USAGE: Final = "\x1fusage"
"""What each user has spent, under the user's own name."""

DELIVERIES: Final = "\x1fdeliveries"
"""Turns that bring a reply to where its message came from."""

RETENTION: Final = "\x1fretention"
"""When what is kept too long was last looked for."""

AUDIT: Final = "\x1faudit"
"""Who read or did what."""

REVOKED: Final = "\x1frevoked"
"""Signed cookies that are not good any more."""


def belonging(tenant: str, mark: str) -> str:
    """The tenant of this kind that belongs to ``tenant``: no caller can name it (`sessions.ids.checked_tenant`)."""
    if len(tenant) + len(mark) > MAX_ID:
        # the mark before it keeps it apart from a tenant that has this digest for its name
        tenant = MARK + hashlib.blake2b(tenant.encode(), digest_size=32).hexdigest()
    return tenant + mark
