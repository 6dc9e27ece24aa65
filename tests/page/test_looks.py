"""Light and dark, narrow windows, contrast."""

from __future__ import annotations

from typing import Final

import pytest
from chat_page import OpenPage
from playwright.sync_api import Page, expect
from scripted_api import ScriptedApi, Send, Wait, answer, parked, token

WIDE_REPLY: Final = f"""{"w" * 300}

| a | b | c | d | e | f |
|---|---|---|---|---|---|
| {" | ".join(["unbreakable" * 3] * 6)} |

```
{"code " * 60}
```
https://example.com/{"path/" * 40}
"""
CITATION: Final = {
    "document": "d" * 120 + ".md",
    "title": "t" * 200,
    "quote": "q" * 200,
    "page": 3,
    "start": 0,
    "end": 200,
    "url": "",
    "passage_url": "/v1/passages?document=d",
}
PAIRS: Final = (
    ("text", "ground"),
    ("text", "surface"),
    ("text", "bubble"),
    ("text", "sunk"),
    ("muted", "ground"),
    ("muted", "surface"),
    ("muted", "sunk"),
    ("muted", "bad-tint"),
    ("accent", "ground"),
    ("accent", "surface"),
    ("accent", "sunk"),
    ("accent", "bad-tint"),
    ("accent-strong", "tint"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-highlight", "highlight"),
    ("bad", "bad-tint"),
    ("bad", "ground"),
)
CONTRASTS: Final = """
(pairs) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    canvas.fillStyle = getComputedStyle(probe).color;
    probe.remove();
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return pairs.map(([text, ground]) => {
    const [dark, light] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
    return [`${text} on ${ground}`, (light + 0.05) / (dark + 0.05)];
  });
}
"""


def brightness(tab: Page) -> float:
    value: float = tab.evaluate(
        "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 765"
    )
    return value


def test_dark_follows_the_system_until_it_is_switched_and_that_is_remembered(
    api: ScriptedApi, open_page: OpenPage
) -> None:
    page = open_page(api.url, color_scheme="dark")
    assert brightness(page.tab) < 0.2
    page.button("Use light colours").click()
    assert brightness(page.tab) > 0.8
    page.reload()
    assert brightness(page.tab) > 0.8
    page.button("Use dark colours").click()
    page.tab.emulate_media(color_scheme="light")
    assert brightness(page.tab) < 0.2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str, api: ScriptedApi, open_page: OpenPage) -> None:
    page = open_page(api.url, color_scheme=theme)
    weak = [(pair, ratio) for pair, ratio in page.tab.evaluate(CONTRASTS, PAIRS) if ratio < 4.5]
    assert weak == []  # WCAG 2.2, 1.4.3 (AA)


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_360_pixels_are_enough(locale: str, api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(answer(WIDE_REPLY, citations=[CITATION], metadata={"mode": "extractive"}, node="n" * 64))
    api.passage = {"document": "d", "page": 3, "start": 0, "end": 300, "text": "q" * 300}
    page = open_page(api.url, width=360, height=740, locale=locale)
    assert not page.wider_than_window()
    page.ask("u" * 150)
    assert not page.wider_than_window()
    page.last.locator(".chip").click()
    expect(page.tab.locator(".drawer mark")).to_be_visible()
    assert not page.tab.locator(".drawer-text").evaluate("element => element.scrollWidth > element.clientWidth")
    assert not page.wider_than_window()


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_360_pixels_are_enough_while_others_wait(locale: str, api: ScriptedApi, open_page: OpenPage) -> None:
    api.script_of("Pay", (parked("s" * 200, 1e6),), (Wait("never"),))
    api.script_of("Refund", (parked("approval", 1e6),), (Wait("never"),))
    api.script_of("One", (Send("status", {"stage": "answer"}), token("w" * 200), Wait("never")))
    api.script((Send("status", {"stage": "waiting"}), Wait("never")))
    page = open_page(api.url, width=360, height=740, locale=locale)
    for text in ("Pay", "Refund", "One", "Two"):
        page.send(text)
    page.field.fill("and another " * 9)
    expect(page.tab.locator(".composer .round")).to_have_count(3)
    assert not page.wider_than_window()
    sizes = [box["width"] for one in page.tab.locator("button:visible").all() if (box := one.bounding_box())]
    assert min(sizes) >= 24  # WCAG 2.2, 2.5.8 (AA)
    assert (page.field.bounding_box() or {"width": 0})["width"] > 120


def test_everything_can_be_reached_with_tab_and_shows_it(api: ScriptedApi, open_page: OpenPage) -> None:
    page = open_page(api.url)
    page.tab.locator("h1").click()  # from the page's beginning
    reached = []
    for _ in range(7):
        page.tab.keyboard.press("Tab")
        name, outline = page.tab.evaluate(
            "() => [document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.append(name)
        assert outline != "none" or name == "Your message"  # there, the box around it shows it
    assert reached[:3] == ["New conversation", "\u5207\u6362\u5230\u4e2d\u6587", "Use dark colours"]
    assert reached[-1] == "Your message"
