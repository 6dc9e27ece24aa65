"""``/v1/handovers`` and ``/v1/sessions/{id}/handover``: what persons do in conversations that were handed over to them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server import shapes
from holdfast.server.bodies import new_end, new_reply
from holdfast.server.describing import body_of, described
from holdfast.server.node import Node
from holdfast.server.parameters import IDEMPOTENCY_KEY, SESSION_ID, idempotency_key_of, session_id_of
from holdfast.server.problems import DRAINING, Refused
from holdfast.server.replies import json_reply
from holdfast.server.turn_routes import new_turn_id

_REFUSALS: Final = (
    *("operators-only", "not-handed-over", "session-not-found", "session-gone", "invalid-id", "invalid-request"),
    *("malformed", "body-too-large", "body-too-slow", "unsupported-media-type", "turn-mismatch", "queue-timeout"),
    *("turn-failed", "store-unavailable", "outcome-unknown", "draining"),
)


def add_handover_routes(app: FastAPI, node: Node) -> None:
    """The routes over this node's desk."""
    desk, guard, settings, masker = node.desk, node.guard, node.config.server, node.assistant.masker

    @app.get(
        "/v1/handovers",
        tags=["handover"],
        **described(
            "Conversations that wait for a person, or are with one",
            shapes.HandoverList,
            *("operators-only", "invalid-request", "store-unavailable"),
            text="The longest first. A page may be shorter than `limit`, or empty, and have a cursor.",
        ),
    )
    async def listed(
        request: Request,
        cursor: Annotated[str, Query(max_length=300, description="From the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Response:
        mine = guard.of(request)
        found, further = await desk.persons_of(mine.caller.tenant).waiting(cursor=cursor, limit=limit)
        mine.note_staff("handover.list", mine.caller.tenant)
        shown = masker.for_role(mine.caller.role)
        return json_reply(shapes.HandoverList([shapes.handover_of(one, shown) for one in found], further))

    @app.post(
        "/v1/sessions/{session_id}/handover/replies",
        tags=["handover"],
        **described(
            "Answer as a person",
            shapes.Outcome,
            *_REFUSALS,
            body=body_of(shapes.NewReply, {"text": "I have found your parcel.", "name": "Li"}),
            parameters=[SESSION_ID, IDEMPOTENCY_KEY],
            text="The words enter the conversation as the assistant's side, marked `metadata.by = person`, after whatever runs "
            "there; a user of a channel gets them there. The same `Idempotency-Key` is the same reply.",
        ),
    )
    async def reply(request: Request) -> Response:
        session_id, turn_id = _begun(request)
        body = await new_reply(request, settings.max_body_bytes, settings.max_input_chars)
        mine = guard.of(request)
        persons = desk.persons_of(mine.caller.tenant)
        outcome = await persons.reply(session_id, body.text, name=body.name, turn_id=turn_id)
        mine.note_staff("handover.reply", session_id, detail=turn_id)
        return json_reply(shapes.outcome_of(outcome, node.name), headers={"Idempotency-Key": turn_id})

    @app.post(
        "/v1/sessions/{session_id}/handover/end",
        tags=["handover"],
        **described(
            "Give a conversation back to the assistant",
            shapes.Outcome,
            *_REFUSALS,
            body=body_of(shapes.NewEnd, {"name": "Li"}, required=False),
            parameters=[SESSION_ID, IDEMPOTENCY_KEY],
            text="The user is told; the assistant answers from the next message on, and goes on with the flow that it was in.",
        ),
    )
    async def end(request: Request) -> Response:
        session_id, turn_id = _begun(request)
        body = await new_end(request, settings.max_body_bytes)
        mine = guard.of(request)
        outcome = await desk.persons_of(mine.caller.tenant).end(session_id, name=body.name, turn_id=turn_id)
        mine.note_staff("handover.end", session_id, detail=turn_id)
        return json_reply(shapes.outcome_of(outcome, node.name), headers={"Idempotency-Key": turn_id})

    def _begun(request: Request) -> tuple[str, str]:
        if desk.draining:
            raise Refused(DRAINING)
        return session_id_of(request), idempotency_key_of(request) or new_turn_id()
