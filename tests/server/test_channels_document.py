"""The adapter in docs/channels.md works as it stands, and its settings are those that there are."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from channel_kit import listening, served_channel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.config import ChannelSection
from store_nodes import eventually

DOCS = (Path(__file__).parent.parent.parent / "docs" / "channels.md").read_text()
NOT_EVERYBODYS = {"app_id", "app_secret", "app_secret_file", "base_url", "options"}


async def test_the_adapter_receives_and_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    module = ModuleType("my_channels")
    exec(compile(example, "channels.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "my_channels", module)
    heard: list[tuple[str, bytes]] = []

    async def take(request: Request) -> Response:
        heard.append((request.path_params["room"], await request.body()))
        return Response(None, 503 if len(heard) == 1 else 204)

    async with listening([Route("/rooms/{room}", take, methods=["POST"])]) as port:
        options = {"url": f"http://127.0.0.1:{port}/rooms"}
        section: dict[str, Any] = {"kind": "my_channels:Shout", "secrets": ["abracadabra"], "options": options}
        async with served_channel({**section, "first_pause": 0.05}) as node:
            path, body = "/v1/channels/webhook/shop", {"id": "1", "room": "hall", "words": "say yes"}
            assert (await node.http.post(path, json=body)).status_code == 401
            reply = await node.http.post(path, json=body, headers={"X-Shout": "abracadabra"})
            assert (reply.status_code, reply.text) == (200, "ok")
            assert (await node.http.post(path, json={}, headers={"X-Shout": "abracadabra"})).status_code == 422
            await eventually(lambda: len(heard) == 2)
    assert heard == [("hall", b"yes")] * 2


def test_the_settings_are_documented() -> None:
    for name in set(ChannelSection.model_fields) - NOT_EVERYBODYS:
        assert f"`{name}`" in DOCS, name


def test_the_sections_can_be_read(tmp_path: Path) -> None:
    for text in re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL):
        (section,) = tomllib.loads(text)["channels"].values()
        if "app_secret_file" in section:
            section["app_secret_file"] = tmp_path / "secret"
            section["app_secret_file"].write_text("app-secret\n")
        else:
            section["secrets"] = ["a secret of some length"]
        assert ChannelSection(**section).all_secrets
