"""What a turn did and why: noted while it runs, for whoever has to find out later."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

MOST_ENTRIES: Final = 200
"""Notes of one turn; further ones are counted only."""


class Entry(msgspec.Struct, frozen=True):
    """One note. ``at``: milliseconds since the turn's attempt began."""

    kind: str
    at: float
    data: dict[str, Any]


class Trace:
    """The notes of one attempt of a turn, in order: ``understanding``, ``decision``, ``flow``, ``search``, ``tool``, ``model``."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.entries: list[Entry] = []
        self.left_out = 0

    def note(self, kind: str, **data: Any) -> None:
        """Adds a note; ``data`` is of JSON's types. Whoever shows it masks it first."""
        if len(self.entries) >= MOST_ENTRIES:
            self.left_out += 1
            return
        self.entries.append(Entry(kind, round((time.perf_counter() - self._started) * 1000, 3), data))
