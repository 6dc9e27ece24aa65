"""What is kept no longer than a rule says: whole sessions, single state fields, traces; by tenant.

A session's own ``ttl`` and ``max_age`` are exact and cost nothing; these rules are for what those cannot say, and for sessions that
were made before. They are applied by a pass over all sessions of a tenant, once an hour, by one node.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.backends.records import BeginRequest, Granted, Record
from holdfast.errors import Erased, HoldfastError, SessionNotFound, TurnConflict, UnreadableRecord
from holdfast.sessions.ids import new_id
from holdfast.turns.tenants import RETENTION, TRACES

if TYPE_CHECKING:
    from holdfast.sessions.session import Session
    from holdfast.sessions.state import State
    from holdfast.sessions.store import SessionStore
    from holdfast.turns.store import TurnStore

_EVERY_S: Final = 3600.0
_MARK: Final = "pass"
_log: Final = logging.getLogger(__name__)


class Rules(msgspec.Struct, frozen=True):
    """Seconds; None keeps it as long as its session says.

    Attributes:
        sessions: after the last message. traces: after the turn.
        fields: state fields by name (``*`` fits any), after the session's last message.
    """

    sessions: float | None = None
    traces: float | None = None
    fields: Mapping[str, float] = {}

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return self.sessions is not None or self.traces is not None or bool(self.fields)


class Swept(msgspec.Struct):
    """What a pass looked at, and what it took away (or would have)."""

    looked_at: int = 0
    sessions: int = 0
    fields: int = 0
    traces: int = 0
    unreadable: int = 0


async def sweep(
    store: TurnStore,
    rules: Rules,
    *,
    now: Callable[[], float] = time.time,
    dry: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Swept:
    """One pass over the store's tenant. ``dry`` only counts. Raises the store's errors; a session that cannot be read is left."""
    swept = Swept()
    if rules.sessions is not None or rules.fields:
        async for session_id in store.scan():
            swept.looked_at += 1
            step()
            try:
                session = await store.load(session_id, tail=1)
                if session is not None:
                    await _one(store, session, rules, now() - _last(session), dry, swept)
            except (UnreadableRecord, Erased):
                swept.unreadable += 1
    if rules.traces is not None:
        swept.traces = await _traces(store.beside(TRACES), rules.traces, now, dry)
    return swept


async def _one(store: TurnStore, session: Session, rules: Rules, idle: float, dry: bool, swept: Swept) -> None:
    if rules.sessions is not None and idle > rules.sessions:
        swept.sessions += dry or await _ended(store, session)
        return
    over = [pattern for pattern, most in rules.fields.items() if idle > most]
    names = [name for name in session.state if any(fnmatch.fnmatchcase(name, pattern) for pattern in over)]
    if not names:
        return
    swept.fields += len(names)
    if not dry:
        for name in names:
            del session.state[name]
        try:
            await store.save(session)
        except (TurnConflict, SessionNotFound):  # somebody talks there again: it is not idle any more
            swept.fields -= len(names)


async def _ended(store: TurnStore, session: Session) -> bool:
    """Deletes the session as it was seen; False where somebody talks there again. Who may run a turn can be sure: nobody else runs
    one then."""
    key = store.key(session.id)
    request = BeginRequest(
        turn_id=new_id(),
        token=os.urandom(8),
        fingerprint=_MARK.encode(),
        entry=b"",
        handler="",
        birth=store.birth(),
        lease_ms=store.settings.lease_ms,
        place_ms=0,
        tail=0,
    )
    reply = await store.backend.begin(key, request)
    if not isinstance(reply, Granted):
        return False
    if isinstance(reply.record, Record) and reply.record.version == session.version:
        return await store.delete(session.id)
    await store.backend.release(key, request.turn_id, token=request.token, withdraw=True)
    return False


async def _traces(notes: SessionStore, most: float, now: Callable[[], float], dry: bool) -> int:
    count = 0
    async for note_id in notes.scan():
        found = await notes.load(note_id, tail=0)
        if found is not None and found.created_at is not None and now() - found.created_at > most:
            count += 1
            if not dry:
                await notes.delete(note_id)
    return count


def _last(session: Session) -> float:
    newest = max((message.created_at for message in session.messages), default=0.0)
    return max(newest, session.created_at or 0.0)


class RetentionLoop:
    """Applies the rules of each tenant once in a while, on one of the nodes that run it.

    Args:
        rules: by tenant. every: seconds between two passes of a tenant, over all nodes together.
    """

    def __init__(self, store: TurnStore, rules: Mapping[str, Rules], every: float = _EVERY_S) -> None:
        self._store = store
        self._rules = {tenant: one for tenant, one in rules.items() if one.any}
        self._every = every
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RetentionLoop:
        if self._rules:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast-retention")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every / 10 * (0.5 + random.random()))
            for tenant, rules in self._rules.items():
                try:
                    await self.once(tenant, rules)
                except HoldfastError as error:
                    _log.warning("what is kept too long in tenant %r could not be looked for: %s", tenant, error)

    async def once(self, tenant: str, rules: Rules) -> Swept | None:
        """A pass, if it is due and no other node makes it; None where it is not."""
        store = self._store if tenant == self._store.settings.tenant else self._store.for_tenant(tenant)
        marks, mine = store.beside(RETENTION), False

        def take(state: State) -> None:
            nonlocal mine
            if mine := time.time() - state.get("at", 0.0) >= self._every:
                state["at"] = time.time()

        await marks.update(_MARK, take, strict=True)
        if not mine:
            return None
        swept = await sweep(store, rules)
        _log.info("retention in tenant %r: %s", tenant, msgspec.structs.asdict(swept))
        return swept
