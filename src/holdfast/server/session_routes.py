"""``/v1/sessions``: made, listed, shown, read and deleted."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server import shapes
from holdfast.server.bodies import new_session
from holdfast.server.describing import body_of, described
from holdfast.server.node import Node
from holdfast.server.parameters import SessionId
from holdfast.server.replies import json_reply


def add_session_routes(app: FastAPI, node: Node) -> None:
    """The routes over this node's store."""
    guard, masker, settings = node.guard, node.assistant.masker, node.config.server

    @app.post(
        "/v1/sessions",
        tags=["sessions"],
        **described(
            "Begin a conversation",
            shapes.Session,
            *(
                "malformed",
                "body-too-large",
                "body-too-slow",
                "unsupported-media-type",
                "invalid-request",
                "quota-exceeded",
                "store-unavailable",
            ),
            status=201,
            body=body_of(shapes.NewSession, {"user": "u-17"}, required=False),
        ),
    )
    async def create(request: Request) -> Response:
        wanted = await new_session(request, settings.max_body_bytes)
        mine = guard.of(request)
        user = mine.user(wanted.user)
        await node.quotas.check_session(mine.caller.tenant, user)
        session = await mine.store.create(user=user)
        node.quotas.session_began(mine.caller.tenant)
        shown = shapes.session_of(session, masker.for_role(mine.caller.role), [])
        return json_reply(shown, 201, {"Location": f"/v1/sessions/{session.id}"})

    @app.get(
        "/v1/sessions",
        tags=["sessions"],
        **described(
            "A user's own conversations, newest first",
            shapes.SessionList,
            *("invalid-request", "store-unavailable"),
        ),
    )
    async def listed(
        request: Request,
        user: Annotated[
            str, Query(max_length=256, description="Whose; the caller's own where it is left out, if it is a user.")
        ] = "",
        cursor: Annotated[str, Query(max_length=2000, description="From the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        mine = guard.of(request)
        page = await mine.store.by_user(mine.listed(user), cursor=cursor, limit=limit)
        found = await asyncio.gather(*[mine.store.load(session_id, tail=0) for session_id in page.ids])
        return json_reply(shapes.SessionList([shapes.summary_of(one) for one in found if one is not None], page.cursor))

    @app.get(
        "/v1/sessions/{session_id}",
        tags=["sessions"],
        **described(
            "A conversation's state and figures", shapes.Session, "session-not-found", "invalid-id", "store-unavailable"
        ),
    )
    async def shown(
        request: Request,
        session_id: SessionId,
        allow_stale: Annotated[
            bool,
            Query(
                description="Where the store is out of reach: this node's last copy, marked `stale`, instead of 503."
            ),
        ] = False,
    ) -> Response:
        mine = guard.of(request)
        session = await mine.read(session_id, allow_stale=allow_stale)
        headers = {"Age": str(round(session.age)), "Cache-Control": "no-store"} if session.stale else None
        return json_reply(
            shapes.session_of(
                session, masker.for_role(mine.caller.role), node.desk.ids(session_id, tenant=session.tenant)
            ),
            headers=headers,
        )

    @app.delete(
        "/v1/sessions/{session_id}",
        tags=["sessions"],
        **described(
            "Delete a conversation",
            None,
            *("session-not-found", "invalid-id", "store-unavailable"),
            status=204,
        ),
    )
    async def deleted(request: Request, session_id: SessionId) -> Response:
        mine = guard.of(request)
        await mine.delete(session_id)
        node.quotas.session_ended(mine.caller.tenant)
        return Response(None, 204)

    @app.get(
        "/v1/sessions/{session_id}/messages",
        tags=["sessions"],
        **described(
            "A page of a conversation's messages, oldest first",
            shapes.MessageList,
            *("session-not-found", "invalid-id", "invalid-request", "store-unavailable"),
        ),
    )
    async def messages(
        request: Request,
        session_id: SessionId,
        start: Annotated[
            int | None, Query(ge=0, le=2**53, description="Position of the first; without it, the last ones.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        mine = guard.of(request)
        session = await mine.read(session_id)
        page = await mine.store.read_log(session_id, start=start, limit=limit)
        state, shown = dict(session.state), masker.for_role(mine.caller.role)
        items = [
            shapes.message_of(page.start + index, shown.message(message, state))
            for index, message in enumerate(page.messages)
        ]
        return json_reply(shapes.MessageList(items, page.start, page.total))
