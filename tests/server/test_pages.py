"""Files for a browser: the chat page and the page of the API's description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from server_kit import Scripted, Served, kind, served

from holdfast import Store, open_store
from holdfast.config import Config
from holdfast.server.app import create_app


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[tuple[Path, httpx.AsyncClient]]:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "vendor").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>你好</title>")
    (folder / "assets" / "app.js").write_text("export {}")
    (folder / "vendor" / "lib.js").write_text("export {}")
    (tmp_path / "secret.txt").write_text("hidden words")
    store: Store
    async with open_store("memory:") as store:
        app = create_app(store, Scripted(), Config(store="memory:"), page=folder)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://holdfast.test") as http:
            yield folder, http


async def test_the_page_has_a_strict_policy(page: tuple[Path, httpx.AsyncClient]) -> None:
    reply = await page[1].get("/")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (await page[1].head("/")).headers["content-length"] == str(len(reply.content))


async def test_files_are_asked_for_again_only_where_they_changed(page: tuple[Path, httpx.AsyncClient]) -> None:
    folder, http = page
    first = await http.get("/assets/app.js")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    again = await http.get("/assets/app.js", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    (folder / "assets" / "app.js").write_text("export const changed = 1")
    changed = await http.get("/assets/app.js", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.text) == (200, "export const changed = 1")
    assert (await http.get("/vendor/lib.js")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/nothing.js",
        "/assets/",
        "/assets/../index.html",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets//etc/passwd",
        "/assets/%00",
        "/assets/" + "x" * 5000,
        "/vendor/../../secret.txt",
        "/docs/assets/redoc.standalone.js",
    ],
)
async def test_nothing_else_is_served(page: tuple[Path, httpx.AsyncClient], path: str) -> None:
    reply = await page[1].get(path)
    assert reply.status_code == 404 or reply.text.startswith("<!doctype html>")
    assert "hidden words" not in reply.text


async def test_the_docs_page_works_without_the_internet() -> None:
    async with served() as (node,):
        reply = await node.http.get("/docs")
        assert "http://" not in reply.text
        assert "https://" not in reply.text
        assert "unsafe-inline" not in reply.headers["content-security-policy"].replace(
            "style-src 'self' 'unsafe-inline'", ""
        )
        for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
            assert f"docs/assets/{name}" in reply.text
            assert (await node.http.get(f"/docs/assets/{name}")).status_code == 200


async def test_a_server_without_the_page_says_so(tmp_path: Path) -> None:
    async with open_store("memory:") as store:
        app = create_app(store, Scripted(), Config(store="memory:"), page=tmp_path / "none")  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://holdfast.test") as http:
            assert kind(await http.get("/")) == "not-found"


async def test_the_page_that_ships_is_whole() -> None:
    node: Served
    async with served() as (node,):
        reply = await node.http.get("/")
        assert reply.status_code == 200
        assert "<script>" not in reply.text
