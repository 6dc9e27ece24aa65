"""Flows: slots, branches, tools, confirmation, corrections, digressions, other flows; each on a real store."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.assistant.flows.filling import as_kept
from holdfast.assistant.flows.schema import FlowSlot, Response

BOOKING = """
flows:
  book_table:
    title: {zh: 订座, en: table booking}
    triggers:
      zh: [订*位, 订座]
      en: [book*table]
    slots:
      place:
        type: choice
        values:
          garden: {zh: [花园, 院子], en: [garden, terrace]}
          hall: {zh: [大厅], en: [hall, inside]}
        ask: {zh: 坐哪里？, en: Where would you like to sit?}
        called: {zh: [位置], en: [place]}
      people:
        type: number
        ask: {zh: 几位？, en: How many people?}
        valid: 1 <= value <= 12
        invalid: {zh: 最多 12 位。几位？, en: "We seat up to 12. How many people?"}
        called: {zh: [人数], en: [people]}
      phone:
        type: phone
        remember: true
        ask: {zh: 手机号？, en: Your mobile number?}
    steps:
      - ask: place
      - ask: people
      - if: people > 8
        then:
          - say: large
      - ask: phone
      - confirm: {zh: "{people} 位，{place}，对吗？", en: "{people} people in the {place}, right?"}
        yes:
          - call: book
            failed:
              - say: {zh: 订不上。, en: "It cannot be booked."}
              - hand_over: booking failed
          - say: booked
        no:
          - say: {zh: 好的，没有订。, en: "All right, nothing is booked."}
  closing_time:
    title: {zh: 营业时间, en: opening hours}
    triggers: {zh: [几点关门], en: [when*close]}
    steps:
      - say: {zh: 晚上十点关门。, en: We close at ten.}
responses:
  large: {zh: 人多需要预付。, en: Large groups pay in advance.}
  booked: {zh: "订好了，编号 {number}。", en: ["Booked: {number}.", "Done, your number is {number}."]}
