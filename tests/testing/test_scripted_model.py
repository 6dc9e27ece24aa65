"""The scripted model: in order, by pattern, from a file; what it was asked, and what happens when its script is over."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast.assistant.building import build_assistant
from holdfast.assistant.contract import Prompt, ToolSpec
from holdfast.config import Config
from holdfast.errors import ConfigError, ModelError
from holdfast.sessions.message import ToolCall
from holdfast.testing import ModelRequest, ScriptedAnswer, ScriptedModel, ScriptRanOut
from holdfast.testing.scripted_model import read_script


async def said(model: ScriptedModel, *words: str, **options: Any) -> str:
    prompts = [Prompt("system", "rules"), *[Prompt("user", one) for one in words]]
    return "".join([chunk.text async for chunk in model.stream(prompts, **options)])


async def test_answers_come_in_their_order_and_requests_are_kept() -> None:
    model = ScriptedModel(["Hello  there!\nYou.", {"text": "Bye."}])
    assert await said(model, "hi") == "Hello  there!\nYou."
    assert await said(model, "bye", tools=[ToolSpec("a", "b", {})], schema={"type": "object"}) == "Bye."
    request = model.requests[1]
    assert (request.user, request.last, request.system) == ("bye", "bye", "rules")
    assert request.tool_names == ["a"] and request.schema == {"type": "object"}
    with pytest.raises(ScriptRanOut, match=r"no answer to request 3 \(of 2 answers, 0 are left.*'more'"):
        await said(model, "more")


async def test_answers_are_matched() -> None:
    model = ScriptedModel({"order": "On its way.", "hello": ["Hello!", "Hello again!"]})
    assert [await said(model, "Where is my ORDER?") for _ in range(3)] == ["On its way."] * 3
    assert [await said(model, "hello"), await said(model, "hello")] == ["Hello!", "Hello again!"]
    with pytest.raises(ScriptRanOut):
        await said(model, "hello")
    picky = ScriptedModel([ScriptedAnswer("two", when=lambda request: len(request.prompts) == 3), "else"])
    assert [await said(picky, "a"), await said(picky, "a", "b")] == ["else", "two"]


async def test_calls_data_failures_and_delays() -> None:
    def wanted(request: ModelRequest) -> Any:
        return [("b", {"said": request.user})]

    model = ScriptedModel(
        [
            ScriptedAnswer(calls={"a": {"x": 1}}, usage=(3, 4)),
            ScriptedAnswer(calls=wanted),
            ScriptedAnswer(structured={"ä": 1}),
            ScriptedAnswer("some words", error="timeout"),
            ScriptedAnswer("late", delay=0.05),
        ]
    )
    last = [chunk async for chunk in model.stream([Prompt("user", "x")])][-1]
    assert last.calls == (ToolCall("call-1-0", "a", {"x": 1}),) and last.finish == "tool_calls"
    assert last.usage == {"prompt_tokens": 3, "completion_tokens": 4}
    assert [chunk async for chunk in model.stream([Prompt("user", "x")])][-1].calls[0].arguments == {"said": "x"}
    assert json.loads(await said(model, "x")) == {"ä": 1}
    with pytest.raises(ModelError) as caught:
        await said(model, "x")
    assert caught.value.reason == "timeout"
    started = time.monotonic()
    assert await said(model, "x") == "late" and time.monotonic() - started >= 0.05


@pytest.mark.parametrize("name", ["script.yaml", "script.json"])
async def test_a_script_can_be_a_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / name
    answers = [{"text": "On its way.", "when": "order", "times": None}, {"calls": {"find": {"n": 1}}, "after": "find"}]
    file.write_text(json.dumps({"answers": answers, "log": "asked.jsonl"}))  # JSON is YAML too
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    tree: Any = {
        "knowledge": {"index": ""},
        "model": {"base_url": f"file:{file}", "name": "mine"},
        "assistant": {"model": "holdfast.testing:scripted"},
    }
    assistant = await build_assistant(Config(**tree))
    model: Any = assistant.model
    assert model.name == "mine" and await said(model, "my order") == "On its way."
    monkeypatch.setenv("HOLDFAST_SCRIPTED_MODEL", str(file))
    tree["model"] = {}
    again: Any = (await build_assistant(Config(**tree))).model
    await asyncio.gather(*(said(again, "my order") for _ in range(3)))
    lines = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert len(lines) == 4 and lines[0] == {"user": "my order", "last": "my order", "tools": [], "prompts": 2}


@pytest.mark.parametrize("text", ["- {txt: hello}", "- [", "answers: 5", '{"answers": [{"text": 1, "more": 2}]}'])
def test_a_file_that_is_no_script_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"script\.yaml"):
        read_script(file)
    with pytest.raises(ConfigError, match=r"none\.json"):
        read_script(tmp_path / "none.json")


async def test_a_scripted_model_without_a_script_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_SCRIPTED_MODEL", raising=False)
    tree: Any = {"knowledge": {"index": ""}, "assistant": {"model": "holdfast.testing:scripted"}}
    with pytest.raises(ConfigError, match="needs a script"):
        await build_assistant(Config(**tree))
