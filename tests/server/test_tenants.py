"""One server for several tenants: nothing of one is another's, even under the same ids."""

from __future__ import annotations

import asyncio

from access_kit import bearer, section, site
from server_kit import events_of, kind, said

from holdfast.config import Config
from holdfast.server.app import node_of
from holdfast.server.desk import HANDLER


async def test_turns_of_the_same_name_in_two_tenants_are_two_turns() -> None:
    async with site() as server:
        desk = node_of(server.app).desk
        for tenant in ("", "bank"):
            await server.of(tenant).create("same", user="ann")

        async def turn(tenant: str, text: str) -> str:
            headers = {**bearer("application", tenant), "Idempotency-Key": "t-1"}
            reply = await server.http.post("/v1/sessions/same/turns", json={"input": text}, headers=headers)
            return str(reply.json()["reply"])

        both = [asyncio.create_task(turn("", "hold one")), asyncio.create_task(turn("bank", "hold two"))]
        async with asyncio.timeout(5):
            while len(desk.ids("same")) + len(desk.ids("same", tenant="bank")) < 2:  # noqa: ASYNC110  (a desk tells nobody)
                await asyncio.sleep(0.005)
        assert desk.find("same", "t-1") is not desk.find("same", "t-1", tenant="bank")
        assistant = node_of(server.app).assistant
        assistant.open("one")  # type: ignore[attr-defined]
        assert (await both[0]).endswith("one")
        assert not both[1].done()
        assistant.open("two")  # type: ignore[attr-defined]
        assert (await both[1]).endswith("two")
        for tenant, text in (("", "hold one"), ("bank", "hold two")):
            page = await server.of(tenant).read_log("same")
            assert [message.content for message in page.messages][:1] == [text]
            assert page.total == 2


async def test_a_turn_of_another_tenant_is_taken_over_and_can_be_followed() -> None:
    async with site() as server:
        desk, bank = node_of(server.app).desk, server.of("bank")
        session = await bank.create(user="ann")
        assert await bank.accept_turn(session.id, HANDLER, input="say hello", turn_id="t-1")
        async with server.store.recovering(every=0.05, all_tenants=True, take=desk.take_over):
            path = f"/v1/sessions/{session.id}/turns/t-1/events"
            reply = await server.http.get(path, headers=bearer("user", "bank"))
            assert said(events_of(reply.text)) == "hello"
        assert kind(await server.http.get(path, headers=bearer("user"))) == "session-not-found"
        assert kind(await server.http.get(path, headers=bearer("admin"))) == "turn-not-found"


async def test_a_session_that_is_given_away_between_look_and_turn_is_not_found() -> None:
    async with site() as server:
        bank = server.of("bank")
        session = await bank.create(user="ann")
        reply = await server.http.get(f"/v1/sessions/{session.id}", headers=bearer("user", "bank"))
        assert reply.status_code == 200
        other = type(server.store)(server.store.backend, bank.settings)  # another node: this one still remembers ann's
        await other.delete(session.id)
        await other.create(session.id, {"secret": 1}, user="bob")
        turn = await server.http.post(
            f"/v1/sessions/{session.id}/turns", json={"input": "say hello"}, headers=bearer("user", "bank")
        )
        assert kind(turn) == "session-not-found"
        found = await bank.load(session.id)
        assert found is not None
        assert (found.user, found.total) == ("bob", 0)


def test_other_tenants_turns_are_taken_over_only_where_they_may_come() -> None:
    for access, several in (
        ({}, False),
        ({"keys": [section("x")]}, False),
        ({"keys": [section("x", "bank")]}, True),
        ({"key_file": "keys.toml"}, True),
        ({"visitors": True, "visitor_tenant": "web"}, True),
        ({"jwt": {"issuer": "https://i", "audience": "a"}}, False),
        ({"jwt": {"issuer": "https://i", "audience": "a", "tenant_claim": "org"}}, True),
    ):
        config = Config(store="memory:", access=access)  # type: ignore[arg-type]  # as a file has it
        assert config.access.several_tenants is several
