"""The page against three real nodes behind a round-robin proxy, on Redis: the serving node is killed, an answer is stopped through
another node, one waits for approval."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.request import urlopen

import pytest
from chat_page import ChatPage, OpenPage
from playwright.sync_api import Response, Route, expect

from holdfast.demo.nodes import Node, Redis
from holdfast.demo.proxy import RoundRobinProxy

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None and "CI" not in os.environ, reason="redis-server is not installed"
)

STAGES: Final = Path(__file__).parent
CONFIG: Final = """
[store]
lease = "2s"
[knowledge]
index = ""
[assistant]
policy = "asking_stage:make"
"""
WORDS: Final = 12
WHOLE: Final = "".join(f"w{number} " for number in range(WORDS)).strip()


T = TypeVar("T")


class Loop:
    """An event loop in a thread of its own: playwright has this one's."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Site:
    """The nodes by name, and the proxy's address."""

    def __init__(self, loop: Loop, nodes: list[Node], url: str) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.url = f"{url}/"
        self._loop = loop

    def kill(self, name: str) -> None:
        self._loop.run(self.nodes[name].kill())

    def another(self, than: str) -> Node:
        return next(node for node in self.nodes.values() if node.alive and node.name != than)

    def log(self, page: ChatPage) -> list[dict[str, Any]]:
        session = page.tab.url.split("#s=")[1]
        with urlopen(f"{self.url}v1/sessions/{session}/messages", timeout=10) as response:
            messages: list[dict[str, Any]] = json.load(response)["messages"]
        return messages


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    loop = Loop()
    running = _running(loop, tmp_path_factory.mktemp("nodes"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(STAGES), prepend=os.pathsep)
            site = loop.run(running.__aenter__())
        yield site
        loop.run(running.__aexit__(None, None, None))
    finally:
        loop.close()


@asynccontextmanager
async def _running(loop: Loop, folder: Path) -> AsyncIterator[Site]:
    config = folder / "holdfast.toml"
    config.write_text(CONFIG)
    redis = Redis(folder)
    await redis.start()
    nodes = [Node(f"node-{letter}", config, redis.url, folder) for letter in "abc"]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        async with RoundRobinProxy([node.port for node in nodes]) as proxy:
            yield Site(loop, nodes, proxy.url)
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
        await redis.stop()


class Watched:
    """A page that says which nodes answered its turns' requests."""

    def __init__(self, page: ChatPage) -> None:
        self.page = page
        self.served: list[tuple[str, str]] = []
        page.tab.on("response", self._response)
        page.tab.evaluate("() => (window.sameLife = true)")

    def _response(self, response: Response) -> None:
        if "/turns" in response.url and response.ok:
            self.served.append((response.request.method, response.headers["x-holdfast-node"]))

    def reloaded(self) -> bool:
        return not self.page.tab.evaluate("() => window.sameLife === true")


def test_the_serving_node_is_killed_and_the_answer_finishes_without_a_reload(nodes: Site, open_page: OpenPage) -> None:
    page = open_page(nodes.url)
    watched = Watched(page)
    page.send(f"slow {WORDS} 0.12")
    expect(page.last.locator(".reply")).to_contain_text("w3")
    victim = watched.served[-1][1]
    nodes.kill(victim)
    expect(page.last.get_by_role("status")).to_have_text("The answer goes on elsewhere")
    page.answered()
    assert page.last.locator(".reply").inner_text() == WHOLE
    expect(page.last.locator(".served")).to_contain_text("2 attempts")
    assert not watched.reloaded()
    assert watched.served[-1][1] != victim
    assert [(one["role"], one["content"].strip()) for one in nodes.log(page)] == [
        ("user", f"slow {WORDS} 0.12"),
        ("assistant", WHOLE),
    ]


def test_an_answer_is_stopped_through_another_node(nodes: Site, open_page: OpenPage) -> None:
    page = open_page(nodes.url)
    watched = Watched(page)

    def through_another(route: Route) -> None:
        elsewhere = f"http://127.0.0.1:{nodes.another(watched.served[0][1]).port}/"
        route.continue_(url=route.request.url.replace(nodes.url, elsewhere))

    page.tab.route("**/turns/*", through_another)
    page.send("slow 100 0.1")
    page.send("and then?")
    expect(page.answers.nth(0).locator(".reply")).to_contain_text("w3")
    page.button("Stop").click()
    expect(page.answers.nth(0)).to_have_attribute("data-state", "stopped")
    page.answered()
    said = page.answers.nth(0).locator(".reply").inner_text()
    assert dict(watched.served)["DELETE"] != watched.served[0][1]
    assert [(one["role"], one["content"].strip(), one["metadata"].get("cancelled")) for one in nodes.log(page)] == [
        ("user", "slow 100 0.1", None),
        ("assistant", said, True),
        ("user", "and then?", None),
        ("assistant", "echo: and then?", None),
    ]


def test_send_now_has_the_running_answer_stopped(nodes: Site, open_page: OpenPage) -> None:
    page = open_page(nodes.url)
    page.send("slow 100 0.1")
    expect(page.last.locator(".reply")).to_contain_text("w2")
    page.field.fill("first this")
    page.button("Send now").click()
    expect(page.answers).to_have_count(2)
    page.answered()
    expect(page.answers.nth(0)).to_have_attribute("data-state", "stopped")
    said = page.answers.nth(0).locator(".reply").inner_text()
    assert [one["content"].strip() for one in nodes.log(page)] == [
        "slow 100 0.1",
        said,
        "first this",
        "echo: first this",
    ]


def test_an_answer_that_waits_for_approval_goes_on_after_a_reload(nodes: Site, open_page: OpenPage) -> None:
    page = open_page(nodes.url)
    page.send("ask")
    expect(page.last.get_by_role("status")).to_contain_text("Waiting for your approval")
    expect(page.last.locator(".reply")).to_have_text("One moment.")
    assert page.ask("hello") == "echo: hello"
    page.reload()
    page.button("Approve").click()
    page.answered()
    assert page.last.locator(".reply").inner_text() == "One moment. Approved."
    assert [one["content"].strip() for one in nodes.log(page)] == [
        "hello",
        "echo: hello",
        "ask",
        "One moment. Approved.",
    ]
