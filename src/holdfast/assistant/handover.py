"""A conversation that is given to a person. Until it is given back, the assistant says nothing."""

from __future__ import annotations

import time
from typing import Any, Final

from holdfast.assistant.context import Context
from holdfast.assistant.contract import HandOver
from holdfast.assistant.waiting import KEY, WaitingList
from holdfast.sessions.message import Message
from holdfast.sessions.state import State
from holdfast.turns.tenants import HANDOVERS
from holdfast.turns.turn import Turn

_REASON: Final = 200
"""Characters of a reason that are kept."""


async def hand_over(context: Context, reason: str) -> None:
    """Gives the conversation to a person from now on, and tells the user so; nothing happens where that was done already.

    Where too many wait (``[handover] most``), the user is told that instead, and the assistant goes on.
    """
    turn, most = context.turn, context.parts.config.handover.most
    if handed_over(turn.state) or context.handover_refused:
        return

    async def enter() -> dict[str, Any] | None:
        line = {"since": round(time.time(), 3), "reason": reason[:_REASON], "turn": turn.id}
        return line if await _list(turn).enter(turn.key.id, line, most) else None

    line = await turn.step("handover", enter)
    context.trace.note("handover", reason=reason, listed=line is not None)
    if line is None:
        context.handover_refused = True
        context.say("handover_full")
        return
    turn.state[KEY] = line
    context.speaker.note(handover="begun")
    context.say("handed_over")


def handed_over(state: State) -> bool:
    """Whether a person has the conversation."""
    return state.get(KEY) is not None


async def wait(turn: Turn, most: int) -> None:
    """A turn while a person has the conversation: the user's message enters the log, and nothing is said.

    The list has its line; it is written again where it was lost.
    """
    line = turn.state[KEY]
    await turn.step("handover", lambda: _list(turn).enter(turn.key.id, line, most))
    turn.append(Message("system", metadata={"handover": "waiting"}))


def _list(turn: Turn) -> WaitingList:
    return WaitingList(turn.beside(HANDOVERS), turn.beside(""))


class ToAPerson:
    """`Policy` for users who ask for a person."""

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        understood = context.understood
        wanted = next((command for command in understood.commands if isinstance(command, HandOver)), None)
        if wanted is None and "person" not in understood.signals:
            return False
        await hand_over(context, wanted.reason if wanted and wanted.reason else "asked for a person")
        return True
