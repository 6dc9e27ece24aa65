"""The two calls of the WeChat API that a reply needs: an access token, and a customer-service message."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.config import ChannelSection
from holdfast.server.channels.contract import Delivery
from holdfast.server.channels.sending import Sent, delivery_of, post

if TYPE_CHECKING:  # see sending.py
    import httpx

_STALE: Final = frozenset({40001, 40014, 42001})
"""The token is not valid (any more): another one helps."""

_BUSY: Final = frozenset({-1, 45009})
"""The platform is busy, or the account has asked too often today."""

_EARLY_S: Final = 300.0
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


class _Told(msgspec.Struct):
    """What any call answers with: ``errcode`` 0 is success, whatever the HTTP status."""

    errcode: int = 0
    access_token: str = ""
    expires_in: int = 0


class WeChatApi:
    """One account's. The token is kept by each node for itself: `stable_token` gives all of them the same one."""

    def __init__(
        self, config: ChannelSection, http: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._base = config.base_url.rstrip("/")
        self._http = http
        self._clock = clock
        self._token = ""
        self._until = 0.0

    async def send_text(self, user: str, text: str) -> Delivery:
        """One message to one user."""
        if not self._token or self._clock() >= self._until:
            failed = await self._fetch_token()
            if failed is not None:
                return failed
        body = msgspec.json.encode({"touser": user, "msgtype": "text", "text": {"content": text}})
        sent = await self._post(f"/cgi-bin/message/custom/send?access_token={self._token}", body)
        told = _read(sent)
        if told is None:
            return _unread(sent)
        if told.errcode in _STALE:
            self._token = ""
        return Delivery(told.errcode == 0, told.errcode not in _STALE | _BUSY, f"errcode {told.errcode}")

    async def _fetch_token(self) -> Delivery | None:
        """None where there is one now."""
        wanted = {
            "grant_type": "client_credential",
            "appid": self._config.app_id,
            "secret": self._config.secret_of_app,
        }
        sent = await self._post("/cgi-bin/stable_token", msgspec.json.encode(wanted))
        told = _read(sent)
        if told is None:
            return _unread(sent)
        if not told.access_token:
            return Delivery(False, told=f"no token: errcode {told.errcode}")  # what is wrong can be put right meanwhile
        self._token = told.access_token
        self._until = self._clock() + max(told.expires_in - _EARLY_S, told.expires_in / 2)
        return None

    async def _post(self, path: str, body: bytes) -> Sent:
        return await post(self._http, self._base + path, body, _JSON, self._config.timeout / 2)


def _read(sent: Sent) -> _Told | None:
    if sent.status != 200:
        return None
    try:
        return msgspec.json.decode(sent.body, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _unread(sent: Sent) -> Delivery:
    delivery = delivery_of(sent)
    return Delivery(False, told="an answer that is not JSON") if delivery.ok else delivery
