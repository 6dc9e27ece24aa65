"""A clock that only the test moves."""

from __future__ import annotations

from typing import Final

NOON_MS: Final = 1_767_268_800_000
"""2026-01-01 12:00 UTC: where a fake clock starts unless told otherwise."""


class FakeClock:
    """Milliseconds since the Unix epoch that stand still until `advance`; usable as `holdfast.backends.clock.Clock`.

    Args:
        now_ms: where it starts.
    """

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self._now_ms = now_ms

    def __call__(self) -> int:
        return self._now_ms

    def advance(self, seconds: float) -> None:
        """Moves the time on by ``seconds`` (rounded to whole milliseconds; negative turns it back)."""
        self._now_ms += round(seconds * 1000)

    def advance_ms(self, ms: int) -> None:
        """Moves the time on by whole milliseconds."""
        self._now_ms += ms
