"""Cookies: visitors, login without fixation, logout, forged requests, other origins."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from access_kit import ROLES, SECRET, SIGNER, bearer, section, site
from server_kit import kind

from holdfast.config import Config
from holdfast.privacy.audit import AuditLog
from holdfast.server.app import node_of
from holdfast.server.callers import Caller
from holdfast.server.identities import revoking
from holdfast.server.identities.cookies import CSRF_HEADER, Signer, token_of, visitors_token

HERE = "http://holdfast.test"


async def visited(server: Any) -> dict[str, Any]:
    reply = await server.http.post("/v1/visit", headers={"Origin": HERE})
    assert reply.status_code == 201
    identity: dict[str, Any] = reply.json()
    server.http.headers[CSRF_HEADER] = identity["csrf"]
    return identity


async def test_a_visitor_is_somebody_new_and_stays() -> None:
    async with site() as server:
        reply = await server.http.post("/v1/visit")
        given, cookie = reply.json(), reply.headers["set-cookie"]
        assert given["user"].startswith("visitor-") and len(given["user"]) == 40
        assert (given["visitor"], given["role"], given["tenant"]) == (True, "user", "bank")
        assert cookie.startswith("holdfast=v1.")
        assert cookie.endswith("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax")
        assert reply.headers["cache-control"] == "no-store"
        again = await server.http.post("/v1/visit")
        assert again.json() == given
        assert "set-cookie" not in again.headers
        assert (await server.http.get("/v1/me")).json() == given
        server.http.cookies.clear()
        assert (await server.http.post("/v1/visit")).json()["user"] != given["user"]


async def test_a_cookie_is_secure_where_browsers_come_by_https() -> None:
    for access, host, name, secure in (
        ({}, "127.0.0.1", "holdfast", False),
        ({}, "0.0.0.0", "__Host-holdfast", True),
        ({"https": True}, "127.0.0.1", "__Host-holdfast", True),
        ({"https": False}, "0.0.0.0", "holdfast", False),
    ):
        async with site(access, server={"host": host}) as server:
            reply = await server.http.post("/v1/visit")
            assert reply.headers["set-cookie"].startswith(f"{name}=")
            assert ("; Secure" in reply.headers["set-cookie"]) is secure
            assert ("strict-transport-security" in reply.headers) is (access.get("https") is True)


async def test_where_visitors_are_not_wanted_one_logs_in() -> None:
    async with site({"visitors": False}) as server:
        assert kind(await server.http.post("/v1/visit")) == "visits-off"
        token = visitors_token("bank", 600)
        reply = await server.http.get("/v1/me", headers={"Cookie": f"holdfast={SIGNER.sign(token)}"})
        assert kind(reply) == "unauthorized"  # one of before
        assert (await server.http.post("/v1/login", headers=bearer("user"))).status_code == 200
    async with site({"visitors": False, "secret": ()}) as server:
        assert kind(await server.http.post("/v1/login", headers=bearer("user"))) == "login-off"


async def test_a_login_replaces_the_visitor() -> None:
    async with site() as server:
        await visited(server)
        planted = dict(server.http.cookies)
        session = (await server.http.post("/v1/sessions", json={})).json()["id"]
        for number in range(3):
            said = await server.http.post(f"/v1/sessions/{session}/turns", json={"input": f"phone 1380000123{number}"})
            assert said.status_code == 200
        before = (await server.http.get(f"/v1/sessions/{session}/messages")).json()["messages"]
        reply = await server.http.post("/v1/login", json={"session": session}, headers=bearer("user", ""))
        given = reply.json()
        assert (given["user"], given["tenant"], given["visitor"], given["role"]) == ("ann", "", False, "user")
        assert dict(server.http.cookies) != planted
        assert given["session"] not in ("", session)
        server.http.headers[CSRF_HEADER] = given["csrf"]
        shown = (await server.http.get(f"/v1/sessions/{given['session']}")).json()
        assert (shown["user"], shown["state"]) == ("ann", {"phone": "138****1232"})
        after = (await server.http.get(f"/v1/sessions/{given['session']}/messages")).json()["messages"]
        assert [(one["role"], one["content"]) for one in after] == [(one["role"], one["content"]) for one in before]
        assert await server.of("bank").load(session) is None
        further = await server.http.post(f"/v1/sessions/{given['session']}/turns", json={"input": "say on"})
        assert further.json()["reply"] == "on"
        for name, value in planted.items():  # whoever planted the visitor's cookie is nobody now
            old = {"Cookie": f"{name}={value}"}
            server.http.cookies.clear()
            assert kind(await server.http.get("/v1/me", headers=old)) == "unauthorized"


async def test_nothing_of_others_comes_along() -> None:
    async with site() as server:
        store = server.of("bank")
        theirs, taken = await store.create(user="bob"), await store.create(user="ann")
        handed = (await visited(server))["user"]
        mine = await store.create(state={"handover": {"since": 1.0, "reason": "", "turn": "t"}}, user=handed)
        for session in (mine.id, theirs.id, taken.id, "none"):
            await visited(server)
            reply = await server.http.post("/v1/login", json={"session": session}, headers=bearer("user", "bank"))
            assert (reply.status_code, reply.json()["session"]) == (200, "")
        for session in (theirs.id, taken.id, mine.id):
            assert await store.load(session) is not None


async def test_long_conversations_come_along_whole() -> None:
    async with site() as server:
        from holdfast.sessions.message import Message

        user = (await visited(server))["user"]
        session = await server.of("bank").create(user=user)
        for start in range(0, 450, 50):
            said = [Message.user(f"m{number}") for number in range(start, start + 50)]
            await server.of("bank").update(session.id, {}, append=said)
        login = await server.http.post("/v1/login", json={"session": session.id}, headers=bearer("user"))
        found = [one.content async for one in server.store.messages(login.json()["session"])]
        assert found == [f"m{number}" for number in range(450)]


async def test_a_logout_ends_the_cookie_on_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as server:
        login = await server.http.post("/v1/login", headers=bearer("user"))
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in server.http.cookies.items())}
        other = revoking.Revoked(server.store)  # of another node
        token = SIGNER.given(cookie["Cookie"])
        assert token is not None and not await other.has(token.id)
        assert kind(await server.http.post("/v1/logout")) == "cross-site"
        reply = await server.http.post("/v1/logout", headers={CSRF_HEADER: login.json()["csrf"]})
        assert reply.status_code == 204
        assert "Max-Age=0" in reply.headers["set-cookie"]
        assert kind(await server.http.get("/v1/me", headers=cookie)) == "unauthorized"
        assert not await other.has(token.id)  # asked a moment ago
        monkeypatch.setattr(revoking, "_TRUSTED_S", 0.0)
        assert await other.has(token.id)


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"Origin": HERE}, False),
        ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "http://holdfast.test.evil.example"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": HERE, "Sec-Fetch-Site": "cross-site"}, True),
    ],
    ids=repr,
)
async def test_another_sites_page_changes_nothing(headers: dict[str, str], refused: bool) -> None:
    async with site({"origins": ["https://shop.example"]}) as server:
        await visited(server)
        reply = await server.http.post("/v1/sessions", json={}, headers=headers)
        assert (reply.status_code == 403) is refused
        assert not refused or kind(reply) == "cross-site"
        first = await server.http.post("/v1/visit", headers=headers)
        assert (first.status_code == 403) is refused
        key = await server.http.post("/v1/sessions", json={}, headers={**bearer("user"), **headers})
        assert key.status_code == 201  # no browser sends a key by itself


async def test_the_token_fits_one_cookie_alone() -> None:
    async with site() as server:
        await visited(server)
        other = SIGNER.csrf(visitors_token("bank", 600))
        for wrong in ("", "x", other, other[:-1], "é"):
            reply = await server.http.post("/v1/sessions", json={}, headers={CSRF_HEADER.encode(): wrong.encode()})
            assert kind(reply) == "cross-site"
        assert (await server.http.post("/v1/sessions", json={})).status_code == 201


async def test_only_named_origins_may_read() -> None:
    async with site({"origins": ["https://shop.example"]}) as server:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        good = await server.http.options("/v1/sessions", headers={"Origin": "https://shop.example", **asks})
        assert good.headers["access-control-allow-origin"] == "https://shop.example"
        assert good.headers["access-control-allow-credentials"] == "true"
        bad = await server.http.options("/v1/sessions", headers={"Origin": "https://evil.example", **asks})
        assert "access-control-allow-origin" not in bad.headers
        refused = await server.http.get("/v1/me", headers={"Origin": "https://shop.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-origin" not in (await server.http.get("/livez", headers={"Origin": HERE})).headers


async def test_headers_of_the_page() -> None:
    async with site() as server:
        for path in ("/", "/v1/me", "/docs"):
            headers = (await server.http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "camera=()" in headers["permissions-policy"]
            assert headers["referrer-policy"] == "no-referrer"


# --- the cookie itself ---


def test_secrets_may_be_changed_without_logging_anybody_out() -> None:
    old, new = "o" * 40, "n" * 40
    token = token_of(Caller("bank", "ann", "operator", frozenset({"handover"}), "ann"), 60)
    signed = Signer([old], secure=True).sign(token)
    both = Signer([new, old], secure=True)
    read = both.read(signed)
    assert read == token
    assert read.caller == Caller("bank", "ann", "operator", frozenset({"handover"}), "ann")
    assert both.csrf_fits(token, Signer([old], secure=True).csrf(token))
    assert both.sign(token) != signed
    assert Signer([new], secure=True).read(signed) is None


def test_every_changed_character_breaks_a_cookie() -> None:
    signed = SIGNER.sign(visitors_token("bank", 60))
    assert SIGNER.read(signed) is not None
    for place in range(len(signed)):
        for other in ("A" if signed[place] != "A" else "B", "", "é", "."):
            changed = signed[:place] + other + signed[place + 1 :]
            found = SIGNER.read(changed)
            if changed == signed or (place == len(signed) - 1 and found is not None):
                continue  # the last character has two bits that mean nothing
            assert found is None, (place, other)
    for odd in ("", ".", "..", "v1..", "v1.e30.", "v2" + signed[2:], signed + "x" * 5000, f"v1.{'A' * 10}.{'A' * 43}"):
        assert SIGNER.read(odd) is None


def test_a_cookie_ends() -> None:
    assert SIGNER.read(SIGNER.sign(visitors_token("", -1))) is None
    assert SIGNER.read(SIGNER.sign(visitors_token("", 60))) is not None


def test_visitors_need_a_secret_that_nodes_share() -> None:
    with pytest.raises(ValueError, match="visitors need a secret"):
        Config(store="memory:", server={"host": "0.0.0.0"}, access={"visitors": True})  # type: ignore[arg-type]
    Config(store="memory:", server={"host": "0.0.0.0"}, access={"visitors": True, "secret": SECRET})  # type: ignore[arg-type]


# --- the audit log ---


async def test_what_staff_reads_and_does_is_written_down() -> None:
    async with site({"keys": [section(role, "bank", **ROLES[role]) for role in ROLES]}) as server:
        store = server.of("bank")
        session = (await store.create(user="ann")).id
        for _ in range(3):
            await server.http.get(f"/v1/sessions/{session}", headers=bearer("operator", "bank"))
        await server.http.get(f"/v1/sessions/{session}", headers=bearer("user", "bank"))
        await server.http.get("/v1/handovers", headers=bearer("operator", "bank"))
        await server.http.delete(f"/v1/sessions/{session}", headers=bearer("operator", "bank"))
        await server.http.delete(f"/v1/sessions/{session}", headers=bearer("user", "bank"))
        audit = node_of(server.app).audit
        assert audit is not None
        await asyncio.wait_for(audit.flush(), 5)
        log = AuditLog(server.store, 3600)
        noted = [(one.actor, one.action, one.target, one.ok) async for one in log.entries(tenant="bank")]
        assert noted == [
            ("operator@bank", "session.read", session, True),
            ("operator@bank", "handover.list", "bank", True),
            ("operator@bank", "session.write", session, False),
            ("user@bank", "session.delete", session, True),
        ]
        assert [one async for one in log.entries()] == []


async def test_the_log_may_be_off_or_note_all() -> None:
    for audit, expected in (("off", []), ("all", ["session.read"])):
        async with site(privacy={"audit": audit}) as server:
            session = (await server.store.create(user="ann")).id
            await server.http.get(f"/v1/sessions/{session}", headers=bearer("user"))
            log = node_of(server.app).audit
            if log is not None:
                await log.flush()
            found = [one.action async for one in AuditLog(server.store, 3600).entries(since=time.time() - 60)]
            assert found == expected
