"""``/v1/sessions``: made, shown, listed, read, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from server_kit import Served, kind, served

from holdfast import Message
from holdfast.errors import StoreUnavailable


@pytest.fixture
async def node() -> AsyncIterator[Served]:
    async with served() as (node,):
        yield node


async def test_the_server_makes_an_id_that_cannot_be_guessed(node: Served) -> None:
    reply = await node.http.post("/v1/sessions", json={})
    assert reply.status_code == 201
    body = reply.json()
    assert len(body["id"]) == 43
    assert reply.headers["location"] == f"/v1/sessions/{body['id']}"
    assert (body["messages"], body["state"], body["user"], body["expires_at"]) == (0, {}, "", None)
    assert body["created_at"].endswith("Z")
    assert len({await node.session() for _ in range(20)}) == 20


async def test_a_body_may_be_missing(node: Served) -> None:
    assert (await node.http.post("/v1/sessions")).status_code == 201


async def test_a_session_is_shown_with_its_figures(node: Served) -> None:
    session_id = await node.session(user="u-1")
    await node.turn(session_id, "say hello")
    body = (await node.http.get(f"/v1/sessions/{session_id}")).json()
    assert (body["user"], body["version"], body["messages"], body["running"]) == ("u-1", 2, 2, [])


async def test_a_session_that_expires_says_when() -> None:
    async with served(ttl="1h") as (node,):
        body = (await node.http.get(f"/v1/sessions/{await node.session()}")).json()
    assert body["expires_at"] > body["created_at"]


async def test_running_turns_are_named(node: Served) -> None:
    session_id = await node.session()
    import asyncio

    turn = asyncio.create_task(node.turn(session_id, "hold a", "t-1"))
    await node.running(session_id, "t-1")
    assert (await node.http.get(f"/v1/sessions/{session_id}")).json()["running"] == ["t-1"]
    node.assistant.open("a")
    await turn


async def test_a_users_own_sessions_come_newest_first_and_by_page(node: Served) -> None:
    made = [await node.session(user="u-1") for _ in range(5)]
    await node.session(user="u-2")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await node.http.get("/v1/sessions", params={"user": "u-1", "limit": 2, "cursor": cursor})).json()
        seen += [one["id"] for one in page["sessions"]]
        if not (cursor := page["cursor"]):
            break
    assert sorted(seen) == sorted(made)
    assert "state" not in page["sessions"][0]
    await node.turn(made[0], "say hello")
    assert (await node.http.get("/v1/sessions?user=u-1&limit=1")).json()["sessions"][0]["id"] == made[0]


async def test_messages_come_by_page(node: Served) -> None:
    session_id = await node.session()
    for number in range(3):
        await node.turn(session_id, f"say {number}", f"t-{number}")
    path = f"/v1/sessions/{session_id}/messages"
    whole = (await node.http.get(path)).json()
    assert [one["content"] for one in whole["messages"]] == ["say 0", "0", "say 1", "1", "say 2", "2"]
    assert [one["index"] for one in whole["messages"]] == list(range(6))
    assert whole["messages"][3]["turn_id"] == "t-1"
    part = (await node.http.get(path, params={"start": 1, "limit": 2})).json()
    assert ([one["content"] for one in part["messages"]], part["start"], part["total"]) == (["0", "say 1"], 1, 6)
    last = (await node.http.get(path, params={"limit": 2})).json()
    assert last["start"] == 4
    assert (await node.http.get(path, params={"start": 100})).json()["messages"] == []


async def test_values_beyond_json_are_shown(node: Served) -> None:
    session_id = await node.session()
    await node.store.update(session_id, {"tags": {"a"}, "raw": b"\x00\xff"}, append=[Message.assistant("hi", n={1, 2})])
    assert (await node.http.get(f"/v1/sessions/{session_id}")).json()["state"] == {"tags": ["a"], "raw": "AP8="}
    assert (await node.http.get(f"/v1/sessions/{session_id}/messages")).status_code == 200


async def test_a_deleted_session_is_gone_for_good(node: Served) -> None:
    session_id = await node.session()
    await node.turn(session_id, "say hello", "t-1")
    assert (await node.http.delete(f"/v1/sessions/{session_id}")).status_code == 204
    for path in ("", "/messages"):
        assert kind(await node.http.get(f"/v1/sessions/{session_id}{path}")) == "session-not-found"
    assert kind(await node.turn(session_id, "say again", "t-2")) == "session-not-found"
    assert kind(await node.http.delete(f"/v1/sessions/{session_id}")) == "session-not-found"
    assert not await node.store.exists(session_id)


async def test_a_copy_is_shown_marked_where_the_store_is_out_of_reach_and_the_caller_allows_it(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await node.session(user="u-1")
    path = f"/v1/sessions/{session_id}"
    fresh = await node.http.get(path, params={"allow_stale": "true"})
    assert (fresh.json()["stale"], fresh.json()["age"], "age" in fresh.headers) == (False, 0.0, False)

    async def cut_off(*args: object, **options: object) -> None:
        raise StoreUnavailable("cut off on purpose")

    monkeypatch.setattr(node.store.backend, "load", cut_off)
    assert (await node.http.get(path)).status_code == 503
    assert (await node.http.get("/v1/sessions/unknown", params={"allow_stale": "true"})).status_code == 503
    reply = await node.http.get(path, params={"allow_stale": "true"})
    assert reply.status_code == 200
    body = reply.json()
    assert body["stale"]
    assert body["age"] > 0
    assert body["user"] == "u-1"
    assert int(reply.headers["age"]) <= body["age"] + 1
