"""WeChat Official Accounts, in plain mode: XML in, replies by the customer-service message API.

Tried against a platform of our own only, made from WeChat's documentation. The signature covers a token, a time and a random text,
not the message: what makes the message trustworthy is HTTPS.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from holdfast.server.channels.contract import (
    Answer,
    Arrived,
    BadMessage,
    BadSignature,
    Delivery,
    Inbound,
    Outbound,
    Setup,
)
from holdfast.server.channels.wechat_api import WeChatApi
from holdfast.server.channels.xml_fields import fields_of

_SUCCESS: Final = Answer(b"success")
_NOT_TEXT: Final = frozenset({"image", "voice", "video", "shortvideo", "location", "link", "file"})
_LONGEST_PART: Final = 2048
"""Bytes of one text message."""

_MOST_PARTS: Final = 5
"""Messages that an account may send for one of the user's."""


class WeChatChannel:
    """`Channel` of one account. A conversation is a follower's; there is one for each."""

    accepted = _SUCCESS

    def __init__(self, setup: Setup) -> None:
        self._config = setup.config
        self._tokens = setup.config.all_secrets
        self._clock = setup.clock
        self._api = WeChatApi(setup.config, setup.http)
        self._only_text = setup.texts.get("only_text", setup.languages[0])

    def greet(self, arrived: Arrived) -> Answer:
        """WeChat asks once, when the URL is entered in its console."""
        self._check(arrived)
        echo = arrived.query.get("echostr", "")
        if not echo.isascii() or not 0 < len(echo) <= 256:
            raise BadMessage("`echostr` is missing.")
        return Answer(echo.encode())

    async def receive(self, arrived: Arrived) -> Inbound | Answer:
        self._check(arrived)
        if arrived.query.get("encrypt_type", "raw") != "raw":
            raise BadMessage("Encrypted messages are not read: choose plain mode in WeChat's console.")
        fields = fields_of(arrived.body)
        user, kind, at = (fields.get(name, "").strip() for name in ("FromUserName", "MsgType", "CreateTime"))
        if not user or not kind or not at:
            raise BadMessage("FromUserName, MsgType or CreateTime is missing.")
        if kind in _NOT_TEXT:
            return self._refusal(user, fields.get("ToUserName", ""))
        text = fields.get("Content", "")
        if kind != "text" or not text.strip():
            return _SUCCESS  # an event: somebody follows, has tapped a menu, ...
        return Inbound(fields.get("MsgId", "").strip() or f"{user}:{at}", user, text, user, user)

    def parts(self, text: str) -> Sequence[str]:
        found: list[str] = []
        rest = text.strip()
        while rest and len(found) < _MOST_PARTS:
            part = rest.encode()[:_LONGEST_PART].decode(errors="ignore")
            if len(part) < len(rest) and (end := part.rfind("\n")) > len(part) // 2:
                part = part[:end]
            rest = rest[len(part) :].strip()
            if rest and len(found) == _MOST_PARTS - 1:
                part = part[:-1].encode()[: _LONGEST_PART - 3].decode(errors="ignore") + "…"
            found.append(part)
        return found

    async def deliver(self, outbound: Outbound) -> Delivery:
        return await self._api.send_text(outbound.inbound.reply_to, outbound.text)

    def _check(self, arrived: Arrived) -> None:
        """SHA-1 over token, time and random text, sorted and joined. Raises `BadSignature`."""
        given, at, nonce = (arrived.query.get(name, "") for name in ("signature", "timestamp", "nonce"))
        fits = []
        for token in self._tokens:
            made = hashlib.sha1("".join(sorted((token, at, nonce))).encode(), usedforsecurity=False).hexdigest()
            fits.append(hmac.compare_digest(made.encode(), given.encode()))
        if not any(fits):
            raise BadSignature("the signature does not fit")
        if not at.isascii() or not at.isdecimal() or abs(self._clock() - int(at[:12])) > self._config.tolerance:
            raise BadSignature("signed at another time")

    def _refusal(self, user: str, account: str) -> Answer:
        """WeChat shows what a request is answered with, if it comes in time."""
        said = f"<Content>{escape(self._only_text)}</Content>"
        names = f"<ToUserName>{escape(user)}</ToUserName><FromUserName>{escape(account)}</FromUserName>"
        head = f"<CreateTime>{int(time.time())}</CreateTime><MsgType>text</MsgType>"
        return Answer(f"<xml>{names}{head}{said}</xml>".encode(), "application/xml; charset=utf-8")
