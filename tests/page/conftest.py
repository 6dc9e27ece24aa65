"""A browser for the chat page's tests, the real server, and a scripted one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from chat_page import FLAGS, ChatPage, OpenPage
from playwright.sync_api import Browser, sync_playwright
from scripted_api import ScriptedApi
from served_site import serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Not for longer than a module: while playwright's loop runs, no other module's async tests could."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        reason = "no chromium: the chat page is NOT tested; `sh scripts/install-servers.sh` installs it"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `holdfast serve` with the sample assistant and its documents, on SQLite."""
    with serving(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as api:
        yield api


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens the page in a fresh browser profile; afterwards, none of them may have complained."""
    opened: list[ChatPage] = []

    def open_page(url: str, hash: str = "", *, width: int = 1280, height: int = 800, **options: Any) -> ChatPage:
        settings = {"locale": "en-GB", "color_scheme": "light", "reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        page = ChatPage(context, url)
        opened.append(page)
        return page.open(hash)

    yield open_page
    complaints = [complaint for page in opened for complaint in page.complaints + page.violations()]
    for page in opened:
        page.context.close()
    assert not complaints
