"""What a dialogue puts in the place of the world: the time, what tools do, what a model says. One assistant plays many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from holdfast.assistant.contract import Chunk, Model, Prompt, Tools, ToolSpec, Understanding
from holdfast.assistant.trace import Trace
from holdfast.config import ToolsSection
from holdfast.errors import ModelError, ToolError
from holdfast.testing.dialogues.schema import Played
from holdfast.testing.dialogues.seen import ToolCalled
from holdfast.turns.turn import Turn


@dataclass
class Play:
    """One dialogue while it is played.

    Attributes:
        now: the moment that it begins at; the machine's time where it has none. passed: what has passed since.
        tools: what tools do in this turn. model: who answers for the model.
        calls, steps, understood, turn: what the turn did; emptied before each.
    """

    now: datetime | None = None
    passed: timedelta = timedelta()
    tools: Mapping[str, Sequence[Played]] = field(default_factory=dict)
    model: Model | None = None
    counts: dict[int, int] = field(default_factory=dict)
    calls: list[ToolCalled] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    understood: Understanding | None = None
    turn: Turn | None = None

    def begin(self, tools: Mapping[str, Sequence[Played]]) -> None:
        """Before a turn."""
        self.tools, self.calls, self.steps = tools, [], []
        self.understood = self.turn = None

    def clock(self) -> datetime:
        """The moment in this dialogue."""
        return (self.now or datetime.now().astimezone()) + self.passed

    def played(self, name: str) -> Played | None:
        """What the next call of a tool does; None where it does what it always does."""
        plays = self.tools.get(name)
        if not plays:
            return None
        used = self.counts[id(plays)] = self.counts.get(id(plays), -1) + 1
        return plays[min(used, len(plays) - 1)]

    def started(self) -> set[str]:
        """Flows that were put on top in this turn, those that ran already too."""
        trace = self.turn.trace if self.turn is not None else None
        notes = trace.entries if isinstance(trace, Trace) else []
        return {note.data["flow"] for note in notes if note.kind == "flow" and note.data.get("step") == "start"}


PLAY: Final[ContextVar[Play]] = ContextVar("holdfast_dialogue")
"""The dialogue that the running task belongs to."""


class PlayedTools:
    """`Tools` that do what the dialogue says, else what they always do. Their arguments are checked in any case."""

    def __init__(self, tools: Tools, settings: ToolsSection) -> None:
        self._tools = tools
        self._settings = settings

    def specs(self) -> Sequence[ToolSpec]:
        """See `Tools.specs`."""
        return self._tools.specs()

    def check(self, name: str, arguments: Mapping[str, Any]) -> None:
        """See `ChecksArguments.check`."""
        if callable(check := getattr(self._tools, "check", None)):
            check(name, arguments)

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        """See `Tools.call`."""
        play = PLAY.get()
        play.calls.append(ToolCalled(name, dict(arguments)))
        played = play.played(name)
        if played is None:
            return await self._tools.call(turn, name, arguments, step=step)
        self.check(name, arguments)
        limit = self._settings.limits.get(name)
        timeout = limit.timeout if limit is not None and limit.timeout else self._settings.timeout

        async def done() -> Any:
            if played.delay >= timeout:
                return {"error": f"tool {name} gave no answer within {timeout:g} s", "reason": "timeout"}
            await asyncio.sleep(played.delay)
            return (
                {"error": f"tool {name}: {played.raises}", "reason": "raised"}
                if played.raises
                else {"result": played.returns}
            )

        record = await turn.step(step, done)
        if "error" in record:
            raise ToolError(record["error"], record["reason"])
        return record["result"]


class PlayedModel:
    """`Model` that says what the dialogue's script says."""

    name = "scripted"

    async def stream(
        self, prompts: Sequence[Prompt], *, tools: Sequence[ToolSpec] = (), schema: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """See `Model.stream`."""
        model = PLAY.get().model
        if model is None:
            raise ModelError("this dialogue has no script for a model", "unreachable")
        async for chunk in model.stream(prompts, tools=tools, schema=schema):
            yield chunk

    async def aclose(self) -> None:
        """See `Model.aclose`."""


class Listener:
    """`Understand` that changes nothing: it keeps what the others have understood."""

    async def understand(self, turn: Turn, before: Understanding | None) -> Understanding:
        """See `Understand.understand`."""
        play = PLAY.get()
        play.turn = turn
        play.understood = before if before is not None else Understanding(turn.text, "zh")
        return play.understood


def clock() -> datetime:
    """`Parts.clock`: the moment in the dialogue that is played."""
    play = PLAY.get(None)
    return play.clock() if play is not None else datetime.now().astimezone()
