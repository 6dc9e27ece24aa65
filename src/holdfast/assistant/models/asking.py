"""One question to the model within a turn: within its budget, checked and bounded, counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from holdfast.assistant.contract import Model, Prompt, ToolSpec
from holdfast.assistant.models.budget import Spending
from holdfast.assistant.models.chain import opened
from holdfast.assistant.models.checking import checked
from holdfast.assistant.models.tokens import estimated, of_prompts
from holdfast.assistant.trace import Trace
from holdfast.config import ModelSection
from holdfast.errors import ModelError
from holdfast.sessions.message import ToolCall
from holdfast.turns.turn import Turn

_log: Final = logging.getLogger(__name__)


class Asked(msgspec.Struct, frozen=True):
    """What the model answered; of the codec's types, so that it can be journaled (`msgspec.to_builtins`).

    Attributes:
        text: the whole text. calls: tools that it wants called. finish: why it ended.
        model: which one answered. prompt_tokens, completion_tokens: as the endpoint counts, or ``estimated``.
        failed: why there is no (whole) answer, a reason of `ModelError`; "" where there is.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    failed: str = ""

    @property
    def tokens(self) -> int:
        """Of the prompts and the answer."""
        return self.prompt_tokens + self.completion_tokens


class Asker:
    """The model, as the parts of an assistant ask it.

    What an answer cost is counted by `count`, after the step that journals the answer, so that it is counted again when the turn
    is run again from its journal.
    """

    def __init__(self, model: Model, settings: ModelSection, spending: Spending) -> None:
        self.model = model
        self.spending = spending
        self._settings = settings

    async def ask(
        self,
        turn: Turn | None,
        prompts: Sequence[Prompt],
        say: Callable[[str], None] = lambda text: None,
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Asked:
        """The answer; ``say`` gets its text as it comes. Never raises `ModelError`: see `Asked.failed`. Without a ``turn``
        no budget is looked at."""
        texts: list[str] = []
        calls: list[ToolCall] = []
        usage: Mapping[str, int] | None = None
        finish = failed = ""
        name = self.model.name
        asked, started = False, time.perf_counter()
        try:
            if turn is not None:
                await self.spending.check(turn)
            await opened(self.model)
            asked = True
            async with asyncio.timeout(timeout or self._settings.longest):
                options: dict[str, Any] = {
                    **({"tools": tools} if tools else {}),
                    **({"schema": schema} if schema else {}),
                }
                stream = checked(self.model.stream(prompts, **options), self._settings.max_chars)
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        name = chunk.model or name
                        usage, finish = chunk.usage or usage, chunk.finish or finish
                        calls += chunk.calls
                        if chunk.text:
                            texts.append(chunk.text)
                            say(chunk.text)
        except ModelError as error:
            failed, what = error.reason, str(error)
        except TimeoutError:
            failed, what = "timeout", f"the model took longer than {timeout or self._settings.longest:g} s"
        if failed:
            _log.warning("%s: %s", "a conversation" if turn is None else f"session {turn.key.id}", what)
        text = "".join(texts)
        if turn is not None and isinstance(turn.trace, Trace):
            shown = [{"role": prompt.role, "content": prompt.content} for prompt in prompts]
            took = round((time.perf_counter() - started) * 1000, 3)
            turn.trace.note(
                "prompt", model=name, ms=took, prompts=shown, text=text, tools=[tool.name for tool in tools]
            )
        counts = usage or {}
        return Asked(
            text,
            tuple(calls) if not failed else (),
            finish or ("length" if not failed else ""),
            name,
            counts.get("prompt_tokens", of_prompts(prompts, tools, schema) if asked else 0),
            counts.get("completion_tokens", estimated(text) + sum(_size(call) for call in calls)),
            asked and len(counts) < 2,
            failed,
        )

    def count(self, turn: Turn, asked: Asked) -> None:
        """Adds what an answer cost to the session's count."""
        self.spending.count(turn, asked.tokens)


def recorded(record: Mapping[str, Any]) -> Asked:
    """An answer from the journal."""
    return msgspec.convert(record, Asked)


def _size(call: ToolCall) -> int:
    return estimated(call.name + msgspec.json.encode(call.arguments).decode(errors="replace"))
