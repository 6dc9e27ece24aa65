"""Conversations over flows that stand in a test, with tools that are plain functions."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from talking import Conversation, ShelfOfTwo, sample

from holdfast import open_store
from holdfast.assistant.building import build_assistant
from holdfast.assistant.contract import ToolSpec
from holdfast.assistant.flows.policy import FlowPolicy
from holdfast.assistant.routing import Router
from holdfast.errors import ToolError
from holdfast.turns.turn import Turn


class PlainTools:
    """`Tools` of functions, without checks. ``calls``: each call's name and arguments. ``sees``: what they get in clear."""

    sees: tuple[str, ...] = ("phone",)

    def __init__(self, functions: Sequence[Callable[..., Any]], asks: Sequence[str] = ()) -> None:
        self._functions = {function.__name__: function for function in functions}
        self._asks = asks
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def specs(self) -> Sequence[ToolSpec]:
        return [
            ToolSpec(
                name,
                "",
                {"properties": {key: {} for key in inspect.signature(one).parameters}},
                name in self._asks,
                sees=self.sees,
            )
            for name, one in self._functions.items()
        ]

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        def run() -> Any:
            self.calls.append((name, dict(arguments)))
            try:
                return self._functions[name](**arguments)
            except Exception as error:
                raise ToolError(str(error)) from error

        return await turn.step(step, run)


class FlowTalk(Conversation):
    """A conversation, its tools, and the steps that its flows ran."""

    tools: PlainTools
    steps: list[str]


FlowStart = Callable[..., Any]


@pytest.fixture
async def flow_talk(no_settings_around: None, tmp_path: Path) -> AsyncIterator[FlowStart]:
    """``await flow_talk(yaml, [functions], asks=[names])``."""
    async with AsyncExitStack() as stack:

        async def start(
            text: str,
            functions: Sequence[Callable[..., Any]] = (),
            asks: Sequence[str] = (),
            urls: Sequence[str] = ("memory:",),
            **sections: Any,
        ) -> FlowTalk:
            path = tmp_path / "flows.yaml"
            path.write_text(text)
            chosen = {"flows": [str(path)], **sections.pop("assistant", {})}
            assistant = await build_assistant(sample(tasks=[], assistant=chosen, **sections), knowledge=ShelfOfTwo())
            stack.push_async_callback(assistant.aclose)
            assistant.parts.tools = tools = PlainTools(functions, asks)
            stores = [await stack.enter_async_context(open_store(url)) for url in urls]
            chat = FlowTalk(assistant, stores)
            chat.tools, chat.steps = tools, []
            assert isinstance(assistant.policy, Router)
            for _, policy in assistant.policy.policies:
                if isinstance(policy, FlowPolicy):
                    policy.watch = lambda program, instruction: chat.steps.append(f"{program.name}:{instruction.id}")
            return chat

        yield start
