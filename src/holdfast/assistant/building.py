"""Makes an assistant from the config: every part is chosen here, by name or as ``package.module:factory``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from holdfast.assistant.acting import ToolsAndDocuments
from holdfast.assistant.answering import WrittenAnswer
from holdfast.assistant.assistant import Assistant, Stages
from holdfast.assistant.contract import Act, Answer, Decide, Documents, Model, Understand
from holdfast.assistant.deciding import TaskPolicy
from holdfast.assistant.dotted import imported
from holdfast.assistant.masking import Masker
from holdfast.assistant.model import open_model
from holdfast.assistant.model_answer import ModelAnswer
from holdfast.assistant.opening_knowledge import documents_of, open_knowledge
from holdfast.assistant.texts import Texts
from holdfast.assistant.understanding import RuleUnderstanding
from holdfast.config import Config
from holdfast.errors import ConfigError
from holdfast.knowledge.contract import Knowledge


@dataclass(frozen=True)
class Parts:
    """What a stage's factory may use. A stage of your own: a function or class that takes `Parts` and returns the stage."""

    config: Config
    texts: Texts
    masker: Masker
    documents: Documents | None
    model: Model | None


Factory = Callable[[Parts], Any]


def _understand(parts: Parts) -> Understand:
    return RuleUnderstanding(parts.config.tasks, parts.config.assistant.languages)


def _decide(parts: Parts) -> Decide:
    return TaskPolicy(parts.config.tasks)


def _act(parts: Parts) -> Act:
    return ToolsAndDocuments(parts.config.tasks, parts.documents)


def _extractive(parts: Parts) -> Answer:
    return WrittenAnswer(parts.config.tasks, parts.texts, parts.masker, None)


def _auto(parts: Parts) -> Answer:
    model = ModelAnswer(parts.model, parts.config.model, parts.masker) if parts.model is not None else None
    return WrittenAnswer(parts.config.tasks, parts.texts, parts.masker, model)


def _model(parts: Parts) -> Answer:
    if parts.model is None:
        raise ConfigError('assistant.answer = "model", and no model is configured: set model.base_url or model.api_key')
    return _auto(parts)


BUILT_IN: Final[Mapping[str, Mapping[str, Factory]]] = {
    "understand": {"rules": _understand},
    "decide": {"tasks": _decide},
    "act": {"tools": _act},
    "answer": {"auto": _auto, "extractive": _extractive, "model": _model},
}
"""The stages that Holdfast brings, by kind and name."""


async def build_assistant(
    config: Config, *, knowledge: Knowledge | None = None, model: Model | None = None
) -> Assistant:
    """The assistant of a config; close it with ``aclose``.

    ``knowledge`` and ``model``, where given, are used instead of the configured ones, and stay the caller's to close. Raises
    `ConfigError` (a stage, a tool or a text that is not there), `MissingExtra`, and `KnowledgeError` for an unusable index.
    """
    closing: list[Callable[[], Awaitable[None]]] = []
    if knowledge is None and (opened := await open_knowledge(config)) is not None:
        knowledge = opened
        closing.append(opened.close)
    try:
        if model is None and config.assistant.answer != "extractive" and (made := open_model(config.model)) is not None:
            model = made
            closing.append(made.aclose)
        masker = Masker(config.sensitive)
        parts = Parts(config, Texts(config.assistant.texts), masker, documents_of(config, knowledge), model)
        chosen = config.assistant
        stages = Stages(
            _made("understand", chosen.understand, parts),
            _made("decide", chosen.decide, parts),
            _made("act", chosen.act, parts),
            _made("answer", chosen.answer, parts),
        )
    except BaseException:
        for close in closing:
            await close()
        raise
    return Assistant(stages, masker, knowledge, model, tuple(closing))


def _made(kind: str, name: str, parts: Parts) -> Any:
    """A stage. Raises `ConfigError` where the name is neither built in nor a path."""
    built_in = BUILT_IN[kind]
    if name not in built_in and ":" not in name:
        known = ", ".join(sorted(built_in))
        raise ConfigError(
            f'assistant.{kind} = "{name}" is no stage; there are: {known}, or package.module:factory of your own'
        )
    factory = built_in[name] if name in built_in else imported(name, f"assistant.{kind}")
    stage = factory(parts)
    if not callable(getattr(stage, kind, None)):
        raise ConfigError(f'assistant.{kind} = "{name}" made {type(stage).__name__}, which has no method {kind}()')
    return stage
