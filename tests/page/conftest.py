"""A browser for the chat page's tests, the real server, and a scripted one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_page import FLAGS, ChatPage, OpenPage
from playwright.sync_api import Browser, sync_playwright
from scripted_api import ScriptedApi


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
    folder: Path = tmp_path_factory.mktemp("site")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HOLDFAST_"))}
    environment |= {"XDG_DATA_HOME": str(folder), "HOLDFAST_SERVER__NODE": "web-1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "holdfast", "serve", "--port", "0", "--quiet"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(rb"Open (http://\S+)", line):
                yield found[1].decode()
                break
        else:
            pytest.fail(f"holdfast serve did not start: {(folder / 'log').read_text()}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        process.wait(10)


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
