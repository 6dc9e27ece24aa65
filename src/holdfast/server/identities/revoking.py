"""Cookies that are not good any more, though their time is not over: those of whoever logged in or out."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from holdfast.turns.store import TurnStore
from holdfast.turns.tenants import REVOKED

_TRUSTED_S: Final = 5.0
"""So long a node trusts what the store said of a cookie: a logout reaches every node within this time."""
_MOST: Final = 20_000


class Revoked:
    """The list of all nodes, in the store, each entry until its cookie would have ended anyhow."""

    def __init__(self, store: TurnStore) -> None:
        self._kept = store.beside(REVOKED)
        self._asked: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    async def revoke(self, token_id: str, expires: float) -> None:
        """From now on here, and within seconds everywhere. Raises the store's errors."""
        left = max(1.0, expires - time.time())
        await self._kept.set(token_id, {"revoked": True}, ttl=left)
        self._remember(token_id, True)

    async def has(self, token_id: str) -> bool:
        """Whether a cookie was revoked. Raises the store's errors."""
        known = self._asked.get(token_id)
        if known is not None and (known[1] or time.monotonic() - known[0] < _TRUSTED_S):
            return known[1]
        found = await self._kept.exists(token_id)
        self._remember(token_id, found)
        return found

    def _remember(self, token_id: str, revoked: bool) -> None:
        self._asked[token_id] = (time.monotonic(), revoked)
        self._asked.move_to_end(token_id)
        if len(self._asked) > _MOST:
            self._asked.popitem(last=False)
