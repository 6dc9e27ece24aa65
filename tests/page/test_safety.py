"""Hostile replies, messages and citations; what is vendored."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import pytest
from chat_page import OpenPage
from playwright.sync_api import expect
from scripted_api import ScriptedApi, answer

from holdfast.server.pages import PAGE

HOSTILE: Final = (
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<svg onload='window.hit = 1'></svg>",
    "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe>",
    "[click](javascript:window.hit=1)",
    "[click](<java\nscript:window.hit=1>)",
    "[click](data:text/html,<script>window.hit=1</script>)",
    "[click](&#106;avascript:window.hit=1)",
    '[click](https://example.com/" onmouseover="window.hit=1)',
    '![picture](x" onerror="window.hit=1)',
    "![picture](https://example.com/seen.png)",
    "<a href='javascript:window.hit=1'>click</a>",
    "<math><mtext></table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=window.hit=1&gt;'>",
    "<form action=https://example.com><button>click</button></form>",
    "<style>body { display: none }</style>",
    "```<img src=x onerror=window.hit=1>\n<script>window.hit = 1</script>\n```",
    "<base href=https://example.com/>",
)
ALLOWED: Final = "p br strong em del code pre blockquote ul ol li a h1 h2 h3 h4 h5 h6 hr table thead tbody tr th td div"
INSIDE: Final = """
(reply) => [...reply.querySelectorAll("*")].flatMap((element) => [
  element.localName,
  ...[...element.attributes].filter(({ name }) => name.startsWith("on")).map(({ name }) => name),
])
"""


@pytest.mark.parametrize("by_user", [False, True], ids=["reply", "message"])
def test_hostile_text_is_inert(by_user: bool, api: ScriptedApi, open_page: OpenPage) -> None:
    text = "\n\n".join(HOSTILE)
    api.script(answer("Fine." if by_user else text))
    api.messages = []
    page = open_page(api.url)
    if by_user:
        api.messages = [message("user", text)]
        page.open("#s=s1")
        page.reload()
        expect(page.users).to_contain_text("<script>window.hit = 1</script>")
        assert page.users.locator("p *").count() == 0
    else:
        page.ask("Harm me")
        reply = page.last.locator(".reply")
        assert set(reply.evaluate(INSIDE)) <= set(ALLOWED.split())
        expect(reply).to_contain_text("<script>window.hit = 1</script>")  # shown as it was written
        for link in reply.locator("a").all():
            href = link.get_attribute("href")
            assert href is None or href.startswith("https://example.com/")
            if href is None:
                link.click()
    assert page.tab.evaluate("() => window.hit") is None
    expect(page.field).to_be_visible()


def test_links_open_elsewhere_and_tell_nothing(api: ScriptedApi, open_page: OpenPage) -> None:
    api.script(answer("See [this](https://example.com/a) or https://example.com/b or [mail](mailto:a@example.com)."))
    page = open_page(api.url)
    page.ask("Links")
    links = page.last.locator(".reply a")
    expect(links).to_have_count(3)
    for link in links.all():
        expect(link).to_have_attribute("target", "_blank")
        expect(link).to_have_attribute("rel", re.compile("noopener noreferrer"))


def test_a_hostile_citation_is_text(api: ScriptedApi, open_page: OpenPage) -> None:
    bad = "<img src=x onerror='window.hit=1'>"
    api.script(
        answer("So it is. [1] `[1]` [2]", citations=[citation(title=bad, quote=bad, url="javascript:window.hit=1")])
    )
    api.passage = {"document": bad, "page": None, "start": 0, "end": 50, "text": f"Before {bad} after"}
    page = open_page(api.url)
    page.ask("Why?")
    expect(page.last.locator(".reply button.mark")).to_have_count(1)  # not in code, and there is no second source
    page.last.locator(".chip").click()
    expect(page.tab.locator(".drawer mark")).to_have_text(bad)
    expect(page.tab.locator(".drawer a")).to_have_count(0)
    assert page.tab.evaluate("() => window.hit") is None


def test_offsets_count_characters(api: ScriptedApi, open_page: OpenPage) -> None:
    text = "\U0001f40b\U0001f40b It floats. It floats."
    api.passage = {"document": "w.md", "page": None, "start": 100, "end": 100 + len(text), "text": text}
    at = 100 + text.rindex("It floats.")
    api.script(answer("It does. [1]", citations=[citation(quote="It floats.", start=at, end=at + 10)]))
    page = open_page(api.url)
    page.ask("Does it?")
    page.last.locator(".chip").click()
    expect(page.tab.locator(".drawer mark")).to_have_text("It floats.")
    assert (
        page.tab.locator(".drawer .passage").evaluate("p => p.innerHTML").endswith("It floats. <mark>It floats.</mark>")
    )


def test_a_passage_that_changed_or_is_gone_still_shows_the_quote(api: ScriptedApi, open_page: OpenPage) -> None:
    sources = [citation(quote="As it was."), citation(quote="As it was.", passage_url="")]
    api.script(answer("It was. [1] [2]", citations=sources))
    api.passage = {"document": "w.md", "page": None, "start": 0, "end": 5, "text": "As it is now, for all to read."}
    page = open_page(api.url)
    page.ask("Was it?")
    page.last.locator(".chip").click()
    drawer = page.tab.locator(".drawer")
    expect(drawer.locator(".notice")).to_contain_text("has changed since")
    expect(drawer.locator("mark")).to_have_text("As it was.")
    drawer.get_by_role("button", name="Source 2").click()
    expect(drawer.locator(".notice")).to_contain_text("cannot be shown")
    expect(drawer.locator("mark")).to_have_text("As it was.")


def test_vendored_modules_are_what_their_list_says() -> None:
    listed = dict(
        reversed(line.split("  ")) for line in re.findall(r"^[0-9a-f]{64}  \S+$", vendor_list(), re.MULTILINE)
    )
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (PAGE / "vendor").glob("*.js")}
    assert found == listed
    for licence in re.findall(r"\((licences/\S+)\)", vendor_list()):
        assert (PAGE / "vendor" / licence).is_file()


def test_the_page_has_no_inline_script_or_style_and_no_foreign_address() -> None:
    html = (PAGE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", html) == []
    for file in [PAGE / "index.html", *(PAGE / "assets").iterdir()]:
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", file.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file.name


def vendor_list() -> str:
    return (PAGE / "vendor" / "VENDOR.md").read_text()


def citation(**more: Any) -> dict[str, Any]:
    blank = {"document": "w.md", "title": "W", "quote": "", "page": None, "start": 0, "end": 0, "url": ""}
    return {**blank, "passage_url": "/v1/passages?document=w.md", **more}


def message(role: str, content: str) -> dict[str, Any]:
    blank: dict[str, Any] = {"citations": [], "tool_calls": [], "metadata": {}, "created_at": None}
    return {**blank, "index": 0, "role": role, "content": content, "turn_id": "t"}
