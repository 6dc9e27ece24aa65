"""The assistant: a turn's handler, made of parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from holdfast.assistant.context import Context
from holdfast.assistant.contract import Model, Policy, Understand, Understanding
from holdfast.assistant.handover import handed_over, wait
from holdfast.assistant.masking import Masker
from holdfast.assistant.parts import Parts
from holdfast.assistant.persons import end, is_persons
from holdfast.assistant.speaker import Speaker
from holdfast.assistant.trace import Trace
from holdfast.errors import ConfigError
from holdfast.knowledge.contract import Knowledge
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Turn


@dataclass(frozen=True)
class Assistant:
    """The handler of every turn: ``store.handlers.register("assistant", assistant)``.

    It holds nothing of any conversation, so that one serves all sessions, and any node goes on where another stopped.

    Events (see `Turn.emit`): ``status`` (``stage``: understand, decide, search, tool, model; the first one means that the
    reply starts anew), ``token`` (``text``; all of them joined are the reply), ``citations`` (``citations``).

    Attributes:
        understanding: asked in order, each going on from what those before it made of the words.
        policy: what answers. parts: what they work with.
        knowledge: the index behind the documents, if any.
        closing: what `aclose` closes: the parts that were opened for it.
    """

    understanding: Sequence[Understand]
    policy: Policy
    parts: Parts
    knowledge: Knowledge | None = None
    closing: tuple[Callable[[], Awaitable[None]], ...] = field(default=(), repr=False)

    @property
    def masker(self) -> Masker:
        """For whatever leaves the server."""
        return self.parts.masker

    @property
    def model(self) -> Model | None:
        """The language model, if there is one."""
        return self.parts.model

    async def __call__(self, turn: Turn) -> None:
        """Runs one turn: the state changed and one reply added, to be committed together; none while a person has it."""
        if is_persons(turn):
            end(turn, self.parts.texts)
            return
        if handed_over(turn.state):
            await wait(turn, self.parts.config.handover.most)
            return
        trace = Trace(self.parts.config.trace, self.masker, turn)
        turn.emit("status", stage="understand")
        understood = await self.understand(turn)
        trace.note(
            "understanding",
            language=understood.language,
            signals=sorted(understood.signals),
            flow=understood.flow,
            intent=understood.intent,
            confidence=round(understood.confidence, 4),
            ranked=[list(one) for one in understood.ranked],
            entities=[{"kind": entity.kind, "value": str(entity.value)} for entity in understood.entities],
            reference=understood.reference,
        )
        if turn.state.get("language") != understood.language:
            turn.state["language"] = understood.language
        turn.emit("status", stage="decide")
        speaker = Speaker(turn, self.masker)
        speaker.note(mode="task", language=understood.language)
        context = Context(turn, understood, speaker, trace, self.parts, _nobody)
        if not await self.policy.respond(context):
            context.say("unclear")
        if self.parts.asker is not None:
            await self.parts.asker.spending.settle(turn)
        speaker.commit()

    async def understand(self, turn: Turn) -> Understanding:
        """What the turn's words mean."""
        understood: Understanding | None = None
        for part in self.understanding:
            understood = await part.understand(turn, understood)
        if understood is None:
            raise ConfigError("assistant.understanding names no part")
        return understood

    async def after(self, store: TurnStore, session_id: str) -> None:
        """What can be done once a turn is committed, beside the next ones: the conversation is summarised. It may be left out, or
        cancelled, at any time; failures are logged."""
        if callable(after := getattr(self.parts.memory, "after", None)):
            await after(store, session_id)

    async def aclose(self) -> None:
        """Closes the model's connections and the index, where the assistant opened them."""
        for close in self.closing:
            await close()


async def _nobody() -> bool:
    return False
