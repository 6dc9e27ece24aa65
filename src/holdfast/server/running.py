"""One turn on this node: what it emitted so far, who listens, and how it ended."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.server import shapes
from holdfast.server.problems import Problem
from holdfast.sessions.message import Citation
from holdfast.turns.events import ATTEMPT, PARKED, TOKEN

BEFORE: Final = "0"
"""The run of what is told before any attempt."""
_PUT_RIGHT: Final = "~"
"""Ends the run of what only this node tells: its ids mean nothing elsewhere."""

_KIND: Final = re.compile(r"[a-z][a-z_]{0,31}")
_RESERVED: Final = frozenset({"restarted", "parked", "done", "error", "message"})


class Event(NamedTuple):
    """One event of a turn's stream: its kind, and data that becomes JSON.

    ``run`` names the attempt, ``number`` the event in it: the same on every node.
    """

    run: str
    number: int
    kind: str
    data: Any


class RunningTurn:
    """A turn's events, from its start to ``done`` or ``error``; any number may follow it, each from where it likes.

    Attributes:
        tenant: as the store names it. run: the attempt that tells now; a part of the events' ids.
        text: the input; None where only its id is known (a turn that is joined).
        begun: whether its handler was started here.
        streams: whether its events come here while it runs on another node.
        resting: what the turn waits for, as far as this node was told, and until it goes on.
        outcome, error, parked: set at the end, one of them. shown: what ``error`` was made from.
        slot: whether it takes room on the node. task: runs it; does not stop when nobody listens any more.
        first, first_token: when its first event came, and the first piece of its reply (`time.perf_counter`); None before.
    """

    __slots__ = (
        "_cited",
        "_number",
        "_said",
        "_waiting",
        "begun",
        "error",
        "events",
        "first",
        "first_token",
        "outcome",
        "parked",
        "resting",
        "run",
        "session_id",
        "shown",
        "slot",
        "streams",
        "task",
        "tenant",
        "text",
        "turn_id",
    )

    def __init__(
        self, session_id: str, turn_id: str, text: str | None, *, streams: bool = False, tenant: str = ""
    ) -> None:
        self.tenant = tenant
        self.session_id = session_id
        self.turn_id = turn_id
        self.text = text
        self.run = BEFORE
        self.streams = streams
        self.events: list[Event] = []
        self.begun = False
        self.outcome: shapes.Outcome | None = None
        self.error: Problem | None = None
        self.parked: shapes.Pending | None = None
        self.resting: shapes.Pending | None = None
        self.slot = False
        self.shown: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.first: float | None = None
        self.first_token: float | None = None
        self._number = 0
        self._said: list[str] = []
        self._cited: list[shapes.Citation] = []
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def ended(self) -> bool:
        """Whether the last event is there."""
        return self.outcome is not None or self.error is not None or self.parked is not None

    def knows(self, run: str) -> bool:
        """Whether events of this run are here, or to come."""
        return run == self.run or any(event.run == run for event in self.events)

    def place_of(self, run: str) -> int:
        """Where the events of this run begin."""
        return next((place for place, event in enumerate(self.events) if event.run == run), len(self.events))

    def emit(self, kind: str, data: Mapping[str, Any]) -> None:
        """Takes an event of the handler. A further attempt starts the reply anew."""
        self.resting = None
        if kind == ATTEMPT:
            self._begin(f"{data.get('fence', 0):x}")
            return
        if kind == PARKED:
            self.resting = shapes.parked_of(self.session_id, self.turn_id, **data)
            self._add("parked", self.resting)
            return
        self._number += 1
        if kind == TOKEN:
            if text := data.get("text", ""):
                self._said.append(text)
                self._add("token", {"text": text})
        elif kind == "citations":
            self._cite(data)
        elif kind not in _RESERVED and _KIND.fullmatch(kind):
            self._add(kind, data)

    def done(self, outcome: shapes.Outcome) -> None:
        """The last event. What was streamed is put right where the reply was made elsewhere, or by other means."""
        said = "".join(self._said)
        if said != outcome.reply or (outcome.citations and outcome.citations != self._cited):
            self.run, self._number = self.run + _PUT_RIGHT, 0
        if said != outcome.reply:
            if said or outcome.replayed:
                self._restart()
            if outcome.reply:
                self._tell("token", {"text": outcome.reply})
        if outcome.citations and outcome.citations != self._cited:
            self._tell("citations", {"citations": outcome.citations})
        self.outcome = outcome
        self._tell("done", outcome)

    def failed(self, problem: Problem, shown: BaseException) -> None:
        """The last event, where there is no outcome to tell."""
        self.error, self.shown = problem, shown
        self._tell("error", problem)

    def rest(self, parked: shapes.Pending) -> None:
        """The last event here of a turn that waits for a signal: to be followed anew."""
        if not self.events or self.events[-1].kind != "parked":
            self._add("parked", parked)
        self.parked = parked
        self._wake()

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

    def _begin(self, run: str) -> None:
        before = self.run
        if run == before:
            self._number += 1
        else:
            self.run, self._number = run, 1
        if self._said or before not in (run, BEFORE):
            self._restart()

    def _restart(self) -> None:
        self._said.clear()
        self._cited = []
        self._add("restarted", {})

    def _tell(self, kind: str, data: Any) -> None:
        self._number += 1
        self._add(kind, data)

    def _add(self, kind: str, data: Any) -> None:
        if self.first is None:
            self.first = time.perf_counter()
        if self.first_token is None and kind == "token":
            self.first_token = time.perf_counter()
        self.events.append(Event(self.run, self._number, kind, data))
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
