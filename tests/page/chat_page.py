"""The chat page in a browser, as a test uses it, and a watch over what it must never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS: Final = 20_000
"""For what comes at once, even on a busy machine."""
expect.set_options(timeout=WAIT_MS)
_VIOLATIONS: Final = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective}: ${event.sourceFile}`));
"""


class ChatPage:
    """A tab with the page, and what a user does there.

    Attributes:
        complaints: console errors, uncaught exceptions, requests to anywhere else.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.complaints: list[str] = []
        context.set_default_timeout(WAIT_MS)
        context.add_init_script(_VIOLATIONS)
        self.tab: Page = context.new_page()
        self.tab.on("console", lambda said: self._console(said.type, said.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.tab.on("request", self._request)

    def open(self, hash: str = "") -> ChatPage:
        self.tab.goto(self.url + hash)
        expect(self.field).to_be_visible()
        return self

    def reload(self) -> None:
        self.tab.reload()
        expect(self.field).to_be_visible()

    @property
    def field(self) -> Locator:
        return self.tab.locator("textarea")

    @property
    def users(self) -> Locator:
        return self.tab.locator(".message.user")

    @property
    def answers(self) -> Locator:
        return self.tab.locator(".message.answer")

    @property
    def last(self) -> Locator:
        """The latest answer."""
        return self.answers.last

    def button(self, name: str) -> Locator:
        return self.tab.get_by_role("button", name=name, exact=True)

    def send(self, text: str) -> None:
        """Types it and sends it; does not wait for the answer."""
        before = self.users.count()
        self.field.fill(text)
        self.field.press("Enter")
        expect(self.users).to_have_count(before + 1)

    def ask(self, text: str) -> str:
        """Sends it, waits for the answer, and gives that."""
        self.send(text)
        self.answered()
        return self.last.locator(".reply").inner_text()

    def answered(self) -> None:
        expect(self.last).to_have_attribute("data-state", "done")

    def wider_than_window(self) -> bool:
        wide: bool = self.tab.evaluate(
            "() => [document.documentElement, document.querySelector('.scroller')].some((e) => e.scrollWidth > e.clientWidth)"
        )
        return wide

    def violations(self) -> list[str]:
        found: Any = self.tab.evaluate("() => window.violations")
        return list(found)

    def _console(self, kind: str, text: str) -> None:
        # the browser itself logs every answer of 400 and above, and every connection that breaks
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(f"{kind}: {text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self.url):
            self.complaints.append(f"request to {request.url}")


OpenPage = Callable[..., ChatPage]
"""Opens the page at an address, with a hash, a width and a height, and settings of the browser."""
