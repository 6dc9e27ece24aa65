"""Intents learned from the flows' examples start flows; what they do not know goes to the documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import ConfigError

FLOWS = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    examples:
      zh: [我要退款, 钱能退给我吗, 申请退款, 这个东西我不要了想退钱, 怎么把钱退回来, 帮我办理退款]
      en: [I want my money back, please refund my order, give me a refund, can I get reimbursed, refund this purchase,
           I would like a refund please]
    steps:
      - say: {zh: 开始退款。, en: Starting the refund.}
  address:
    title: {zh: 改地址, en: change of address}
    examples:
      zh: [我要改收货地址, 地址填错了, 换个地址寄, 修改配送地址, 送到另一个地方, 收货地址写错了]
      en: [change my delivery address, I entered the wrong address, ship it to another address, update the shipping address,
           send it somewhere else, my address is not right]
    steps:
      - say: {zh: 开始改地址。, en: Changing the address.}
"""
WITH_INTENTS = {"understanding": ["rules", "intents"]}


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("请帮我把钱退回来", "开始退款。"),
        ("could you refund me please", "Starting the refund."),
        ("送货地址要换一个", "开始改地址。"),
        ("the shipping address I entered is wrong", "Changing the address."),
    ],
)
async def test_words_near_the_examples_start_the_flow(flow_talk: Any, words: str, reply: str) -> None:
    chat = await flow_talk(FLOWS, assistant=WITH_INTENTS)
    assert await chat.say(words) == reply


@pytest.mark.parametrize(
    "words",
    [
        "Is it cold in Paris this week?",
        "周末去哪里玩比较好",
        "who invented the telephone",
        "What about shipping times?",
    ],
)
async def test_words_that_are_like_no_example_start_none(flow_talk: Any, words: str) -> None:
    chat = await flow_talk(FLOWS, assistant=WITH_INTENTS)
    reply = await chat.say(words)
    assert "开始" not in reply and "Starting" not in reply and "Changing" not in reply


async def test_a_category_of_a_file_that_is_no_flow_keeps_its_sentences_from_starting_one(
    flow_talk: Any, tmp_path: Path
) -> None:
    file = tmp_path / "more.csv"
    file.write_text(
        "text,category\n"
        + "".join(
            f"{one},policy\n"
            for one in (
                "how long do refunds take",
                "when does a refund arrive",
                "what is your refund policy",
                "are refunds free",
                "how are refunds paid",
                "which items can be refunded",
            )
        )
    )
    chat = await flow_talk(FLOWS, assistant={**WITH_INTENTS, "intents": [str(file)], "intents_cache": str(tmp_path)})
    assert "Starting" not in await chat.say("how long does a refund take")
    assert await chat.say("please refund my order") == "Starting the refund."


async def test_intents_without_examples_are_refused(flow_talk: Any) -> None:
    plain = "flows: {a: {title: {zh: 甲, en: a}, steps: [{say: {zh: 甲, en: a}}]}}"
    with pytest.raises(ConfigError, match="nothing to learn"):
        await flow_talk(plain, assistant=WITH_INTENTS)
