"""What the parts of an assistant give each other, and the Protocol of each.

    user's text -> Understand -> Understanding -> Policy (with the turn's Context) -> the reply

Parts are made once and serve every session: whatever a conversation has to remember is in ``turn.state``. None of them sees a
backend; what happens outside (a tool, a model) goes through ``turn.step``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from holdfast.config import Language
from holdfast.knowledge.rewriting import Complete
from holdfast.sessions.message import Citation, ToolCall
from holdfast.turns.turn import Turn

if TYPE_CHECKING:
    from holdfast.assistant.context import Context

Signal = Literal["affirm", "deny", "cancel", "correct", "retry", "greet", "thanks", "question", "person"]
"""What a user does; ``person``: asks for a person."""


class Entity(msgspec.Struct, frozen=True):
    """A value found in the user's words.

    Attributes:
        kind: a slot's type ("phone", "date"), or for a pattern or list of a slot's own the slot's name.
        value: as a slot keeps it. text: how it was written. start, end: where, in `Understanding.text`; -1 if not known.
    """

    kind: str
    value: Any
    text: str = ""
    start: int = -1
    end: int = -1


# --- commands: what a model may say that the user wants; each is checked against the flows before it counts ---


class StartFlow(msgspec.Struct, frozen=True, tag="start_flow"):
    """Start a flow, with values for its slots."""

    flow: str
    slots: dict[str, Any] = {}


class SetSlot(msgspec.Struct, frozen=True, tag="set_slot"):
    """Set or correct a slot of the running flow."""

    name: str
    value: Any


class CancelFlow(msgspec.Struct, frozen=True, tag="cancel"):
    """Give the running flow up."""


class AskDocuments(msgspec.Struct, frozen=True, tag="answer"):
    """Answer a question."""

    question: str = ""


class HandOver(msgspec.Struct, frozen=True, tag="hand_over"):
    """Let a person go on."""

    reason: str = ""


Command = StartFlow | SetSlot | CancelFlow | AskDocuments | HandOver


class Understanding(msgspec.Struct, frozen=True):
    """What the user's words mean.

    Attributes:
        text: the words, with full-width characters made plain.
        language: the one to answer in.
        signals: what the user does; several at once are usual ("no, what does shipping cost?").
        flow: the flow that the words ask to start, "" if none.
        entities: values, in order.
        reference: which of the choices on offer is meant: "other", "last", or its number from "1"; "" if none.
        intent: of the intents that were trained, the one meant; "" where none is, or none was trained. confidence: 0 to 1.
        ranked: the likeliest intents with their scores, best first.
        commands: what a model made of the words, in order.
    """

    text: str
    language: Language
    signals: frozenset[Signal] = frozenset()
    flow: str = ""
    entities: tuple[Entity, ...] = ()
    reference: str = ""
    intent: str = ""
    confidence: float = 0.0
    ranked: tuple[tuple[str, float], ...] = ()
    commands: tuple[Command, ...] = ()


class Understand(Protocol):
    """Words to meaning."""

    async def understand(self, turn: Turn, before: Understanding | None) -> Understanding:
        """Reads ``turn.text``; changes nothing. ``before``: what the parts before this one made of it; the result takes its
        place, so it is extended where a part knows more, and handed on where not."""
        ...


class Policy(Protocol):
    """What is done and said in a turn."""

    async def respond(self, context: Context) -> bool:
        """Answers the turn, or is it none of this policy's business? False only where nothing was said and no state changed:
        then the next policy is asked."""
        ...


# --- tools ---


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model and a flow see it: it may be a Python function, an HTTP API, or one of an MCP server.

    Attributes:
        name: letters, digits, ``_`` and ``-``, at most 64. description: what it does, for the model.
        parameters: JSON Schema of an object.
        asks: whether the user has to agree before each call ("ask before doing"), because it changes something outside.
        flows_only: no model may call it, only flows that name it.
        sees: kinds of sensitive values, or keys of ``[sensitive]``, that it is given in clear; all others are masked. ``*`` is all.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    asks: bool = False
    flows_only: bool = False
    sees: tuple[str, ...] = ()


class Tools(Protocol):
    """Everything that can be called."""

    def specs(self) -> Sequence[ToolSpec]:
        """The tools that this assistant is allowed; those that are ``flows_only`` too."""
        ...

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        """The result, of the codec's types and bounded in size, journaled under the name ``step``.

        Raises `ToolError`: not allowed, wrong arguments, no answer in time, an exception, or a result that cannot be kept. What
        was called and failed is journaled too: another attempt of the turn gets the same error, and calls nothing.
        """
        ...


class ChecksArguments(Protocol):
    """Of `Tools` that can tell beforehand whether a call is well-formed, so that no user is asked to agree to one that is not."""

    def check(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Raises `ToolError`: not allowed, or wrong arguments."""
        ...


# --- knowledge ---


class Retrieval(msgspec.Struct, frozen=True):
    """What the documents say.

    Attributes:
        question: what was searched for.
        relevant: whether it is worth an answer at all.
        passages: best first; ``quote`` is the passage's text. What a model answers from.
        quotes: best first; ``quote`` is a sentence or two that answer by themselves.
        scores: of the passages, in their order.
        query: what was asked of the index, where it is not the question as it stands (rewritten, or with the former turn).
        degraded: why a part of the search was left out, for the trace; empty where all took part.
    """

    question: str
    relevant: bool = False
    passages: tuple[Citation, ...] = ()
    quotes: tuple[Citation, ...] = ()
    scores: tuple[float, ...] = ()
    query: str = ""
    degraded: tuple[str, ...] = ()


class Documents(Protocol):
    """Where questions are looked up."""

    async def search(
        self,
        question: str,
        earlier: Sequence[str],
        *,
        collections: Sequence[str] = (),
        complete: Complete | None = None,
    ) -> Retrieval:
        """What the documents say. Raises `HoldfastError`.

        ``earlier``: the questions before this one, oldest first, that it may refer to. ``collections``: those to ask, all where
        none is named. ``complete``: a model that may rewrite the question; it and ``collections`` are only given where the config
        or a flow says so.
        """
        ...


class Answer(Protocol):
    """Passages to words."""

    async def answer(self, context: Context, retrieval: Retrieval) -> None:
        """Says the answer through ``context.speaker``."""
        ...


# --- memory and model ---


class Prompt(msgspec.Struct, frozen=True):
    """A message to a model.

    Attributes:
        calls: what the model (role ``assistant``) wanted called. call_id: which call a ``tool``'s content is the result of.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


class Memory(Protocol):
    """What a model sees of the conversation so far."""

    async def history(self, turn: Turn, *, tokens: int) -> Sequence[Prompt]:
        """The turns before this one, oldest first, in at most so many tokens: a summary of what is older, then the last
        messages."""
        ...


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a model's answer. ``finish`` is set in the last one: why it ended ("stop", "length", "tool_calls").

    Attributes:
        calls: tools that the model wants called, whole. usage: ``prompt_tokens`` and ``completion_tokens``.
        model: which one answers, where that may be another than `Model.name`.
    """

    text: str = ""
    finish: str = ""
    usage: Mapping[str, int] | None = None
    calls: tuple[ToolCall, ...] = ()
    model: str = ""


class Model(Protocol):
    """A language model."""

    name: str

    def stream(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """The answer, as it is made, up to a chunk with ``finish``. Raises `ModelError` while it is read.

        ``tools``: what it may want called. ``schema``: the JSON Schema that the answer's text has to follow.
        """
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...
