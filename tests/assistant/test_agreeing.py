"""What a user's yes is worth: it is to the values that were there, and to nothing else; and what is a yes, and what a no."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.assistant.lexicon import SIGNALS
from holdfast.testing import ScriptedAnswer, ScriptedModel

ONE_MORE = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    triggers: {zh: [退款], en: [refund]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 订单号？, en: Which order?}}
      more: {type: yes_no, ask: {zh: 还有吗？, en: "Another one?"}}
    steps:
      - ask: order
      - id: pay
        call: pay_back
      - ask: more
        again: true
      - if: more
        then:
          - ask: order
            again: true
          - go: pay
"""

COMMENT = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    triggers: {zh: [退款], en: [refund]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 订单号？, en: Which order?}}
      amount: {type: number, ask: {zh: 多少？, en: How much?}}
    steps:
      - ask: order
      - confirm: {zh: "退 {order}？", en: "Pay {order} back?"}
      - ask: amount
      - call: pay_back
"""

FOUND = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    triggers: {zh: [退款], en: [refund]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 订单号？, en: Which order?}}
    steps:
      - ask: order
      - confirm: {zh: "退 {order}？", en: "Pay {order} back?"}
      - call: newest
      - call: pay_back
"""

FAULTY = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    triggers: {zh: [退款], en: [refund]}
    slots:
      reason:
        type: choice
        values: {faulty: {zh: [有问题], en: [broken]}, unwanted: {zh: [不想要], en: [unwanted]}}
        ask: {zh: 原因？, en: "Why?"}
    steps:
      - ask: reason
      - confirm: {zh: "原因：{reason}？", en: "Because it is {reason}?"}
      - call: pay_back
      - say: {zh: 退了。, en: Paid back.}