"""


def book(place: str, people: int, phone: str) -> dict[str, Any]:
    return {"number": f"{place[0].upper()}{people}"}


async def test_a_flow_from_its_trigger_to_its_end(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    assert await chat.say("I want to book a table") == ("Where would you like to sit?\n1. garden\n2. hall")
    assert "How many" in await chat.say("on the terrace please")
    assert "mobile number" in await chat.say("4")
    assert await chat.say("13900005678") == "4 people in the garden, right?"
    assert "G4" in await chat.say("yes")
    assert chat.tools.calls == [("book", {"place": "garden", "people": 4, "phone": "13900005678"})]


async def test_a_slot_that_is_known_is_not_asked_for(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    assert "How many" in await chat.say("book a table in the garden")
    assert "Large groups pay" in await chat.say("10")
    assert "大厅" not in await chat.say("13900005678")
    await chat.say("yes")
    assert "几位" in await chat.say("我想在花园订个位")
    assert "对吗" in await chat.say("3")  # the phone is remembered


async def test_a_value_that_is_not_valid_is_asked_for_again_and_in_the_end_given_up(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    await chat.say("book a table in the garden")
    assert await chat.say("40") == "We seat up to 12. How many people?"
    assert "people" not in await chat.state()
    assert "mobile" in await chat.say("12")
    chat = await flow_talk(BOOKING, [book])
    await chat.say("book a table in the garden")
    await chat.say("40")
    await chat.say("41")
    assert "stop table booking" in await chat.say("42")
    assert "flow" not in await chat.state()


async def test_a_correction_at_the_confirmation_goes_back_only_as_far_as_it_must(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    for words in ("book a table in the garden", "4", "13900005678"):
        await chat.say(words)
    assert await chat.say("no, in the hall instead") == "4 people in the hall, right?"
    assert await chat.say("wrong, the number of people is 6") == "6 people in the hall, right?"
    assert "How many" in await chat.say("the number of people is wrong")
    assert await chat.say("9") == "Large groups pay in advance.\n\n9 people in the hall, right?"
    assert "H9" in await chat.say("yes")
    assert len(chat.tools.calls) == 1


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("no", "All right, nothing is booked."),
        ("不用了", "好的，没有订。"),
        ("cancel", "All right, table booking is cancelled. Can I help with anything else?"),
    ],
)
async def test_no_at_the_confirmation_takes_that_branch(flow_talk: Any, words: str, reply: str) -> None:
    chat = await flow_talk(BOOKING, [book])
    for said in ("book a table in the garden", "4", "13900005678"):
        await chat.say(said)
    assert await chat.say(words) == reply
    assert chat.tools.calls == []


async def test_a_question_or_another_flow_in_between_comes_back(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    await chat.say("book a table in the garden")
    reply = await chat.say("What about returns?")
    assert "within 7 days" in reply and "Back to table booking:\nHow many people?" in reply
    reply = await chat.say("when do you close?")
    assert reply == "We close at ten.\n\nBack to table booking:\nHow many people?"
    assert "mobile" in await chat.say("2")


async def test_cancelling_forgets_but_what_is_remembered(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    for words in ("book a table in the garden", "4", "13900005678"):
        await chat.say(words)
    assert "cancelled" in await chat.say("cancel")
    state = await chat.state()
    assert "flow" not in state and "people" not in state and state["phone"] == "13900005678"
    assert "nothing to cancel" in await chat.say("cancel")


async def test_a_tool_that_fails_has_its_own_steps(flow_talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []

    async def hand_over(context: Any, reason: str) -> None:
        handed.append(reason)

    monkeypatch.setattr("holdfast.assistant.flows.running.hand_over", hand_over)

    def book(place: str, people: int, phone: str) -> dict[str, Any]:
        raise RuntimeError("full")

    chat = await flow_talk(BOOKING, [book])
    for words in ("book a table in the garden", "4", "13900005678"):
        await chat.say(words)
    assert await chat.say("yes") == "It cannot be booked."
    assert handed == ["booking failed"]
    assert "flow" not in await chat.state()


ASKED = """
flows:
  refund:
    title: {zh: 退款, en: refund}
    triggers: {zh: [退款], en: [refund]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 订单号？, en: Which order?}, called: {zh: [订单], en: [order]}}
    steps:
      - ask: order
      - call: pay_back
      - say: {zh: "退了 {amount} 元。", en: "You get {amount} back."}
"""


async def test_a_tool_that_asks_before_doing_is_not_called_without_a_yes(flow_talk: Any) -> None:
    def pay_back(order: str) -> dict[str, Any]:
        return {"amount": 30}

    chat = await flow_talk(ASKED, [pay_back], asks=["pay_back"])
    await chat.say("refund please")
    assert await chat.say("HF12345") == "Shall I go ahead with refund?\n- order: HF12345"
    assert await chat.say("no, HF54321") == "Shall I go ahead with refund?\n- order: HF54321"
    assert chat.tools.calls == []
    assert await chat.say("yes") == "You get 30 back."
    assert chat.tools.calls == [("pay_back", {"order": "HF54321"})]
    reply = await chat.say("wrong, HF11111")  # what was done outside is not done again by a correction
    assert "The refund is done already" in reply
    assert len(chat.tools.calls) == 1
    assert "done already" not in await chat.say("wrong")  # that is about the answer now


LOOPING = """
flows:
  forever:
    title: {zh: 循环, en: forever}
    triggers: {zh: [循环], en: [forever]}
    steps:
      - id: again
        call: tick
      - if: count < 0
        then:
          - say: {zh: 完, en: done}
        else:
          - go: again
