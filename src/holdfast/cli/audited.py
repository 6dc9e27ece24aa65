"""What a command does goes into the audit log, as whoever runs it."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast import Store
from holdfast.privacy.audit import AuditLog

_KEEP_S = 400 * 24 * 3600.0


def operator() -> str:
    """Who runs this command, by the system's name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


@asynccontextmanager
async def audited(store: Store, action: str, target: str, *, keep: float = _KEEP_S) -> AsyncIterator[None]:
    """Notes the action, and whether it was done."""
    log = AuditLog(store, keep)
    try:
        yield
    except BaseException as error:
        log.note(
            operator(), "admin", action, target, tenant=store.settings.tenant, detail=type(error).__name__, ok=False
        )
        await log.flush()
        raise
    log.note(operator(), "admin", action, target, tenant=store.settings.tenant)
    await log.flush()
