"""The outermost layer of every request: who sent it, headers, the access log, counts, and errors that nobody expected."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.errors import HoldfastError
from holdfast.server.callers import set_caller
from holdfast.server.channels.routes import PREFIX as SIGNED
from holdfast.server.faults import log_fault
from holdfast.server.identities.identifying import Identities, set_identified
from holdfast.server.metrics import Metrics
from holdfast.server.problems import NOT_FOUND, Refused
from holdfast.server.replies import problem_reply
from holdfast.server.rules import OPEN

_access: Final = logging.getLogger("holdfast.access")
_log: Final = logging.getLogger(__name__)
_CLIENT_LEFT: Final = 499


class Rim:
    """Plain ASGI, because it is around every request."""

    def __init__(self, app: ASGIApp, *, node: str, metrics: Metrics, identities: Identities) -> None:
        self._app = app
        self._node = node
        self._metrics = metrics
        self._identities = identities
        access = identities.access
        self._closed = access.closed
        header = (b"x-holdfast-node", node.encode("latin-1", "replace"))
        self._page_headers = [header, *_SAFE_HEADERS, *(_HTTPS_HEADERS if access.https else ())]
        self._api_headers = [*self._page_headers, (b"cache-control", b"no-store")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        path = _path(scope)
        under_v1 = path.startswith("/v1/")
        own = self._api_headers if under_v1 else self._page_headers

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in own if pair[0] not in names)]
            await send(message)

        try:
            refusal = await self._identified(scope, path, under_v1)
            if refusal is not None:
                await problem_reply(refusal, Request(scope))(scope, receive, send_on)
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

    async def _identified(self, scope: Scope, path: str, under_v1: bool) -> Exception | None:
        """Notes who asks; why nobody is let in, where that is so."""
        if under_v1 and b"%2f" in scope.get("raw_path", b"").lower():
            return Refused(
                NOT_FOUND
            )  # decoded, an id with a slash in it would be the path of another session's messages
        if not (under_v1 or path in self._closed) or path.startswith(SIGNED) or (scope["method"], path) in OPEN:
            return None
        try:
            found = await self._identities.identify(scope)
        except (Refused, HoldfastError) as error:
            return error
        set_identified(scope, found)
        set_caller(scope, found.caller)
        return None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        template, method = _template(scope), scope["method"]
        if method not in _METHODS:
            method = "OTHER"
        self._metrics.request(method, template, status, seconds)
        if _access.isEnabledFor(logging.INFO):
            _access.info("%s %s %d %.1f ms node=%s", method, template, status, seconds * 1000, self._node)


_SAFE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
)
_HTTPS_HEADERS: Final = ((b"strict-transport-security", b"max-age=31536000"),)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _path(scope: Scope) -> str:
    """The path within this application, which may be served below another path."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _template(scope: Scope) -> str:
    """The route's path, without the ids that stand in the request's."""
    path: str = getattr(scope.get("route"), "path", "") or "(no route)"
    return path.replace(":path}", "}")