"""


def pay_back(order: str = "", amount: int = 0, reason: str = "") -> dict[str, Any]:
    return {}


async def test_a_yes_to_one_order_is_none_to_the_next(flow_talk: Any) -> None:
    chat = await flow_talk(ONE_MORE, [pay_back], asks=["pay_back"])
    await chat.say("refund HF11111")
    assert await chat.say("yes") == "Another one?"
    await chat.say("yes")
    assert await chat.say("HF22222") == "Shall I go ahead with refund?\n- order: HF22222\n- more: yes"
    assert [call["order"] for _, call in chat.tools.calls] == ["HF11111"]
    await chat.say("yes")
    assert [call["order"] for _, call in chat.tools.calls] == ["HF11111", "HF22222"]


async def test_what_is_told_after_the_yes_is_asked_about(flow_talk: Any) -> None:
    chat = await flow_talk(COMMENT, [pay_back], asks=["pay_back"])
    await chat.say("refund HF11111")
    assert await chat.say("yes") == "How much?"
    assert await chat.say("5000") == "Shall I go ahead with refund?\n- order: HF11111\n- amount: 5000"
    assert chat.tools.calls == []
    await chat.say("yes")
    assert len(chat.tools.calls) == 1


async def test_what_a_tool_changes_after_the_yes_is_asked_about(flow_talk: Any) -> None:
    def newest() -> dict[str, Any]:
        return {"slots": {"order": "HF99999"}}

    chat = await flow_talk(FOUND, [newest, pay_back], asks=["pay_back"])
    await chat.say("refund HF11111")
    assert await chat.say("yes") == "Shall I go ahead with refund?\n- order: HF99999"
    assert [name for name, _ in chat.tools.calls] == ["newest"]


@pytest.mark.parametrize("yes", ["没有问题", "好的，没有问题", "不错", "no problem", "No problem, go ahead"])
async def test_a_yes_that_sounds_like_a_no_or_like_a_choice(flow_talk: Any, yes: str) -> None:
    chat = await flow_talk(FAULTY, [pay_back], asks=["pay_back"])
    await chat.say("退款")
    await chat.say("不想要")
    await chat.say(yes)
    assert chat.tools.calls == [("pay_back", {"reason": "unwanted"})]


@pytest.mark.parametrize("words", ["不好意思，等一下", "别的理由", "不客气"])
async def test_words_that_begin_like_a_no_give_nothing_up(flow_talk: Any, words: str) -> None:
    chat = await flow_talk(FAULTY, [pay_back], asks=["pay_back"])
    await chat.say("退款")
    await chat.say("不想要")
    await chat.say(words)
    assert "flow" in await chat.state()
    assert chat.tools.calls == []


@pytest.mark.parametrize("words", ["不同意", "没有", "没有别的了", "别退", "no", "not now", "不要"])
def test_a_no_stays_one(words: str) -> None:
    assert SIGNALS["deny"].match(words)


@pytest.mark.parametrize("run", ["嗯", "是的", "yes,", "好 ", "是呢,", "thanks "])
def test_long_runs_of_words_cost_little(run: str) -> None:
    text = (run * 4000)[:4000] + "x"
    started = time.perf_counter()
    for pattern in SIGNALS.values():
        pattern.match(text)
    assert time.perf_counter() - started < 0.5


TWICE = ScriptedAnswer(
    structured={
        "commands": [
            {"command": "hand_over", "flow": "", "slot": "", "value": "", "text": why}
            for why in ("angry", "very angry")
        ]
    }
)


async def test_a_model_that_hands_over_twice_does_it_once(talk: Any) -> None:
    model = ScriptedModel([TWICE, TWICE])
    chosen = {"understanding": ["rules", "model"], "policy": ["flows", "handover"]}
    chat = await talk(model=model, assistant=chosen, handover={"most": 1})
    store = chat.stores[0]
    for session, says in (("s-1", "passing you on"), ("s-2", "too many people are waiting")):
        outcome = await store.run_turn(session, chat.assistant, input="This shop has deceived us all along")
        assert outcome.reply.count(says) == 1


TIMES = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    timeout: 7200
    triggers: {zh: [退款], en: [refund]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 订单号？, en: Which order?}}
    steps:
      - ask: order
      - confirm: {zh: "退 {order}？", en: "Pay {order} back?"}
      - call: pay_back
      - say: {zh: 退了。, en: Paid back.}
  remind:
    title: {zh: 提醒, en: reminder}
    timeout: 600
    triggers: {zh: [提醒], en: [remind]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 订单号？, en: Which order?}}
    steps:
      - ask: order
      - confirm: {zh: "提醒 {order}？", en: "Remind you of {order}?"}
"""


@pytest.mark.parametrize("words", ["yes", "no", "never mind", "correct it"])
async def test_a_yes_to_a_flow_that_timed_out_is_none_to_the_one_below(flow_talk: Any, words: str) -> None:
    chat = await flow_talk(TIMES, [pay_back], asks=["pay_back"])
    moment = [datetime(2026, 3, 2, 12, tzinfo=UTC)]
    chat.assistant.parts.now = lambda: moment[0]
    await chat.say("refund HF11111")
    assert await chat.say("remind me of HF22222") == "Remind you of HF22222?"
    moment[0] += timedelta(hours=1)
    assert (await chat.say(words)).endswith("Back to refund:\nPay HF11111 back?")
    assert chat.tools.calls == []
    assert await chat.say("yes") == "Paid back."
    assert chat.tools.calls == [("pay_back", {"order": "HF11111"})]


async def test_a_question_about_what_failed_is_no_yes_to_another_try(flow_talk: Any) -> None:
    def broken(order: str) -> None:
        raise RuntimeError("down")

    text = COMMENT.replace("      - ask: amount\n", "").replace("call: pay_back", "call: broken")
    chat = await flow_talk(text, [broken], asks=["broken"])
    await chat.say("refund HF11111")
    assert "Shall I try again?" in await chat.say("yes")
    assert "Shall I try again?" in await chat.say("what is going on with HF11111?")
    assert len(chat.tools.calls) == 1
    await chat.say("yes")
    assert len(chat.tools.calls) == 2
