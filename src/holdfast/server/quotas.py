"""How much tenants and users may keep and spend: looked at before a conversation begins and before a turn is taken."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

import msgspec

from holdfast.assistant.models.budget import KEY as SPENT
from holdfast.config import LimitsSection, TenantLimits, UserLimits
from holdfast.errors import StoreError
from holdfast.server.metrics import Metrics
from holdfast.server.problems import QUOTA_EXCEEDED, Refused
from holdfast.server.tenants import Tenants
from holdfast.sessions.session import Session
from holdfast.turns.turn import Turn
from holdfast.turns.usage import EVERY_S, USAGE, Usage, Used

BYTES: Final = "_bytes"
"""The session's state key with the bytes of its messages, where bytes are limited."""

_UNCOUNTED: Final = 300
"""Bytes that are reckoned for a message of a session that has no count."""

_PER_MESSAGE: Final = 64
_PAGE: Final = 100
_log: Final = logging.getLogger(__name__)

What = Literal["sessions", "bytes", "tokens"]


class Quotas:
    """Of one node. Nothing is asked or written for tenants and users without quotas."""

    def __init__(self, limits: LimitsSection, tenants: Tenants, metrics: Metrics, usage: Usage | None = None) -> None:
        self._limits = limits
        self._tenants = tenants
        self._metrics = metrics
        self.usage = usage or Usage(lambda tenant: tenants.of(tenant).beside(USAGE), per=limits.tokens_per)
        self._seen: set[str] = set()

    async def check_session(self, tenant: str, user: str) -> None:
        """Before a session begins. Raises `Refused`, and the store's errors."""
        tenant = self._named(tenant)
        of_tenant, of_user = self._limits.of_tenant(tenant), self._limits.of_users(tenant)
        await self._check_kept(tenant, user)
        if of_tenant.sessions is not None and (await self.usage.of(tenant)).sessions >= of_tenant.sessions:
            raise self._refused("tenant", "sessions", of_tenant.sessions, tenant)
        if user and of_user.sessions is not None:
            found, cursor, more = 0, "", True
            while more and found < of_user.sessions:
                page = await self._tenants.of(tenant).by_user(user, cursor=cursor, limit=_PAGE)
                found, cursor, more = found + len(page.ids), page.cursor, bool(page.cursor)
            if found >= of_user.sessions:
                raise self._refused("user", "sessions", of_user.sessions, tenant)

    async def check_turn(self, tenant: str, user: str) -> None:
        """Before a turn is taken. Raises `Refused`."""
        await self._check_kept(self._named(tenant), user)

    def session_began(self, tenant: str) -> None:
        """Counts a session that was made."""
        tenant = self._named(tenant)
        if self._counts_sessions(tenant):
            self.usage.add(tenant, sessions=1)

    def session_ended(self, tenant: str) -> None:
        """Counts a session that was deleted; its bytes are put right by the next recount."""
        tenant = self._named(tenant)
        if self._counts_sessions(tenant):
            self.usage.add(tenant, sessions=-1)

    def turn_ran(self, turn: Turn) -> None:
        """Counts what a turn has spent and is about to write. Within its handler, at its end."""
        tenant, user = self._named(turn.key.tenant), turn.session.user
        of_tenant, of_user = self._limits.of_tenant(tenant), self._limits.of_users(tenant)
        spent = turn.state.get(SPENT)
        last = spent.get("turn") if isinstance(spent, dict) else None
        tokens = last[1] if isinstance(last, list) and len(last) == 2 and last[0] == turn.id else 0
        written = 0
        if of_tenant.bytes is not None or of_user.bytes is not None:
            written = len(turn.text.encode()) + _PER_MESSAGE + sum(map(len, turn.entries))
            before = turn.state.get(BYTES)
            turn.state[BYTES] = (before if type(before) is int else _UNCOUNTED * turn.session.total) + written
        if of_tenant.bytes is not None or of_tenant.tokens is not None:
            self.usage.add(tenant, bytes=written, tokens=tokens)
        if user and (of_user.bytes is not None or of_user.tokens is not None):
            self.usage.add(tenant, user, bytes=written, tokens=tokens)

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Enters what is counted, and counts anew from time to time, for the length of the context."""
        task = asyncio.get_running_loop().create_task(self._count_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.usage.flush()

    async def recount(self, tenant: str) -> Used:
        """Counts a tenant's sessions and bytes from the sessions themselves. Raises the store's errors."""
        tenant = self._named(tenant)
        before, store = await self.usage.entered(tenant), self._tenants.of(tenant)
        found, some = Used(), list[str]()
        async for session_id in store.scan():
            some.append(session_id)
            if len(some) == _PAGE:
                found = _with(found, await asyncio.gather(*[store.load(one, tail=0) for one in some]))
                some.clear()
        found = _with(found, await asyncio.gather(*[store.load(one, tail=0) for one in some]))
        await self.usage.put_right(tenant, "", found, before)
        return found

    # --- checks ---

    async def _check_kept(self, tenant: str, user: str) -> None:
        self._seen.add(tenant)
        of_tenant, of_user = self._limits.of_tenant(tenant), self._limits.of_users(tenant)
        if of_tenant.bytes is not None or of_tenant.tokens is not None:
            self._check(await self.usage.of(tenant), of_tenant, "tenant", tenant)
        if user and (of_user.bytes is not None or of_user.tokens is not None):
            used = await self.usage.of(tenant, user)
            if of_user.bytes is not None and used.bytes >= of_user.bytes:
                used = await self._recount_user(tenant, user)
            self._check(used, of_user, "user", tenant)

    def _check(self, used: Used, limits: TenantLimits | UserLimits, whose: str, tenant: str) -> None:
        if limits.bytes is not None and used.bytes >= limits.bytes:
            raise self._refused(whose, "bytes", limits.bytes, tenant)
        if limits.tokens is not None and used.tokens >= limits.tokens:
            raise self._refused(whose, "tokens", limits.tokens, tenant)

    def _refused(self, whose: str, what: What, limit: int, tenant: str) -> Refused:
        self._metrics.limited(f"{whose}-{what}", tenant if tenant in self._limits.tenants else "")
        if what == "tokens":
            left = self.usage.left
            told = f"This {whose} has spent its {limit} tokens; there are new ones in {math.ceil(left)} s."
            return Refused(QUOTA_EXCEEDED, told, retry_after=left)
        kept = "conversations" if what == "sessions" else "bytes of conversations"
        told = f"This {whose} keeps {limit} {kept}, which is all that it may. Delete some, or wait until some expire."
        return Refused(QUOTA_EXCEEDED, told)

    async def _recount_user(self, tenant: str, user: str) -> Used:
        """What the user really keeps, before anything is refused for it: what expired was not counted off."""
        used, store = await self.usage.entered(tenant, user), self._tenants.of(tenant)
        found, cursor, more = Used(), "", True
        while more:
            page = await store.by_user(user, cursor=cursor, limit=_PAGE)
            found = _with(found, await asyncio.gather(*[store.load(one, tail=0) for one in page.ids]))
            cursor, more = page.cursor, bool(page.cursor)
        await self.usage.put_right(tenant, user, found, used)
        return await self.usage.of(tenant, user)

    # --- counting anew ---

    async def _count_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.usage.flush()
                for tenant in list(self._seen):
                    if self._counts_sessions(tenant) and await self.usage.claim(tenant, self._limits.recount):
                        await self.recount(tenant)
            except StoreError as error:
                _log.warning("what tenants keep cannot be counted now: %s", error)

    def _counts_sessions(self, tenant: str) -> bool:
        limits = self._limits.of_tenant(tenant)
        return limits.sessions is not None or limits.bytes is not None

    def _named(self, tenant: str) -> str:
        return tenant or self._tenants.of("").settings.tenant


def _with(found: Used, sessions: list[Session | None]) -> Used:
    living = [one for one in sessions if one is not None]
    return Used(found.sessions + len(living), found.bytes + sum(map(_size, living)))


def _size(session: Session) -> int:
    """Bytes of a session: of its state, and what was counted of its messages."""
    counted = session.state.get(BYTES)
    messages = counted if type(counted) is int else _UNCOUNTED * session.total
    state: dict[str, Any] = dict(session.state)
    with suppress(TypeError, ValueError):
        messages += len(msgspec.json.encode(state, enc_hook=str))
    return messages
