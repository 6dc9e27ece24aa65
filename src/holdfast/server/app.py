"""The application: routes, problems and the rim put together over a store and an assistant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from holdfast import __version__
from holdfast.assistant.texts import Texts
from holdfast.config import Config
from holdfast.errors import HoldfastError, StoreError
from holdfast.privacy.audit import AuditLog
from holdfast.server.channels.delivering import Delivering
from holdfast.server.channels.routes import add_channel_routes
from holdfast.server.describing import describe
from holdfast.server.desk import TurnDesk
from holdfast.server.faults import Seldom
from holdfast.server.guard import Guard
from holdfast.server.handover_routes import add_handover_routes
from holdfast.server.identities.cookies import CSRF_HEADER
from holdfast.server.identity_routes import add_identity_routes
from holdfast.server.metrics import Metrics
from holdfast.server.node import Node, Served, node_name
from holdfast.server.node_routes import add_node_routes
from holdfast.server.pages import PAGE, add_page_routes
from holdfast.server.problems import BAD_METHOD, INVALID, NOT_FOUND, Kind, Refused
from holdfast.server.quotas import Quotas
from holdfast.server.rate_layer import RateLimits
from holdfast.server.replies import problem_reply
from holdfast.server.rim import Rim
from holdfast.server.rules import check_rules, enforce
from holdfast.server.session_routes import add_session_routes
from holdfast.server.turn_routes import add_turn_routes
from holdfast.telemetry.instrumenting import measure
from holdfast.turns.store import TurnStore

_log: Final = logging.getLogger(__name__)
_EVERY_S: Final = 10.0
_ABOUT: Final = (
    "Multi-turn conversations that survive their servers. A **session** is a conversation, a **turn** one input and its "
    "reply; a turn's `Idempotency-Key` makes sending it again safe. Errors are `application/problem+json` (RFC 9457)."
)


def create_app(
    store: TurnStore,
    assistant: Served,
    config: Config | None = None,
    *,
    page: Path = PAGE,
    channels: Mapping[str, Delivering] | None = None,
) -> FastAPI:
    """The server's ASGI application. Store and assistant stay the caller's to close, after `node_of(app).desk.drain`.

    One store serves one application: the assistant is registered there as the handler of its turns, and what it does is
    measured from now on (`holdfast.telemetry.instrument`).
    """
    config = config or Config()
    settings = config.server
    name = node_name(settings.node)
    telemetry = measure(store)
    metrics = Metrics(telemetry, name)
    audit = AuditLog(store, config.privacy.audit_keep) if config.privacy.audit != "off" else None
    limits = RateLimits(config, store, metrics)
    identities = limits.identities()
    desk = TurnDesk(
        store,
        assistant,
        metrics,
        node=name,
        limit=settings.max_concurrent_turns,
        timeout=settings.turn_timeout,
        texts=Texts(config.assistant.texts),
        limits=config.limits,
    )
    quotas = Quotas(config.limits, desk.tenants, metrics)
    desk.on_written = quotas.turn_ran
    guard = Guard(desk.tenants, audit, config.privacy.audit)
    node = Node(name, store, assistant, config, desk, metrics, telemetry, guard, audit, quotas)
    app = FastAPI(
        title="Holdfast",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        middleware=[
            *_shared(config.access.origins),
            Middleware(Rim, node=name, metrics=metrics, identities=identities),
            *limits.layers,
        ],
        dependencies=[Depends(enforce)],
        exception_handlers={
            HoldfastError: _logged(Seldom(_log, _EVERY_S)),
            Refused: _problem,
            RequestValidationError: _invalid,
            HTTPException: _http,
        },
        redirect_slashes=False,
    )
    app.state.node = node
    add_turn_routes(app, node)  # first, because routes are tried in order
    add_handover_routes(app, node)
    add_session_routes(app, node)
    add_node_routes(app, node)
    add_identity_routes(app, node, identities)
    add_channel_routes(app, channels or {}, settings.max_input_chars, limits.count_message)
    add_page_routes(app, page)
    describe(
        app,
        keys=identities.asks,
        cookie=identities.signer.cookie if identities.signer else "",
        closed=config.access.closed,
    )
    check_rules(app)
    return app


def _shared(origins: Sequence[str]) -> list[Middleware]:
    """CORS for pages of other origins that are named; outside the rim, because a browser asks without saying who it is."""
    if not origins:
        return []
    headers = ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", CSRF_HEADER]
    shared = ["Idempotency-Key", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Holdfast-Node"]
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_credentials=True,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=headers,
            expose_headers=shared,
            max_age=600,
        )
    ]


def node_of(app: FastAPI) -> Node:
    """The node behind an application that `create_app` made."""
    node: Node = app.state.node
    return node


def _logged(seldom: Seldom) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """As `_problem`; why the store is out of reach stands in the log, for it is not the caller's to know."""

    async def problem(request: Request, error: Exception) -> Response:
        if isinstance(error, StoreError):
            seldom.fault("the store", error)
        return await _problem(request, error)

    return problem


async def _problem(request: Request, error: Exception) -> Response:
    return problem_reply(error, request)


async def _invalid(request: Request, error: Exception) -> Response:
    """FastAPI's findings, without the values that it found."""
    assert isinstance(error, RequestValidationError)
    places = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return problem_reply(Refused(INVALID, f"The request does not fit: {'; '.join(places)}."), request)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known: dict[int, Kind] = {404: NOT_FOUND, 405: BAD_METHOD}
    kind = known.get(error.status_code) or Kind("http", error.status_code, error.detail, error.detail)
    reply = problem_reply(Refused(kind), request)
    reply.headers.update(_plain(error.headers))
    return reply


def _plain(headers: Any) -> dict[str, str]:
    return {name: value for name, value in (headers or {}).items() if name.lower() == "allow"}
