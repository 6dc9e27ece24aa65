"""Who wants to know how turns fare: told by the store, asked by nobody, absent by default."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import perf_counter
from types import TracebackType
from typing import Literal, Protocol, TypeVar

from holdfast.errors import (
    InvalidInput,
    OutcomeUnknown,
    SessionError,
    StepMisuse,
    TurnError,
    TurnFailed,
    TurnFinished,
    TurnParked,
)
from holdfast.turns.outcome import Outcome
from holdfast.turns.turn import Turn

Ended = TypeVar("Ended", Outcome, Outcome | None)

TurnEnd = Literal["completed", "cancelled", "replayed", "failed", "parked", "refused", "unknown", "given_back", "error"]
"""How a call for a turn ended here. ``cancelled``: stored as that. ``failed``: stored as a failure. ``parked``: it waits for a
signal. ``refused``: the caller's matter (busy, waited too long, mismatch). ``unknown``: nobody can say whether it was committed.
``given_back``: this call was cancelled. ``error``: the store's or the handler's."""

WaitEnd = Literal["granted", "replayed", "gave_up"]
"""What became of a turn that waited: its session, the outcome that it had elsewhere, or nothing."""


class TurnObserver(Protocol):
    """Is told what happens to turns on this node, on the event loop and in the turn's way: be quick, raise nothing."""

    def waited(self, seconds: float, end: WaitEnd) -> None:
        """A turn waited for its session, or for the same turn that ran elsewhere."""
        ...

    def rerun(self) -> None:
        """A handler is called again, because its commit met another writer of the same keys."""
        ...

    def taken_over(self) -> None:
        """A turn that was accepted before goes on here: its node died, froze, failed, or gave it back."""
        ...

    def step_replayed(self) -> None:
        """A step's result came from the journal."""
        ...

    def ended(self, end: TurnEnd, seconds: float) -> None:
        """A call of `run_turn`, or a block of `turn`, ended after so long."""
        ...


class Observed:
    """`TurnStore.turn` with an observer: tells it how the block ended."""

    def __init__(self, inner: Block, observer: TurnObserver) -> None:
        self._inner = inner
        self._observer = observer
        self._started = perf_counter()

    async def __aenter__(self) -> Turn:
        try:
            return await self._inner.__aenter__()
        except BaseException as error:
            self._ended(end_of(error))
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._inner.__aexit__(kind, error, trace)
        except BaseException as raised:
            self._ended(end_of(raised))
            raise
        self._ended("completed" if error is None else end_of(error))

    def _ended(self, end: TurnEnd) -> None:
        self._observer.ended(end, perf_counter() - self._started)


class Block(Protocol):
    """What ``async with`` needs of a turn."""

    async def __aenter__(self) -> Turn: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


async def observed(work: Awaitable[Ended], observer: TurnObserver) -> Ended:
    """``await work``, and its end told."""
    started = perf_counter()
    try:
        outcome = await work
    except BaseException as error:
        observer.ended(end_of(error), perf_counter() - started)
        raise
    if outcome is not None:  # else another node has it
        observer.ended("replayed" if outcome.replayed else outcome.status, perf_counter() - started)
    return outcome


def end_of(error: BaseException) -> TurnEnd:
    """The end that an exception stands for."""
    match error:
        case TurnFinished():
            return "replayed"
        case TurnFailed():
            return "failed"
        case TurnParked():
            return "parked"
        case OutcomeUnknown():
            return "unknown"
        case StepMisuse():
            return "error"
        case TurnError() | SessionError() | InvalidInput():
            return "refused"
        case asyncio.CancelledError():
            return "given_back"
    return "error"
