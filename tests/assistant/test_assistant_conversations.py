"""Whole conversations about an order, in Chinese and English, over a real store: as a flow file, and as a task of the config."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any

import pytest

TWO_ORDERS = "13800001234"
ONE_ORDER = "13900005678"


@pytest.fixture(params=["flow file", "task"])
def talk(request: pytest.FixtureRequest, talk: Any) -> Any:
    """As `talking.talk`, with the sample's flows, then with the same task in the config."""
    return functools.partial(talk, as_task=request.param == "task")


async def test_an_order_is_found_over_several_turns_in_chinese(talk: Any) -> None:
    chat = await talk()
    assert "手机号" in await chat.say("你好,我想查一下我的订单")
    reply = await chat.say("是138 0000 1234")
    assert "138****1234" in reply and "HF20931" in reply and "HF20987" in reply
    assert "HF20931" in await chat.say("第一个")
    outcome = await chat.turn("谢谢")
    assert outcome.messages[-1].metadata["mode"] == "task"


async def test_an_order_is_found_over_several_turns_in_english(talk: Any) -> None:
    chat = await talk()
    assert "mobile number" in await chat.say("Hello, where is my order?")
    reply = await chat.say("it's 138-0000-1234")
    assert "138****1234" in reply and "Bluetooth headphones" in reply
    assert "HF20931" in await chat.say("the headphones")


@pytest.mark.parametrize(
    ("start", "first", "correction", "word"),
    [
        ("查订单", "第一个", "不对,是另一个订单", "打包"),
        ("查订单", "HF20931", "不是这个,是 HF20987", "打包"),
        ("查订单", "耳机", "错了,第二个", "打包"),
        ("order status", "the first one", "no, the other order", "packed"),
        ("order status", "HF20931", "No, I meant HF20987", "packed"),
        ("order status", "the first", "wrong, the keyboard", "packed"),
    ],
)
async def test_a_correction_takes_the_other_order(
    talk: Any, start: str, first: str, correction: str, word: str
) -> None:
    chat = await talk()
    await chat.say(start)
    await chat.say(TWO_ORDERS)
    assert "HF20931" in await chat.say(first)
    reply = await chat.say(correction)
    assert "HF20987" in reply and word in reply
    assert (await chat.state())["order_number"] == "HF20987"


