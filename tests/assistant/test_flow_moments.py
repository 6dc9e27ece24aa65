"""Slots of a date and time: told in parts, corrected in parts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

VISIT = """
flows:
  visit:
    title: {zh: 预约, en: visit}
    triggers: {zh: [预约], en: [book*visit]}
    slots:
      at:
        type: datetime
        valid: value > now
        called: {zh: [时间], en: [time]}
        ask: {zh: 什么时候？, en: When?}
      phone: {type: phone, ask: {zh: 手机号？, en: Your number?}}
    steps:
      - ask: at
      - ask: phone
      - confirm: {zh: "{at}，对吗？", en: "{at}, right?"}
        yes:
          - say: {zh: 好, en: Done.}
"""
PHONE = "13800138000"


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (["book a visit", "tomorrow", "at 3"], "2026-11-28T15:00:00+00:00"),
        (["book a visit", "tomorrow", "4"], "2026-11-28T16:00:00+00:00"),
        (["book a visit tomorrow", "10:30"], "2026-11-28T10:30:00+00:00"),
        (["book a visit", "at 3"], "2026-11-27T15:00:00+00:00"),
        (["book a visit", "at 9"], "2026-11-28T09:00:00+00:00"),
        (["book a visit next Wednesday at three", "change the time to 4"], "2026-12-02T16:00:00+00:00"),
        (["book a visit next Wednesday at three", "move it to Friday instead"], "2026-11-27T15:00:00+00:00"),
        (["book a visit next Wednesday at three", PHONE, "no, at 5 pm"], "2026-12-02T17:00:00+00:00"),
        (["预约", "下周五", "三点"], "2026-12-04T15:00:00+00:00"),
        (["预约下周三下午三点", PHONE, "改成四点"], "2026-12-02T16:00:00+00:00"),
        (["预约下周三下午三点", PHONE, "其实我想改成下周五"], "2026-12-04T15:00:00+00:00"),
        (["预约下周三下午三点", "周五开门吗？"], "2026-12-02T15:00:00+00:00"),
    ],
)
async def test_a_day_and_a_time_complete_each_other(flow_talk: Any, said: list[str], at: str) -> None:
    chat = await flow_talk(VISIT)
    chat.assistant.parts.clock = lambda: datetime(2026, 11, 27, 10, tzinfo=UTC)
    for words in said:
        await chat.say(words)
    assert (await chat.state())["at"] == at


async def test_a_day_alone_has_its_time_asked_for(flow_talk: Any) -> None:
    chat = await flow_talk(VISIT)
    chat.assistant.parts.clock = lambda: datetime(2026, 11, 27, 10, tzinfo=UTC)
    await chat.say("book a visit")
    assert await chat.say("next Friday") == "2026-12-04: at what time?"
    assert await chat.say("half past nine") == "Your number?"


async def test_a_new_run_does_not_begin_with_the_day_of_the_last_one(flow_talk: Any) -> None:
    chat = await flow_talk(VISIT)
    chat.assistant.parts.clock = lambda: datetime(2026, 11, 27, 10, tzinfo=UTC)
    for words in ("book a visit next Wednesday at three", "cancel", "book a visit at 11"):
        await chat.say(words)
    assert (await chat.state())["at"] == "2026-11-27T11:00:00+00:00"
