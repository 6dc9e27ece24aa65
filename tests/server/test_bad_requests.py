"""Requests that do not fit: each has its own answer, none is a 500, and none leaves anything behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from server_kit import Served, kind, served

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def node() -> AsyncIterator[Served]:
    async with served(config={"max_input_chars": 100, "max_body_bytes": 2048}) as (node,):
        yield node


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b"\x00\xff\xfe\x80", 400, "malformed"),
        (b'{"input": "\xff"}', 400, "malformed"),
        (b'{"input": "\\ud800"}', 400, "malformed"),
        (b'{"input": ' + b"[" * 1900, 422, "invalid-request"),
        (b'{"more": ' + b"[" * 1900, 422, "invalid-request"),
        (b"[]", 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b"{}", 422, "invalid-request"),
        (b'{"input": 7}', 422, "invalid-request"),
        (b'{"input": null}', 422, "invalid-request"),
        (b'{"input": ""}', 422, "invalid-request"),
        (b'{"input": " \\n\\t\\u3000"}', 422, "invalid-request"),
        (b'{"input": "x", "more": 1}', 422, "invalid-request"),
        (b'{"input": "x", "on_busy": "drop"}', 422, "invalid-request"),
        (b'{"input": "' + b"x" * 101 + b'"}', 422, "invalid-request"),
        (b'{"input": "' + b"x" * 1_000_000 + b'"}', 413, "body-too-large"),
    ],
)
async def test_a_turn_that_does_not_fit(node: Served, body: bytes, status: int, expected: str) -> None:
    session_id = await node.session()
    reply = await node.http.post(f"/v1/sessions/{session_id}/turns", content=body, headers=JSON)
    assert (reply.status_code, kind(reply)) == (status, expected)
    assert (await node.http.get(f"/v1/sessions/{session_id}")).json()["version"] == 1
    assert await node.store.backend.overdue() == []


async def test_a_body_is_counted_while_it_comes(node: Served) -> None:
    session_id = await node.session()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 1024
            yield b" " * 1024

    reply = await node.http.post(f"/v1/sessions/{session_id}/turns", content=endless(), headers=JSON)
    assert (reply.status_code, kind(reply)) == (413, "body-too-large")
    assert sent <= 4096


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16"]
)
async def test_only_json_is_taken(node: Served, media: str) -> None:
    """A form on another site's page can send the first two without asking."""
    session_id = await node.session()
    headers = {"Content-Type": media} if media else {}
    reply = await node.http.post(f"/v1/sessions/{session_id}/turns", content=b'{"input": "x"}', headers=headers)
    assert (reply.status_code, kind(reply)) == (415, "unsupported-media-type")


async def test_json_by_any_other_spelling_is_taken(node: Served) -> None:
    session_id = await node.session()
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    reply = await node.http.post(f"/v1/sessions/{session_id}/turns", content=b'{"input": "say x"}', headers=headers)
    assert reply.status_code == 200


@pytest.mark.parametrize("turn_id", ["", " ", "x" * 257, "tab\tin", "caf\u00e9".encode("latin-1"), "中".encode()])
async def test_a_turn_id_is_visible_ascii(node: Served, turn_id: Any) -> None:
    session_id = await node.session()
    reply = await node.http.post(
        f"/v1/sessions/{session_id}/turns", json={"input": "say x"}, headers={"Idempotency-Key": turn_id}
    )
    assert (reply.status_code, kind(reply)) == (422, "invalid-request")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sessions",
        "/v1/sessions?user=",
        "/v1/sessions?user=u&limit=0",
        "/v1/sessions?user=u&limit=101",
        "/v1/sessions?user=u&limit=x",
        f"/v1/sessions?user={'u' * 257}",
        "/v1/sessions/s/messages?start=-1",
        "/v1/sessions/s/messages?limit=201",
        "/v1/sessions/s/messages?start=99999999999999999999999999",
        f"/v1/sessions/{'s' * 257}",
        "/v1/passages?document=d",
        "/v1/passages?document=d&start=x&end=1",
    ],
)
async def test_parameters_that_do_not_fit(node: Served, path: str) -> None:
    reply = await node.http.get(path)
    assert (reply.status_code, kind(reply)) == (422, "invalid-request")


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 500, "%00", "e30=", "中"])
async def test_a_cursor_of_ones_own_harms_nobody(node: Served, cursor: str) -> None:
    reply = await node.http.get(f"/v1/sessions?user=u&cursor={cursor}")
    assert reply.status_code in (200, 422)


@pytest.mark.parametrize("body", [b"[]", b'{"user": 7}', b'{"user": "' + b"u" * 257 + b'"}', b'{"id": "mine"}'])
async def test_a_new_session_that_does_not_fit(node: Served, body: bytes) -> None:
    reply = await node.http.post("/v1/sessions", content=body, headers=JSON)
    assert (reply.status_code, kind(reply)) == (422, "invalid-request")


async def test_paths_and_methods_that_are_not_there(node: Served) -> None:
    assert kind(await node.http.get("/v1/nothing")) == "not-found"
    assert kind(await node.http.get("/v1/sessions/")) == "not-found"
    reply = await node.http.put("/v1/sessions")
    assert (reply.status_code, kind(reply)) == (405, "method-not-allowed")
    assert "POST" in reply.headers["allow"]


async def test_the_values_that_were_sent_are_not_told_back(node: Served) -> None:
    session_id = await node.session()
    for body in (b'{"input": 13812345678}', b'{"input": "x", "phone 13812345678": 1}'):
        reply = await node.http.post(f"/v1/sessions/{session_id}/turns", content=body, headers=JSON)
        assert reply.status_code == 422
    reply = await node.http.get("/v1/sessions?user=u&limit=13812345678")
    assert "13812345678" not in reply.text
