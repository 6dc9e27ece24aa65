"""What one runner's turn tells: to its caller here, and through the store to whoever follows it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.backends.records import SessionKey
from holdfast.turns.events import ATTEMPT, Emit, EventWriter

if TYPE_CHECKING:  # the store makes runs, a run tells through its store
    from holdfast.turns.store import TurnStore


class Telling:
    """Used for one attempt after the other. Nothing is written before somebody wants it."""

    __slots__ = ("_emit", "_fence", "_key", "_starts", "_store", "_stream", "_turn_id", "_writer")

    def __init__(self, store: TurnStore, key: SessionKey, turn_id: str, emit: Emit | None, *, stream: bool) -> None:
        self._store = store
        self._key = key
        self._turn_id = turn_id
        self._emit = emit
        self._stream = stream
        self._fence = 0
        self._starts: list[int] = []
        self._writer: EventWriter | None = None

    def begin(self, fence: int, *, followed: bool) -> None:
        """A new attempt."""
        self._fence, self._starts, self._writer = fence, [], None
        if self._stream or followed:
            self._writing().want(elsewhere=followed)

    def start(self, number: int) -> None:
        """The handler is started (again): what was told before does not count any more."""
        self._starts.append(number)
        event = {"fence": self._fence, "number": number}
        if self._emit is not None:
            self._emit(ATTEMPT, event)
        if self._writer is not None:
            self._writer.add(ATTEMPT, event)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """One event of the handler."""
        self._writing().add(kind, data)
        if self._emit is not None:
            self._emit(kind, data)

    def follow(self) -> None:
        """Somebody follows the turn elsewhere."""
        self._writing().want(elsewhere=True)

    @property
    def written(self) -> bool:
        """Whether there may be something to `finish`."""
        return self._writer is not None

    def said(self) -> str:
        """The reply as far as this attempt told it."""
        return "" if self._writer is None else self._writer.said()

    async def finish(self) -> None:
        """Before the attempt's end: writes what was told and is not written yet."""
        if self._writer is not None:
            await self._writer.finish()

    def drop(self) -> None:
        """The attempt is over."""
        if self._writer is not None:
            self._writer.drop()

    def _writing(self) -> EventWriter:
        if self._writer is None:
            self._writer = EventWriter(self._store, self._key, self._turn_id, self._fence)
            for number in self._starts:
                self._writer.add(ATTEMPT, {"fence": self._fence, "number": number})
        return self._writer
