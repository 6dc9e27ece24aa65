"""Visitors and logins at the page: by a cookie that scripts do not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chat_page import ChatPage, OpenPage
from playwright.sync_api import expect
from served_site import serving

from holdfast.server.identities.keys import hash_of

SECRET = "a secret of more than thirty-two characters"
KEYS = json.dumps([{"name": "ann", "hash": hash_of("hf_ann"), "user": "ann"}])


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that knows visitors, and ann by her key."""
    settings = {"ACCESS__VISITORS": "true", "ACCESS__SECRET": json.dumps([SECRET]), "ACCESS__KEYS": KEYS}
    with serving(tmp_path_factory.mktemp("closed"), **settings) as url:
        yield url


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that knows ann alone."""
    settings = {"ACCESS__SECRET": json.dumps([SECRET]), "ACCESS__KEYS": KEYS}
    with serving(tmp_path_factory.mktemp("keyed"), **settings) as url:
        yield url


def cookie_of(page: ChatPage) -> Any:
    found = page.context.cookies()
    assert len(found) == 1
    return found[0]


def kept(page: ChatPage) -> str:
    """All that scripts can read."""
    return str(page.tab.evaluate("() => JSON.stringify([document.cookie, {...sessionStorage}, {...localStorage}])"))


def test_a_visitor_talks_at_once_and_comes_back(closed: str, open_page: OpenPage) -> None:
    page = open_page(closed)
    page.ask("How long does delivery take?")
    expect(page.tab.locator(".access-key")).to_have_count(0)
    cookie = cookie_of(page)
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("holdfast", True, "Lax")
    assert cookie["value"] not in kept(page)
    page.reload()
    expect(page.answers).to_have_count(1)
    page.ask("Can I return goods?")
    assert cookie_of(page)["value"] == cookie["value"]


def test_another_visitor_does_not_see_the_conversation(closed: str, open_page: OpenPage) -> None:
    page = open_page(closed)
    page.ask("How long does delivery take?")
    fragment = page.tab.url.partition("#")[2]
    other = open_page(closed, f"#{fragment}")
    expect(other.tab.get_by_text("This conversation is not here any more")).to_be_visible()
    expect(other.answers).to_have_count(0)


def test_a_login_takes_the_conversation_along(closed: str, open_page: OpenPage) -> None:
    page = open_page(closed)
    page.ask("How long does delivery take?")
    visitor, address = cookie_of(page)["value"], page.tab.url
    page.button("Log in").click()
    field = page.tab.get_by_label("Your access key, to go on as yourself.")
    field.fill("hf_bob")
    page.button("Use it").click()
    expect(page.tab.get_by_role("alert")).to_have_text("The server does not know this key.")
    field.fill("hf_ann")
    page.button("Use it").click()
    expect(page.button("Log out")).to_be_visible()
    expect(page.answers).to_have_count(1)
    page.ask("Can I return goods?")
    assert page.tab.url != address
    assert cookie_of(page)["value"] != visitor
    assert "hf_ann" not in kept(page)
    page.button("Log out").click()
    expect(page.button("Log in")).to_be_visible()
    expect(page.answers).to_have_count(0)
    assert cookie_of(page)["value"] != visitor


def test_another_tab_learns_the_token_of_the_new_cookie(closed: str, open_page: OpenPage) -> None:
    page = open_page(closed)
    page.ask("How long does delivery take?")
    page.tab.evaluate("() => sessionStorage.setItem('holdfast.csrf', '\"old\"')")
    page.ask("Can I return goods?")


def test_a_key_becomes_a_cookie(keyed: str, open_page: OpenPage) -> None:
    page = open_page(keyed)
    page.tab.get_by_label("This server asks for an access key.").fill("hf_ann")
    page.button("Use it").click()
    expect(page.tab.locator(".access-key")).to_have_count(0)
    page.ask("How long does delivery take?")
    assert "hf_ann" not in kept(page)
    page.reload()
    expect(page.answers).to_have_count(1)
    page.button("Log out").click()
    expect(page.tab.get_by_label("This server asks for an access key.")).to_be_visible()
