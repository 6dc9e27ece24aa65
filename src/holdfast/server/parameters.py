"""Parameters that several routes take: checked by FastAPI, or by hand on the path of every turn, where that is dear."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Path
from starlette.requests import Request

from holdfast.server.problems import INVALID, Refused
from holdfast.sessions.ids import MAX_ID

_SESSION: Final = "The session's id, as `POST /v1/sessions` gave it."
_VISIBLE: Final = rf"^[\x21-\x7e]{{1,{MAX_ID}}}$"
_TURN: Final = re.compile(_VISIBLE[:-1] + r"\Z")
_MAX_EVENT_ID: Final = 200

SessionId = Annotated[str, Path(min_length=1, max_length=MAX_ID, description=_SESSION)]
TurnId = Annotated[str, Path(pattern=_VISIBLE, description="The turn's id: its `Idempotency-Key`.")]

SESSION_ID: Final[Mapping[str, Any]] = {
    "name": "session_id",
    "in": "path",
    "required": True,
    "description": _SESSION,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
}
SignalName = Annotated[
    str, Path(min_length=1, max_length=MAX_ID, description="The name that the turn waits for (`Turn.wait_for`).")
]

IDEMPOTENCY_KEY: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The turn's id; made by the server where it is missing, and given back in this header and in the outcome.",
    "schema": {"type": "string", "pattern": _VISIBLE},
}
LAST_EVENT_ID: Final[Mapping[str, Any]] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was seen: the stream goes on after it.",
    "schema": {"type": "string", "maxLength": _MAX_EVENT_ID},
}


def session_id_of(request: Request) -> str:
    """The session's id in the path. Raises `Refused`."""
    session_id: str = request.path_params["session_id"]
    if len(session_id) > MAX_ID:
        raise Refused(INVALID, f"path.session_id: at most {MAX_ID} characters.")
    return session_id


def idempotency_key_of(request: Request) -> str | None:
    """The turn's id, where the caller gave one. Raises `Refused`."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _TURN.match(key):
        raise Refused(INVALID, f"header.Idempotency-Key: 1 to {MAX_ID} visible ASCII characters.")
    return key


def last_event_id_of(request: Request) -> str:
    """The id of the last event that the caller saw, or "". Raises `Refused`."""
    event_id = request.headers.get("last-event-id", "")
    if len(event_id) > _MAX_EVENT_ID:
        raise Refused(INVALID, f"header.Last-Event-ID: at most {_MAX_EVENT_ID} characters.")
    return event_id