"""


async def test_a_flow_that_loops_for_ever_is_stopped_and_the_conversation_goes_on(flow_talk: Any, caplog: Any) -> None:
    ticks: list[int] = []

    def tick() -> dict[str, Any]:
        ticks.append(1)
        return {"count": len(ticks)}

    chat = await flow_talk(LOOPING, [tick])
    assert "something is wrong with forever" in await chat.say("forever")
    assert "does not end" in caplog.text
    assert len(ticks) < 200
    assert "within 7 days" in await chat.say("What about returns?")


SUB = """
flows:
  outer:
    title: {zh: 外, en: outer}
    triggers: {zh: [外面], en: [outer]}
    steps:
      - run: inner
      - say: {zh: "外 {word}", en: "outer"}
      - link: last
  inner:
    title: {zh: 内, en: inner}
    startable: false
    triggers: {zh: [里面], en: [inner]}
    slots:
      word: {ask: {zh: 词？, en: "Which word?"}}
    steps:
      - ask: word
      - say: {zh: "内 {word}", en: "inner {word}"}
  last:
    title: {zh: 末, en: last}
    steps:
      - set: {n: 1 + 1}
      - switch: n
        cases:
          "2":
            - say: {zh: 二, en: "two"}
        default:
          - say: {zh: 别, en: "other"}
"""


async def test_flows_run_and_link_others(flow_talk: Any) -> None:
    chat = await flow_talk(SUB)
    assert await chat.say("outer") == "Which word?"
    assert await chat.say("fish") == "inner fish\n\nouter\n\ntwo"
    assert "Which word" not in await chat.say("inner")


async def test_a_flow_goes_on_on_another_node(flow_talk: Any, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'nodes.db'}"
    chat = await flow_talk(BOOKING, [book], urls=[url, url])
    for words in ("book a table", "hall", "4", "13900005678"):
        await chat.say(words)
    assert "H4" in await chat.say("yes")


async def test_a_flow_that_waited_too_long_is_dropped(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING.replace("title: {zh: 订座", "timeout: 30m\n    title: {zh: 订座"), [book])
    await chat.say("book a table in the garden")
    chat.assistant.parts.clock = lambda: datetime.now(UTC) + timedelta(hours=1)
    assert "mobile" not in await chat.say("4")
    assert "flow" not in await chat.state()


@pytest.mark.parametrize(
    "kept", ["text", 3, [], [3], [{"name": "gone"}], [{"name": "book_table", "at": "nowhere", "asking": 5}]]
)
async def test_a_position_that_is_none_is_harmless(flow_talk: Any, kept: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    await chat.stores[0].set("s-1", {"flow": kept})
    assert await chat.say("What about returns?")
    assert await chat.say("book a table in the hall")


SHOP = """
flows:
  give_back:
    title: {zh: 退货, en: giving it back}
    triggers: {zh: [退货], en: [give*back]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 哪单？, en: "Which order?"}, called: {zh: [订单], en: [order]}}
      why: {ask: {zh: 为什么？, en: Why?}, called: {zh: [原因], en: [reason]}}
    steps:
      - run: choose
      - call: look
      - ask: why
      - confirm: {zh: "退 {order}？", en: "Give {order} back?"}
        yes:
          - say: {zh: "退了 {order}。", en: "{order} goes back."}
  choose:
    title: {zh: 选订单, en: choosing}
    startable: false
    slots:
      phone: {type: phone, remember: true, ask: {zh: 手机？, en: "Which phone?"}}
      order: {type: pattern, pattern: 'HF\\d{5}', depends: [phone], ask: {zh: 哪单？, en: "Which one?"}, called: {en: [order]}}
    steps:
      - ask: phone
      - call: find
      - ask: order
  track:
    title: {zh: 物流, en: tracking}
    triggers: {zh: [物流], en: [track]}
    slots:
      order: {type: pattern, pattern: 'HF\\d{5}', ask: {zh: 哪单？, en: "Track which?"}}
    steps:
      - ask: order
      - say: {zh: "{order} 在路上。", en: "{order} is on its way."}
