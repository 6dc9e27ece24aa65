"""WeChat Official Accounts, against a platform of our own that does what WeChat's documentation says."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from channel_kit import listening, served_channel
from server_kit import Served, kind
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.server.channels.contract import Malformed
from holdfast.server.channels.xml_fields import fields_of
from holdfast.turns.failures import Failure

TOKEN = "token-in-the-console"
PATH = "/v1/channels/webhook/shop"
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">%s]><xml><Content>&i;</Content></xml>""" % b"".join(
    b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in b"bcdefghi"
)
OUTSIDE = b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><Content>&x;</Content></xml>'
BY_PARAMETER = b'<!DOCTYPE xml [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]><xml/>'
FETCHED = b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd"><xml><Content>x</Content></xml>'


class WeChat:
    """Gives out tokens; takes customer-service messages that carry the last one."""

    def __init__(self) -> None:
        self.tokens: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.errors: list[int] = []
        self.valid = ""

    async def token(self, request: Request) -> Response:
        self.tokens.append(await request.json())
        if self.tokens[-1] != {"grant_type": "client_credential", "appid": "wx-app", "secret": "app-secret"}:
            return JSONResponse({"errcode": 40125, "errmsg": "invalid appsecret"})
        self.valid = f"token-{len(self.tokens)}"
        return JSONResponse({"access_token": self.valid, "expires_in": 7200})

    async def send(self, request: Request) -> Response:
        if request.query_params["access_token"] != self.valid:
            return JSONResponse({"errcode": 40001, "errmsg": "invalid credential"})
        if self.errors:
            return JSONResponse({"errcode": self.errors.pop(0), "errmsg": "..."})
        raw = await request.body()
        assert b"\\u" not in raw  # the platform shows escapes as they are
        self.messages.append(await request.json())
        return JSONResponse({"errcode": 0, "errmsg": "ok"})

    async def has(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            while len(self.messages) < count:  # noqa: ASYNC110 (other tests wait for other counts)
                await asyncio.sleep(0.02)
        return self.messages


@asynccontextmanager
async def account(**more: Any) -> AsyncIterator[tuple[WeChat, Served]]:
    """The platform, and a node that serves an account of it."""
    wechat = WeChat()
    routes = [
        Route("/cgi-bin/stable_token", wechat.token, methods=["POST"]),
        Route("/cgi-bin/message/custom/send", wechat.send, methods=["POST"]),
    ]
    async with listening(routes) as port:
        section = {
            "kind": "wechat",
            "secrets": [TOKEN],
            "app_id": "wx-app",
            "app_secret": "app-secret",
            "base_url": f"http://127.0.0.1:{port}",
            "first_pause": 0.05,
            **more,
        }
        async with served_channel(section) as node:
            yield wechat, node


def signed(token: str = TOKEN, at: float | None = None, **more: str) -> dict[str, str]:
    """The query of a request."""
    moment, nonce = str(int(time.time() if at is None else at)), "n-4711"
    digest = hashlib.sha1("".join(sorted((token, moment, nonce))).encode()).hexdigest()
    return {"signature": digest, "timestamp": moment, "nonce": nonce, **more}


def text_message(text: str, message_id: str = "23456789012345678") -> bytes:
    msg_id = f"<MsgId>{message_id}</MsgId>" if message_id else ""
    return (
        "<xml><ToUserName><![CDATA[gh_account]]></ToUserName><FromUserName><![CDATA[oUser-1]]></FromUserName>"
        f"<CreateTime>1767225600</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
        f"{msg_id}</xml>"
    ).encode()


async def sent(node: Served, body: bytes, query: dict[str, str] | None = None) -> httpx.Response:
    return await node.http.post(PATH, content=body, params=query or signed(), headers={"Content-Type": "text/xml"})


async def failed(node: Served) -> list[Failure]:
    return [failure async for failure in node.store.deliveries.failures.list()]


async def test_the_url_is_confirmed_by_its_echo() -> None:
    async with account() as (_, node):
        reply = await node.http.get(PATH, params=signed(echostr="5927782489442352469"))
        assert (reply.status_code, reply.text) == (200, "5927782489442352469")
        reply = await node.http.get(PATH, params=signed("another token", echostr="5"))
        assert (reply.status_code, kind(reply)) == (401, "bad-signature")
        assert (await node.http.get(PATH, params=signed())).status_code == 422


@pytest.mark.parametrize("message_id", ["23456789012345678", ""])
async def test_a_text_that_is_sent_three_times_is_answered_once(message_id: str) -> None:
    async with account() as (wechat, node):
        for _ in range(3):
            reply = await sent(node, text_message("hold a", message_id))
            assert (reply.status_code, reply.text) == (200, "success")
        node.assistant.open("a")
        assert await wechat.has(1) == [{"touser": "oUser-1", "msgtype": "text", "text": {"content": "hold: a"}}]
        assert (await sent(node, text_message("hold a", message_id))).text == "success"
        await asyncio.sleep(0.3)
        assert (len(wechat.messages), node.assistant.calls, len(wechat.tokens)) == (1, ["hold a"], 1)


async def test_what_is_no_text_is_answered_at_once_and_starts_no_turn() -> None:
    async with account() as (_, node):
        image = text_message("").replace(b"[text]", b"[image]")
        reply = await sent(node, image)
        assert reply.headers["content-type"] == "application/xml; charset=utf-8"
        fields = fields_of(reply.content)
        assert (fields["ToUserName"], fields["FromUserName"], fields["MsgType"]) == ("oUser-1", "gh_account", "text")
        assert fields["Content"] == "抱歉，目前只能看懂文字消息。请用文字再说一遍。"
        for other in (text_message("").replace(b"[text]", b"[event]"), text_message(" ")):
            assert (await sent(node, other)).text == "success"
        assert await node.store.backend.overdue() == []


@pytest.mark.parametrize(
    "query",
    [
        {},
        signed("another token"),
        signed(at=time.time() - 1000),
        signed(at=time.time() + 1000),
        signed() | {"nonce": "another"},
        signed() | {"signature": "é"},
        signed() | {"timestamp": "soon"},
    ],
)
async def test_what_wechat_has_not_signed_is_refused(query: dict[str, str]) -> None:
    async with account() as (_, node):
        reply = await node.http.post(PATH, content=text_message("say x"), params=query)
        assert (reply.status_code, kind(reply)) == (401, "bad-signature")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (LAUGHS, 400),
        (OUTSIDE, 400),
        (BY_PARAMETER, 400),
        (FETCHED, 400),
        (b"", 400),
        (b"<xml>", 400),
        ('<?xml version="1.0" encoding="utf-16"?><xml/>'.encode("utf-16"), 400),
        (b"<xml>" + b"<a>" * 100 + b"</a>" * 100 + b"</xml>", 400),
        (b"<xml>" + b"".join(b"<a%d/>" % number for number in range(200)) + b"</xml>", 400),
        (b"<xml><Content>&undeclared;</Content></xml>", 400),
        (b"<xml><FromUserName>x</FromUserName></xml>", 422),
        (text_message("x" * 70_000), 413),
    ],
)
async def test_hostile_xml_is_refused(body: bytes, status: int) -> None:
    async with account() as (_, node):
        started = time.perf_counter()
        reply = await sent(node, body)
        assert reply.status_code == status
        assert time.perf_counter() - started < 5
        assert "root:" not in reply.text


