"""Streams that are slow, break, or are refused."""

from __future__ import annotations

import re

from chat_page import OpenPage
from playwright.sync_api import expect
from scripted_api import Cut, Refuse, ScriptedApi, Send, Wait, answer, done, problem, token

RESTARTED = Send("restarted", {})


def test_an_answer_is_shown_as_it_is_made(api: ScriptedApi, open_page: OpenPage) -> None:
    search = Send("status", {"stage": "search"})
    api.script(
        (search, Wait("words"), token("It is **on"), Wait("rest"), token(" its way**."), done("It is **on its way**."))
    )
    page = open_page(api.url)
    page.send("Where?")
    expect(page.last.get_by_role("status")).to_contain_text("Searching the documents")
    expect(page.last).to_have_attribute("aria-busy", "true")
    expect(page.button("Stop")).to_be_visible()
    api.go("words")
    expect(page.last.locator(".reply")).to_contain_text("It is **on")
    api.go("rest")
    page.answered()
    expect(page.last.locator(".reply strong")).to_have_text("on its way")
    expect(page.last.get_by_role("status")).to_have_count(0)
    expect(page.tab.locator("[aria-live=polite]")).to_have_text("It is **on its way**.")


def test_a_stream_that_is_cut_goes_on_without_a_reload(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(
        (token("It is "), token("on its"), Wait("cut"), Cut()),
        (Refuse(502, "<h1>Bad Gateway</h1>"),),
        (RESTARTED, token("It is on its way."), Wait("end"), done("It is on its way.", attempts=2, node="node-b")),
    )
    page = open_page(api.url)
    page.send("Where?")
    expect(page.last.locator(".reply")).to_have_text("It is on its")
    api.go("cut")
    expect(page.last.get_by_role("status")).to_contain_text("Reconnecting")
    expect(page.last.locator(".reply")).to_have_text("It is on its")  # kept until there is something better
    expect(page.last.locator(".reply")).to_have_text("It is on its way.")  # the partial text was dropped
    expect(page.last.get_by_role("status")).to_have_text("The answer goes on elsewhere")
    api.go("end")
    page.answered()
    expect(page.last.locator(".reply")).to_have_text("It is on its way.")
    expect(page.last.locator(".served")).to_have_text("Answered by node-b · version 2 · 2 attempts")
    assert len(api.received) == 3
    assert len({received.key for received in api.received}) == 1
    assert [received.last_event_id for received in api.received] == ["", "run.1", "run.1"]


def test_a_stream_that_goes_on_where_it_broke_says_nothing_twice(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((token("one "), Cut()), (token("two"), done("one two")))
    page = open_page(api.url)
    assert page.ask("Count") == "one two"


def test_an_answer_that_starts_anew_without_a_break_says_that(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((token("half"), Wait("anew"), RESTARTED, Wait("rest"), token("whole"), done("whole")))
    page = open_page(api.url)
    page.send("Tell me")
    expect(page.last.locator(".reply")).to_have_text("half")
    api.go("anew")
    expect(page.last.locator(".reply")).to_have_text("")
    expect(page.last.get_by_role("status")).to_have_text("The answer starts again")
    api.go("rest")
    page.answered()
    expect(page.last.get_by_role("status")).to_have_count(0)


def test_a_silent_connection_is_given_up_for_a_new_one(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((token("half"), Wait("never")), answer("whole"))
    page = open_page(api.url)
    page.tab.clock.install()
    page.send("Hello?")
    expect(page.last.locator(".reply")).to_have_text("half")
    page.tab.clock.fast_forward(26_000)
    page.tab.clock.fast_forward(1_000)  # the wait before the next attempt
    page.answered()
    assert len(api.received) == 2


def test_a_failed_turn_is_tried_again_as_a_new_one(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((Send("error", problem("turn-failed", 500)),), answer("Now it works."))
    page = open_page(api.url)
    page.send("Try")
    expect(page.tab.get_by_role("alert")).to_contain_text("something went wrong")
    page.button("Try again").click()
    page.answered()
    expect(page.users).to_have_count(1)  # the failed one is gone
    assert api.received[0].key != api.received[1].key


def test_an_error_that_leaves_the_outcome_open_is_asked_about_under_the_same_id(
    api: ScriptedApi, open_page: OpenPage
) -> None:
    api.script((Refuse(500, problem("internal", 500, "see the log")),), answer("There."))
    page = open_page(api.url)
    page.send("Try")
    expect(page.tab.get_by_role("alert")).to_contain_text("see the log")
    page.button("Try again").click()
    page.answered()
    assert api.received[0].key == api.received[1].key


def test_a_busy_server_is_asked_again_after_the_time_it_names(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((Refuse(503, problem("overloaded", 503), (("Retry-After", "1"),)),), answer("At last."))
    page = open_page(api.url)
    assert page.ask("Anybody?") == "At last."
    assert len(api.received) == 2


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script((token("half"), Wait("never")), answer("the whole answer"))
    page = open_page(api.url)
    page.send("Tell me")
    expect(page.last.locator(".reply")).to_have_text("half")
    page.reload()
    page.answered()
    expect(page.users).to_have_text(["Tell me"])
    expect(page.last.locator(".reply")).to_have_text("the whole answer")
    assert api.received[0].key == api.received[1].key


def test_a_session_that_expires_under_the_users_hands(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(answer("Hello."), (Refuse(404, problem("session-not-found", 404)),), answer("Hello again."))
    page = open_page(api.url)
    page.ask("Hi")
    page.send("Still there?")
    expect(page.tab.locator(".offer")).to_contain_text("not here any more")
    page.tab.locator(".offer button").click()
    expect(page.field).to_have_value("Still there?")  # nothing has to be typed twice
    page.field.press("Enter")
    page.answered()
    expect(page.users).to_have_count(1)


def test_being_offline_is_said_and_the_turn_goes_on_afterwards(api: ScriptedApi, open_page: OpenPage) -> None:
    page = open_page(api.url)
    page.ask("Hi")
    page.context.set_offline(True)
    expect(page.tab.locator(".banner")).to_contain_text("You are offline")
    page.send("Are you there?")
    expect(page.last.get_by_role("status")).to_contain_text("Reconnecting")
    page.context.set_offline(False)
    page.answered()
    expect(page.tab.locator(".banner")).to_have_count(0)


def test_a_reader_who_scrolled_up_is_left_there(api: ScriptedApi, open_page: OpenPage) -> None:
    lines = "\n\n".join(f"line {number}" for number in range(60))
    api.script(answer(lines), (token(lines), Wait("more"), token("\n\nmore"), done(f"{lines}\n\nmore")))
    page = open_page(api.url)
    page.ask("Long, please")
    expect(page.last.locator(".origin")).to_be_in_viewport()  # it followed
    page.send("Again")
    expect(page.last.locator(".reply")).to_have_text(re.compile(r"line 59\s*$"))
    scroller = page.tab.locator(".scroller")
    scroller.evaluate("element => element.scrollTo(0, 300)")
    expect(page.button("To the latest message")).to_be_visible()
    api.go("more")
    page.answered()
    assert scroller.evaluate("element => element.scrollTop") == 300
    page.button("To the latest message").click()
    expect(page.last.locator(".origin")).to_be_in_viewport()
