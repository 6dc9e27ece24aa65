"""What the stages give each other, and the Protocol of each.

    user's text -> understand -> Understanding -> decide -> Actions -> act -> Findings -> answer -> the reply

Stages are made once and serve every session: whatever a conversation has to remember is in ``turn.state``. None of them sees a
backend; what happens outside (a tool, a model) goes through ``turn.step``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from holdfast.config import Language
from holdfast.sessions.message import Citation
from holdfast.turns.turn import Turn

if TYPE_CHECKING:
    from holdfast.assistant.speaker import Speaker

Signal = Literal["affirm", "deny", "cancel", "correct", "retry", "greet", "thanks", "question"]


class Entity(msgspec.Struct, frozen=True):
    """A value found in the user's words. ``kind`` is a slot's type, or for ``pattern`` the slot's name."""

    kind: str
    value: Any


class Understanding(msgspec.Struct, frozen=True):
    """What the user's words mean.

    Attributes:
        text: the words, with full-width characters made plain.
        language: the one to answer in.
        signals: what the user does; several at once are usual ("no, what does shipping cost?").
        task: the task that the words ask to start, "" if none.
        entities: values, in order.
        reference: which of the choices on offer is meant: "other", "last", or its number from "1"; "" if none.
    """

    text: str
    language: Language
    signals: frozenset[Signal] = frozenset()
    task: str = ""
    entities: tuple[Entity, ...] = ()
    reference: str = ""


# --- what is to be done, and what came of it ---


class Say(msgspec.Struct, frozen=True):
    """Say a built-in text (see `texts`)."""

    text: str
    values: dict[str, Any] = {}


class Ask(msgspec.Struct, frozen=True):
    """Ask for the slot that the task's position names; ``because`` the answer was wrong, or after a digression."""

    because: Literal["", "invalid", "return"] = ""


class Search(msgspec.Struct, frozen=True):
    """Look the question up. ``insist=False``: say nothing where nothing relevant is found."""

    question: str
    insist: bool = True


class Call(msgspec.Struct, frozen=True):
    """Call the tool of the running task."""


class Retrieval(msgspec.Struct, frozen=True):
    """What the documents say.

    Attributes:
        question: what was searched for.
        relevant: whether it is worth an answer at all.
        passages: best first; ``quote`` is the passage's text. What a model answers from.
        quotes: best first; ``quote`` is a sentence or two that answer by themselves.
    """

    question: str
    relevant: bool = False
    passages: tuple[Citation, ...] = ()
    quotes: tuple[Citation, ...] = ()


class Found(msgspec.Struct, frozen=True):
    """The finding of a `Search`."""

    retrieval: Retrieval


class Told(msgspec.Struct, frozen=True):
    """The finding of a `Call`: the task, its tool's outcome, and the values that the reply's template may show."""

    task: str
    outcome: str
    values: dict[str, Any]


Action = Say | Ask | Search | Call
Finding = Say | Ask | Found | Told


# --- the stages ---


class Understand(Protocol):
    """The first stage: words to meaning."""

    async def understand(self, turn: Turn) -> Understanding:
        """Reads ``turn.text``; changes nothing."""
        ...


class Decide(Protocol):
    """The second stage: the policy."""

    async def decide(self, turn: Turn, understood: Understanding) -> Sequence[Action]:
        """What to do, in order; moves the task's position in ``turn.state``."""
        ...


class Act(Protocol):
    """The third stage: tools and documents."""

    async def act(self, turn: Turn, understood: Understanding, actions: Sequence[Action]) -> Sequence[Finding]:
        """Carries the actions out. A tool that fails is a finding, not an error."""
        ...


class Answer(Protocol):
    """The last stage: findings to words."""

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
        """Says everything through the speaker, which streams it, and commits it as one reply afterwards."""
        ...


# --- what stages are made of ---


class Documents(Protocol):
    """Where questions are looked up."""

    async def search(self, question: str, earlier: Sequence[str]) -> Retrieval:
        """``earlier``: the questions before this one, oldest first, that it may refer to. Raises `HoldfastError`."""
        ...


class Prompt(msgspec.Struct, frozen=True):
    """A message to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a model's answer. ``finish`` is set in the last one: why it ended ("stop", "length")."""

    text: str = ""
    finish: str = ""
    usage: Mapping[str, int] | None = None


class Model(Protocol):
    """A language model."""

    name: str

    def stream(self, prompts: Sequence[Prompt]) -> AsyncGenerator[Chunk, None]:
        """The answer, as it is made, up to a chunk with ``finish``. Raises `ModelError` while it is read."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...
