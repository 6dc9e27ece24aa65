"""Keys: Enter, Shift+Enter, Esc, and the Enter that belongs to an input method."""

from __future__ import annotations

from chat_page import OpenPage
from playwright.sync_api import expect
from scripted_api import ScriptedApi


def test_enter_sends_and_shift_enter_starts_a_line(api: ScriptedApi, open_page: OpenPage) -> None:
    page = open_page(api.url)
    page.field.press_sequentially("one")
    page.field.press("Shift+Enter")
    page.field.press_sequentially("two")
    assert api.received == []
    page.field.press("Enter")
    page.answered()
    assert [received.input for received in api.received] == ["one\ntwo"]
    expect(page.field).to_have_value("")
    expect(page.field).to_be_focused()


def test_the_enter_that_ends_a_composition_does_not_send(api: ScriptedApi, open_page: OpenPage) -> None:
    page = open_page(api.url)
    page.field.focus()
    keyboard = page.context.new_cdp_session(page.tab)  # a real composition, as an input method makes it
    keyboard.send("Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5})
    key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}  # only `isComposing` tells it from any Enter
    keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **key})
    keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    keyboard.send("Input.insertText", {"text": "\u4f60\u597d"})
    expect(page.field).to_have_value("\u4f60\u597d")
    expect(page.users).to_have_count(0)
    # Safari: the composition has ended already, and only the key's code tells
    page.field.evaluate(
        "field => field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true}))"
    )
    expect(page.users).to_have_count(0)
    page.field.press("Enter")
    expect(page.users).to_have_text(["\u4f60\u597d"])


def test_blank_and_too_long_messages_are_not_sent(api: ScriptedApi, open_page: OpenPage) -> None:
    page = open_page(api.url)
    page.field.fill("  \n ")
    expect(page.button("Send")).to_be_disabled()
    page.field.fill("\U0001f40b" * 200)  # characters, not UTF-16 units
    expect(page.button("Send")).to_be_enabled()
    page.field.fill("x" * 201)
    expect(page.button("Send")).to_be_disabled()
    expect(page.tab.locator("#composer-note")).to_contain_text("at most 200")
    page.field.press("Enter")
    expect(page.users).to_have_count(0)


def test_a_server_with_access_keys_is_asked_with_the_users(api: ScriptedApi, open_page: OpenPage) -> None:
    api.access_key = "opensesame"
    page = open_page(api.url)
    page.tab.get_by_label("This server asks for an access key.").fill("opensesame")
    page.button("Use it").click()
    expect(page.tab.locator(".access-key")).to_have_count(0)
    page.ask("hello")
    assert api.received[0].authorization == "Bearer opensesame"
