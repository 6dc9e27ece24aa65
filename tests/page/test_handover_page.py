"""A user and a person at two real nodes: the user waits, the node dies, the person answers through the other one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from chat_page import ChatPage, OpenPage
from playwright.sync_api import expect
from test_killed_node import Loop, Site

from holdfast.demo.nodes import Node, Redis
from holdfast.demo.proxy import RoundRobinProxy

CONFIG = """
[store]
lease = "2s"
[knowledge]
index = ""
[trace]
on_page = true
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if shutil.which("redis-server") is None and "CI" not in os.environ:
        pytest.skip("redis-server is not installed")
    loop = Loop()
    running = _running(loop, tmp_path_factory.mktemp("nodes"))
    try:
        yield loop.run(running.__aenter__())
        loop.run(running.__aexit__(None, None, None))
    finally:
        loop.close()


@asynccontextmanager
async def _running(loop: Loop, folder: Path) -> AsyncIterator[Site]:
    config = folder / "holdfast.toml"
    config.write_text(CONFIG)
    redis = Redis(folder)
    await redis.start()
    nodes = [Node(f"node-{letter}", config, redis.url, folder) for letter in "ab"]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        async with RoundRobinProxy([node.port for node in nodes]) as proxy:
            yield Site(loop, nodes, proxy.url)
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        await redis.stop()


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=20) as response:
        return json.load(response)


def session_of(page: ChatPage) -> str:
    return page.tab.url.split("#s=")[1]


def test_how_it_was_answered_is_shown_from_the_keyboard(nodes: Site, open_page: OpenPage) -> None:
    page = open_page(nodes.url)
    page.ask("hello")
    button = page.last.get_by_role("button", name="How it was answered")
    button.focus()
    page.tab.keyboard.press("Enter")
    drawer = page.tab.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name="How it was answered")).to_be_visible()
    expect(drawer).to_contain_text("Understood")
    expect(drawer).to_contain_text("greet")
    expect(drawer).to_contain_text("small_talk")
    page.tab.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(button).to_be_focused()


def test_a_person_answers_though_the_node_dies(nodes: Site, open_page: OpenPage) -> None:
    page = open_page(nodes.url)
    page.tab.evaluate("() => (window.sameLife = true)")
    notice = page.tab.locator(".with-person")
    page.ask("I want to talk to a human")
    expect(notice).to_have_text("A person will answer you here. You can go on writing meanwhile.")
    page.send("it is broken")
    expect(page.answers).to_have_count(1)
    serving = page.last.locator(".served").inner_text().split()[2]
    nodes.kill(serving)
    left = f"http://127.0.0.1:{nodes.another(serving).port}/v1"
    (waiting,) = asked(f"{left}/handovers")["handovers"]
    assert waiting["session_id"] == session_of(page)
    asked(f"{left}/sessions/{session_of(page)}/handover/replies", {"text": "What is **broken**?", "name": "Li"})
    expect(page.answers).to_have_count(2)
    expect(page.last.locator(".person-name")).to_have_text("Li")
    expect(page.last.locator(".reply")).to_have_text("What is broken?")
    expect(notice).to_have_text("You are talking to a person.")
    page.send("the lid")
    asked(f"{left}/sessions/{session_of(page)}/handover/replies", {"text": "A new one is on its way.", "name": "Li"})
    expect(page.answers).to_have_count(3)
    asked(f"{left}/sessions/{session_of(page)}/handover/end", {})
    expect(page.last.locator(".reply")).to_have_text("You are talking to the assistant again.")
    expect(notice).to_have_count(0)
    assert page.ask("thanks").startswith("You're welcome")
    assert page.tab.evaluate("() => window.sameLife === true")  # all of it without a reload
    shown = page.tab.locator(".message").all_inner_texts()
    page.reload()
    expect(page.answers).to_have_count(5)
    expect(page.tab.locator(".message")).to_have_count(len(shown))
    expect(page.tab.get_by_text("Not answered")).to_have_count(0)