"""


def find(phone: str) -> dict[str, Any]:
    return {"choices": {"order": ["HF11111", "HF22222"]}}


def look(order: str) -> dict[str, Any]:
    return {}


async def confirming(flow_talk: Any) -> Any:
    chat = await flow_talk(SHOP, [find, look])
    for words in ("give it back", "13900005678", "the second", "it is broken"):
        reply = await chat.say(words)
    assert reply == "Give HF22222 back?"
    return chat


async def test_a_flow_that_was_run_hands_back_the_slots_and_choices_that_both_have(flow_talk: Any) -> None:
    chat = await confirming(flow_talk)
    assert await chat.say("no, the other order") == "Give HF11111 back?"
    assert chat.tools.calls[-1] == ("look", {"order": "HF11111"})
    assert await chat.say("yes") == "HF11111 goes back."
    assert [name for name, _ in chat.tools.calls] == [
        "find",
        "look",
        "find",
        "look",
    ]  # what was run looks at the change too


async def test_another_flow_in_between_leaves_the_slots_of_the_one_that_waits_alone(flow_talk: Any) -> None:
    chat = await confirming(flow_talk)
    reply = await chat.say("track HF11111")
    assert reply == "HF11111 is on its way.\n\nBack to giving it back:\nGive HF22222 back?"
    reply = await chat.say("track it")
    assert reply == "Track which?"
    assert "Give HF22222 back?" in await chat.say("cancel")
    assert await chat.say("yes") == "HF22222 goes back."


async def test_a_flow_started_anew_while_it_waits_leaves_nothing_behind(flow_talk: Any) -> None:
    chat = await confirming(flow_talk)
    await chat.say("track it")
    await chat.say("give it back")  # from the beginning: the phone is remembered
    assert [frame["name"] for frame in (await chat.state())["flow"]] == ["track", "give_back", "choose"]
    await chat.say("HF22222")
    assert "Back to tracking:\nTrack which?" in await chat.say("cancel")
    assert "HF11111 is on its way" in await chat.say("HF11111")
    assert (await chat.state()).get("why") is None


async def test_cancelling_a_flow_that_was_run_cancels_the_one_that_runs_it(flow_talk: Any) -> None:
    chat = await flow_talk(SHOP, [find, look])
    await chat.say("give it back")
    assert "giving it back is cancelled" in await chat.say("cancel")
    assert "flow" not in await chat.state()
    await chat.say("give it back")
    for words in ("1390", "13905", "12345"):
        reply = await chat.say(words)
    assert "stop giving it back" in reply
    assert "flow" not in await chat.state()


async def test_the_moment_is_known_in_every_expression(flow_talk: Any) -> None:
    text = """
flows:
  day:
    title: {zh: 日, en: day}
    triggers: {zh: [日子], en: [which day]}
    steps:
      - if: today == "2026-09-21" and now > "2026-09-21T09"
        then:
          - say: {zh: "今天", en: "It is {today}."}
"""
    chat = await flow_talk(text)
    chat.assistant.parts.clock = lambda: datetime(2026, 9, 21, 10, tzinfo=UTC)
    assert await chat.say("which day") == "It is 2026-09-21."


async def test_wrong_values_of_one_slot_do_not_count_for_the_next(flow_talk: Any) -> None:
    chat = await flow_talk(BOOKING, [book])
    for words in ("book a table in the garden", "40", "41", "4", "1390000", "1390001"):
        reply = await chat.say(words)
    assert "mobile" in reply
    assert "stop table booking" in await chat.say("1390002")


WAITING = """
flows:
  first:
    title: {zh: 一, en: the first}
    triggers: {zh: [一号], en: [number one]}
    slots:
      phone: {type: phone, remember: true, ask: {zh: 手机？, en: "Phone for one?"}}
      hour: {type: time, ask: {zh: 几点？, en: "What time?"}}
    steps: [{ask: phone}, {ask: hour}, {say: {zh: "{hour}", en: "at {hour}"}}]
  second:
    title: {zh: 二, en: the second}
    triggers: {zh: [二号], en: [number two]}
    slots:
      phone: {type: phone, remember: true, ask: {zh: 手机？, en: "Phone for two?"}}
    steps: [{ask: phone}, {confirm: {zh: 好？, en: "OK?"}, yes: [{say: {zh: 好, en: "Two is done."}}]}]
