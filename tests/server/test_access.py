"""Access keys, and where a server without them may listen."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator

import pytest
from server_kit import Served, kind, served

from holdfast.config import Config


@pytest.fixture
async def node() -> AsyncIterator[Served]:
    async with served(config={"access_keys": ["first-key", "second-key"]}) as (node,):
        yield node


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic first-key", "first-key", "Bearer first-key2"]
)
async def test_the_api_needs_a_key(node: Served, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    for method, path in (
        ("POST", "/v1/sessions"),
        ("GET", "/v1/sessions?user=u"),
        ("GET", "/v1/sessions/x"),
        ("DELETE", "/v1/sessions/x"),
        ("POST", "/v1/sessions/x/turns"),
        ("GET", "/v1/info"),
        ("GET", "/v1/nothing"),
    ):
        reply = await node.http.request(method, path, headers=headers)
        assert (reply.status_code, kind(reply)) == (401, "unauthorized")
        assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer first-key", "bearer second-key", "Bearer  first-key"])
async def test_any_of_the_keys_will_do(node: Served, header: str) -> None:
    reply = await node.http.post("/v1/sessions", json={"user": "u"}, headers={"Authorization": header})
    assert reply.status_code == 201
    assert (await node.http.get("/v1/sessions?user=u", headers={"Authorization": header})).status_code == 200


async def test_probes_and_the_page_need_none(node: Served) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert (await node.http.get(path)).status_code == 200


async def test_keys_are_compared_in_constant_time(node: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        nonlocal compared
        compared += 1
        assert len(one) == len(other) == 32
        return bool(compare(one, other))

    monkeypatch.setattr(hmac, "compare_digest", counted)
    await node.http.get("/v1/info", headers={"Authorization": "Bearer first-key"})
    assert compared == 2


async def test_the_description_says_that_a_key_is_needed(node: Served) -> None:
    document = (await node.http.get("/openapi.json")).json()
    assert document["paths"]["/v1/info"]["get"]["security"] == [{"accessKey": []}]
    assert "security" not in document["paths"]["/livez"]["get"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_other_machines_are_let_in_with_a_key_only(host: str) -> None:
    with pytest.raises(ValueError, match="no access key"):
        Config(store="memory:", server={"host": host})  # type: ignore[arg-type]  # as a file has it
    Config(store="memory:", server={"host": host, "access_keys": ["k"]})  # type: ignore[arg-type]
