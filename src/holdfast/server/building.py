"""The server made from the config: documents read, assistant built, application put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from holdfast.assistant.building import build_assistant
from holdfast.assistant.lexicon import CHINESE, WORDS
from holdfast.assistant.opening_knowledge import Progress, open_knowledge
from holdfast.assistant.texts import Texts
from holdfast.config import Config
from holdfast.privacy.retention import RetentionLoop
from holdfast.server.app import create_app, node_of
from holdfast.server.channels.building import opened_channels
from holdfast.telemetry.polling import polling
from holdfast.turns.failures import FailureText
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Turn


@asynccontextmanager
async def opened_app(config: Config, store: TurnStore, progress: Progress | None = None) -> AsyncIterator[FastAPI]:
    """The application of a config over an open store, which stays the caller's to close; all else is closed at the end.

    The knowledge index is made where it is missing, and brought up to date. Raises `ConfigError` and `KnowledgeError`.
    """
    async with AsyncExitStack() as opened:
        knowledge = await open_knowledge(config, progress)
        if knowledge is not None:
            opened.push_async_callback(knowledge.close)
        assistant = await build_assistant(config, knowledge=knowledge, store=store)
        opened.push_async_callback(assistant.aclose)
        channels = await opened.enter_async_context(opened_channels(config, store))
        app = create_app(store, assistant, config, channels=channels)
        await opened.enter_async_context(polling(node_of(app).telemetry.server, config.server.server_figures_every))
        await opened.enter_async_context(node_of(app).quotas.counting())
        await opened.enter_async_context(RetentionLoop(store, config.privacy.retention.rules(store.settings.tenant)))
        store.failure_text = _failure_text(config)
        if config.server.recovery_every:
            await opened.enter_async_context(
                store.recovering(
                    every=config.server.recovery_every,
                    parallel=config.server.max_concurrent_turns,
                    drain=config.server.drain if channels else 0,  # the desk has drained; deliveries are not its own
                    all_tenants=config.access.several_tenants,
                    take=node_of(app).desk.take_over,
                )
            )
        if (audit := node_of(app).audit) is not None:
            opened.push_async_callback(audit.flush)
        yield app


def _failure_text(config: Config) -> FailureText:
    """What the user is told of a turn that failed for good, in the conversation's language."""
    texts, languages = Texts(config.assistant.texts), config.assistant.languages

    def text(turn: Turn) -> str:
        said = turn.input.content.lower() if turn.input else ""
        heard = "zh" if CHINESE.search(said) else "en" if WORDS.search(said) else ""
        known = (turn.state.get("language"), heard)
        return texts.get("turn_failed", next((one for one in languages if one in known), languages[0]))

    return text
