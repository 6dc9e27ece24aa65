"""The assistant: a turn's handler, made of stages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.assistant.contract import Act, Answer, Decide, Model, Understand
from holdfast.assistant.masking import Masker
from holdfast.assistant.speaker import Speaker
from holdfast.knowledge.contract import Knowledge
from holdfast.turns.turn import Turn


@dataclass(frozen=True)
class Stages:
    """The four stages of a turn, in order."""

    understand: Understand
    decide: Decide
    act: Act
    answer: Answer


@dataclass(frozen=True)
class Assistant:
    """The handler of every turn: ``store.handlers.register("assistant", assistant)``.

    It holds nothing of any conversation, so that one serves all sessions, and any node goes on where another stopped.

    Events (see `Turn.emit`): ``status`` (``stage``: understand, decide, act, search, tool, model, answer; the first one means
    that the reply starts anew), ``token`` (``text``; all of them joined are the reply), ``citations`` (``citations``).

    Attributes:
        stages: what it is made of. masker: for whatever leaves the server. knowledge, model: what answers come from, if any.
        closing: what `aclose` closes: the parts that were opened for it.
    """

    stages: Stages
    masker: Masker
    knowledge: Knowledge | None = None
    model: Model | None = None
    closing: tuple[Callable[[], Awaitable[None]], ...] = field(default=(), repr=False)

    async def __call__(self, turn: Turn) -> None:
        """Runs one turn: the state changed and one reply added, to be committed together."""
        stages = self.stages
        turn.emit("status", stage="understand")
        understood = await stages.understand.understand(turn)
        if turn.state.get("language") != understood.language:
            turn.state["language"] = understood.language
        turn.emit("status", stage="decide")
        actions = await stages.decide.decide(turn, understood)
        turn.emit("status", stage="act")
        findings = await stages.act.act(turn, understood, actions)
        turn.emit("status", stage="answer")
        speaker = Speaker(turn, self.masker)
        await stages.answer.answer(turn, understood, findings, speaker)
        speaker.commit()

    async def aclose(self) -> None:
        """Closes the model's connections and the index, where the assistant opened them."""
        for close in self.closing:
            await close()
