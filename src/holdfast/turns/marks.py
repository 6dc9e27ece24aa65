"""Names in a turn's journal that are not steps of its handler: what came from outside, and until when it waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RESERVED: Final = "\x1f"
"""What they begin with; no step's name may."""

CANCEL: Final = "\x1fcancel"
"""The turn is to end, with what was said until now."""

FOLLOWED: Final = "\x1ffollowed"
"""Somebody follows the turn from another node: its events are to be written."""

ACCEPTED: Final = "\x1faccepted"
"""Never signalled: a turn that was accepted and left to others waits for it no time at all."""

TIME_IS_UP: Final = b""
"""The value of a signal that did not come in time."""


def has(steps: Sequence[tuple[str, bytes]], mark: str) -> bool:
    """Whether a journal has this mark."""
    return bool(steps) and any(name == mark for name, _ in steps)


def signal(name: str) -> str:
    """The step that `holdfast.Turn.wait_for` waits for."""
    return f"\x1fsignal:{name}"


def until(name: str) -> str:
    """The step that says until when it does, in milliseconds by the store's clock."""
    return f"\x1funtil:{name}"
