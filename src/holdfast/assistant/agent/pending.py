"""A call that the user was asked about: kept in the session's state until the next turn, which any node may serve."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

import msgspec

from holdfast.turns.turn import Turn

KEY: Final = "_pending"
"""The state key."""


class Pending(msgspec.Struct, frozen=True):
    """The call, and the question as it was said. ``turn``: the turn that asked."""

    tool: str
    arguments: dict[str, Any]
    question: str
    turn: str

    def keep(self, state: MutableMapping[str, Any]) -> None:
        """Keeps it for the next turn."""
        state[KEY] = msgspec.structs.asdict(self)


def pending_of(turn: Turn) -> Pending | None:
    """The call that this turn's words may agree to: only where the question is the very last thing that was said.

    A "yes" that comes later, or after another question, agrees to nothing.
    """
    try:
        pending = msgspec.convert(turn.state.get(KEY), Pending)
    except msgspec.ValidationError:
        return None
    last = turn.messages[-1] if len(turn.messages) else None
    if last is None or last.role != "assistant" or not last.content.endswith(pending.question):
        return None
    return pending if last.turn_id in ("", pending.turn) else None


def forget(turn: Turn) -> None:
    """Drops it."""
    turn.state.pop(KEY, None)
