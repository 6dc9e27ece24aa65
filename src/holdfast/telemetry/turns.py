"""What happened to turns on this node, counted."""

from __future__ import annotations

from typing import Final, get_args

from holdfast.telemetry.timings import Timings
from holdfast.turns.observing import TurnEnd, WaitEnd

TURN_BOUNDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds: from an answer out of a table to a slow model's."""


class TurnCounts:
    """A `TurnObserver`.

    Attributes:
        ends: turns by how they ended. seconds: those that were run here and committed.
        waits: turns that had to wait, by what came of it.
        counted_above: whoever is above the store (the HTTP server) counts ends itself, with `count`.
    """

    def __init__(self) -> None:
        self.ends: dict[str, int] = dict.fromkeys(get_args(TurnEnd), 0)
        self.seconds = Timings(TURN_BOUNDS)
        self.waits: dict[str, Timings] = {end: Timings(TURN_BOUNDS) for end in get_args(WaitEnd)}
        self.reruns = 0
        self.takeovers = 0
        self.steps_replayed = 0
        self.counted_above = False

    def count(self, end: str, seconds: float) -> None:
        """Counts a turn's end."""
        self.ends[end] = self.ends.get(end, 0) + 1
        if end == "completed":
            self.seconds.add(seconds)

    # --- told by the store ---

    def waited(self, seconds: float, end: WaitEnd) -> None:
        self.waits[end].add(seconds)

    def rerun(self) -> None:
        self.reruns += 1

    def taken_over(self) -> None:
        self.takeovers += 1

    def step_replayed(self) -> None:
        self.steps_replayed += 1

    def ended(self, end: TurnEnd, seconds: float) -> None:
        if not self.counted_above:
            self.count(end, seconds)
