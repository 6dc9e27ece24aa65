"""Makes an assistant from the config: every part is chosen there, by name or as ``package.module:factory``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.assistant.assistant import Assistant
from holdfast.assistant.contract import Model
from holdfast.assistant.flows.reading import read_flows
from holdfast.assistant.masking import Masker
from holdfast.assistant.models.asking import Asker
from holdfast.assistant.models.budget import Spending
from holdfast.assistant.opening_knowledge import open_knowledge
from holdfast.assistant.parts import Parts, made
from holdfast.assistant.routing import Router
from holdfast.assistant.texts import Texts
from holdfast.config import Config
from holdfast.knowledge.contract import Knowledge
from holdfast.turns.store import TurnStore


async def build_assistant(
    config: Config,
    *,
    knowledge: Knowledge | None = None,
    model: Model | None = None,
    store: TurnStore | None = None,
) -> Assistant:
    """The assistant of a config; close it with ``aclose``.

    ``knowledge`` and ``model``, where given, are used instead of the configured ones, and stay the caller's to close.
    ``store`` is needed where users have a budget: what they have spent is kept there. Raises
    `ConfigError` (a part, a tool or a text that is not there), `MissingExtra`, and `KnowledgeError` for an unusable index.
    """
    closing: list[Callable[[], Awaitable[None]]] = []

    def closed(part: Any) -> Any:
        if callable(close := getattr(part, "aclose", None)):
            closing.append(close)
        return part

    if knowledge is None and (opened := await open_knowledge(config)) is not None:
        knowledge = opened
        closing.append(opened.close)
    chosen = config.assistant
    try:
        flows = read_flows(chosen.flows, tasks=config.tasks, languages=chosen.languages)
        parts = Parts(config, Texts(chosen.texts), Masker.of(config), index=knowledge, store=store, flows=flows)
        parts.model = model if model is not None else closed(made("model", chosen.model, parts))
        if parts.model is not None:
            parts.asker = Asker(parts.model, config.model, Spending(config.model.budget, store))
        parts.memory = closed(made("memory", chosen.memory, parts))
        parts.documents = closed(made("knowledge", chosen.knowledge, parts))
        parts.tools = closed(made("tools", chosen.tools, parts))
        parts.answer = closed(made("answer", chosen.answer, parts))
        understanding = [closed(made("understanding", name, parts)) for name in chosen.understanding]
        policies = [(name, closed(made("policy", name, parts))) for name in chosen.policy]
    except BaseException:
        for close in closing:
            await close()
        raise
    return Assistant(understanding, Router(policies), parts, knowledge, tuple(closing))