"""


@pytest.mark.parametrize(
    ("end", "reply"),
    [
        ("yes", "Two is done.\n\nWhat time?"),
        ("cancel", "All right, the second is cancelled. Can I help with anything else?\n\nWhat time?"),
    ],
)
async def test_what_was_told_in_between_is_not_asked_for_again(flow_talk: Any, end: str, reply: str) -> None:
    chat = await flow_talk(WAITING)
    assert await chat.say("number one") == "Phone for one?"
    assert await chat.say("number two") == "Phone for two?"
    assert await chat.say("13900005678") == "OK?"
    assert await chat.say(end) == reply
    assert await chat.say("15:30") == "at 15:30"


@pytest.mark.parametrize(("words", "hour"), [("11", "at 11:00"), ("十一", "11:00"), ("at 3 pm", "at 15:00")])
async def test_a_number_alone_is_the_hour_that_was_asked_for(flow_talk: Any, words: str, hour: str) -> None:
    chat = await flow_talk(WAITING)
    await chat.say("number one")
    await chat.say("13900005678")
    assert await chat.say(words) == hour


async def test_a_choice_that_sounds_like_cancelling_is_one(flow_talk: Any) -> None:
    text = """
flows:
  why:
    title: {zh: 原因, en: reason}
    triggers: {zh: [退订], en: [unsubscribe]}
    slots:
      reason:
        type: choice
        values: {unused: {zh: [不要了], en: [no need]}, price: {zh: [太贵], en: [too dear]}}
        ask: {zh: 为什么？, en: Why?}
    steps:
      - ask: reason
      - say: {zh: "{reason}", en: "{reason}"}
"""
    chat = await flow_talk(text)
    await chat.say("退订")
    assert await chat.say("不要了") == "不要了"
    await chat.say("unsubscribe")
    assert "cancelled" in await chat.say("never mind")


@pytest.mark.parametrize("words", ["确认", "确定", "confirm", "Absolutely!", "looks good", "That's right."])
async def test_ways_to_say_yes(flow_talk: Any, words: str) -> None:
    chat = await confirming(flow_talk)
    assert "HF22222" in await chat.say(words)
    assert (await chat.state())["flow"][-1]["done"]


async def test_what_a_flow_runs_is_called_by_its_name(flow_talk: Any) -> None:
    chat = await flow_talk(SHOP, [find, look])
    await chat.say("give it back")
    assert "Back to giving it back:\nWhich phone?" in await chat.say("What about returns?")


async def test_a_word_within_another_names_no_slot(flow_talk: Any) -> None:
    text = SHOP.replace("remember: true, ask", "remember: true, called: {en: [phone]}, ask")

    def find(phone: str) -> dict[str, Any]:
        return {
            "choices": {"order": [{"value": "HF11111", "label": "headphones"}, {"value": "HF22222", "label": "kettle"}]}
        }

    chat = await flow_talk(text, [find, look])
    await chat.say("give it back")
    await chat.say("13900005678")
    assert await chat.say("the headphones") == "Why?"
    assert (await chat.state())["order"] == "HF11111"
    assert await chat.say("no, not the headphones, the kettle") == "Why?"
    assert (await chat.state())["order"] == "HF22222"


MOVING = """
flows:
  move:
    title: {zh: 改地址, en: moving}
    triggers: {zh: [改地址], en: [moving]}
    slots:
      address: {ask: {zh: 地址？, en: Where to?}, called: {zh: [地址], en: [address]}}
    steps:
      - ask: address
      - confirm: {zh: "去{address}？", en: "To {address}?"}
        yes:
          - say: {zh: 好, en: Done}
