"""``/v1/me``, ``/v1/visit``, ``/v1/login``, ``/v1/logout``: who one is, and the cookie that says so."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.bodies import new_login
from holdfast.server.callers import Caller
from holdfast.server.carrying import carried
from holdfast.server.describing import body_of, described
from holdfast.server.identities.cookies import Token, token_of, visitors_token
from holdfast.server.identities.identifying import Identities, identified_of
from holdfast.server.identity_shapes import Identity, NewLogin
from holdfast.server.node import Node
from holdfast.server.problems import LOGIN_OFF, UNAUTHORIZED, VISITS_OFF, Refused
from holdfast.server.replies import json_reply


def add_identity_routes(app: FastAPI, node: Node, identities: Identities) -> None:
    """The routes over this server's identities."""
    access, signer, guard = identities.access, identities.signer, node.guard

    def shown(caller: Caller, token: Token | None, session: str = "") -> Identity:
        csrf = signer.csrf(token) if token is not None and signer is not None else ""
        expires = datetime.fromtimestamp(token.expires, UTC) if token is not None else None
        return Identity(caller.user, caller.role, caller.visitor, caller.tenant, csrf, expires, session)

    def given(token: Token, status: int, session: str = "") -> Response:
        assert signer is not None
        headers = {"Set-Cookie": signer.set_cookie(token), "Cache-Control": "no-store"}
        return json_reply(shown(token.caller, token, session), status, headers)

    @app.get("/v1/me", tags=["identity"], **described("Who the server takes one for", Identity, "store-unavailable"))
    async def me(request: Request) -> Response:
        found = identified_of(request.scope)
        return json_reply(shown(found.caller, found.token))

    @app.post(
        "/v1/visit",
        tags=["identity"],
        **described(
            "Begin as a visitor",
            Identity,
            *("visits-off", "cross-site", "store-unavailable"),
            status=201,
            text="Where `[access] visitors` lets anybody talk: a cookie of one's own. Whoever has a good cookie keeps it.",
        ),
    )
    async def visit(request: Request) -> Response:
        if identities.asks:
            identities.check_origin(request.headers)
            known = await identities.by_cookie(request.headers)
            if known is not None:
                return json_reply(shown(known.caller, known.token), 201)
        if signer is None or not access.visitors:
            raise Refused(VISITS_OFF)
        return given(visitors_token(access.visitor_tenant, access.visitors_last), 201)

    @app.post(
        "/v1/login",
        tags=["identity"],
        **described(
            "Log in",
            Identity,
            *("login-off", "cross-site", "malformed", "body-too-large", "body-too-slow", "unsupported-media-type"),
            *("invalid-request", "store-unavailable", "outcome-unknown"),
            body=body_of(NewLogin, {"session": ""}, required=False),
            text="With a key or a token in `Authorization`: a cookie for it. An old cookie is revoked; a visitor's conversation "
            "may come along, under a new id.",
        ),
    )
    async def login(request: Request) -> Response:
        found = identified_of(request.scope)
        if signer is None:
            raise Refused(LOGIN_OFF)
        if found.token is not None:
            raise Refused(UNAUTHORIZED)  # it came by its cookie
        identities.check_origin(request.headers)
        wanted = await new_login(request, node.config.server.max_body_bytes)
        before, session = await identities.by_cookie(request.headers), ""
        if before is not None and before.token is not None:
            if wanted.session and before.token.visitor:
                visitor, user = guard.as_caller(before.caller), guard.as_caller(found.caller)
                session = await carried(visitor, user, wanted.session)
            await identities.revoked.revoke(before.token.id, before.token.expires)
        guard.as_caller(found.caller).note_staff("login", found.caller.user)
        return given(token_of(found.caller, access.logins_last, found.key), 200, session)

    @app.post(
        "/v1/logout",
        tags=["identity"],
        **described("Log out", None, *("cross-site", "store-unavailable", "outcome-unknown"), status=204),
    )
    async def logout(request: Request) -> Response:
        token = identified_of(request.scope).token
        if token is None or signer is None:
            return Response(None, 204)
        await identities.revoked.revoke(token.id, token.expires)
        return Response(None, 204, {"Set-Cookie": signer.drop_cookie()})
