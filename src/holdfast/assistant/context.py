"""What a policy has at hand in one turn: what was understood, the voice, and every other part."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast.assistant.contract import Answer, Documents, Memory, Model, Retrieval, Tools, Understanding
from holdfast.assistant.speaker import Speaker
from holdfast.assistant.texts import in_language
from holdfast.assistant.trace import Trace
from holdfast.config import Language
from holdfast.errors import HoldfastError, StoreError, TurnError
from holdfast.turns.turn import Turn

if TYPE_CHECKING:
    from holdfast.assistant.parts import Parts

_log: Final = logging.getLogger(__name__)
_EARLIER: Final = 1
"""Questions before this one that a search also looks at."""


@dataclass
class Context:
    """One turn, as its policies see it.

    Attributes:
        turn: the session's snapshot, its state, the journal. understood: what the words mean.
        speaker: what is said is streamed at once, and committed as one reply.
        trace: for notes. parts: what the assistant is made of.
        others: asks the policies behind the one that runs, as for a question in the middle of a flow: did one of them answer?
    """

    turn: Turn
    understood: Understanding
    speaker: Speaker
    trace: Trace
    parts: Parts
    others: Callable[[], Awaitable[bool]]

    @property
    def language(self) -> Language:
        """The one to answer in."""
        return self.understood.language

    @property
    def tools(self) -> Tools:
        return self.parts.tools

    @property
    def documents(self) -> Documents | None:
        return self.parts.documents

    @property
    def answer(self) -> Answer:
        return self.parts.answer

    @property
    def memory(self) -> Memory:
        return self.parts.memory

    @property
    def model(self) -> Model | None:
        return self.parts.model

    def say(self, name: str, **values: Any) -> None:
        """Says a built-in text (see `texts`) as a paragraph of its own."""
        self.speaker.paragraph()
        self.speaker.say(self.parts.texts.get(name, self.language, self.shown(values)))

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as a template may show them: sensitive fields masked, choices as a numbered list, other lists as text."""
        shown = self.parts.masker.state(values)
        for name, value in shown.items():
            if isinstance(value, list) and value:
                if name == "choices":
                    shown[name] = listed(value, self.language)
                else:
                    words = [str(in_language(item, self.language)) for item in value]
                    shown[name] = self.parts.texts.listed(words, self.language)
        return shown

    async def search(self, question: str) -> Retrieval | None:
        """Looks a question up; None where that does not work just now. Without documents nothing is ever found."""
        if self.documents is None:
            return Retrieval(question)
        self.turn.emit("status", stage="search")
        earlier = earlier_questions(self.turn)
        try:
            retrieval = await self.documents.search(question, earlier)
        except (StoreError, TurnError):
            raise
        except HoldfastError as error:
            _log.error("the documents cannot be searched: %s", error)
            self.trace.note("search", question=question, error=str(error))
            return None
        self.trace.note(
            "search",
            question=question,
            earlier=earlier,
            relevant=retrieval.relevant,
            passages=[
                {"document": passage.document, "page": passage.page, "score": score}
                for passage, score in zip(
                    retrieval.passages, retrieval.scores or [None] * len(retrieval.passages), strict=False
                )
            ],
        )
        return retrieval


def listed(choices: Sequence[Any], language: Language) -> str:
    """Choices as numbered lines."""
    labels = [
        in_language(choice.get("label", choice.get("value")), language) if isinstance(choice, Mapping) else choice
        for choice in choices
    ]
    return "\n".join(f"{place}. {label}" for place, label in enumerate(labels, 1))


def earlier_questions(turn: Turn) -> list[str]:
    """The user's last questions to the documents, oldest first; what was said to a flow (a phone number) is none."""
    questions: list[str] = []
    answered = False
    for message in reversed(turn.messages):
        if message.role == "assistant":
            answered = message.metadata.get("mode") in ("extractive", "model")
        elif message.role == "user":
            if not answered:
                break
            questions.append(message.content)
            if len(questions) == _EARLIER:
                break
    return questions[::-1]
