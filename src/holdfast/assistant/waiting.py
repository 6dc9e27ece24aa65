"""Who waits for a person: one list a tenant, so that nobody has to look through all sessions.

It is a session of a tenant that belongs to the real one, with a key for each conversation that waits. A line is written before the
turn that hands over commits, so none is missing; whoever reads the list checks each line against its conversation.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from holdfast.sessions.session import Session
from holdfast.sessions.state import State
from holdfast.sessions.store import SessionStore
from holdfast.turns.tenants import WAITING

KEY: Final = "handover"
"""The state key of a conversation that was given to a person: since (seconds since the epoch), reason, turn (which handed over)."""

_UNSETTLED_S: Final = 3600.0
"""So long a line may be ahead of its conversation: the turn that wrote it has not committed yet."""

Line = dict[str, Any]
"""What the list has of a conversation: since and turn. Why it was given stands in the conversation alone, with its user's key."""


def of_line(value: Any) -> Line | None:
    """The line of what a conversation says of its hand-over; None where it says nothing."""
    return {name: value[name] for name in ("since", "turn")} if isinstance(value, dict) else None


class WaitingList:
    """``kept``: where the list is; ``sessions``: the conversations."""

    def __init__(self, kept: SessionStore, sessions: SessionStore) -> None:
        self._kept = kept
        self._sessions = sessions

    async def enter(self, session_id: str, line: Line, most: int) -> bool:
        """Adds a conversation, or says that it is there; False where ``most`` wait already."""
        line = of_line(line) or {}
        lines = await self._kept.get(WAITING)
        if lines.get(session_id) == line:
            return True
        if session_id not in lines and len(lines) >= most:
            lines = {one: lines[one] for one, session in await self._living(lines) if session is not None}
            if len(lines) >= most:
                return False
        await self._kept.update(WAITING, {session_id: line})
        return True

    async def leave(self, session_id: str, line: Line) -> None:
        """Takes the line out; one of a later hand-over of the same conversation stays."""

        gone = of_line(line)

        def out(state: State) -> None:
            if of_line(state.get(session_id)) == gone:
                del state[session_id]

        await self._kept.update(WAITING, out)

    async def sessions(self, *, after: str = "", limit: int = 50) -> tuple[list[Session], str]:
        """Conversations that wait, the longest first, with their last two messages; and where to go on, "" at the end."""
        lines = await self._kept.get(WAITING)
        ordered = sorted(lines, key=lambda one: _place(lines[one], one))
        if after:
            ordered = [one for one in ordered if _place(lines[one], one) > _parsed(after)]
        page = ordered[:limit]
        found = await self._living({one: lines[one] for one in page})
        more = len(ordered) > len(page)
        shown = [session for _, session in found if session is not None and KEY in session.state]
        return shown, f"{lines[page[-1]]['since']!r} {page[-1]}" if more else ""

    async def _living(self, lines: dict[str, Line]) -> list[tuple[str, Session | None]]:
        """The conversation behind each line that counts; those that are over are taken out of the list."""
        loaded = await asyncio.gather(*[self._sessions.load(one, tail=2) for one in lines])
        kept: list[tuple[str, Session | None]] = []
        for (one, line), session in zip(lines.items(), loaded, strict=True):
            if session is not None and of_line(session.state.get(KEY)) == of_line(line):
                kept.append((one, session))
            elif time.time() - float(line["since"]) < _UNSETTLED_S:
                kept.append((one, None))
            else:
                await self.leave(one, line)
        return kept


def _place(line: Line, session_id: str) -> tuple[float, str]:
    return float(line["since"]), session_id


def _parsed(cursor: str) -> tuple[float, str]:
    since, _, session_id = cursor.partition(" ")
    try:
        return float(since), session_id
    except ValueError:
        return 0.0, ""
