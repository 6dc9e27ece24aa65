"""Turns whose handler raised on this node: its recovery leaves them alone for a while, longer each time."""

from __future__ import annotations

import time
from typing import Final

from holdfast.backends.records import SessionKey

_MOST: Final = 10_000
"""How many are remembered; beyond that, those that raised first are forgotten."""
_LONGEST_S: Final = 60.0


class Setbacks:
    """Kept by the node, not by the store: other nodes may try at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[SessionKey, str], tuple[float, int]] = {}

    def note(self, key: SessionKey, turn_id: str, attempt: int) -> None:
        """The turn's attempt of this number raised now."""
        self._known.pop((key, turn_id), None)
        self._known[key, turn_id] = time.monotonic(), attempt
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]

    def resting(self, key: SessionKey, turn_id: str, first: float) -> bool:
        """Whether to leave it alone: ``first`` seconds after the first attempt, twice as long after each further one."""
        known = self._known.get((key, turn_id))
        if known is None:
            return False
        at, attempt = known
        rest: float = min(_LONGEST_S, first * 2 ** min(attempt - 1, 30))
        return time.monotonic() < at + rest

    def forget(self, key: SessionKey, turn_id: str) -> None:
        """It is finished."""
        self._known.pop((key, turn_id), None)
