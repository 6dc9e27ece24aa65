"""``/v1/sessions/{id}/turns``: a turn's outcome, or its stream."""

from __future__ import annotations

import os
from typing import Final

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server import shapes
from holdfast.server.bodies import new_signal, new_turn
from holdfast.server.describing import EVENT_STREAM, body_of, described
from holdfast.server.node import Node
from holdfast.server.operators import sees_traces
from holdfast.server.parameters import (
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    SESSION_ID,
    SessionId,
    SignalName,
    TurnId,
    idempotency_key_of,
    last_event_id_of,
    session_id_of,
)
from holdfast.server.problems import TRACE_CLOSED, TRACE_NOT_FOUND, Refused
from holdfast.server.replies import event_stream, json_reply, saw_the_end, shown_problem
from holdfast.server.running import RunningTurn

_EARLY_S: Final = 1.0
"""Seconds for which a stream's head is held back, so that an early refusal has a status of its own."""

_REFUSALS: Final = (
    "session-not-found",
    "invalid-id",
    "session-gone",
    "queue-timeout",
    "turn-failed",
    "turn-timeout",
    "store-unavailable",
    "outcome-unknown",
    "overloaded",
    "draining",
)


def add_turn_routes(app: FastAPI, node: Node) -> None:
    """The routes over this node's desk."""
    desk, guard, settings = node.desk, node.guard, node.config.server

    @app.post(
        "/v1/sessions/{session_id}/turns",
        tags=["turns"],
        **described(
            "Send an input, get the reply",
            shapes.Outcome,
            *_REFUSALS,
            *(
                "malformed",
                "body-too-large",
                "body-too-slow",
                "unsupported-media-type",
                "invalid-request",
                "turn-mismatch",
                "turn-busy",
                "quota-exceeded",
            ),
            content=EVENT_STREAM,
            body=body_of(shapes.NewTurn, {"input": "Where is my order?"}),
            parameters=[SESSION_ID, IDEMPOTENCY_KEY, LAST_EVENT_ID],
            text="An `Outcome`; with `Accept: text/event-stream` its events while it runs, whichever node runs it. The same "
            "`Idempotency-Key` with the same input may be sent any number of times, to any node: it is one turn. A turn that waits "
            "for a signal is answered with 202 and a `Pending`; its stream ends with the event `parked`.",
            accepted=shapes.Pending,
        ),
    )
    async def post(request: Request) -> Response:
        session_id, last_event_id = session_id_of(request), last_event_id_of(request)
        turn_id = idempotency_key_of(request) or new_turn_id()
        body = await new_turn(request, settings.max_body_bytes, settings.max_input_chars)
        streams = _streams(request)
        mine = guard.of(request)
        await mine.may_write(session_id, checked_later=True)
        if desk.find(session_id, turn_id, tenant=mine.caller.tenant) is None:
            await node.quotas.check_turn(mine.caller.tenant, mine.caller.user)
        turn, shared = desk.post(
            session_id,
            turn_id,
            node.assistant.masker.accepted(body.input),
            body.on_busy or settings.on_busy,
            streams=streams,
            tenant=mine.caller.tenant,
            user="" if mine.speaks_for_all else mine.caller.user,
        )
        if streams:
            return await _streamed(turn, last_event_id, request)
        await turn.settled()
        if turn.parked is not None:
            return json_reply(turn.parked, 202, headers={"Idempotency-Key": turn_id})
        if turn.outcome is None:
            return _refusal(turn, request)
        outcome = msgspec.structs.replace(turn.outcome, replayed=True) if shared else turn.outcome
        return json_reply(outcome, headers={"Idempotency-Key": turn_id})

    @app.get(
        "/v1/sessions/{session_id}/turns/{turn_id:path}/events",
        tags=["turns"],
        **described(
            "Follow a turn",
            None,
            "turn-not-found",
            "invalid-request",
            *_REFUSALS,
            content=EVENT_STREAM,
            parameters=[LAST_EVENT_ID],
            text="The events of a turn, on whichever node it runs, from its start or after `Last-Event-ID`; also for a while after "
            "its end, and its reply for as long as it is known. `restarted`: what was said before does not count any more, "
            "because the turn goes on elsewhere. 204 where `done` was the last event seen.",
            empty=204,
        ),
    )
    async def follow(session_id: SessionId, turn_id: TurnId, request: Request) -> Response:
        last_event_id = last_event_id_of(request)
        if saw_the_end(last_event_id):
            return Response(None, 204)
        mine = guard.of(request)
        await mine.may_follow(session_id)
        return await _streamed(desk.follow(session_id, turn_id, tenant=mine.caller.tenant), last_event_id, request)

    @app.get(
        "/v1/sessions/{session_id}/turns/{turn_id:path}/trace",
        tags=["turns"],
        **described(
            "How a turn was answered",
            shapes.Trace,
            *(
                "trace-not-found",
                "session-not-found",
                "trace-closed",
                "invalid-request",
                "invalid-id",
                "store-unavailable",
            ),
            text="What each attempt understood, decided, looked up, called and asked a model, for a while after its end. For "
            "operators, and where `[trace] on_page` says so for everybody.",
        ),
    )
    async def trace(session_id: SessionId, turn_id: TurnId, request: Request) -> Response:
        if not sees_traces(request, node.config):
            raise Refused(TRACE_CLOSED)
        mine = guard.of(request)
        await mine.may_follow(session_id, action="turn.trace")
        found = await mine.store.read_trace(session_id, turn_id)
        if found is None:
            raise Refused(TRACE_NOT_FOUND)
        return json_reply(shapes.trace_of(found))

    @app.delete(
        "/v1/sessions/{session_id}/turns/{turn_id:path}",
        tags=["turns"],
        **described(
            "Cancel a turn",
            shapes.Outcome,
            "turn-not-found",
            "invalid-request",
            *_REFUSALS,
            text="The turn ends with what it has said until now, wherever it runs, waits or is parked: an `Outcome`, which is "
            "`completed` where it was finished by then. 202 where it takes longer: it will end.",
            accepted=shapes.Pending,
        ),
    )
    async def cancel(session_id: SessionId, turn_id: TurnId, request: Request) -> Response:
        mine = guard.of(request)
        await mine.may_write(session_id)
        ended = await desk.cancel(session_id, turn_id, tenant=mine.caller.tenant)
        return json_reply(ended, 202 if isinstance(ended, shapes.Pending) else 200)

    @app.post(
        "/v1/sessions/{session_id}/signals/{name}",
        tags=["turns"],
        **described(
            "Tell a turn what it waits for",
            shapes.Signalled,
            "turn-not-found",
            *(
                "session-not-found",
                "malformed",
                "body-too-large",
                "body-too-slow",
                "unsupported-media-type",
                "invalid-request",
            ),
            *("invalid-id", "store-unavailable", "outcome-unknown"),
            body=body_of(shapes.NewSignal, {"value": {"approved": True}}),
            text="The turn goes on at once, on any node. The first signal of a name counts; sending it again changes nothing.",
            status=202,
        ),
    )
    async def signal(session_id: SessionId, name: SignalName, request: Request) -> Response:
        body = await new_signal(request, settings.max_body_bytes)
        mine = guard.of(request)
        await mine.may_write(session_id)
        told = await desk.signal(session_id, name, body.value, body.turn_id, tenant=mine.caller.tenant)
        return json_reply(told, 202)


def new_turn_id() -> str:
    """128 random bits, as the store keeps them shortest."""
    return os.urandom(16).hex()


async def _streamed(turn: RunningTurn, last_event_id: str, request: Request) -> Response:
    if not await turn.further(0, _EARLY_S) and not turn.begun:
        turn.emit("status", {"stage": "waiting"})
    return _refusal(turn, request) if turn.error is not None else event_stream(turn, last_event_id)


def _refusal(turn: RunningTurn, request: Request) -> Response:
    assert turn.error is not None
    assert turn.shown is not None
    return shown_problem(msgspec.structs.replace(turn.error, instance=request.url.path), turn.shown)


def _streams(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")
