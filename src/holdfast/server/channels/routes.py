"""``/v1/channels/webhook/{name}``: a platform's messages, answered once they are safe. Signatures stand in for the access key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Path
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.bodies import whole_body
from holdfast.server.channels.contract import Answer, Arrived, BadMessage, BadSignature, Greets, Inbound, Malformed
from holdfast.server.channels.delivering import Delivering
from holdfast.server.channels.generic import WebhookMessage
from holdfast.server.channels.signing import HEADER
from holdfast.server.describing import described
from holdfast.server.problems import BAD_METHOD, INVALID, MALFORMED, Kind, Refused

PREFIX: Final = "/v1/channels/webhook/"
"""Paths below it are not behind the access keys."""

NO_CHANNEL: Final = Kind("channel-not-found", 404, "No such channel", "The config names no such channel.")
BAD_SIGNATURE: Final = Kind(
    "bad-signature",
    401,
    "Signature does not fit",
    "The request is not signed with a secret of this channel, or was signed too long ago.",
)
_SIGNATURE: Final[Mapping[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "description": "Of the generic webhook: `t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`.",
    "schema": {"type": "string", "maxLength": 1024},
}
_SHAPE: Final = msgspec.json.schema_components((WebhookMessage,))[1]["WebhookMessage"]
_ANSWER: Final[Mapping[str, Any]] = {
    media: {"schema": {"type": kind}}
    for media, kind in (("application/json", "object"), ("text/plain", "string"), ("application/xml", "string"))
}

Name = Annotated[str, Path(min_length=1, max_length=64, description="The channel's: `[channels.NAME]`.")]


async def uncounted(channel: str, user: str) -> None:
    """For `add_channel_routes`: no limits."""


def add_channel_routes(
    app: FastAPI,
    channels: Mapping[str, Delivering],
    max_chars: int,
    count: Callable[[str, str], Awaitable[None]] = uncounted,
) -> None:
    """The routes over this node's channels; they are there, and find nothing, where the config has none. ``count`` is told of each
    message, by channel and user (or conversation), before it is accepted; it raises `Refused` where there is no room."""

    @app.post(
        PREFIX + "{name}",
        tags=["channels"],
        **_described(
            "Take a platform's message",
            *("malformed", "body-too-large", "body-too-slow", "invalid-request", "invalid-id", "turn-mismatch"),
            *("store-unavailable", "outcome-unknown"),
            content=_ANSWER,
            body={"required": True, "content": {"application/json": {"schema": _SHAPE}, "text/xml": {}}},
            parameters=[_SIGNATURE],
            text="Answered at once, when the message is safe; the reply is delivered later. The same message again is the same "
            "message. What a body and its signature look like is the platform's: here, the generic webhook's.",
        ),
    )
    async def receive(name: Name, request: Request) -> Response:
        channel = _found(name)
        body = await whole_body(request, channel.config.max_body_bytes)
        try:
            found = await channel.channel.receive(_arrived(request, body))
        except (BadSignature, BadMessage) as error:
            raise _refused(error) from None
        if isinstance(found, Answer):
            return _response(found)
        _check_text(found)
        await count(name, found.user or found.session)
        await channel.accept(found)
        return _response(channel.channel.accepted)

    @app.get(
        PREFIX + "{name}",
        tags=["channels"],
        **_described(
            "Show a platform that somebody is there",
            *("method-not-allowed", "invalid-request"),
            content={"text/plain": {"schema": {"type": "string"}}},
            text="WeChat's `echostr`. 405 for platforms that do not ask.",
        ),
    )
    async def greet(name: Name, request: Request) -> Response:
        channel = _found(name).channel
        if not isinstance(channel, Greets):
            raise Refused(BAD_METHOD)
        try:
            return _response(channel.greet(_arrived(request, b"")))
        except (BadSignature, BadMessage) as error:
            raise _refused(error) from None

    def _found(name: str) -> Delivering:
        if name not in channels:
            raise Refused(NO_CHANNEL)
        return channels[name]

    def _check_text(found: Inbound) -> None:
        if not found.text.strip():
            raise Refused(INVALID, "The message is empty.")
        if len(found.text) > max_chars:
            raise Refused(INVALID, f"The message has {len(found.text)} characters; at most {max_chars} are taken.")


def _described(summary: str, *problems: str, **more: Any) -> dict[str, Any]:
    """As `described`, for a route whose check is the signature."""
    route = described(summary, None, *problems, **more)
    shown = route["responses"][500]["content"]
    for kind in (NO_CHANNEL, BAD_SIGNATURE):
        route["responses"][kind.status] = {"description": kind.title, "content": shown}
    route["openapi_extra"]["security"] = []
    return route


def _arrived(request: Request, body: bytes) -> Arrived:
    return Arrived(dict(request.headers), dict(request.query_params), body)


def _response(answer: Answer) -> Response:
    return Response(answer.body, media_type=answer.media_type)


def _refused(error: BadSignature | BadMessage) -> Refused:
    """Why a signature does not fit is not told: it would help to find one that does."""
    if isinstance(error, BadSignature):
        return Refused(BAD_SIGNATURE)
    return Refused(MALFORMED if isinstance(error, Malformed) else INVALID, str(error))
