"""A second message while the first is answered: it waits, goes first, or is kept back; and Stop."""

from __future__ import annotations

import pytest
from chat_page import ChatPage, OpenPage
from playwright.sync_api import Locator, expect
from scripted_api import (
    Refuse,
    ScriptedApi,
    Send,
    Step,
    Wait,
    answer,
    cancelled,
    done,
    parked,
    problem,
    token,
)

WAITING = Send("status", {"stage": "waiting"})
HALF: tuple[Step, ...] = (token("half"), Wait("first"), token(" and half"), done("half and half"))


def said(page: ChatPage, text: str) -> None:
    expect(page.last.locator(".reply")).to_have_text(text)


def state(answer: Locator, state: str) -> None:
    expect(answer).to_have_attribute("data-state", state)


# --- stopping ---


@pytest.mark.parametrize("by", ["button", "Escape"])
def test_a_stopped_answer_keeps_what_was_said(by: str, api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(HALF)
    api.ends = {"Tell me": "half"}
    page = open_page(api.url)
    page.send("Tell me")
    said(page, "half")
    if by == "button":
        page.button("Stop").click()
    else:
        page.tab.keyboard.press("Escape")
    state(page.last, "stopped")
    said(page, "half")
    expect(page.last.locator(".origin")).to_contain_text("Stopped")
    expect(page.tab.locator("[aria-live=polite]")).to_have_text("Stopped")
    expect(page.button("Stop")).to_have_count(0)
    expect(page.field).to_be_focused()
    assert api.cancelled == [api.received[0].key]
    api.messages = log(("Tell me", "half", {"cancelled": True}))
    page.reload()
    state(page.last, "stopped")
    expect(page.last.locator(".origin")).to_have_text("Stopped")
    assert len(api.received) == 1


def test_an_answer_that_was_stopped_elsewhere_says_so(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((token("half"), cancelled("half")))
    page = open_page(api.url)
    page.send("Tell me")
    state(page.last, "stopped")
    assert api.cancelled == []


def test_what_was_stopped_before_a_word_is_not_answered(api: ScriptedApi, open_page: OpenPage) -> None:
    api.messages = log(("First", "", {}), ("Second", "Yes.", {}), ("Third", "", {}))
    page = open_page(api.url, "#s=s1")
    expect(page.answers).to_have_count(3)
    assert page.answers.locator(".origin").all_inner_texts() == ["Not answered", "Not answered"]
    state(page.answers.nth(1), "done")


def test_a_stop_that_does_not_get_through_is_repeated(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(HALF)
    api.ends = {"Tell me": "half"}
    api.refusals = [Refuse(502, "<h1>Bad Gateway</h1>"), Refuse(503, problem("store-unavailable", 503))]
    page = open_page(api.url)
    page.send("Tell me")
    said(page, "half")
    page.button("Stop").click()
    expect(page.last.get_by_role("status")).to_have_text("Stopping")
    expect(page.button("Stop")).to_be_disabled()
    state(page.last, "stopped")
    assert len(api.cancelled) == 3


def test_a_stop_that_is_refused_is_told_and_the_answer_goes_on(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(HALF)
    api.refusals = [Refuse(500, problem("internal", 500, "see the log"))]
    page = open_page(api.url)
    page.send("Tell me")
    said(page, "half")
    page.button("Stop").click()
    expect(page.tab.get_by_role("alert")).to_contain_text("could not be stopped")
    expect(page.tab.get_by_role("alert")).to_contain_text("see the log")
    expect(page.button("Stop")).to_be_enabled()
    api.go("first")
    page.answered()
    said(page, "half and half")


def test_a_message_that_never_arrived_is_not_sent_again_once_it_is_stopped(
    api: ScriptedApi, open_page: OpenPage
) -> None:
    later = (("Retry-After", "1"),)
    api.script((Refuse(503, problem("overloaded", 503), later),), answer("Too late"))
    api.refusals = [Refuse(404, problem("turn-not-found", 404), later)] * 2
    page = open_page(api.url)
    page.send("Tell me")
    expect(page.last.get_by_role("status")).to_contain_text("Reconnecting")
    page.button("Stop").click()
    state(page.last, "stopped")
    expect(page.last.locator(".origin")).to_have_text("Not answered")
    assert len(api.cancelled) == 3  # it might have been under way
    page.reload()
    assert len(api.received) == 1


def test_a_stop_outlives_a_reload(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(HALF, HALF)
    api.ends = {"Tell me": "half"}
    api.refusals = [Refuse(503, problem("store-unavailable", 503), (("Retry-After", "30"),))]
    page = open_page(api.url)
    page.send("Tell me")
    said(page, "half")
    page.button("Stop").click()
    expect(page.last.get_by_role("status")).to_have_text("Stopping")
    page.reload()
    state(page.last, "stopped")
    assert len(api.cancelled) == 2


# --- waiting ---


def test_messages_wait_in_line_and_are_answered_in_order(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("One", HALF)
    api.script_of("Two", (WAITING, Wait("two"), *answer("second")), (Wait("second"), *answer("second")))
    api.script_of("Three", (WAITING, Wait("three"), *answer("third")), answer("third"))
    page = open_page(api.url)
    page.send("One")
    page.send("Two")
    page.send("Three")
    expect(page.field).to_have_value("")
    for number in (1, 2):
        expect(page.answers.nth(number).get_by_role("status")).to_have_text("Waiting for an earlier message")
    expect(page.answers.nth(0).locator(".reply")).to_have_text("half")
    api.go("first")
    state(page.answers.nth(0), "done")
    expect(page.answers.nth(2).get_by_role("status")).to_have_text("Waiting for an earlier message")
    api.go("second")
    page.answered()
    assert page.answers.locator(".reply").all_inner_texts() == ["half and half", "second", "third"]
    assert api.inputs()[:3] == ["One", "Two", "Three"]
    assert {received.on_busy for received in api.received} == {""}  # the server's own rule
    assert len({received.key for received in api.received}) == 3
    expect(page.tab.locator("[aria-live=polite]")).to_have_text("third")


def test_a_message_that_waits_can_be_cancelled(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("One", HALF)
    api.script_of("Two", (WAITING, Wait("two")))
    api.script_of("Three", (WAITING, Wait("three")), answer("third"))
    api.ends = {"Two": ""}
    page = open_page(api.url)
    page.send("One")
    page.send("Two")
    page.send("Three")
    expect(page.answers.nth(2).get_by_role("status")).to_have_text("Waiting for an earlier message")
    page.answers.nth(1).get_by_role("button", name="Cancel").click()
    state(page.answers.nth(1), "stopped")
    expect(page.answers.nth(1).locator(".origin")).to_have_text("Not answered")
    state(page.answers.nth(0), "working")
    api.go("first")
    page.answered()
    state(page.answers.nth(0), "done")
    assert [api.input_of(key) for key in api.cancelled] == ["Two"]


def test_many_messages_that_wait_leave_the_browser_a_connection(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("One", HALF)
    api.script((WAITING, Wait("others")))
    api.ends = {"One": "half"}
    page = open_page(api.url)
    page.send("One")
    for number in range(2, 10):
        page.send(f"Number {number}")
    expect(page.answers.nth(0).locator(".reply")).to_have_text("half")
    page.button("Stop").click()
    state(page.answers.nth(0), "stopped")


def test_a_message_is_not_sent_before_the_one_before_it_has_arrived(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("One", (Refuse(503, problem("overloaded", 503)),), (Wait("one"), *answer("first")))
    api.script_of("Two", answer("second"))
    page = open_page(api.url)
    page.send("One")
    expect(page.last.get_by_role("status")).to_contain_text("Reconnecting")
    page.send("Two")
    expect(page.answers.nth(1).get_by_role("status")).to_have_text("Waiting for an earlier message")
    api.go("one")
    page.answered()
    assert api.inputs() == ["One", "One", "Two"]


def test_a_reload_goes_on_with_all_that_run_and_wait(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("One", HALF, (token("half"), Wait("again"), *answer("first")[1:]))
    api.script_of("Two", (WAITING, Wait("two")), (WAITING, Wait("two")), answer("second"))
    api.script_of("Three", (WAITING, Wait("three")), (WAITING, Wait("three")), answer("third"))
    page = open_page(api.url)
    for text in ("One", "Two", "Three"):
        page.send(text)
    expect(page.last.get_by_role("status")).to_have_text("Waiting for an earlier message")
    page.tab.wait_for_function("() => JSON.parse(sessionStorage['holdfast.pending-turns']).length === 3")
    page.reload()
    expect(page.users).to_have_text(["One", "Two", "Three"])
    expect(page.answers.nth(0).locator(".reply")).to_have_text("half")
    api.go("again")
    page.answered()
    assert page.answers.locator(".reply").all_inner_texts()[1:] == ["second", "third"]
    assert len({received.key for received in api.received}) == 3
    assert page.tab.evaluate("() => sessionStorage['holdfast.pending-turns']") == "[]"


# --- going first ---


@pytest.mark.parametrize("by", ["button", "Control+Enter", "Meta+Enter"])
def test_send_now_stops_what_runs(by: str, api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("One", (token("half"), Wait("first"), cancelled("half")))
    api.script_of("Two", (Send("status", {"stage": "answer"}), Wait("two"), *answer("second")))
    page = open_page(api.url)
    page.send("One")
    said(page, "half")
    expect(page.button("Send now")).to_have_count(0)  # there is nothing to send yet
    page.field.fill("Two")
    if by == "button":
        page.button("Send now").click()
    else:
        page.field.press(by)
    expect(page.users).to_have_count(2)
    api.go("first")
    state(page.answers.nth(0), "stopped")
    expect(page.answers.nth(0).locator(".reply")).to_have_text("half")
    api.go("two")
    page.answered()
    assert [received.on_busy for received in api.received] == ["", "interrupt"]
    assert api.cancelled == []  # the server does that, in one step


def test_where_interrupting_is_the_rule_enter_does_it(api: ScriptedApi, open_page: OpenPage) -> None:
    api.on_busy = "interrupt"
    api.script_of("One", (token("half"), Wait("first"), cancelled("half")))
    api.script_of("Two", answer("second"))
    page = open_page(api.url)
    page.send("One")
    said(page, "half")
    expect(page.tab.locator("#composer-note")).to_contain_text("stops this answer")
    page.field.fill("Two")
    expect(page.button("Send now")).to_have_count(0)
    page.field.press("Enter")
    page.answered()
    api.go("first")
    state(page.answers.nth(0), "stopped")
    assert api.received[-1].on_busy == ""


def test_where_a_second_message_is_refused_it_is_kept_in_the_field(api: ScriptedApi, open_page: OpenPage) -> None:
    api.on_busy = "reject"
    api.script(HALF)
    page = open_page(api.url)
    page.send("One")
    said(page, "half")
    page.field.fill("Two")
    page.field.press("Enter")
    page.field.press("Control+Enter")
    expect(page.button("Stop")).to_be_visible()
    expect(page.button("Send")).to_have_count(0)
    api.go("first")
    page.answered()
    expect(page.field).to_have_value("Two")
    assert api.inputs() == ["One"]


def test_another_tabs_turn_is_waited_for_where_a_second_message_is_refused(
    api: ScriptedApi, open_page: OpenPage
) -> None:
    api.on_busy = "reject"
    api.script((Refuse(409, problem("turn-busy", 409)),), answer("At last."))
    page = open_page(api.url)
    page.send("One")
    expect(page.last.get_by_role("status")).to_have_text("Waiting for an earlier message")
    page.answered()


# --- turns that wait for somebody's word ---


def test_an_answer_that_waits_for_approval_goes_on_when_it_is_given(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(
        (token("One moment."), parked("approval", 86_400 * 1.5)),
        (Refuse(503, problem("store-unavailable", 503)),),  # nobody has to know
        (Wait("signal"), Send("restarted", {}), token("One moment. "), Wait("rest"), *answer("Done.")[1:]),
    )
    page = open_page(api.url)
    page.send("Refund it")
    state(page.last, "parked")
    said(page, "One moment.")
    expect(page.last.get_by_role("status")).to_contain_text("Waiting for your approval")
    expect(page.last.get_by_role("status")).to_contain_text("at the latest")
    expect(page.button("Stop")).to_have_count(0)  # nothing runs: another message would be answered
    page.button("Approve").click()
    expect(page.button("Approve")).to_have_count(0)
    expect(page.last.get_by_role("status")).to_have_text("Passed on")
    page.tab.wait_for_timeout(1_200)  # it is followed again
    expect(page.last.get_by_role("status")).to_have_text("Passed on")
    api.go("signal")
    state(page.last, "working")
    said(page, "One moment.")
    expect(page.last.get_by_role("status")).not_to_have_text("The answer starts again")  # nothing was lost
    api.go("rest")
    page.answered()
    key = api.received[0].key
    assert api.signals == [("approval", {"value": {"approved": True}, "turn_id": key})]
    assert [(received.method, received.key) for received in api.received] == [("POST", key), ("GET", key), ("GET", key)]


def test_a_refusal_to_approve_is_passed_on_or_told(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((parked("approval"),), (Wait("never"),))
    api.refusals = [Refuse(500, problem("internal", 500, "see the log"))]
    page = open_page(api.url)
    page.send("Refund it")
    page.button("Decline").click()
    expect(page.tab.get_by_role("alert")).to_contain_text("could not be passed on")
    page.button("Decline").click()
    expect(page.last.get_by_role("status")).to_have_text("Passed on")
    assert [body["value"] for _, body in api.signals] == [{"approved": False}] * 2


def test_others_are_answered_while_one_waits_and_it_can_be_cancelled(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("Pay", (parked("payment"),), (Wait("never"),))
    api.script_of("Hello", answer("Hi."))
    api.ends = {"Pay": ""}
    page = open_page(api.url)
    page.send("Pay")
    expect(page.last.get_by_role("status")).to_contain_text("Waiting for a confirmation: payment")
    expect(page.button("Approve")).to_have_count(0)
    assert page.ask("Hello") == "Hi."
    page.answers.nth(0).get_by_role("button", name="Cancel").click()
    state(page.answers.nth(0), "stopped")


def test_many_that_wait_for_somebody_leave_the_browser_a_connection(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("Hello", answer("Hi."))
    page = open_page(api.url)
    for number in range(7):
        api.script_of(f"Pay {number}", (parked("payment"),), (Wait("never"),))
        page.send(f"Pay {number}")
        state(page.last, "parked")
    page.tab.wait_for_timeout(1_200)  # by now they are followed again
    assert page.ask("Hello") == "Hi."


def test_a_reload_still_knows_what_is_waited_for(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((parked("approval"),), (Wait("never"),))
    page = open_page(api.url)
    page.send("Refund it")
    expect(page.button("Approve")).to_be_visible()
    api.script((parked(),))  # the node that is asked now does not know the name
    page.reload()
    expect(page.button("Approve")).to_be_visible()
    expect(page.users).to_have_count(1)


def log(*turns: tuple[str, str, dict[str, bool]]) -> list[dict[str, object]]:
    """The log of such turns: what the user said, what was answered ("" for nothing), and the answer's metadata."""
    messages: list[dict[str, object]] = []
    for number, (asked, reply, metadata) in enumerate(turns):
        blank: dict[str, object] = {"turn_id": f"t-{number}", "citations": [], "tool_calls": [], "created_at": None}
        messages.append({**blank, "role": "user", "content": asked, "metadata": {}, "index": len(messages)})
        if reply:
            messages.append(
                {**blank, "role": "assistant", "content": reply, "metadata": metadata, "index": len(messages)}
            )
    return messages