def test_a_document_type_alone_is_refused() -> None:
    with pytest.raises(Malformed):
        fields_of(b"<!DOCTYPE xml><xml/>")


async def test_encrypted_messages_are_refused() -> None:
    async with account() as (_, node):
        reply = await sent(node, text_message("say x"), signed(encrypt_type="aes"))
        assert (reply.status_code, "plain mode" in reply.json()["detail"]) == (422, True)


async def test_a_token_that_is_not_valid_any_more_is_fetched_anew() -> None:
    async with account() as (wechat, node):
        await sent(node, text_message("say one", "1"))
        await wechat.has(1)
        wechat.valid = "revoked"
        await sent(node, text_message("say two", "2"))
        assert [one["text"]["content"] for one in await wechat.has(2)] == ["one", "two"]
        assert len(wechat.tokens) == 2


async def test_a_busy_platform_is_asked_again_and_a_refusal_is_final() -> None:
    async with account() as (wechat, node):
        wechat.errors = [-1]
        await sent(node, text_message("say one", "1"))
        await wechat.has(1)
        wechat.errors = [45015]
        await sent(node, text_message("say two", "2"))
        async with asyncio.timeout(5):
            while not await failed(node):  # noqa: ASYNC110 (the store is asked)
                await asyncio.sleep(0.05)
        assert (await failed(node))[0].error.endswith("the last one: errcode 45015")
        assert len(wechat.messages) == 1


async def test_a_wrong_app_secret_fails_in_the_end_and_is_told_nowhere() -> None:
    async with account(app_secret="not-the-secret", tries=2) as (_, node):
        await sent(node, text_message("say one"))
        async with asyncio.timeout(5):
            while not await failed(node):  # noqa: ASYNC110 (the store is asked)
                await asyncio.sleep(0.05)
        assert (await failed(node))[0].error.endswith("the last one: no token: errcode 40125")


async def test_a_long_reply_is_sent_in_parts_that_each_fit() -> None:
    async with account(max_body_bytes=100_000) as (wechat, node):
        await sent(node, text_message("say " + "字" * 1500))
        parts = [one["text"]["content"] for one in await wechat.has(3)]
        assert "".join(parts) == "字" * 1500
        assert all(len(part.encode()) <= 2048 for part in parts)
        await sent(node, text_message("say " + "长" * 7000, "2"))
        parts = [one["text"]["content"] for one in await wechat.has(8)][3:]
        await asyncio.sleep(0.2)
        assert len(wechat.messages) == 8
        assert parts[-1].endswith("…")
        assert all(len(part.encode()) <= 2048 for part in parts)
