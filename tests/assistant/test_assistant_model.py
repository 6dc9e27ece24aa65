"""Answers that a model writes: streamed, cited, and replaced by quotes where the model fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import pytest
from fake_model_server import FakeModelServer, Script, fake_model_server

from holdfast.assistant.contract import Chunk, Prompt
from holdfast.assistant.models.endpoint import OpenAIModel
from holdfast.assistant.models.opening import open_model
from holdfast.config import ModelSection
from holdfast.errors import MissingExtra
from holdfast.testing.places import free_port

QUESTION = "How long does shipping take?"
QUOTE = "“Shipping takes 2 working days.”"


@pytest.fixture
async def server() -> AsyncIterator[FakeModelServer]:
    async with fake_model_server() as fake:
        yield fake


def model_at(server: FakeModelServer, **settings: Any) -> dict[str, Any]:
    return {"base_url": server.url, "name": "fake", "timeout": 20, "idle": 10, **settings}


async def test_the_model_writes_and_cites(talk: Any, server: FakeModelServer) -> None:
    server.script = Script(["Shipping takes ", "two working", " days [", "1", "]. Returns are something else [2][7]."])
    chat = await talk_with(talk, server)
    outcome = await chat.turn(QUESTION + " And can I return?")
    assert outcome.reply == "Shipping takes two working days [1]. Returns are something else [2]."
    message = outcome.messages[-1]
    assert message.metadata["mode"] == "model" and message.metadata["model"] == "fake"
    assert message.metadata["dropped_citations"] == 1
    assert [citation.document for citation in message.citations] == ["returns.md", "shipping.md"]
    assert len([kind for kind, _ in chat.events if kind == "token"]) > 3
    prompt = server.requests[0]["messages"]
    assert "[1] Returns\nGoods can be returned" in prompt[-1]["content"]
    assert server.requests[0]["max_tokens"] == 800


async def talk_with(talk: Any, server: FakeModelServer, **settings: Any) -> Any:
    return await talk(model_settings=model_at(server, **settings))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(status=500), "refused"),
        (Script(status=401), "refused"),
        (Script(status=429), "refused"),
        (Script(finish=None), "empty"),
        (Script(), "empty"),
        (Script(["  ", "\n"]), "empty"),
        (Script([b"<html>It works!</html>"], finish=None), "empty"),
        (Script([b"data: {not json}\n\n"]), "garbled"),
        (Script([b"data: [1, 2, 3]\n\n"]), "garbled"),
        (Script([b'data: {"choices": [{"delta": {"content": 42}}]}\n\n']), "garbled"),
        (Script([b'data: {"choices": ["x"]}\n\n']), "garbled"),
        (Script([b'data: {"hello": "world"}\n\n']), "garbled"),
        (Script([b"data: \xff\xfe\xfa\n\n"]), "garbled"),
        (Script(["\x00\x01\x02 garbage from a broken model"]), "garbled"),
        (Script(["\ufffd\ufffd\ufffd\ufffd and more of that kind"]), "garbled"),
        (Script([b'data: {"error": {"message": "overloaded"}}\n\n']), "refused"),
        (Script(hang={0: 5}), "timeout"),
        (Script(["Short"], hang={1: 5}), "timeout"),
        (Script(["Short"], cut=True), "unreachable"),
        (Script(["Short"], finish=None), "cut_off"),
        (Script(["Something bad"], finish="content_filter"), "refused"),
    ],
    ids=str,
)
async def test_a_model_that_fails_at_once_is_replaced_by_quotes(
    talk: Any, server: FakeModelServer, script: Script, reason: str
) -> None:
    server.script = script
    chat = await talk_with(talk, server, idle=0.5 if reason == "timeout" else 10)
    outcome = await chat.turn(QUESTION)
    assert outcome.reply.startswith("(The language model gave no answer:")
    assert outcome.reply.endswith(f"{QUOTE} [1]")
    assert outcome.messages[-1].metadata["mode"] == "extractive"
    assert outcome.messages[-1].metadata["fallback"] == reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(["It takes two working days, as far as [1", "\x00\x00"]), "garbled"),
        (Script(["It takes two working days, as far as [1"], hang={1: 20}), "timeout"),
        (Script(["It takes two working days, as far as [1"], cut=True), "unreachable"),
        (Script(["It takes two working days, as far as [1"], finish=None), "cut_off"),
    ],
    ids=str,
)
async def test_a_model_that_breaks_off_is_completed_by_quotes(
    talk: Any, server: FakeModelServer, script: Script, reason: str
) -> None:
    server.script = script
    chat = await talk_with(talk, server, idle=2 if reason == "timeout" else 10)
    outcome = await chat.turn(QUESTION)
    said, notice, quote = outcome.reply.split("\n\n")
    assert said == "It takes two working days, as far as"
    assert notice.startswith("(The language model's answer ends here:")
    assert quote == f"{QUOTE} [1]"
    assert outcome.messages[-1].metadata["fallback"] == reason


async def test_an_answer_without_end_is_cut(talk: Any, server: FakeModelServer) -> None:
    server.script = Script(["word " * 50] * 400)
    chat = await talk_with(talk, server, max_chars=1_000)
    assert 900 < len((await chat.turn(QUESTION)).reply) <= 1_000


async def test_an_answer_that_takes_too_long_altogether_breaks_off(talk: Any, server: FakeModelServer) -> None:
    server.script = Script(["word word word "] * 200, hang=dict.fromkeys(range(200), 0.1))
    chat = await talk_with(talk, server, timeout=2)
    outcome = await chat.turn(QUESTION)
    assert outcome.messages[-1].metadata["fallback"] == "timeout"
    assert outcome.reply.startswith("word word") and QUOTE in outcome.reply


async def test_a_server_that_is_not_there_is_replaced_by_quotes(talk: Any) -> None:
    chat = await talk(model_settings={"base_url": f"http://127.0.0.1:{free_port()}/v1", "timeout": 5})
    outcome = await chat.turn("运费多少?")
    assert outcome.messages[-1].metadata["fallback"] == "unreachable"
    assert "语言模型没有给出回答：连接失败" in outcome.reply


async def test_nothing_relevant_asks_no_model(talk: Any, server: FakeModelServer) -> None:
    chat = await talk_with(talk, server)
    assert "nothing relevant" in await chat.say("Who won the match?")
    assert server.requests == []


async def test_the_model_never_sees_a_sensitive_value(talk: Any, server: FakeModelServer) -> None:
    server.script = Script(["Your number 138****1234 is safe with us [1]."])
    chat = await talk_with(talk, server)
    await chat.say("Shipping time? My number is 138 0000 1234", secret="138 0000 1234")
    await chat.say("What about returns? I am 一三九一二三四五六七八", secret="13912345678")
    sent = str(server.requests)
    assert sent.count("138****1234") > 1 and "139****5678" in sent
    for number in ("13800001234", "138 0000 1234", "13912345678", "一三九"):
        assert number not in sent


async def test_a_model_that_repeats_a_sensitive_value_in_pieces_is_masked(talk: Any, server: FakeModelServer) -> None:
    server.script = Script(["Your phone number is 138", "0000", "12", "34, and that is all [1]."])
    chat = await talk_with(talk, server)
    await chat.say("查订单")
    await chat.say("13800001234")
    assert await chat.say(QUESTION) == (
        "Your phone number is 138****1234, and that is all [1].\n\nBack to order status:\nWhich order is it?\n"
        "1. HF20931 · Bluetooth headphones\n2. HF20987 · mechanical keyboard"
    )


class Scripted:
    """A `Model` of a user's own."""

    name = "scripted"

    def __init__(self) -> None:
        self.calls = 0

    async def stream(self, prompts: Sequence[Prompt]) -> AsyncGenerator[Chunk, None]:
        self.calls += 1
        yield Chunk(f"Answer number {self.calls}, with two working days [2].")
        yield Chunk(finish="stop")

    async def aclose(self) -> None: ...


async def test_another_attempt_says_the_same_and_asks_no_model(talk: Any) -> None:
    model = Scripted()
    chat = await talk(model=model)
    store, assistant, dies = chat.stores[0], chat.assistant, [True]

    async def dying(turn: Any) -> None:
        await assistant(turn)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    question = "Shipping, or return?"
    with pytest.raises(RuntimeError):
        await store.run_turn("s-1", dying, input=question, turn_id="t-1")
    tokens: list[str] = []
    outcome = await store.run_turn(
        "s-1", dying, input=question, turn_id="t-1", on_event=lambda kind, data: tokens.append(data.get("text", ""))
    )
    assert model.calls == 1
    assert outcome.reply == "".join(tokens) == "Answer number 1, with two working days [1]."
    assert [citation.document for citation in outcome.messages[-1].citations] == ["shipping.md"]


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert open_model(ModelSection()) is None
    with pytest.raises(MissingExtra, match=r"holdfast\[model\]"):
        open_model(ModelSection(base_url="http://localhost/v1"))


async def test_nothing_is_imported_or_opened_before_the_first_answer() -> None:
    model = OpenAIModel(ModelSection(base_url="http://localhost/v1"))
    await model.aclose()
