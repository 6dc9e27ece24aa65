"""Following a turn of which only the id is known: waited for, or taken over where its node died."""

from __future__ import annotations

from holdfast.errors import SessionGone
from holdfast.server.problems import TURN_NOT_FOUND, Refused
from holdfast.turns.outcome import Outcome
from holdfast.turns.run import TurnRun
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Emit


async def join_turn(
    store: TurnStore, session_id: str, turn_id: str, handler: str, emit: Emit, *, wait: float
) -> Outcome:
    """The outcome of a turn that was accepted before, here or elsewhere; runs it where nobody does.
    Waits for ``wait`` seconds, or the store's setting if that is longer.

    Raises `Refused` where nothing is known of it, and the errors of `TurnStore.run_turn`.
    """
    name, function = store.handlers.find(handler)
    settings = store.settings
    run = TurnRun(
        store,
        store.key(session_id),
        turn_id,
        None,
        handler=name,
        birth=store.birth(),
        policy="queue",
        wait_ms=max(settings.wait_ms, round(wait * 1000)),
        tail=settings.tail,
        strict=False,
        withdraws=False,
        emit=emit,
    )
    run.request.fingerprint = b""  # takes over, and never accepts anew
    while True:
        try:
            begun = await run.begin()
        except SessionGone:
            raise Refused(TURN_NOT_FOUND) from None
        if isinstance(begun, Outcome):
            return begun
        run.request.entry = begun.entry
        run.message = store.message_codec.decode(begun.entry) if begun.entry else None
        if (outcome := await run.attempt(begun, function)) is not None:
            return outcome
