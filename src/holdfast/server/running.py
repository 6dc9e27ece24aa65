"""One turn on this node: what it emitted so far, who listens, and how it ended."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.server import shapes
from holdfast.server.problems import Problem
from holdfast.sessions.message import Citation

BEGIN: Final = "begin"
"""Emitted by the server itself when an attempt begins; never shown."""

_KIND: Final = re.compile(r"[a-z][a-z_]{0,31}")
_RESERVED: Final = frozenset({"restarted", "done", "error", "message"})


class Event(NamedTuple):
    """One event of a turn's stream: its kind, and data that becomes JSON."""

    kind: str
    data: Any


class RunningTurn:
    """A turn's events, from its start to ``done`` or ``error``; any number may follow it, each from where it likes.

    Attributes:
        run: names this list of events; a part of the events' ids.
        text: the input; None where only its id is known (a turn that is joined).
        begun: whether its handler was started here.
        outcome, error: set at the end, one of them. shown: what ``error`` was made from.
        task: runs it; does not stop when nobody listens any more.
        first, first_token: when its first event came, and the first piece of its reply (`time.perf_counter`); None before.
    """

    __slots__ = (
        "_cited",
        "_said",
        "_waiting",
        "begun",
        "error",
        "events",
        "first",
        "first_token",
        "outcome",
        "run",
        "session_id",
        "shown",
        "task",
        "text",
        "turn_id",
    )

    def __init__(self, session_id: str, turn_id: str, text: str | None) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self.text = text
        self.run = secrets.token_hex(4)
        self.events: list[Event] = []
        self.begun = False
        self.outcome: shapes.Outcome | None = None
        self.error: Problem | None = None
        self.shown: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.first: float | None = None
        self.first_token: float | None = None
        self._said: list[str] = []
        self._cited: list[shapes.Citation] = []
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def ended(self) -> bool:
        """Whether the last event is there."""
        return self.outcome is not None or self.error is not None

    def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Takes an event of the handler. A further attempt starts the reply anew."""
        if kind == BEGIN:
            self.begun = True
            if self._said:
                self._restart()
        elif kind == "token":
            if text := data.get("text", ""):
                self._said.append(text)
                self._add("token", {"text": text})
        elif kind == "citations":
            self._cite(data)
        elif kind not in _RESERVED and _KIND.fullmatch(kind):
            self._add(kind, data)

    def done(self, outcome: shapes.Outcome) -> None:
        """The last event. What was streamed is put right where the reply was made elsewhere, or by other means."""
        if outcome.replayed or "".join(self._said) != outcome.reply:
            self._restart()
            if outcome.reply:
                self._add("token", {"text": outcome.reply})
        if outcome.citations and outcome.citations != self._cited:
            self._add("citations", {"citations": outcome.citations})
        self.outcome = outcome
        self._add("done", outcome)

    def failed(self, problem: Problem, shown: BaseException) -> None:
        """The last event, where there is no outcome to tell."""
        self.error, self.shown = problem, shown
        self._add("error", problem)

    async def further(self, seen: int, timeout: float) -> bool:
        """Waits until there are more than ``seen`` events; False after ``timeout`` seconds."""
        if len(self.events) > seen:
            return True
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(timeout):
                await waiting
        except TimeoutError:
            return False
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        return True

    async def settled(self) -> None:
        """Waits for the end; a caller that is cancelled meanwhile stops nothing."""
        assert self.task is not None
        if not self.ended:
            await asyncio.wait([self.task])

    def _cite(self, data: Mapping[str, Any]) -> None:
        """Sources as the API shows them; what is none is left to the outcome."""
        with suppress(msgspec.ValidationError):
            stored = msgspec.convert(data.get("citations"), list[Citation], from_attributes=True)
            self._cited = shapes.citations_of(stored)
            self._add("citations", {"citations": self._cited})

    def _restart(self) -> None:
        self._said.clear()
        self._cited = []
        self._add("restarted", {})

    def _add(self, kind: str, data: Any) -> None:
        if self.first is None:
            self.first = time.perf_counter()
        if self.first_token is None and kind == "token":
            self.first_token = time.perf_counter()
        self.events.append(Event(kind, data))
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
