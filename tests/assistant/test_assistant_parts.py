"""Stages and tools of one's own, and what happens where they are not there or fail."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import ModuleType
from typing import Any

import pytest
from talking import ShelfOfTwo, order_task, sample

from holdfast.assistant.building import build_assistant
from holdfast.assistant.context import Context
from holdfast.assistant.contract import Understanding
from holdfast.assistant.parts import Parts
from holdfast.errors import ConfigError, IndexUnusable


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a user's own, where tests put functions."""
    module = ModuleType("users_own")
    monkeypatch.setitem(sys.modules, "users_own", module)
    return module


def with_tool(path: str, **changes: Any) -> list[dict[str, Any]]:
    return order_task(tool=path, **changes)


def raises(phone: str) -> dict[str, Any]:
    raise RuntimeError(f"no such customer: {phone}")


async def hangs(phone: str) -> dict[str, Any]:
    await asyncio.sleep(60)
    return {}


def blocks(phone: str) -> dict[str, Any]:
    threading.Event().wait(0.5)
    return {"outcome": "unknown_phone"}


@pytest.mark.parametrize(
    "tool",
    [
        raises,
        hangs,
        blocks,
        lambda phone: None,
        lambda phone: ["found"],
        lambda phone: {"outcome": "surprise"},
        lambda phone: {"outcome": "unknown_phone", "extra": object()},
        lambda phone: {"outcome": "unknown_phone", "extra": "x" * 10_000_000},
        lambda phone, more: {},
    ],
)
async def test_a_tool_that_fails_is_apologised_for_and_can_be_tried_again(
    talk: Any, tools: ModuleType, tool: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from holdfast.samples.tools import find_order

    tools.tool = tool  # type: ignore[attr-defined]
    chat = await talk(tasks=with_tool("users_own:tool", timeout=0.1))
    await chat.say("查订单")
    started = time.monotonic()
    reply = await chat.say("13900005678")
    assert time.monotonic() - started < 20
    assert "抱歉" in reply and "再试一次" in reply
    assert "13900005678" not in caplog.text
    assert "7 天内" in await chat.say("退货要几天?")  # the conversation goes on
    tools.tool = find_order  # type: ignore[attr-defined]
    repaired = await talk(tasks=with_tool("users_own:tool"))
    repaired.stores = chat.stores
    assert "HF20415" in await repaired.say("好的")


@pytest.mark.parametrize("words", ["不用了", "no", "算了"])
async def test_a_failed_tool_need_not_be_tried_again(talk: Any, tools: ModuleType, words: str) -> None:
    tools.tool = raises  # type: ignore[attr-defined]
    chat = await talk(tasks=with_tool("users_own:tool"))
    await chat.say("查订单")
    await chat.say("13900005678")
    await chat.say(words)
    assert "flow" not in await chat.state()


async def test_a_tool_is_not_called_again_by_another_attempt(talk: Any, tools: ModuleType) -> None:
    calls: list[str] = []

    async def tool(phone: str, idempotency_key: str) -> dict[str, Any]:
        calls.append(idempotency_key)
        return {"outcome": "unknown_phone"}

    tools.tool = tool  # type: ignore[attr-defined]
    chat = await talk(tasks=with_tool("users_own:tool"))
    await chat.say("查订单")
    dies = [True]

    async def dying(turn: Any) -> None:
        await chat.assistant(turn)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    store = chat.stores[0]
    with pytest.raises(RuntimeError):
        await store.run_turn("s-1", dying, input="13900005678", turn_id="t-1")
    outcome = await store.run_turn("s-1", dying, input="13900005678", turn_id="t-1")
    assert "没有查到" in outcome.reply
    assert len(calls) == 1 and len(calls[0]) == 32


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"assistant": {"policy": "flow"}}, "assistant.policy = \"flow\" is no part; did you mean 'flows'?"),
        ({"assistant": {"tools": "nowhere:act"}}, 'assistant.tools = "nowhere:act" cannot be imported'),
        ({"assistant": {"memory": "os:nothing"}}, "module os has no function or class 'nothing'"),
        ({"assistant": {"answer": "builtins:str"}}, "made str, which has no method answer()"),
        ({"assistant": {"answer": "model"}}, "no model is configured"),
        (
            {"assistant": {"texts": {"en": {"greting": "Hi"}}}},
            "assistant.texts.en.greting is not a text; did you mean 'greeting'?",
        ),
        ({"tasks": with_tool("holdfast.samples.tools:find_ordr")}, "no function or class 'find_ordr'"),
        ({"tasks": with_tool("find_order")}, "not of the form package.module:name"),
    ],
)
async def test_a_part_that_is_not_there_is_named(sections: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await build_assistant(sample(**sections))
    assert says in str(caught.value)


class OwnUnderstanding:
    def __init__(self, parts: Parts) -> None:
        self.languages = parts.config.assistant.languages

    async def understand(self, turn: Any, before: Understanding | None) -> Understanding:
        return Understanding("own", "en")


class OwnPolicy:
    def __init__(self, parts: Parts) -> None: ...

    async def respond(self, context: Context) -> bool:
        context.turn.state["own"] = context.understood.text
        context.say("greeting_plain")
        context.speaker.note(own=True)
        return True


async def test_parts_can_be_ones_own(talk: Any, tools: ModuleType) -> None:
    for part in (OwnUnderstanding, OwnPolicy):
        setattr(tools, part.__name__, part)
    names = {"understanding": "users_own:OwnUnderstanding", "policy": "users_own:OwnPolicy"}
    chat = await talk(assistant=names)
    outcome = await chat.turn("hello")
    assert outcome.reply == "Hello! How can I help?"
    assert outcome.messages[-1].metadata["own"] is True
    assert (await chat.state())["own"] == "own"


async def test_texts_can_be_replaced(talk: Any) -> None:
    chat = await talk(assistant={"texts": {"en": {"greeting": "Ahoy! {tasks}?"}}}, tasks=order_task())
    assert await chat.say("hello") == "Ahoy! order status?"


async def test_one_language_only(talk: Any) -> None:
    chat = await talk(assistant={"languages": ["en"]})
    assert "Hello" in await chat.say("hello")
    assert "mobile number" in await chat.say("order status")
    assert "mobile number" in await chat.say("你好")


async def test_documents_that_cannot_be_searched_are_said_to_be_so(talk: Any) -> None:
    class Broken(ShelfOfTwo):
        async def retrieve(self, query: str, *, limit: int = 5) -> Any:
            raise IndexUnusable("the index is damaged")

    chat = await talk(knowledge=Broken())
    assert "cannot be searched" in await chat.say("What about returns?")


async def test_an_assistant_without_documents() -> None:
    assistant = await build_assistant(sample())
    assert assistant.knowledge is None
    await assistant.aclose()


async def test_a_task_that_the_config_no_longer_has_is_forgotten(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    later = await talk(tasks=[])
    later.stores = chat.stores
    assert "7 天内" in await later.say("退货要几天?")


@pytest.mark.parametrize(
    "kept", ["text", 3, None, [], [{"name": 5}], [{"name": "order_status", "asking": "gone", "choices": "x"}]]
)
async def test_a_position_that_is_none_is_harmless(talk: Any, kept: Any) -> None:
    chat = await talk()
    await chat.stores[0].set("s-1", {"flow": kept})
    assert await chat.say("退货要几天?")
    assert await chat.say("查订单")
