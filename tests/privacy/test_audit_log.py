"""What was noted stays noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import Store, open_store
from holdfast.errors import StoreUnavailable
from holdfast.privacy.audit import AuditLog
from holdfast.turns.tenants import AUDIT


async def _actions(store: Store, tenant: str = "") -> list[str]:
    return [entry.action async for entry in AuditLog(store, 60).entries(tenant=tenant)]


async def test_nobody_shortens_how_long_a_days_log_is_kept(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        for keep in (3600.0, 1.0, 7200.0):
            log = AuditLog(store, keep)
            log.note("kim", "admin", f"kept for {keep:g}", "s")
            await log.flush()
        (day,) = [day async for day in store.beside(AUDIT).scan()]
        found = await store.beside(AUDIT).load(day)
        assert found is not None
        assert found.ttl == 7200
        assert await _actions(store) == ["kept for 3600", "kept for 1", "kept for 7200"]


async def test_a_tenant_whose_log_cannot_be_written_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.privacy.audit._PAUSE_S", 0.01)
    async with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        log, append = AuditLog(store, 3600), AuditLog._append

        async def refused(self: AuditLog, tenant: str, batch: list[object]) -> None:
            if tenant == "broken":
                raise StoreUnavailable("its key is not in the ring")
            await append(self, tenant, batch)  # type: ignore[arg-type]

        monkeypatch.setattr(AuditLog, "_append", refused)
        for tenant in ("broken", "acme", "broken", ""):
            log.note("kim", "admin", "session.read", "s", tenant=tenant)
        await log.flush()
        assert (await _actions(store, "acme"), await _actions(store)) == (["session.read"], ["session.read"])
        monkeypatch.setattr(AuditLog, "_append", append)
        log.note("kim", "admin", "session.delete", "s", tenant="broken")
        await log.flush()
        assert await _actions(store, "broken") == ["session.read", "session.read", "session.delete"]
