"""The description in ``/openapi.json``: shapes and problems of each route, made from the same types that encode and check."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from holdfast.server import shapes
from holdfast.server.identity_shapes import Identity, NewLogin
from holdfast.server.problems import KINDS_OF_ERRORS, OWN_KINDS, Kind, Problem
from holdfast.server.rules import OPEN

_REF: Final = "#/components/schemas/{name}"
_SHAPES: Final = (
    shapes.NewSession,
    shapes.NewTurn,
    shapes.NewSignal,
    shapes.Signalled,
    shapes.Pending,
    shapes.Session,
    shapes.SessionList,
    shapes.MessageList,
    shapes.Outcome,
    shapes.NewReply,
    shapes.NewEnd,
    shapes.HandoverList,
    shapes.Trace,
    shapes.Passage,
    shapes.Info,
    Identity,
    NewLogin,
    shapes.Ready,
    Problem,
)
_KINDS: Final[Mapping[str, Kind]] = {kind.slug: kind for kind in (*KINDS_OF_ERRORS.values(), *OWN_KINDS)}
EVENT_STREAM: Final[dict[str, Any]] = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "description": "One event: status, token, citations, restarted, parked (a `Pending`), done (an `Outcome`), error (a "
            "`Problem`).",
            "properties": {
                "id": {"type": "string"},
                "event": {"type": "string"},
                "data": {"type": "string", "contentMediaType": "application/json"},
            },
            "required": ["id", "event", "data"],
        },
        "example": 'id: 9f31c2aa.1\nevent: token\ndata: {"text":"It is on its way."}\n\n',
    }
}


def described(
    summary: str,
    shape: type | None,
    *problems: str,
    status: int = 200,
    content: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    parameters: Sequence[Mapping[str, Any]] = (),
    text: str = "",
    empty: int = 0,
    accepted: type | None = None,
) -> dict[str, Any]:
    """Arguments of a route: what it answers with (``shape`` as JSON, other ``content``, ``empty`` with a further status,
    ``accepted`` with 202), the kinds of problem, its body, and ``parameters`` that the route reads by itself."""
    ways: dict[str, Any] = {}
    if shape is not None:
        ways["application/json"] = {"schema": _ref(shape)}
    ways.update(content or {})
    answers: dict[int | str, dict[str, Any]] = {status: {"description": summary, **({"content": ways} if ways else {})}}
    if empty:
        answers[empty] = {"description": "Nothing more to say"}
    if accepted is not None:
        answers[202] = {
            "description": "Not ended yet",
            "content": {"application/json": {"schema": _ref(accepted)}},
        }
    for slug in ("unauthorized", *problems, "rate-limited", "internal"):
        kind = _KINDS[slug]
        answer = answers.setdefault(kind.status, {"description": "", "content": {}})
        answer["description"] = f"{answer['description']}; {kind.title}".lstrip("; ")
        answer["content"] = {"application/problem+json": {"schema": _ref(Problem)}}
        if kind.retry_after:
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return {
        "summary": summary,
        "description": text or None,
        "status_code": status,
        "response_class": Response,  # shapes are encoded by msgspec, and not a second time
        "response_model": None,
        "responses": answers,
        "openapi_extra": {
            **({"requestBody": body} if body else {}),
            **({"parameters": parameters} if parameters else {}),
        },
    }


def body_of(shape: type, example: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    """A JSON request body."""
    return {"required": required, "content": {"application/json": {"schema": _ref(shape), "example": example}}}


def describe(app: FastAPI, *, keys: bool, cookie: str = "", closed: Collection[str] = ()) -> None:
    """Completes the description that FastAPI makes: the shapes, and the access key or ``cookie`` where one is needed:
    below ``/v1``, and for ``closed`` paths."""
    make = app.openapi
    schemes: dict[str, Any] = {"accessKey": {"type": "http", "scheme": "bearer"}}
    if cookie:
        schemes["cookie"] = {"type": "apiKey", "in": "cookie", "name": cookie}

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            _, components = msgspec.json.schema_components(_SHAPES, ref_template=_REF)
            document.setdefault("components", {})["schemas"] = components
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    if "security" in operation:
                        continue  # checked by other means than the access key
                    operation["responses"].pop("422", None) if not _declares(operation, "422") else None
                    if not keys:
                        operation["responses"].pop("401", None)
                    elif path.startswith("/v1") or path in closed:
                        for status, title in (("403", "Not allowed"), ("503", "Cannot be checked now")):
                            operation["responses"].setdefault(status, _problem(title))
                        if (method.upper(), path) not in OPEN:
                            operation["security"] = [{scheme: []} for scheme in schemes]
            if keys:
                document["components"]["securitySchemes"] = schemes
        return app.openapi_schema or document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _problem(title: str) -> dict[str, Any]:
    return {"description": title, "content": {"application/problem+json": {"schema": _ref(Problem)}}}


def _declares(operation: Mapping[str, Any], status: str) -> bool:
    return "application/problem+json" in operation["responses"].get(status, {}).get("content", {})


def _ref(shape: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=shape.__name__)}
