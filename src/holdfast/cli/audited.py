"""What a command does goes into the audit log, as whoever runs it."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from holdfast import Store
from holdfast.backends.records import Record
from holdfast.errors import ConfigError, UnreadableRecord
from holdfast.privacy.audit import AuditLog
from holdfast.privacy.erasing import vault_of
from holdfast.sessions.frame import is_encrypted
from holdfast.turns.tenants import AUDIT

_KEEP_S = 400 * 24 * 3600.0
_LOOKS = 20
"""Sessions that are looked at to find out whether a store is encrypted."""


def operator() -> str:
    """Who runs this command, by the system's name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


async def check_ring(store: Store) -> None:
    """Raises `ConfigError` where the store is encrypted, and this command has no key ring: it would do half of what it says."""
    if vault_of(store) is not None:
        return
    looked = 0
    for opened in (store, store.beside(AUDIT)):
        async for session_id in opened.scan():
            found = None
            with suppress(UnreadableRecord):  # damaged: it says nothing of the others
                found = await opened.backend.load(opened.key(session_id), tail=1)
            if isinstance(found, Record) and any(is_encrypted(value) for value in _values(found)):
                raise ConfigError(
                    "this store is encrypted, and there is no key ring: name the config that has [encryption] with --config, or "
                    "set HOLDFAST_ENCRYPTION__KEYS"
                )
            if (looked := looked + 1) >= _LOOKS:
                return


def _values(record: Record) -> list[bytes]:
    return [*(field.value for field in record.fields.values()), *record.tail]


@asynccontextmanager
async def audited(store: Store, action: str, target: str, *, keep: float = _KEEP_S) -> AsyncIterator[None]:
    """Notes the action, and whether it was done."""
    await check_ring(store)
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
