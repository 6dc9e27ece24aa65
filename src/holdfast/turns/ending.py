"""Turns that end without their handler's commit: failed for good, or cancelled. What was accepted stays in the log."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.backends.records import Conflict, Delta, Fenced, Granted
from holdfast.errors import InvalidInput
from holdfast.sessions.message import Message
from holdfast.turns.outcome import Outcome, Status, kept_bytes
from holdfast.turns.turn import Turn

if TYPE_CHECKING:  # a run ends itself with these
    from holdfast.turns.run import TurnRun


async def end_failed(run: TurnRun, granted: Granted, error: str) -> Outcome | None:
    """Ends the turn as a failure that keeps its input; the user's message comes after it. None where it was overtaken.

    Raises `TurnFailed` once it is committed, and the store's errors.
    """
    error = error[:500]
    turn = run.turn(granted, granted.record, {})
    if text := run.store.failure_text(turn):
        turn.reply(text, failed=True)
    await run.store.failures.note(run.key, run.request.turn_id, run.request.handler, granted.attempt)
    return await _end(run, granted, turn, "failed", error)


async def end_cancelled(run: TurnRun, granted: Granted, said: str) -> Outcome | None:
    """Ends the turn with its input and what had been ``said``; changes of the state are dropped. None where it was overtaken."""
    turn = run.turn(granted, granted.record, {})
    if said:
        with suppress(InvalidInput):  # too long to be kept, or no valid text: the turn ends all the same
            turn.append(Message("assistant", said, metadata={"cancelled": True}))
    return await _end(run, granted, turn, "cancelled")


async def _end(run: TurnRun, granted: Granted, turn: Turn, status: Status, error: str = "") -> Outcome | None:
    kept = kept_bytes(run.store.codec, status, error=error, attempts=granted.attempt)
    delta = Delta(
        os.urandom(16), run.request.turn_id, granted.fence, granted.incarnation, appends=turn.entries, outcome=kept
    )
    reply = await run.committing.send(delta)
    run.store.cache.doubt(run.key)
    if isinstance(reply, Fenced | Conflict):
        return None
    return run.committing.outcome(reply, granted=granted, turn=turn, status=status, error=error)
