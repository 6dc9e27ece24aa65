"""What a policy has at hand in one turn: what was understood, the voice, and every other part."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.assistant.contract import Answer, Documents, Memory, Model, Prompt, Retrieval, Tools, Understanding
from holdfast.assistant.models.asking import Asked, recorded
from holdfast.assistant.speaker import Speaker
from holdfast.assistant.texts import in_language
from holdfast.assistant.trace import Trace
from holdfast.assistant.untrusted import separated
from holdfast.config import Language
from holdfast.errors import HoldfastError, ModelError, StoreError, TurnError
from holdfast.turns.turn import Turn

if TYPE_CHECKING:
    from holdfast.assistant.parts import Parts

_log: Final = logging.getLogger(__name__)
CHANNEL: Final = "channel"
"""The state field that names the channel by which a conversation came; the chat page's have none."""

_EARLIER: Final = 4
"""Questions before this one that a search may also look at."""


@dataclass
class Context:
    """One turn, as its policies see it.

    Attributes:
        turn: the session's snapshot, its state, the journal. understood: what the words mean.
        speaker: what is said is streamed at once, and committed as one reply.
        trace: for notes. parts: what the assistant is made of.
        handover_refused: no person takes the conversation in this turn: too many wait.
        others: asks the policies behind the one that runs, as for a question in the middle of a flow: did one of them answer?
    """

    turn: Turn
    understood: Understanding
    speaker: Speaker
    trace: Trace
    parts: Parts
    others: Callable[[], Awaitable[bool]]
    handover_refused: bool = False
    _rewrites: dict[str, Asked] = field(default_factory=dict)

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

    async def search(self, question: str, collections: Sequence[str] = ()) -> Retrieval | None:
        """Looks a question up; None where that does not work just now. Without documents nothing is ever found.

        ``collections``: those to ask, all where none is named.
        """
        if self.documents is None:
            return Retrieval(question)
        self.turn.emit("status", stage="search")
        earlier = earlier_questions(self.turn)
        try:
            retrieval = await self.documents.search(question, earlier, **self._search_options(collections))
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
            **({"query": retrieval.query} if retrieval.query else {}),
            **({"degraded": list(retrieval.degraded)} if retrieval.degraded else {}),
            untrusted="document",
            passages=[
                {"document": passage.document, "page": passage.page, "score": score}
                for passage, score in zip(
                    retrieval.passages, retrieval.scores or [None] * len(retrieval.passages), strict=False
                )
            ],
        )
        return retrieval

    def _search_options(self, collections: Sequence[str]) -> dict[str, Any]:
        options: dict[str, Any] = {"collections": collections} if collections else {}
        if self.parts.config.knowledge.rewrite == "model" and self.parts.asker is not None:
            options["complete"] = self._rewritten
        return options

    async def _rewritten(self, prompts: Sequence[Mapping[str, str]]) -> str:
        """A model's words on a question, journaled, within the turn's budget; what is sensitive is masked before."""
        asker, masker, turn = self.parts.asker, self.parts.masker, self.turn
        assert asker is not None
        known = masker.known(turn.state, turn.text)
        masked = [
            Prompt(
                "system" if one["role"] == "system" else "user",
                separated(masker.replaced(one["content"], known, detect=True)),
            )
            for one in prompts
        ]

        async def ask() -> dict[str, Any]:
            record: dict[str, Any] = msgspec.to_builtins(await asker.ask(turn, masked))
            return record

        # named by what is asked: on a later attempt not every search of the first is made again
        digest = hashlib.blake2b(msgspec.json.encode(masked), digest_size=8).hexdigest()
        if digest not in self._rewrites:
            self._rewrites[digest] = asked = recorded(await turn.step(f"rewrite:{digest}", ask))
            asker.count(turn, asked)
        asked = self._rewrites[digest]
        if asked.failed:
            raise ModelError("the question was not rewritten", asked.failed)
        return asked.text


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
