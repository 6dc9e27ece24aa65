"""Request bodies: read up to a limit, and checked."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from holdfast.server import shapes
from holdfast.server.identity_shapes import NewLogin
from holdfast.server.problems import BODY_TOO_LARGE, BODY_TOO_SLOW, INVALID, MALFORMED, MEDIA_TYPE, Refused

T = TypeVar("T")

_PATIENCE_S: Final = 30.0
"""Seconds for a body to arrive."""

_NEW_SESSION: Final = msgspec.json.Decoder(shapes.NewSession)
_NEW_TURN: Final = msgspec.json.Decoder(shapes.NewTurn)
_NEW_REPLY: Final = msgspec.json.Decoder(shapes.NewReply)
_NEW_END: Final = msgspec.json.Decoder(shapes.NewEnd)
_NEW_LOGIN: Final = msgspec.json.Decoder(NewLogin)
_NEW_SIGNAL: Final = msgspec.json.Decoder(shapes.NewSignal)


async def new_session(request: Request, max_bytes: int) -> shapes.NewSession:
    """The body of a new session; none at all is an empty one. Raises `Refused`."""
    body = await _read(request, max_bytes)
    return _decoded(_NEW_SESSION, request, body) if body.strip() else shapes.NewSession()


async def new_turn(request: Request, max_bytes: int, max_chars: int) -> shapes.NewTurn:
    """The body of a new turn. Raises `Refused`."""
    turn = _decoded(_NEW_TURN, request, await _read(request, max_bytes))
    if len(turn.input) > max_chars:
        raise Refused(INVALID, f"`input` has {len(turn.input)} characters; at most {max_chars} are taken.")
    if not turn.input.strip():
        raise Refused(INVALID, "`input` is empty.")
    return turn


async def new_signal(request: Request, max_bytes: int) -> shapes.NewSignal:
    """The body of a signal; none at all is one without a value. Raises `Refused`."""
    body = await _read(request, max_bytes)
    return _decoded(_NEW_SIGNAL, request, body) if body.strip() else shapes.NewSignal()


async def new_reply(request: Request, max_bytes: int, max_chars: int) -> shapes.NewReply:
    """The body of a person's reply. Raises `Refused`."""
    reply = _decoded(_NEW_REPLY, request, await _read(request, max_bytes))
    if len(reply.text) > max_chars:
        raise Refused(INVALID, f"`text` has {len(reply.text)} characters; at most {max_chars} are taken.")
    if not reply.text.strip():
        raise Refused(INVALID, "`text` is empty.")
    return reply


async def new_end(request: Request, max_bytes: int) -> shapes.NewEnd:
    """The body of a conversation's return; none at all is one without a name. Raises `Refused`."""
    body = await _read(request, max_bytes)
    return _decoded(_NEW_END, request, body) if body.strip() else shapes.NewEnd()


async def new_login(request: Request, max_bytes: int) -> NewLogin:
    """The body of a login; none at all is an empty one. Raises `Refused`."""
    body = await _read(request, max_bytes)
    return _decoded(_NEW_LOGIN, request, body) if body.strip() else NewLogin()


async def whole_body(request: Request, max_bytes: int) -> bytes:
    """The body as it came, whatever it is. Raises `Refused`."""
    return await _read(request, max_bytes)


async def _read(request: Request, max_bytes: int) -> bytes:
    """The whole body. It is counted while it comes: a length may be missing, or wrong."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > max_bytes):
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for part in request.stream():
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                parts.append(part)
    except TimeoutError:
        raise Refused(BODY_TOO_SLOW) from None
    return b"".join(parts)


def _too_large(max_bytes: int) -> Refused:
    return Refused(BODY_TOO_LARGE, f"A body has at most {max_bytes} bytes here.")


def _decoded(decoder: msgspec.json.Decoder[T], request: Request, body: bytes) -> T:
    media, _, rest = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() != "application/json":
        raise Refused(MEDIA_TYPE)
    charset = rest.lower().replace('"', "").partition("charset=")[2].strip()
    if charset not in ("", "utf-8", "utf8"):
        raise Refused(MEDIA_TYPE, "Send the body in UTF-8.")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:  # names the place, never the value
        raise Refused(INVALID, f"The body does not fit: {error}.") from None
    except RecursionError:
        raise Refused(MALFORMED, "The body is nested too deep.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(MALFORMED, "The body is not JSON in UTF-8.") from None
