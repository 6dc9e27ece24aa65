"""Bodies and headers that are made to break a parser: each gets an answer of the API, and what was there before stays."""

from __future__ import annotations

import pytest
from server_kit import kind, served

DEEP = 100_000
BODIES = {
    "deep list": b'{"input": "x", "a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep object": b'{"input": "x", "a": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "deep and open": b"[" * DEEP,
    "huge number": b'{"input": ' + b"9" * 50_000 + b"}",
    "huge exponent": b'{"input": 1e999999999}',
    "not a number": b'{"input": NaN}',
    "half a pair": b'{"input": "\\ud800"}',
    "half a pair in a name": b'{"input": "x", "\\udfff": 1}',
    "utf-16": '{"input": "x"}'.encode("utf-16"),
    "utf-8 with mark": b'\xef\xbb\xbf{"input": "x"}',
    "overlong utf-8": b'{"input": "\xc0\xaf"}',
    "nul": b'{"input": "x\x00"}',
    "escaped nul": b'{"input": "\\u0000"}',
    "twice": b'{"input": "first", "input": "second"}',
    "proto": b'{"__proto__": {"input": "x"}, "constructor": 1}',
    "two documents": b'{"input": "x"}{"input": "y"}',
    "many keys": b"{" + b",".join(b'"k%d": 1' % number for number in range(20_000)) + b"}",
    "blanks": b" " * 100_000 + b'{"input": "x"}',
    "list": b'[{"input": "x"}]',
    "null": b"null",
    "nothing": b"",
    "bytes": bytes(range(256)),
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("name", sorted(BODIES))
async def test_a_hostile_body_gets_an_answer(name: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with served(config={"max_body_bytes": 2_000_000}) as (node,):
        session = await node.session()
        before = await node.store.get(session)
        for path in ("", f"/{session}/turns", f"/{session}/signals/approval", "/other/turns"):
            reply = await node.http.post(f"/v1/sessions{path}", content=BODIES[name], headers=headers)
            assert reply.status_code < 500, (path, reply.text[:300])
            if reply.status_code >= 400:
                assert kind(reply)
                assert len(reply.content) < 2_000, "no echo of what was sent"
        assert await node.store.get(session) == before
        assert (await node.turn(session, "say still here")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "9" * 5_000},
        {"Content-Type": "application/json; charset=" + "x" * 5_000},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Idempotency-Key": "x" * 300},
        {"Idempotency-Key": "\x1ffailed"},
        {"Last-Event-ID": "run." + "9" * 5_000},
        {"Last-Event-ID": "run.²"},
        {"Accept": "text/event-stream," * 1_000},
        {"Authorization": "Bearer " + "." * 10_000},
        {"Cookie": "a=b; " * 2_000},
    ],
    ids=lambda headers: f"{next(iter(headers))} {next(iter(headers.values()))[:16]!r}",
)
async def test_a_hostile_header_gets_an_answer(headers: dict[str, str]) -> None:
    given = {"Content-Type": "application/json", **headers}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    async with served() as (node,):
        session = await node.session()
        for method, path in (("POST", f"{session}/turns"), ("GET", f"{session}/turns/t/events"), ("GET", session)):
            body = b'{"input": "say x"}' if method == "POST" else None
            reply = await node.http.request(method, f"/v1/sessions/{path}", content=body, headers=raw)
            assert reply.status_code < 500, reply.text[:300]
