"""Whose sessions a caller may touch: the only way by which routes get at a store.

A session of another user, of another tenant and one that is not there look the same to a user, so that ids cannot be tried out.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final, Literal

from starlette.requests import Request

from holdfast.errors import SessionNotFound, WrongUser
from holdfast.privacy.audit import AuditLog
from holdfast.server.callers import EVERYBODY, Caller, caller_of
from holdfast.server.problems import FORBIDDEN, INVALID, Refused
from holdfast.server.rules import STAFF
from holdfast.server.tenants import Tenants
from holdfast.sessions.session import Session
from holdfast.turns.store import TurnStore

Noted = Literal["off", "staff", "all"]

_AGAIN_S: Final = 60.0
"""A read is noted once in this time: a page that is open asks again and again."""
_READS: Final = 10_000
_OTHERS: Final = "conversations of one's own can be begun and listed only"


class Guard:
    """Makes each request's view of the sessions.

    Args:
        audit, noted: where is written down what staff read and did, and how much (`[privacy] audit`).
    """

    def __init__(self, tenants: Tenants, audit: AuditLog | None, noted: Noted) -> None:
        self.tenants = tenants
        self.audit = audit
        self.noted = noted
        self._reads: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def of(self, request: Request) -> Guarded:
        """The sessions as this request's caller may use them. Raises `InvalidId`."""
        return Guarded(self, caller_of(request))

    def as_caller(self, caller: Caller) -> Guarded:
        """The sessions as this caller may use them. Raises `InvalidId`."""
        return Guarded(self, caller)

    def fresh(self, *read: str) -> bool:
        """Whether this read was not noted a moment ago."""
        now = time.monotonic()
        if now - self._reads.get(read, -_AGAIN_S) < _AGAIN_S:
            return False
        self._reads[read] = now
        self._reads.move_to_end(read)
        if len(self._reads) > _READS:
            self._reads.popitem(last=False)
        return True


class Guarded:
    """The sessions of one tenant, as one caller may use them.

    Attributes:
        store: the tenant's; after one of the checks below, and for what they do not cover.
    """

    __slots__ = ("_guard", "caller", "store")

    def __init__(self, guard: Guard, caller: Caller) -> None:
        self._guard = guard
        self.caller = caller
        self.store: TurnStore = guard.tenants.of(caller.tenant)

    @property
    def speaks_for_all(self) -> bool:
        """Whether it acts for any user of the tenant: an admin, or an application."""
        return self.caller.role == "admin" or not self.caller.user

    def user(self, wanted: str) -> str:
        """Whose session is begun. Raises `WrongUser`."""
        if self.speaks_for_all or wanted in ("", self.caller.user):
            return wanted or self.caller.user
        raise WrongUser(_OTHERS)

    def listed(self, wanted: str) -> str:
        """Whose sessions are listed. Raises `Refused` and `WrongUser`."""
        user = wanted or self.caller.user
        if not user:
            raise Refused(INVALID, "The request does not fit: query.user: say whose sessions.")
        if user != self.caller.user and not self.speaks_for_all:
            if self.caller.role not in STAFF:
                raise WrongUser(_OTHERS)
            self._note_read("sessions.list", user)
        elif user != self.caller.user:
            self._note_read("sessions.list", user)
        return user

    async def read(self, session_id: str, *, allow_stale: bool = False, action: str = "session.read") -> Session:
        """The session, which the caller may read. Raises `SessionNotFound` and the store's errors."""
        session = await self.store.load(session_id, tail=0, allow_stale=allow_stale)
        if session is None or not self._may_see(session):
            raise SessionNotFound("There is no such session, or it has expired.")
        if session.user != self.caller.user or self._guard.noted == "all":
            self._note_read(action, session_id)
        return session

    async def may_follow(self, session_id: str, *, action: str = "session.read") -> None:
        """Passes where the caller may read what turns of this session say. Raises `SessionNotFound` and the store's errors."""
        if not self.speaks_for_all:
            await self.read(session_id, action=action)
        else:
            self._note_read(action, session_id)

    async def may_write(self, session_id: str, *, checked_later: bool = False) -> None:
        """Passes where the caller may act as the session's user. Who acts for all finds out later whether the session is there.

        ``checked_later``: the store is told the user too, so that what this node remembers of the session will do.
        Raises `SessionNotFound`, `Refused` and the store's errors.
        """
        if self.speaks_for_all:
            return
        if checked_later:
            known = self.store.cache.get(self.store.key(session_id), 0)
            if known is not None and known.user == self.caller.user:
                return
        session = await self.store.load(session_id, tail=0)
        if session is None or not self._may_see(session):
            raise SessionNotFound("There is no such session, or it has expired.")
        if session.user != self.caller.user:
            self.note("session.write", session_id, ok=False)
            raise Refused(FORBIDDEN)

    async def delete(self, session_id: str) -> None:
        """Deletes a session. Raises `SessionNotFound`, `Refused` and the store's errors."""
        await self.may_write(session_id)
        if not await self.store.delete(session_id):
            raise SessionNotFound("There is no such session, or it has expired.")
        self.note("session.delete", session_id)

    def note(self, action: str, target: str, *, detail: str = "", ok: bool = True) -> None:
        """Writes down what the caller did."""
        guard, caller = self._guard, self.caller
        if guard.audit is not None and guard.noted != "off":
            guard.audit.note(
                caller.name or caller.user, caller.role, action, target, tenant=caller.tenant, detail=detail, ok=ok
            )

    def note_staff(self, action: str, target: str, *, detail: str = "") -> None:
        """Writes down what staff did or looked at."""
        if self.caller.role in STAFF and self.caller is not EVERYBODY:
            self.note(action, target, detail=detail)

    def _may_see(self, session: Session) -> bool:
        return self.speaks_for_all or self.caller.role in STAFF or session.user == self.caller.user

    def _note_read(self, action: str, target: str) -> None:
        caller, guard = self.caller, self._guard
        if caller is EVERYBODY or guard.audit is None or (caller.role not in STAFF and guard.noted != "all"):
            return
        if guard.fresh(caller.tenant, caller.name or caller.user, action, target):
            self.note(action, target)
