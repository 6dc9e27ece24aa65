"""The assistant of a config, made ready for dialogues: offline, watched, its documents in an index of their own."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from holdfast.assistant.assistant import Assistant
from holdfast.assistant.building import build_assistant
from holdfast.assistant.flows.policy import FlowPolicy
from holdfast.assistant.flows.program import Instruction, Program
from holdfast.assistant.opening_knowledge import open_knowledge
from holdfast.assistant.routing import Router
from holdfast.config import Config
from holdfast.knowledge.contract import Knowledge
from holdfast.testing.dialogues.playing import PLAY, Listener, PlayedModel, PlayedTools, clock
from holdfast.testing.dialogues.schema import AssistantChanges
from holdfast.turns.store import TurnStore


class Stage:
    """Assistants for dialogues. No model is asked but those that dialogues bring.

    Attributes:
        reached: flows and ids of steps that some dialogue came to.
    """

    def __init__(self, config: Config, store: TurnStore, closing: AsyncExitStack) -> None:
        self._config = _offline(config)
        self._store = store
        self._closing = closing
        self._knowledge: Knowledge | None = None
        self._assistants: dict[tuple[Any, ...], Assistant] = {}
        self.reached: set[tuple[str, str]] = set()

    async def open(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Reads the documents. Raises `KnowledgeError`."""
        config = self._config
        settings = config.knowledge
        sections = [settings, *settings.collections.values()] if settings.folders else [*settings.collections.values()]
        if settings.index and settings.embeddings is None and sections and all(one.folders for one in sections):
            folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-dialogues-"))
            changed = settings.model_copy(update={"index": str(Path(folder) / "knowledge.db")})
            config = config.model_copy(update={"knowledge": changed})
        opened = await open_knowledge(config, progress)
        if opened is not None:
            self._knowledge = opened
            self._close(opened.close)
        else:
            self._config = config.model_copy(update={"knowledge": settings.model_copy(update={"index": ""})})

    async def assistant(self, changes: AssistantChanges, *, with_model: bool) -> Assistant:
        """The assistant, with a file's changes; the same one for all files with the same. Raises `ConfigError`."""
        key = (changes.understanding, changes.policy, with_model)
        if key not in self._assistants:
            self._assistants[key] = await self._built(changes, with_model=with_model)
        return self._assistants[key]

    async def _built(self, changes: AssistantChanges, *, with_model: bool) -> Assistant:
        chosen = self._config.assistant
        given = {name: value for name, value in dict(changes).items() if value is not None}
        config = self._config.model_copy(update={"assistant": chosen.model_copy(update=given)})
        model = PlayedModel() if with_model else None
        built = await build_assistant(config, knowledge=self._knowledge, model=model, store=self._store)
        self._close(built.aclose)
        built.parts.tools = PlayedTools(built.parts.tools, config.tools)
        built.parts.clock = clock
        for _, policy in built.policy.policies if isinstance(built.policy, Router) else ():
            if isinstance(policy, FlowPolicy):
                policy.watch = self._watch
        return dataclasses.replace(built, understanding=(*built.understanding, Listener()))

    def _watch(self, program: Program, instruction: Instruction) -> None:
        PLAY.get().steps.append((program.name, instruction.id))
        self.reached.add((program.name, instruction.id))

    def _close(self, close: Callable[[], Awaitable[None]]) -> None:
        self._closing.push_async_callback(close)


def _offline(config: Config) -> Config:
    """Without an endpoint of a model, and with everything noted that dialogues ask for."""
    model = config.model.model_copy(update={"base_url": None, "api_key": None, "fallbacks": ()})
    trace = config.trace.model_copy(update={"enabled": True})
    return config.model_copy(update={"model": model, "trace": trace})
