"""Who may do what: role x tenant x owner x every route of the description. The rules stand here by hand, so that a route
without one fails, and a change of the server's own table shows."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
from access_kit import ROLES, TENANTS, Site, bearer, section, site, users_cookie, visitors_cookie
from fastapi import FastAPI
from server_kit import kind, served

from holdfast.errors import ConfigError
from holdfast.server.identities.keys import hash_of
from holdfast.server.rules import check_rules

VISITOR = "visitor-0123"


class Row(NamedTuple):
    """What a route needs, for each kind of caller.

    ``own``: the caller's own sessions. ``tenant``: all of the tenant; whatever else is there looks as if it were not. ``read``: as
    ``own``, and another's of the tenant, which can be read, is refused with 403. ``yes``, ``no``: whether at all.
    """

    scope: str
    application: str
    user: str
    operator: str
    admin: str
    visitor: str


READ = ("tenant", "own", "tenant", "tenant", "own")
WRITE = ("tenant", "own", "read", "tenant", "own")
STAFF = ("no", "no", "tenant", "tenant", "no")
LISTS = ("yes", "yes", "yes", "yes", "yes")
S = "/v1/sessions/{session_id}"
MATRIX: dict[tuple[str, str], Row | str] = {
    ("POST", "/v1/sessions"): Row("sessions:write", *LISTS),
    ("GET", "/v1/sessions"): Row("sessions:read", *LISTS),
    ("GET", S): Row("sessions:read", *READ),
    ("DELETE", S): Row("sessions:write", *WRITE),
    ("GET", f"{S}/messages"): Row("sessions:read", *READ),
    ("POST", f"{S}/turns"): Row("turns:write", *WRITE),
    ("GET", f"{S}/turns/{{turn_id}}/events"): Row("sessions:read", *READ),
    ("GET", f"{S}/turns/{{turn_id}}/trace"): Row("traces:read", *STAFF),
    ("DELETE", f"{S}/turns/{{turn_id}}"): Row("turns:write", *WRITE),
    ("POST", f"{S}/signals/{{name}}"): Row("turns:write", *WRITE),
    ("GET", "/v1/handovers"): Row("handover", "no", "no", "yes", "yes", "no"),
    ("POST", f"{S}/handover/replies"): Row("handover", *STAFF),
    ("POST", f"{S}/handover/end"): Row("handover", *STAFF),
    ("GET", "/v1/passages"): Row("sessions:read", *LISTS),
    ("GET", "/v1/passages/{passage_id}"): Row("sessions:read", *LISTS),
    ("GET", "/v1/info"): Row("", *LISTS),
    ("GET", "/v1/me"): Row("", *LISTS),
    ("POST", "/v1/login"): Row("", "yes", "yes", "yes", "yes", "cookie"),
    ("POST", "/v1/logout"): Row("", *LISTS),
    ("GET", "/metrics"): Row("metrics:read", "no", "no", "yes", "yes", "no"),
    ("POST", "/v1/visit"): "open",
    ("POST", "/v1/channels/webhook/{name}"): "signed",
    ("GET", "/v1/channels/webhook/{name}"): "signed",
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", f"{S}/turns"): {"input": "say hello"},
    ("POST", f"{S}/signals/{{name}}"): {"value": 1, "turn_id": "t-1"},
    ("POST", f"{S}/handover/replies"): {"text": "here I am"},
}
ROUTES = [named for named, row in MATRIX.items() if isinstance(row, Row)]
HIDDEN = {"session-not-found", "turn-not-found", "trace-not-found"}
CALLERS = [(role, tenant) for tenant in TENANTS for role in ROLES] + [("visitor", "bank"), ("cookie", "")]


@pytest.fixture
async def server() -> AsyncIterator[Site]:
    scopes = {row.scope for row in MATRIX.values() if isinstance(row, Row) and row.scope}
    keys = [section(role, tenant, **ROLES[role]) for tenant in TENANTS for role in ROLES]
    keys += [section(f"only-{scope}", role="admin", scopes=[scope]) for scope in scopes]
    keys += [section("only-privacy", role="admin", scopes=["privacy"])]
    keys += [section("over", role="admin", expires="2020-01-01")]
    async with site({"keys": keys}) as server:
        yield server


def headers_of(caller: str, tenant: str) -> dict[str, str]:
    if caller == "visitor":
        return visitors_cookie(VISITOR, tenant)
    return users_cookie("ann", tenant) if caller == "cookie" else bearer(caller, tenant)


def user_of(caller: str) -> str:
    return {"visitor": VISITOR, "cookie": "ann", "application": "ann"}.get(caller) or str(ROLES[caller]["user"])


async def asked(server: Site, route: tuple[str, str], session: str, headers: dict[str, str]) -> httpx.Response:
    method, path = route
    filled = path.format(session_id=session, turn_id="t-1", name="go", passage_id="p1")
    query: Any = {"document": "returns.md", "start": 12, "end": 48} if path == "/v1/passages" else None
    if route == ("GET", "/v1/sessions"):
        query = {"user": "ann"} if "Authorization" in headers and "application" in headers["Authorization"] else None
    return await server.http.request(method, filled, headers=headers, json=BODIES.get(route), params=query)


async def made(server: Site, route: tuple[str, str], tenant: str, user: str) -> str:
    """A session that is with a person, with a turn ``t-1`` where the route is about one."""
    store = server.of(tenant)
    session = await store.create(user=user, state={"handover": {"since": time.time(), "reason": "", "turn": "t"}})
    if "{turn_id}" in route[1] or "{name}" in route[1]:
        text = "park" if "{name}" in route[1] else "say yes"
        headers = bearer("admin", tenant) | {"Idempotency-Key": "t-1"}
        reply = await server.http.post(f"/v1/sessions/{session.id}/turns", json={"input": text}, headers=headers)
        assert reply.status_code in (200, 202), reply.text
        await store.read_trace(session.id, "t-1")  # written by now
    return session.id


def test_every_route_has_a_row() -> None:
    """Also one that comes tomorrow: whoever adds it has to say here who may."""

    async def named() -> set[tuple[str, str]]:
        async with served() as (node,):
            paths = node.app.openapi()["paths"]
            return {(method.upper(), path) for path in paths for method in paths[path]}

    import asyncio

    assert asyncio.run(named()) == set(MATRIX)


@pytest.mark.parametrize(("caller", "tenant"), CALLERS)
async def test_whose_sessions_a_caller_may_touch(server: Site, caller: str, tenant: str) -> None:
    other_tenant = next(one for one in TENANTS if one != tenant)
    seen = 0
    for route in ROUTES:
        row = MATRIX[route]
        assert isinstance(row, Row)
        may = getattr(row, "user" if caller == "cookie" else caller)
        if caller == "cookie" and route == ("POST", "/v1/login"):
            may = "cookie"
        if "{session_id}" not in route[1]:
            reply = await asked(server, route, "", headers_of(caller, tenant))
            expected = {"yes": (200, 201, 204), "no": (403,), "cookie": (401,)}[may]
            assert reply.status_code in expected, (route, reply.text)
            assert may != "no" or kind(reply) == "operators-only"
            continue
        for owner, place, user in (
            ("own", tenant, user_of(caller)),
            ("other", tenant, "bob"),
            ("nobody", tenant, ""),
            ("foreign", other_tenant, user_of(caller)),
            ("missing", tenant, ""),
        ):
            session = "none" if owner == "missing" else await made(server, route, place, user)
            before = await server.of(place).load(session)
            reply = await asked(server, route, session, headers_of(caller, tenant))
            wanted = outcome(may, owner)
            assert fits(reply, wanted), (route, owner, wanted, reply.status_code, reply.text)
            if wanted != "ok" and before is not None:
                after = await server.of(place).load(session)
                assert after is not None
                assert (after.version, after.total) == (before.version, before.total), (route, owner)
            seen += 1
    assert seen > 40


def outcome(may: str, owner: str) -> str:
    if may == "no":
        return "refused"
    if owner in ("foreign", "missing"):
        return "hidden"
    if owner == "own" or may == "tenant":
        return "ok"
    return "forbidden" if may == "read" else "hidden"


def fits(reply: httpx.Response, wanted: str) -> bool:
    if wanted == "ok":
        return reply.status_code in (200, 202, 204)
    found = kind(reply)
    return (
        found in {"refused": {"operators-only", "trace-closed"}, "hidden": HIDDEN, "forbidden": {"forbidden"}}[wanted]
    )


async def test_a_foreign_session_looks_to_a_user_as_one_that_is_not_there(server: Site) -> None:
    for route in ROUTES:
        if "{session_id}" not in route[1] or MATRIX[route][2] != "own":
            continue
        for headers in (bearer("user"), users_cookie("ann")):
            answers = []
            for session in ("none", await made(server, route, "", "bob"), await made(server, route, "bank", "ann")):
                reply = await asked(server, route, session, headers)
                told = {name: value for name, value in reply.headers.items() if name != "idempotency-key"}
                answers.append((reply.status_code, reply.text.replace(session, ""), len(told)))
            assert answers[0][0] == 404
            assert len({(status, length) for status, _, length in answers}) == 1
            assert len({text.replace('"instance":"/v1/sessions/', "") for _, text, _ in answers}) == 1, route


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer hf_never-made"},
        bearer("over"),
        bearer("user", "nowhere"),
        {"Authorization": "Bearer " + hash_of("hf_user@")},
        {"Cookie": "holdfast=v1.e30.AAAA"},
        visitors_cookie(VISITOR, left=-1),
    ],
    ids=["none", "unknown", "expired", "tenant", "hash", "forged", "expired cookie"],
)
async def test_who_is_nobody_gets_nothing(server: Site, headers: dict[str, str]) -> None:
    for route in ROUTES:
        session = await made(server, route, "", "ann")
        reply = await asked(server, route, session, headers)
        assert (reply.status_code, kind(reply)) == (401, "unauthorized"), route


async def test_a_key_does_what_its_scopes_say(server: Site) -> None:
    for route in ROUTES:
        row = MATRIX[route]
        assert isinstance(row, Row)
        session = await made(server, route, "", "ann")
        if row.scope:
            reply = await asked(server, route, session, bearer("only-privacy"))
            assert (reply.status_code, kind(reply)) == (403, "scope-missing"), route
        with_it = bearer(f"only-{row.scope}" if row.scope else "only-privacy")
        if route == ("GET", "/v1/sessions"):
            assert (await server.http.get("/v1/sessions?user=ann", headers=with_it)).status_code == 200
        else:
            assert fits(await asked(server, route, session, with_it), "ok") or route == ("POST", "/v1/sessions"), route


@pytest.mark.parametrize("headers", [visitors_cookie("visitor-0123", csrf=False), users_cookie("ann", csrf=False)])
async def test_what_changes_something_by_cookie_needs_the_token(server: Site, headers: dict[str, str]) -> None:
    for route in ROUTES:
        session = await made(server, route, "", "ann")
        reply = await asked(server, route, session, headers)
        if route[0] == "GET":
            assert reply.status_code != 401
            assert "cross-site" not in reply.text
        else:
            assert (reply.status_code, kind(reply)) == (403, "cross-site"), route


async def test_signed_and_open_routes_ask_for_no_key(server: Site) -> None:
    for (method, path), row in MATRIX.items():
        if isinstance(row, str):
            reply = await server.http.request(method, path.format(name="shop"))
            assert reply.status_code in ((404,) if row == "signed" else (200, 201)), path


async def test_users_begin_and_list_conversations_of_their_own(server: Site) -> None:
    for headers, user in ((bearer("user"), "ann"), (visitors_cookie(VISITOR), VISITOR)):
        begun = await server.http.post("/v1/sessions", json={}, headers=headers)
        assert begun.json()["user"] == user
        assert kind(await server.http.post("/v1/sessions", json={"user": "bob"}, headers=headers)) == "wrong-user"
        listed = (await server.http.get("/v1/sessions", headers=headers)).json()["sessions"]
        assert [one["id"] for one in listed] == [begun.json()["id"]]
        assert kind(await server.http.get("/v1/sessions?user=bob", headers=headers)) == "wrong-user"
    begun = await server.http.post("/v1/sessions", json={"user": "bob"}, headers=bearer("application"))
    for role in ("application", "operator", "admin"):
        listed = (await server.http.get("/v1/sessions?user=bob", headers=bearer(role))).json()["sessions"]
        assert [one["id"] for one in listed] == [begun.json()["id"]]
        listed = (await server.http.get("/v1/sessions?user=bob", headers=bearer(role, "bank"))).json()["sessions"]
        assert listed == []


def test_a_route_without_a_rule_does_not_start() -> None:
    app = FastAPI()

    @app.get("/v1/new")
    async def new() -> None: ...

    with pytest.raises(ConfigError, match="GET /v1/new has no rule"):
        check_rules(app)