"""


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("no, the address is 14 Long Road", "To 14 Long Road?"),
        ("change the address to 14 Long Road", "To 14 Long Road?"),
        ("不对，地址应该是长路14号", "去长路14号？"),
        ("the address is wrong", "Where to?"),
        ("地址不对", "地址？"),
    ],
)
async def test_a_text_is_corrected_by_its_name(flow_talk: Any, words: str, reply: str) -> None:
    chat = await flow_talk(MOVING)
    await chat.say("moving")
    assert await chat.say("12 Short Street") == "To 12 Short Street?"
    assert await chat.say(words) == reply


@pytest.mark.parametrize(
    ("type_", "said", "value"),
    [
        ("date", "tomorrow", "2026-09-22"),
        ("time", "下午三点", "15:00"),
        ("datetime", "tomorrow at 3 pm", "2026-09-22T15:00:00+00:00"),
        ("phone", "138 0000 1234", "13800001234"),
        ("number", 4, 4),
        ("yes_no", False, False),
        ("date", "blue", None),
        ("email", "Mail A@B.example", "a@b.example"),
    ],
)
def test_what_a_model_says_becomes_a_slots_value(type_: Any, said: Any, value: Any) -> None:
    slot = FlowSlot(type=type_, ask=Response(en=("?",)))
    assert as_kept("slot", slot, said, datetime(2026, 9, 21, 10, tzinfo=UTC)) == value


def test_what_a_model_says_becomes_a_choice_or_a_pattern() -> None:
    now = datetime(2026, 9, 21, 10, tzinfo=UTC)
    choice = FlowSlot(type="choice", values={"small": {"en": ("too small",)}}, ask=Response(en=("?",)))
    assert as_kept("size", choice, "small", now) == as_kept("size", choice, "Too small", now) == "small"
    assert as_kept("size", choice, "blue", now) is None
    pattern = FlowSlot(type="pattern", pattern=r"(HF)[- ]?(\d{5})", ask=Response(en=("?",)))
    assert as_kept("order", pattern, "order hf 12345", now) == "HF12345"
    assert as_kept("order", pattern, "12345", now) is None


async def test_a_channel_has_words_of_its_own(flow_talk: Any) -> None:
    text = SUB.replace('- say: {zh: 二, en: "two"}', '- say: {zh: 二, en: "two", channels: {wechat: {en: "2"}}}')
    chat = await flow_talk(text)
    await chat.stores[0].set("s-1", {"channel": "wechat"})
    await chat.say("outer")
    assert await chat.say("fish") == "inner fish\n\nouter\n\n2"


async def test_a_check_that_raises_what_it_should_not_makes_the_value_wrong(
    flow_talk: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(value: Any) -> bool:
        raise KeyError("not reachable")

    module = type(sys)("flow_checks")
    module.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flow_checks", module)
    chat = await flow_talk(BOOKING.replace("valid: 1 <= value <= 12", "check: flow_checks:broken"), [book])
    await chat.say("book a table in the garden")
    assert "We seat up to 12" in await chat.say("4")
    assert "check flow_checks:broken" in caplog.text


ANOTHER_WAY = """
flows:
  pay:
    title: {zh: 付款, en: payment}
    triggers: {zh: [付款], en: [pay]}
    slots:
      vip: {type: yes_no, ask: {zh: 会员？, en: "Member?"}}
    steps:
      - confirm: {zh: 付吗？, en: "Pay now?"}
        yes:
          - if: vip
            then:
              - call: look
          - call: charge
          - say: {zh: 付了。, en: Paid.}
"""


async def test_another_attempt_that_takes_another_way_finds_the_same_call(flow_talk: Any) -> None:
    def look() -> dict[str, Any]:
        return {}

    def charge() -> dict[str, Any]:
        return {}

    chat = await flow_talk(ANOTHER_WAY, [look, charge], asks=["charge"])
    await chat.say("pay")
    dies = [True]

    async def dying(turn: Any) -> None:
        await chat.assistant(turn)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    store = chat.stores[0]
    with pytest.raises(RuntimeError):
        await store.run_turn("s-1", dying, input="yes", turn_id="t-1")
    await store.update("s-1", {"vip": True})  # a webhook, meanwhile
    outcome = await store.run_turn("s-1", dying, input="yes", turn_id="t-1")
    assert outcome.reply == "Paid."
    assert [name for name, _ in chat.tools.calls] == ["charge", "look"]
