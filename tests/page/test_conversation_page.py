"""The page against the real server, its sample assistant and its documents."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.request import Request, urlopen

from chat_page import OpenPage
from playwright.sync_api import expect

QUESTION = "How long does delivery take?"


def call(url: str, body: Any) -> Any:
    """What the API answers to a POST."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as response:
        return json.load(response)


def test_an_example_is_answered_with_sources_and_the_node_that_served_it(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    expect(page.tab.locator(".examples button")).to_have_count(3)
    page.tab.locator(".examples button").first.click()
    page.answered()
    expect(page.users).to_have_text([QUESTION])
    assert "working days" in page.last.inner_text()
    assert page.last.locator(".chip").count() >= 1
    expect(page.last.locator(".origin")).to_contain_text("Quoted from the documents")
    expect(page.last.locator(".served")).to_have_text(re.compile(r"Answered by web-1 · version \d+"))
    assert re.search(r"#s=[\w-]{43}$", page.tab.url)


def test_a_reload_keeps_the_conversation_and_masks_what_is_sensitive(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    page.ask("Where is my order?")
    assert "138****1234" in page.ask("My number is 138 0000 1234")
    said = page.answers.locator(".reply").all_inner_texts()
    page.reload()
    expect(page.answers).to_have_count(2)
    assert page.answers.locator(".reply").all_inner_texts() == said
    expect(page.users.last).to_contain_text("138****1234")
    assert "bluetooth" in page.ask("the first one").lower()  # the task goes on where it was


def test_a_citation_opens_its_passage_with_the_quote_highlighted(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    page.ask(QUESTION)
    page.last.locator(".reply button.mark").first.click()
    drawer = page.tab.get_by_role("dialog")
    expect(drawer.locator("h2")).to_contain_text("Shipping and delivery")
    expect(drawer.locator(".place")).to_have_text(re.compile(r"en/shipping\.md · Characters \d+ to \d+"))
    quote = drawer.locator(".passage mark").inner_text()
    assert quote
    assert quote in page.last.locator(".reply").inner_text()
    assert len(drawer.locator(".passage").inner_text()) > len(quote)
    expect(drawer.locator(".passage mark")).to_be_in_viewport()

    page.tab.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    chip = page.last.locator(".chip").first
    chip.click()
    drawer.get_by_role("button", name="Close").click()
    expect(chip).to_be_focused()  # a keyboard's user goes on from where he was


def test_a_pdf_citation_names_its_page(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    page.ask("How do I clean and care for a cast iron pan?")
    chips = page.last.locator(".chip", has_text="Page")
    assert chips.count() >= 1, page.last.inner_text()
    chips.first.click()
    expect(page.tab.locator(".drawer .place")).to_have_text(re.compile(r"care-guide\.pdf · Page \d+"))
    expect(page.tab.locator(".drawer .passage mark")).to_be_visible()


def test_the_language_is_the_browsers_until_it_is_switched(site: str, open_page: OpenPage) -> None:
    page = open_page(site, locale="zh-CN")
    html = page.tab.locator("html")
    expect(html).to_have_attribute("lang", "zh-CN")
    reply = page.ask("\u914d\u9001\u9700\u8981\u591a\u4e45")
    assert re.search(r"[\u4e00-\u9fff]", reply)
    page.tab.get_by_role("button", name="Switch to English").click()
    expect(html).to_have_attribute("lang", "en")
    expect(page.field).to_have_attribute("placeholder", "Write a message")
    page.reload()
    expect(html).to_have_attribute("lang", "en")
    expect(page.last.locator(".reply")).to_have_text(re.compile(r"[\u4e00-\u9fff]"))  # what was said stays as it was


def test_a_new_conversation_leaves_the_old_one_at_its_address(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    page.ask(QUESTION)
    old = page.tab.url
    page.button("New conversation").click()
    expect(page.answers).to_have_count(0)
    assert page.tab.url == site
    page.ask("Where is my order?")
    assert page.tab.url not in (old, site)
    page.tab.goto(old)
    expect(page.users).to_have_text([QUESTION])


def test_an_unknown_conversation_is_said_to_be_gone_and_a_new_one_offered(site: str, open_page: OpenPage) -> None:
    page = open_page(site, "#s=" + "x" * 43)
    offer = page.tab.get_by_role("alert")
    expect(offer).to_contain_text("not here any more")
    offer.get_by_role("button", name="New conversation").click()
    expect(page.tab.locator(".welcome")).to_be_visible()
    assert page.tab.url == site


def test_a_long_conversation_is_loaded_by_page(site: str, open_page: OpenPage) -> None:
    session = call(f"{site}v1/sessions", {})["id"]
    for number in range(40):
        call(f"{site}v1/sessions/{session}/turns", {"input": f"Hello, for the {number}th time"})
    page = open_page(site, f"#s={session}")
    expect(page.users).to_have_count(25)
    expect(page.users.last).to_be_in_viewport()
    page.button("Show earlier messages").click()
    expect(page.users).to_have_count(40)
    expect(page.users.first).to_contain_text("0th")
    expect(page.tab.locator(".earlier")).to_have_count(0)
