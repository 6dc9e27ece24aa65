"""Replies, messages, citations, names, ids and errors that try to run a script, to load something, or to deceive.

Beside what each test asserts, no page may complain (see `open_page`): no console error, no violation of the content security
policy (which so was not even needed), and no request to anywhere but the page's own origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import pytest
from chat_page import ChatPage, OpenPage
from playwright.sync_api import Dialog, expect
from scripted_api import Refuse, ScriptedApi, Send, answer, done, problem, token
from xss_vectors import VECTORS

_TRAP: Final = """
window.hits = 0;
window.hit = () => { window.hits += 1; };
for (const name of ["alert", "confirm", "prompt", "open", "print"]) window[name] = window.hit;
const send = navigator.sendBeacon;
navigator.sendBeacon = (...given) => { window.hit(); return send.apply(navigator, given); };
"""
_ALLOWED: Final = frozenset([
    *("p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("hr", "table", "thead", "tbody", "tr", "th", "td", "div", "span", "button"),
])  # fmt: skip
_ATTRIBUTES: Final = frozenset([
    *("href", "title", "align", "start", "target", "rel", "class", "tabindex", "type", "data-source", "aria-label", "lang"),
])  # fmt: skip
_INSIDE: Final = """
(replies) => replies.flatMap((reply) => [...reply.querySelectorAll("*")].map((element) => ({
  name: element.localName,
  space: element.namespaceURI,
  attributes: element.getAttributeNames(),
  href: element.getAttribute("href"),
  target: element.getAttribute("target"),
  rel: element.getAttribute("rel"),
})))
"""
_POKE: Final = """
(replies) => {
  for (const reply of replies) for (const element of reply.querySelectorAll("*")) {
    const link = element.closest("a[href]");
    for (const kind of ["mouseover", "mouseenter", "focus", "blur", "toggle", "animationstart", "error", "load", "pointerdown"])
      element.dispatchEvent(new Event(kind, { bubbles: true }));
    if (!link) element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  }
}
"""

_HARM: Final = """
() => {
  const reply = document.createElement("div");
  reply.className = "reply";
  const image = document.createElement("img");
  reply.append(image);
  document.body.append(reply);
  try { image.setAttribute("onerror", "hit()"); } catch { /* the policy refuses even that */ }
}
"""


def trapped(open_page: OpenPage, api: ScriptedApi, hash: str = "") -> ChatPage:
    """The page, in which a script that runs is counted, and every window or download that opens is a complaint."""
    page = open_page(api.url)
    page.tab.add_init_script(_TRAP)

    def dialog_opened(dialog: Dialog) -> None:
        page.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.tab.on("dialog", dialog_opened)
    page.tab.on("download", lambda download: page.complaints.append(f"download: {download.url}"))
    page.tab.on("frameattached", lambda frame: page.complaints.append(f"frame: {frame.url}"))
    page.context.on("page", lambda opened: page.complaints.append(f"window: {opened.url}"))
    page.open(hash)
    if hash:
        page.reload()
    return page


def inert(page: ChatPage, where: str = ".reply") -> None:
    """What is there has no script, no foreign element or attribute, and no link that is not https, mailto or tel."""
    replies = page.tab.locator(where)
    for element in replies.evaluate_all(_INSIDE):
        assert element["name"] in _ALLOWED and element["space"] == "http://www.w3.org/1999/xhtml", element
        assert set(element["attributes"]) <= _ATTRIBUTES, element
        if element["name"] == "a" and element["href"] is not None:
            assert re.match(r"(?:https?://|mailto:|tel:)", element["href"]), element
            assert element["target"] == "_blank" and {"noopener", "noreferrer"} <= set(element["rel"].split()), element
    replies.evaluate_all(_POKE)
    page.tab.wait_for_timeout(20)  # an event handler that waits is not a case here: nothing has one
    assert page.tab.evaluate("() => window.hits") == 0
    expect(page.field).to_be_visible()
    assert not page.wider_than_window()


def groups(size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(VECTORS), size):
        yield VECTORS[start : start + size]


def stored(role: str, index: int, content: str, **more: Any) -> dict[str, Any]:
    blank: dict[str, Any] = {
        "citations": [],
        "tool_calls": [],
        "metadata": {},
        "created_at": None,
        "turn_id": f"t-{index}",
    }
    return {**blank, "index": index, "role": role, "content": content, **more}


def test_there_are_enough_of_them() -> None:
    assert len(VECTORS) == len(set(VECTORS)) >= 80


def test_the_trap_catches_what_is_not_sanitised(api: ScriptedApi, open_page: OpenPage) -> None:
    """A page that put the vectors in as HTML would be seen to: by what runs, by what is there, and by the policy."""
    page = trapped(open_page, api)
    page.tab.evaluate("() => { hit(); }")
    assert page.tab.evaluate("() => window.hits") == 1
    page.tab.reload()
    page.tab.evaluate(_HARM)
    with pytest.raises(AssertionError):
        inert(page)
    page.tab.wait_for_timeout(50)
    assert page.violations(), "the second wall: the policy stopped the handler"
    page.tab.evaluate("() => { window.violations = []; }")
    page.complaints.clear()


def test_stored_replies_are_inert(api: ScriptedApi, open_page: OpenPage) -> None:
    api.messages = [stored("assistant", number, vector) for number, vector in enumerate(VECTORS)]
    page = trapped(open_page, api, "#s=s1")
    older(page)
    expect(page.answers).to_have_count(len(VECTORS))
    inert(page)


def older(page: ChatPage) -> None:
    """Has the page load what is above, until there is no more."""
    expect(page.tab.locator(".message").last).to_be_visible()  # before that there is nothing above either
    for _ in range(20):
        more = page.tab.get_by_role("button", name=re.compile("earlier|older", re.IGNORECASE))
        if more.count() == 0:
            return
        more.first.click()
        page.tab.wait_for_timeout(50)


def test_streamed_replies_are_inert_at_every_step(api: ScriptedApi, open_page: OpenPage) -> None:
    """Half of a vector may be worse than the whole: they come in pieces of a few characters."""
    page = trapped(open_page, api)
    for number, few in enumerate(groups(10)):
        text = "\n\n".join(few)
        pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
        api.script_of(f"q{number}", [*map(token, pieces), done(text)])
        page.ask(f"q{number}")
        inert(page)


def test_a_users_own_words_are_text(api: ScriptedApi, open_page: OpenPage) -> None:
    api.messages = [stored("user", number, vector) for number, vector in enumerate(VECTORS)]
    page = trapped(open_page, api, "#s=s1")
    older(page)
    expect(page.tab.locator(".message.user")).to_have_count(len(VECTORS))
    assert page.tab.locator(".message.user .bubble *").count() == 0
    inert(page, ".message.user")


def test_names_citations_and_errors_are_text(api: ScriptedApi, open_page: OpenPage) -> None:
    """The name of a person who took over, a source's title, document, quote and address, and what the server says went wrong."""
    vectors = [vector for vector in VECTORS if len(vector) < 300]
    api.messages = [
        stored(
            "assistant",
            number,
            "So it is. [1]",
            metadata={"by": "person", "name": vector, "mode": vector, "node": vector},
        )
        for number, vector in enumerate(vectors)
    ]
    page = trapped(open_page, api, "#s=s1")
    older(page)
    expect(page.answers).to_have_count(len(vectors))
    assert page.tab.locator(".person-name img, .person-name script, .person-name a").count() == 0
    inert(page)
    for number, vector in enumerate(vectors[:: len(vectors) // 9]):
        source = {
            "document": vector,
            "title": vector,
            "quote": vector,
            "page": None,
            "start": 0,
            "end": 5,
            "url": vector,
        }
        api.passage = {"document": vector, "page": None, "start": 0, "end": 5, "text": vector}
        api.script_of(
            f"q{number}", answer("It is. [1]", citations=[{**source, "passage_url": "/v1/passages?document=x"}])
        )
        page.ask(f"q{number}")
        page.last.locator(".chip").click()
        expect(page.tab.locator(".drawer")).to_be_visible()
        for link in page.tab.locator(".drawer a").all():
            assert re.match("https?://", link.get_attribute("href") or "")
        assert page.tab.locator(".drawer :is(img, script, iframe, svg[onload], form, style, object)").count() == 0
        page.tab.keyboard.press("Escape")
        api.script_of(f"e{number}", [Refuse(500, {**problem("turn-failed", 500, vector), "title": vector})])
        page.send(f"e{number}")
        expect(page.tab.locator(".notice.bad").last).to_be_visible()
        assert page.tab.locator(".notice :is(img, script, a, svg)").count() == 0
    assert page.tab.evaluate("() => window.hits") == 0


def test_hostile_ids_in_the_address_are_ids(api: ScriptedApi, open_page: OpenPage) -> None:
    page = trapped(open_page, api)
    for vector in [vector for vector in VECTORS if len(vector) < 120][::9]:
        page.tab.goto(f"{api.url}#s={quote(vector, safe='')}")
        expect(page.field).to_be_visible()
        assert page.tab.evaluate("() => window.hits") == 0
    page.reload()
    inert(page)


def test_stages_and_unknown_events_are_text(api: ScriptedApi, open_page: OpenPage) -> None:
    page = trapped(open_page, api)
    for number, vector in enumerate(VECTORS[::16]):
        steps = [Send("status", {"stage": vector}), Send("other", {"text": vector}), token("ok"), done("ok")]
        api.script_of(f"q{number}", steps)
        page.ask(f"q{number}")
        inert(page)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[https://bank.example/login](https://evil.example/)", True),
        ("[bank.example](https://evil.example/bank.example)", True),
        ("[www.bank.example](https://evil.example/)", True),
        ("[\u202emoc.elpmaxe.knab//:sptth](https://evil.example/)", True),
        ("[https://evil.example/login](https://evil.example/)", False),
        ("[evil.example](https://evil.example/a)", False),
        ("[our page](https://evil.example/)", False),
        ("[version 2.0](https://evil.example/)", False),
    ],
)
def test_a_link_that_names_another_place_than_it_leads_to_says_so(
    text: str, named: bool, api: ScriptedApi, open_page: OpenPage
) -> None:
    api.script(answer(text))
    page = open_page(api.url)
    said = page.ask("Where?")
    assert ("(evil.example)" in said) == named, said
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", said)
    expect(page.last.locator(".reply a")).to_have_attribute("title", re.compile("https://evil.example/"))
