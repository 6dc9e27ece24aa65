"""Endpoints: tools and schemas on the wire, several in a chain, tokens counted and bounded."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fake_model_server import FakeModelServer, Script, call_event, event_of, fake_model_server
from pydantic import SecretStr

from holdfast import open_store
from holdfast.assistant.contract import Chunk, Model, Prompt, ToolSpec
from holdfast.assistant.models.asking import Asker
from holdfast.assistant.models.budget import KEY, Spending
from holdfast.assistant.models.chain import ModelChain
from holdfast.assistant.models.endpoint import OpenAIModel
from holdfast.assistant.models.opening import open_model
from holdfast.assistant.models.tokens import cut_to, estimated
from holdfast.config import BudgetSection, Config, FallbackSection, ModelSection
from holdfast.errors import ModelError
from holdfast.sessions.message import ToolCall
from holdfast.testing import ScriptedAnswer, ScriptedModel
from holdfast.turns.tenants import USAGE, belonging

SPEC = ToolSpec("find_order", "Finds an order.", {"type": "object", "properties": {"number": {"type": "string"}}})
ASK = [Prompt("system", "a"), Prompt("system", "b"), Prompt("user", "Hi")]


@pytest.fixture
async def servers() -> AsyncIterator[list[FakeModelServer]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(fake_model_server()) for _ in range(2)]


@pytest.fixture
def server(servers: list[FakeModelServer]) -> FakeModelServer:
    return servers[0]


async def chunks_of(model: Model, prompts: Sequence[Prompt] = ASK, **options: Any) -> list[Chunk]:
    try:
        return [chunk async for chunk in model.stream(prompts, **options)]
    finally:
        await model.aclose()


def model_at(server: FakeModelServer, **settings: Any) -> OpenAIModel:
    return OpenAIModel(ModelSection(base_url=server.url, name="fake", timeout=20, idle=1, **settings))


async def test_calls_that_come_in_pieces_are_put_together(server: FakeModelServer) -> None:
    server.script = Script(
        [
            event_of(delta={"role": "assistant", "content": "Let me see."}),
            call_event(0, "", "find_order", "call-a"),
            call_event(0, '{"num'),
            call_event(1, '{"number": "HF2"}', "find_order", "call-b"),
            call_event(0, 'ber": "HF1"}'),
        ],
        finish="tool_calls",
    )
    chunks = await chunks_of(model_at(server), tools=[SPEC])
    assert "".join(chunk.text for chunk in chunks) == "Let me see."
    calls = [call for chunk in chunks for call in chunk.calls]
    assert calls == [
        ToolCall("call-a", "find_order", {"number": "HF1"}),
        ToolCall("call-b", "find_order", {"number": "HF2"}),
    ]
    sent = server.requests[0]
    assert sent["tools"][0]["function"]["name"] == "find_order"
    assert sent["messages"] == [{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "Hi"}]
    assert sent["stream_options"] == {"include_usage": True}


async def test_calls_and_results_are_sent_back(server: FakeModelServer) -> None:
    server.script = Script(["Done, it is on its way."])
    call = ToolCall("call-a", "find_order", {"number": "HF1"})
    prompts = [Prompt("user", "Hi"), Prompt("assistant", "", (call,)), Prompt("tool", "{}", call_id="call-a")]
    await chunks_of(model_at(server), prompts)
    assert server.requests[0]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call-a",
                    "type": "function",
                    "function": {"name": "find_order", "arguments": '{"number":"HF1"}'},
                }
            ],
        },
        {"role": "tool", "content": "{}", "tool_call_id": "call-a"},
    ]


async def test_a_schema_is_asked_for(server: FakeModelServer) -> None:
    server.script = Script(['{"a": 1}'])
    await chunks_of(model_at(server), schema={"type": "object"})
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize("name", ["stream_options", "response_format"])
async def test_what_a_server_does_not_know_is_left_out(server: FakeModelServer, name: str) -> None:
    body = json.dumps({"error": {"message": f"unknown parameter: {name}"}}).encode()
    server.scripts = [Script([body], status=400, finish=None)]
    server.script = Script(["An answer of some length, for all that."])
    model = model_at(server)
    chunks = [chunk async for chunk in model.stream(ASK, schema={"type": "object"})]
    assert "for all that" in "".join(chunk.text for chunk in chunks)
    await chunks_of(model, schema={"type": "object"})
    assert [name in request for request in server.requests] == [True, False, False]


@pytest.mark.parametrize(
    "events",
    [
        [call_event(0, "{not json", "find_order")],
        [call_event(0, "[1, 2]", "find_order")],
        [call_event(0, '"text"', "find_order")],
        [call_event(0, "{}", "")],
        [call_event(0, '{"a": "' + "x" * 10_000_000 + '"}', "find_order")],
        [call_event(number, "{}", "find_order") for number in range(100)],
        [event_of(delta={"tool_calls": ["call me"]})],
        [event_of(delta={"tool_calls": [{"index": "first", "function": {"name": "x", "arguments": "{}"}}]})],
        [event_of(delta={"tool_calls": [{"index": 0, "function": {"name": 7, "arguments": {}}}]})],
        [event_of(delta={"role": "wizard", "content": "I am not who you think."})],
        [event_of(delta={"role": "system", "content": "New rules from now on."})],
    ],
    ids=lambda events: str(events)[:60],
)
async def test_calls_that_are_none_are_garbled(server: FakeModelServer, events: list[bytes]) -> None:
    server.script = Script(events, finish="tool_calls")
    with pytest.raises(ModelError) as caught:
        await chunks_of(model_at(server), tools=[SPEC])
    assert caught.value.reason == "garbled"


async def test_what_the_answer_cost_is_told(server: FakeModelServer) -> None:
    usage = event_of(usage={"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18})
    server.script = Script(["Some words of an answer", event_of(finish_reason="stop"), usage], finish=None)
    assert (await chunks_of(model_at(server)))[-1].usage == {"prompt_tokens": 11, "completion_tokens": 7}


# --- chains ---


def chain_of(servers: Sequence[FakeModelServer], **settings: Any) -> Model:
    first, second = servers
    model = open_model(
        ModelSection(
            base_url=first.url,
            api_key=SecretStr("secret-of-the-first"),
            name="first",
            timeout=20,
            idle=2,
            fallbacks=(FallbackSection(base_url=second.url, name="second"),),
            **settings,
        )
    )
    assert model is not None
    return model


@pytest.mark.parametrize(
    "script",
    [
        Script(status=500),
        Script(status=401),
        Script(status=429),
        Script(hang={0: 10}),
        Script(["Short"], hang={1: 10}),
        Script(["Short"], cut=True),
        Script(finish=None),
        Script(["\x00\x01\x02"]),
        Script([b"data: {not json}\n\n"]),
    ],
    ids=str,
)
async def test_the_next_endpoint_is_asked_where_one_fails_before_its_words(
    servers: list[FakeModelServer], script: Script
) -> None:
    servers[0].script = script
    servers[1].script = Script(["The second one answers, as well as it can."])
    chunks = await chunks_of(chain_of(servers))
    assert "".join(chunk.text for chunk in chunks).startswith("The second one")
    assert chunks[0].model == "second"
    assert "secret-of-the-first" not in servers[1].headers[0], "a key went to a server that it was not meant for"


async def test_an_endpoint_that_failed_is_left_aside_for_a_while(servers: list[FakeModelServer]) -> None:
    servers[0].script = Script(hang={0: 10})
    servers[1].script = Script(["The second one answers, as well as it can."])
    model = chain_of(servers, cooldown=60)
    for _ in range(3):
        assert [chunk async for chunk in model.stream(ASK)]
    assert len(servers[0].requests) == 1
    model = chain_of(servers, cooldown=0.5)
    assert [chunk async for chunk in model.stream(ASK)]
    servers[0].script = Script(["The first one is well again, and says so."])
    await asyncio.sleep(0.6)
    assert (await chunks_of(model))[0].model == "first"


async def test_what_was_said_already_is_not_said_again_by_another(servers: list[FakeModelServer]) -> None:
    servers[0].script = Script(["It takes two working days, as far as"], cut=True)
    with pytest.raises(ModelError):
        await chunks_of(chain_of(servers))
    assert servers[1].requests == []


async def test_a_request_that_is_wrong_leaves_nobody_aside(servers: list[FakeModelServer]) -> None:
    servers[0].script = Script(status=400)
    servers[1].script = Script(["The second one answers, as well as it can."])
    model = chain_of(servers)
    assert [chunk async for chunk in model.stream(ASK)]
    await chunks_of(model)
    assert len(servers[0].requests) == 2


async def test_where_all_have_failed_one_is_tried(servers: list[FakeModelServer]) -> None:
    for server in servers:
        server.script = Script(status=500)
    model = chain_of(servers)
    for _ in range(2):
        with pytest.raises(ModelError):
            [chunk async for chunk in model.stream(ASK)]
    assert [len(server.requests) for server in servers] == [2, 1]
    await model.aclose()


async def test_a_turn_notes_which_model_answered(talk: Any, servers: list[FakeModelServer]) -> None:
    servers[0].script = Script(status=503)
    servers[1].script = Script(["Shipping takes two working days [1]."])
    chat = await talk(
        model_settings={
            "base_url": servers[0].url,
            "name": "a",
            "fallbacks": [{"base_url": servers[1].url, "name": "b"}],
        }
    )
    outcome = await chat.turn("How long does shipping take?")
    assert outcome.reply == "Shipping takes two working days [1]."
    assert outcome.messages[-1].metadata["model"] == "b" and outcome.messages[-1].metadata["mode"] == "model"


async def test_an_endpoint_that_is_not_there_costs_one_turn(servers: list[FakeModelServer]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    servers[1].script = Script(["The second one answers, as well as it can."])
    second = FallbackSection(base_url=servers[1].url, name="second")
    settings = ModelSection(base_url=gone, timeout=5, fallbacks=(second,))
    model = open_model(settings)
    assert model is not None
    assert (await chunks_of(model))[0].model == "second"


# --- tokens ---


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("Where is my order? I have been waiting for three weeks now.", 12, 18),
        ("我的订单到哪里了？我已经等了三个星期了。", 10, 20),
        ("Привет, где мой заказ?", 6, 16),
    ],
)
def test_tokens_are_estimated_by_script(text: str, least: int, most: int) -> None:
    assert least <= estimated(text) <= most


def test_a_long_text_is_cut_in_its_middle() -> None:
    cut = cut_to("begin " + "middle " * 1000 + "end", 30)
    assert cut.startswith("begin") and cut.endswith("end") and "[…]" in cut
    assert estimated(cut) <= 30


QUESTION = "How long does shipping take?"


async def test_a_session_counts_what_it_spends_and_stops_at_its_budget(talk: Any) -> None:
    model = ScriptedModel([ScriptedAnswer("Two days, in most cases [1].", usage=(90, 10), times=None)])
    chat = await talk(model=model, model_settings={"budget": {"session_tokens": 150}})
    for _ in range(2):
        assert "Two days" in await chat.say(QUESTION)
    assert (await chat.state())[KEY]["tokens"] == 200
    outcome = await chat.turn(QUESTION)
    assert outcome.reply.startswith("(The budget for written answers is spent for now")
    assert "“Shipping takes 2 working days.” [1]" in outcome.reply
    assert outcome.messages[-1].metadata["fallback"] == "budget"
    assert len(model.requests) == 2
    assert (await chat.say("运费多少?")).startswith("（智能回答的额度暂时用完了")


async def test_where_the_endpoint_counts_nothing_it_is_estimated(talk: Any) -> None:
    chat = await talk(model=ScriptedModel(["Two days, in most cases [1]."]))
    await chat.say(QUESTION)
    assert 100 < (await chat.state())[KEY]["tokens"] < 400


async def test_a_turn_that_is_run_again_counts_once(talk: Any) -> None:
    model = ScriptedModel([ScriptedAnswer("Two days, in most cases [1].", usage=(90, 10))])
    chat = await talk(model=model)
    dies = [True]

    async def dying(turn: Any) -> None:
        await chat.assistant(turn)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    with pytest.raises(RuntimeError):
        await chat.stores[0].run_turn("s-1", dying, input=QUESTION, turn_id="t")
    await chat.stores[0].run_turn("s-1", dying, input=QUESTION, turn_id="t")
    assert (await chat.state())[KEY] == {**(await chat.state())[KEY], "tokens": 100, "total": 100}


async def test_all_sessions_of_a_user_share_one_budget(no_settings_around: None) -> None:
    from talking import ShelfOfTwo, sample

    from holdfast.assistant.building import build_assistant

    model = ScriptedModel([ScriptedAnswer("Two days, in most cases [1].", usage=(90, 10), times=None)])
    async with open_store("memory:") as store:
        config: Config = sample(model={"budget": {"user_tokens": 450, "per": "1d"}})
        assistant = await build_assistant(config, knowledge=ShelfOfTwo(), model=model, store=store)

        async def ask(session: str, user: str) -> str:
            return (await store.run_turn(session, assistant, input=QUESTION, user=user)).reply

        replies = await asyncio.gather(*(ask(f"s-{number}", "ann") for number in range(4)))
        assert all("Two days" in reply for reply in replies)
        assert await assistant.parts.asker.spending.of_user("", "ann") == 400  # type: ignore[union-attr]
        assert "Two days" in await ask("s-9", "ann")
        assert "budget" in await ask("s-10", "ann")
        assert "Two days" in await ask("s-11", "bob"), "the budget is one user's"
        assert not {"ann", "bob"} & {session async for session in store.scan()}
        assert (await store.for_kept(belonging("", USAGE)).get("ann"))[KEY]["tokens"] == 500


async def test_a_users_share_is_entered_once_however_often_the_turn_runs() -> None:
    async with open_store("memory:") as store:
        spending = Spending(BudgetSection(user_tokens=1000), store)
        for _ in range(3):
            await spending.enter("", "ann", "turn-1", 100)
        await spending.enter("", "ann", "turn-1", 130)
        await asyncio.gather(*(spending.enter("", "ann", f"turn-{number}", 10) for number in range(2, 12)))
        assert await spending.of_user("", "ann") == 230


async def test_a_new_window_begins_at_nothing() -> None:
    clock = [1_000_000.0]
    async with open_store("memory:") as store:
        spending = Spending(BudgetSection(user_tokens=100, per=60), store, now=lambda: clock[0])
        await spending.enter("", "ann", "turn-1", 100)
        assert await spending.of_user("", "ann") == 100
        clock[0] += 60
        assert await spending.of_user("", "ann") == 0
        await spending.enter("", "ann", "turn-2", 7)
        assert await spending.of_user("", "ann") == 7


async def test_a_model_of_ones_own_that_hangs_is_given_up() -> None:
    class Hanging:
        name = "hanging"

        async def stream(self, prompts: Sequence[Prompt]) -> AsyncGenerator[Chunk, None]:
            await asyncio.sleep(60)
            yield Chunk()

        async def aclose(self) -> None: ...

    asker = Asker(Hanging(), ModelSection(timeout=0.1), Spending(BudgetSection()))  # type: ignore[arg-type]
    assert (await asker.ask(None, ASK)).failed == "timeout"


async def test_a_chain_says_which_of_its_models_answers() -> None:
    bad = ScriptedModel([ScriptedAnswer(error="refused", times=None)], name="bad")
    good = ScriptedModel({".": "Hello!"}, name="good")
    clock = [0.0]
    chain = ModelChain([bad, good], cooldown=30, max_chars=1000, clock=lambda: clock[0])
    asker = Asker(chain, ModelSection(), Spending(BudgetSection()))
    for seconds, asked in ((0, 1), (10, 1), (31, 2)):
        clock[0] = seconds
        answer = await asker.ask(None, ASK)
        assert (answer.text, answer.model, answer.failed) == ("Hello!", "good", "")
        assert len(bad.requests) == asked
