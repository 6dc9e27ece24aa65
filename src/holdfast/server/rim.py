"""The outermost layer of every request: the access key, headers, the access log, counts, and errors that nobody expected."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Sequence
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.server.channels.routes import PREFIX as SIGNED
from holdfast.server.faults import log_fault
from holdfast.server.metrics import Metrics
from holdfast.server.problems import UNAUTHORIZED, Refused
from holdfast.server.replies import problem_reply

_access: Final = logging.getLogger("holdfast.access")
_log: Final = logging.getLogger(__name__)
_CLIENT_LEFT: Final = 499


class Rim:
    """Plain ASGI, because it is around every request. ``keys`` empty: everybody may."""

    def __init__(self, app: ASGIApp, *, node: str, metrics: Metrics, keys: Sequence[str]) -> None:
        self._app = app
        self._node = node
        self._metrics = metrics
        self._keys = [_digest(key.encode()) for key in keys]
        header = (b"x-holdfast-node", node.encode("latin-1", "replace"))
        self._page_headers = [header, (b"x-content-type-options", b"nosniff")]
        self._api_headers = [*self._page_headers, (b"cache-control", b"no-store")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        under_v1 = scope["path"].startswith("/v1/")
        own = self._api_headers if under_v1 else self._page_headers

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in own if pair[0] not in names)]
            await send(message)

        try:
            if under_v1 and self._keys and not scope["path"].startswith(SIGNED) and not self._may(scope):
                await problem_reply(Refused(UNAUTHORIZED), Request(scope))(scope, receive, send_on)
            else:
                await self._app(scope, receive, send_on)
        except ClientDisconnect:
            status = status or _CLIENT_LEFT
        except Exception as error:  # noqa: BLE001  (the rim)
            if status and isinstance(error, OSError):
                return  # a stream whose reader left
            log_fault(_log, f"{scope['method']} {_template(scope)} failed", error)
            if status == 0:
                await problem_reply(error, Request(scope))(scope, receive, send_on)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _may(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = given.partition(b" ")
        digest = _digest(key.strip())
        known = [hmac.compare_digest(digest, one) for one in self._keys]  # all of them, however early one fits
        return scheme.lower() == b"bearer" and any(known)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        template, method = _template(scope), scope["method"]
        if method not in _METHODS:
            method = "OTHER"
        self._metrics.request(method, template, status, seconds)
        if _access.isEnabledFor(logging.INFO):
            _access.info("%s %s %d %.1f ms node=%s", method, template, status, seconds * 1000, self._node)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _template(scope: Scope) -> str:
    """The route's path, without the ids that stand in the request's."""
    path: str = getattr(scope.get("route"), "path", "") or "(no route)"
    return path.replace(":path}", "}")
