"""What sessions and users have spent on the model, and whether they may spend more."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from holdfast.config import BudgetSection
from holdfast.errors import ModelError, StoreError, TurnConflict
from holdfast.sessions.session import Session
from holdfast.sessions.state import State
from holdfast.turns.store import TurnStore
from holdfast.turns.tenants import USAGE, belonging
from holdfast.turns.turn import Turn

KEY: Final = "_usage"
"""The session's state key. ``since``: when the window began; ``tokens``: spent in it; ``total``: ever; ``turn``: the last turn that
spent, and how much."""

_log: Final = logging.getLogger(__name__)
_RECENT: Final = 64
"""Turns of a user whose share is remembered, so that one that is run again is not counted twice."""


class Spending:
    """Counts tokens, and refuses when a budget is spent.

    A session's count is a key of its state: it is committed with the turn. A user's is a record of its own that all of the user's
    sessions share; each turn enters its share once, however often it is run. Without ``store`` there is none.
    """

    def __init__(
        self, settings: BudgetSection, store: TurnStore | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._store = store
        self._now = now
        if settings.user_tokens is not None and store is None:
            _log.warning("model.budget.user_tokens is not kept to: the assistant was built without a store")

    async def check(self, turn: Turn) -> None:
        """Raises `ModelError` with reason ``budget``. Where the user's record cannot be read, the user has the benefit of that."""
        settings = self._settings
        if settings.session_tokens is not None and self.of_session(turn.state) >= settings.session_tokens:
            raise ModelError("the session's budget of tokens is spent", "budget")
        if settings.user_tokens is None or self._store is None or not turn.session.user:
            return
        try:
            record = (await self._records(turn.key.tenant).get(turn.session.user)).get(KEY)
        except StoreError as error:
            _log.warning("what a user has spent cannot be read: %s", error)
            return
        own = self._own(turn.state, turn.id)
        if self._in_window(record) - self._counted(record, turn) + own >= settings.user_tokens:
            raise ModelError("the user's budget of tokens is spent", "budget")

    async def may(self, session: Session, tenant: str) -> bool:
        """Whether there is anything left to be spent for a session outside its turns. Raises the store's errors."""
        settings = self._settings
        if settings.session_tokens is not None and self.of_session(session.state) >= settings.session_tokens:
            return False
        if settings.user_tokens is None or not session.user:
            return True
        return await self.of_user(tenant, session.user) < settings.user_tokens

    def count(self, turn: Turn, tokens: int) -> None:
        """Adds to the session's count, which is committed with the turn."""
        if tokens <= 0:
            return
        before = _mapping(turn.state.get(KEY))
        turn.state[KEY] = {
            "since": self._since(),
            "tokens": self._in_window(before) + tokens,
            "total": _number(before.get("total")) + tokens,
            "turn": [turn.id, self._own(turn.state, turn.id) + tokens],
        }

    async def settle(self, turn: Turn) -> None:
        """Enters the turn's share in its user's record, where users have a budget. To be called when the turn has spent its last; a
        failure is logged."""
        share = self._own(turn.state, turn.id)
        if share and self._settings.user_tokens is not None:
            await self.enter(turn.key.tenant, turn.session.user, _digest(turn), share)

    async def enter(self, tenant: str, user: str, what: str, tokens: int) -> None:
        """Makes ``tokens`` the share of ``what`` in a user's record: entering it again changes nothing."""
        if self._store is None or not user or self._settings.user_tokens is None:
            return

        def entered(state: State) -> None:
            record = _mapping(state.get(KEY))
            recent = dict(_mapping(record.get("recent"))) if record.get("since") == self._since() else {}
            added = tokens - _number(recent.pop(what, 0))
            recent[what] = tokens
            state[KEY] = {
                "since": self._since(),
                "tokens": self._in_window(record) + added,
                "recent": dict(list(recent.items())[-_RECENT:]),
            }

        try:
            await self._records(tenant).update(user, entered, ttl=max(60.0, 2 * self._settings.per))
        except (StoreError, TurnConflict) as error:
            _log.warning("what a user has spent cannot be counted: %s", error)

    def of_session(self, state: Mapping[str, Any]) -> int:
        """Tokens that the session has spent in this window."""
        return self._in_window(state.get(KEY))

    async def of_user(self, tenant: str, user: str) -> int:
        """Tokens that the user has spent in this window. Raises the store's errors."""
        if self._store is None:
            return 0
        return self._in_window((await self._records(tenant).get(user)).get(KEY))

    def _records(self, tenant: str) -> TurnStore:
        assert self._store is not None
        return self._store.for_kept(belonging(tenant, USAGE))

    def _since(self) -> int:
        return int(self._now() // self._settings.per * self._settings.per)

    def _in_window(self, record: Any) -> int:
        record = _mapping(record)
        return _number(record.get("tokens")) if record.get("since") == self._since() else 0

    def _counted(self, record: Any, turn: Turn) -> int:
        record = _mapping(record)
        return _number(_mapping(record.get("recent")).get(_digest(turn))) if self._in_window(record) else 0

    @staticmethod
    def _own(state: Mapping[str, Any], turn_id: str) -> int:
        last = _mapping(state.get(KEY)).get("turn")
        return _number(last[1]) if isinstance(last, list) and len(last) == 2 and last[0] == turn_id else 0


def _digest(turn: Turn) -> str:
    return hashlib.blake2b(f"{turn.key.id}\0{turn.id}".encode(), digest_size=9).hexdigest()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> int:
    return value if type(value) is int else 0