async def test_a_corrected_phone_number_drops_what_depended_on_it(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    await chat.say("HF20931")
    reply = await chat.say("不对,手机号说错了,应该是 139 0000 5678", secret=TWO_ORDERS)
    assert "139****5678" in reply and "HF20415" in reply and "已签收" in reply


@pytest.mark.parametrize("words", ["手机号错了", "换个手机号", "my phone number is wrong", "another phone number"])
async def test_a_slot_that_is_called_wrong_is_asked_for_again(talk: Any, words: str) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    await chat.say("第一个")
    await chat.say(words)
    state = await chat.state()
    assert state["flow"][-1]["asking"] == "phone" and "phone" not in state


@pytest.mark.parametrize(
    ("start", "question", "answer", "back"),
    [
        ("查订单", "退货要几天?", "7 天内", "手机号"),
        ("where is my order?", "Can I return goods?", "within 7 days", "mobile number"),
    ],
)
async def test_a_question_in_between_is_answered_and_the_task_goes_on(
    talk: Any, start: str, question: str, answer: str, back: str
) -> None:
    chat = await talk()
    await chat.say(start)
    outcome = await chat.turn(question)
    assert answer in outcome.reply and "[1]" in outcome.reply
    assert outcome.reply.rindex(back) > outcome.reply.index(answer)
    assert outcome.messages[-1].citations == tuple(chat.citations())
    assert outcome.messages[-1].citations[0].document == "returns.md"
    assert "HF20415" in await chat.say(ONE_ORDER)


async def test_a_question_in_between_without_an_answer_still_comes_back(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    reply = await chat.say("你们老板是谁?")
    assert "没有找到" in reply and "1. HF20931" in reply
    assert "HF20987" in await chat.say("第二个")


@pytest.mark.parametrize("words", ["算了", "取消", "我不想查了", "cancel", "never mind", "forget it, thanks"])
async def test_a_task_is_cancelled(talk: Any, words: str) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(words)
    assert "flow" not in await chat.state()


@pytest.mark.parametrize("words", ["怎么取消订单?", "How do I cancel an order?"])
async def test_asking_about_cancelling_cancels_nothing(talk: Any, words: str) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(words)
    assert (await chat.state())["flow"][-1]["asking"] == "phone"


async def test_nothing_to_cancel_is_said(talk: Any) -> None:
    chat = await talk()
    assert "没有正在办理" in await chat.say("取消")


async def test_a_number_that_is_no_phone_number_is_asked_for_again_and_at_last_given_up(talk: Any) -> None:
    chat = await talk()
    await chat.say("where is my order?")
    assert "11 digits" in await chat.say("1380000")
    assert "11 digits" in await chat.say("12345678901")
    assert "stop order status" in await chat.say("138 0000")
    assert "flow" not in await chat.state()


async def test_an_unknown_phone_number_is_asked_for_again_and_at_last_given_up(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    assert "没有查到 137****0000" in await chat.say("13700000000", secret="13700000000")
    assert "没有查到" in await chat.say("13700000001", secret="13700000001")
    assert "稍后" in await chat.say("13700000002", secret="13700000002")
    assert "flow" not in await chat.state()


async def test_an_unknown_order_shows_the_choices(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    reply = await chat.say("HF99999")
    assert "没有订单 HF99999" in reply and "2. HF20987" in reply
    assert "HF20987" in await chat.say("2")


async def test_the_other_of_one_order_is_none(talk: Any) -> None:
    chat = await talk()
    await chat.say("order status")
    assert "HF20415" in await chat.say(ONE_ORDER)
    assert "no other" in await chat.say("no, the other order")


async def test_the_third_of_two_is_asked_again(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    assert "哪一个" in await chat.say("第三个")
    assert (await chat.state())["phone"] == TWO_ORDERS


async def test_all_in_one_sentence(talk: Any) -> None:
    chat = await talk()
    reply = await chat.say("Please check my order HF20987, my number is +86 138 0000 1234", secret="138 0000 1234")
    assert "HF20987" in reply and "packed" in reply


async def test_a_verified_phone_number_is_not_asked_for_twice(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    await chat.say("HF20931")
    assert "HF20987" in await chat.say("再帮我查个订单")


async def test_the_language_follows_the_user_in_the_middle_of_a_task(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    assert "核实通过" in await chat.say(TWO_ORDERS)  # digits have no language: as before
    assert "Which order" in await chat.say("hmm, what are the orders?")
    assert "HF20931" in await chat.say("HF20931 please")
    assert "打包" in await chat.say("不对,另一个")
    assert (await chat.state())["language"] == "zh"


async def test_that_is_wrong_about_a_quoted_answer_does_not_reopen_the_order(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(ONE_ORDER)
    await chat.say("退货要几天?")
    await chat.say("不对")
    assert (await chat.state())["flow"][-1]["done"]


@pytest.mark.parametrize("urls", [1, 2])
async def test_any_node_goes_on_with_the_conversation(talk: Any, tmp_path: Path, urls: int) -> None:
    chat = await talk(urls=[f"sqlite:///{tmp_path / 'store.db'}"] * urls)
    await chat.say("查订单")
    await chat.say(TWO_ORDERS)
    assert "7 天内" in await chat.say("退货要几天?")
    assert "HF20931" in await chat.say("第一个")
    assert "HF20987" in await chat.say("不对,另一个订单")
    assert "HF20931" in await chat.say("不对,另一个订单")


async def test_a_follow_up_question_is_searched_with_the_one_before(talk: Any) -> None:
    chat = await talk()
    await chat.say("What about returns?")
    await chat.say("And shipping?")
    knowledge = chat.assistant.knowledge
    assert knowledge.queries[-1] == "And shipping?\nWhat about returns?"


async def test_a_phone_number_is_never_part_of_a_search(talk: Any) -> None:
    chat = await talk()
    await chat.say("查订单")
    await chat.say(ONE_ORDER)
    await chat.say("运费多少?")
    assert chat.assistant.knowledge.queries == ["运费多少?"]


async def test_quotes_say_that_they_are_quotes(talk: Any) -> None:
    chat = await talk()
    outcome = await chat.turn("How long does shipping take?")
    assert outcome.reply == (
        "(No language model is configured; these are the documents' own words)\n\n“Shipping takes 2 working days.” [1]"
    )
    assert outcome.messages[-1].metadata["mode"] == "extractive"


async def test_nothing_relevant_is_said(talk: Any) -> None:
    chat = await talk()
    outcome = await chat.turn("Who won the match?")
    assert "nothing relevant" in outcome.reply
    assert outcome.messages[-1].metadata["mode"] == "nothing"
    assert outcome.messages[-1].citations == ()


@pytest.mark.parametrize("text", ["", "   ", "?!", "\x00", "𠮷" * 50, "a" * 20_000, "{phone} {0}", "null"])
async def test_odd_inputs_get_a_reply(talk: Any, text: str) -> None:
    chat = await talk()
    for _ in range(2):
        assert (await chat.say(text)).strip()
        await chat.say("查订单")


async def test_two_sessions_at_once_do_not_mix(talk: Any) -> None:
    chat = await talk()
    store, assistant = chat.stores[0], chat.assistant

    async def one(session: str, phone: str) -> str:
        for text in ("查订单", phone, "最后一个"):
            await store.run_turn(session, assistant, input=text)
        return str((await store.get(session))["order_number"])

    sessions = [(f"s{n}", TWO_ORDERS if n % 2 else ONE_ORDER) for n in range(20)]
    found = await asyncio.gather(*(one(*session) for session in sessions))
    assert found == ["HF20987" if n % 2 else "HF20415" for n in range(20)]
