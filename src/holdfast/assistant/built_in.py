"""The factories of the parts that Holdfast brings; the first line of each is what ``holdfast parts ls`` says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.assistant.answering import WrittenAnswer
from holdfast.assistant.contract import Answer, Documents, Memory, Model, Policy, Prompt, Tools, ToolSpec, Understand
from holdfast.assistant.from_documents import FromDocuments
from holdfast.assistant.model import open_model
from holdfast.assistant.model_answer import ModelAnswer
from holdfast.assistant.opening_knowledge import documents_of
from holdfast.assistant.parts import Parts
from holdfast.assistant.small_talk import SmallTalk
from holdfast.assistant.tasks_policy import Tasks
from holdfast.assistant.understanding import RuleUnderstanding
from holdfast.errors import ConfigError, ToolError
from holdfast.turns.turn import Turn


def openai(parts: Parts) -> Model | None:
    """The endpoint of [model], which speaks OpenAI's protocol; none where nothing is configured."""
    return None if parts.config.assistant.answer == "extractive" else open_model(parts.config.model)


def recent(parts: Parts) -> Memory:
    """The last messages, as many as the budget of tokens holds."""
    return _Recent()


def index(parts: Parts) -> Documents | None:
    """The documents of [knowledge], in an index file."""
    return documents_of(parts.config, parts.index)


def functions(parts: Parts) -> Tools:
    """Python functions, their arguments described by their type hints and docstrings."""
    return _NoTools()


def extractive(parts: Parts) -> Answer:
    """The documents' own sentences, quoted."""
    return WrittenAnswer(None)


def auto(parts: Parts) -> Answer:
    """Written by the model from the passages where there is one, else quoted."""
    return WrittenAnswer(
        ModelAnswer(parts.model, parts.config.model, parts.masker) if parts.model is not None else None
    )


def by_model(parts: Parts) -> Answer:
    """Written by the model from the passages; there has to be one."""
    if parts.model is None:
        raise ConfigError('assistant.answer = "model", and no model is configured: set model.base_url or model.api_key')
    return auto(parts)


def rules(parts: Parts) -> Understand:
    """Word lists, patterns and the flows' triggers, in Chinese and English, offline."""
    return RuleUnderstanding(parts.config.tasks, parts.config.assistant.languages)


def flows(parts: Parts) -> Policy:
    """The flows: slots asked for, branches, tools, hand-over."""
    return Tasks(parts.config.tasks)


def small_talk(parts: Parts) -> Policy:
    """Greetings and thanks."""
    return SmallTalk([task.title for task in parts.config.tasks])


def documents(parts: Parts) -> Policy:
    """Answers questions from the documents."""
    return FromDocuments()


class _Recent:
    async def history(self, turn: Turn, *, tokens: int) -> Sequence[Prompt]:
        return ()


class _NoTools:
    def specs(self) -> Sequence[ToolSpec]:
        return ()

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        raise ToolError(f"there is no tool {name!r}")
