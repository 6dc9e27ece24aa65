"""Responses: JSON, problems, streams of events."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from holdfast.errors import StoreUnavailable
from holdfast.server.problems import UNAUTHORIZED, Problem, Refused, kind_of, problem_of
from holdfast.server.running import BEFORE, Event, RunningTurn

HEARTBEAT_S: Final = 10.0
"""Seconds of silence after which a comment is sent: proxies close a silent stream."""

RETRY_MS: Final = 1000
"""When a browser's EventSource comes back by itself."""

_SILENCE: Final = b": still here\n\n"

_DONE: Final = ".done"
"""Ends the id of a last event, so that any node knows that there is nothing after it."""

encode: Final = msgspec.json.Encoder().encode


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A shape as JSON."""
    return Response(encode(value), status, headers, "application/json")


def problem_reply(error: BaseException, request: Request) -> Response:
    """An error as a problem."""
    return shown_problem(problem_of(error, instance=request.url.path), error)


def shown_problem(problem: Problem, error: BaseException) -> Response:
    """A problem with the headers that belong to its kind."""
    kind = kind_of(error)
    headers: dict[str, str] = dict(error.headers) if isinstance(error, Refused) else {}
    told = error.retry_after if isinstance(error, StoreUnavailable | Refused) else 0.0
    if seconds := math.ceil(told) or kind.retry_after:
        headers["Retry-After"] = str(seconds)
    if kind is UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    if problem.turn_id:
        headers["Idempotency-Key"] = problem.turn_id
    return Response(encode(problem), problem.status, headers, "application/problem+json")


def event_stream(turn: RunningTurn, last_event_id: str, heartbeat: float = HEARTBEAT_S) -> Response:
    """The turn's events after the one that the caller saw last, to the end."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Idempotency-Key": turn.turn_id}
    return StreamingResponse(_lines(turn, last_event_id, heartbeat), 200, headers, "text/event-stream")


def saw_the_end(last_event_id: str) -> bool:
    """Whether the event that the caller saw last was ``done``."""
    return last_event_id.endswith(_DONE)


async def _lines(turn: RunningTurn, last_event_id: str, heartbeat: float) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    run, number = _parts(last_event_id)
    place = 0
    if run:  # where to go on can be told once the attempt is known that tells now
        while turn.run == BEFORE and not turn.ended:
            if place < len(turn.events):  # without an id: the one that the caller has stays good
                lines = [_line(event, named=False) for event in turn.events[place:]]
                place = len(turn.events)
                yield b"".join(lines)
            elif not await turn.further(place, heartbeat):
                yield _SILENCE
        if turn.knows(run):
            place = max(place, turn.place_of(run))
        elif turn.run != BEFORE or turn.outcome is not None:
            # what was seen is of an attempt that is over or not known here yet, or of another node's making
            run, place = "", max(place, turn.place_of(turn.run))
            if place == len(turn.events) or turn.events[place].kind != "restarted":
                yield _line(Event(turn.run, 0, "restarted", {}))
    while True:
        events = turn.events
        if place < len(events):
            lines = [_line(event) for event in events[place:] if not _seen(event, run, number)]
            place = len(events)
            yield b"".join(lines)
        elif turn.ended:
            return
        elif not await turn.further(place, heartbeat):
            yield _SILENCE


def _parts(event_id: str) -> tuple[str, int]:
    """The run and the number in an event's id; "" for none."""
    run, _, number = event_id.partition(".")
    return (run, int(number)) if number.isdecimal() else ("?" if event_id else "", 0)


def _seen(event: Event, run: str, number: int) -> bool:
    """Whether the caller has it, who saw this run to this number. That the turn waits has no number of its own: told again."""
    return event.run == run and event.number <= number and event.kind != "parked"


def _line(event: Event, *, named: bool = True) -> bytes:
    end = _DONE if event.kind == "done" else ""
    name = f"id: {event.run}.{event.number}{end}\n" if named else ""
    head = f"{name}event: {event.kind}\ndata: "
    try:
        data = encode(event.data)
    except (TypeError, ValueError):  # a handler's own, of a type that JSON has not: left out, as in the store
        return b""
    return b"".join((head.encode(), data, b"\n\n"))
