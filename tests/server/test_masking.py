"""A phone number that a user gives appears masked wherever it leaves the server, and in no log."""

from __future__ import annotations

import logging

import pytest
from server_kit import served

from holdfast.assistant.masking import Masker
from holdfast.config import MaskingSection

CANARY = "13912345678"
SPELLINGS = (CANARY, "139 1234 5678", "139-1234-5678")
MASKED = "139****5678"


async def test_the_number_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as (node,):
        session_id = await node.session()
        answers = [
            await node.turn(session_id, f"phone {CANARY}", "t-1"),
            await node.turn(session_id, f"say {CANARY}", "t-2", stream=True),
            await node.turn(session_id, f"say {CANARY}", "t-2", stream=True),
            await node.follow(session_id, "t-2"),
            await node.turn(session_id, f"raise {CANARY}", "t-3"),
            await node.turn(session_id, f"other {CANARY}", "t-1"),
            await node.http.get(f"/v1/sessions/{session_id}"),
            await node.http.get(f"/v1/sessions/{session_id}/messages"),
            await node.http.get("/metrics"),
            await node.http.get(f"/v1/sessions?user={CANARY}"),
        ]
    for answer in answers:
        assert not [one for one in SPELLINGS if one in answer.text], answer.request.url
        if not answer.request.url.query:
            assert not [one for one in SPELLINGS if one in str(answer.headers)]
    assert MASKED in answers[6].json()["state"]["phone"]
    messages = answers[7].json()["messages"]
    assert [MASKED in one["content"] for one in messages] == [True] * 4
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("holdfast")]
    assert len(ours) > 8
    assert not [line for line in ours if CANARY in line]


async def test_the_access_log_has_paths_without_ids(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.access")
    async with served() as (node,):
        session_id = await node.session()
        await node.turn(session_id, "say hello", "secret-turn-id")
        await node.follow(session_id, "secret-turn-id")
        await node.http.get(f"/nowhere/{session_id}")
    lines = [record.getMessage() for record in caplog.records if record.name == "holdfast.access"]
    assert [line.split(" ")[:3] for line in lines] == [
        ["POST", "/v1/sessions", "201"],
        ["POST", "/v1/sessions/{session_id}/turns", "200"],
        ["GET", "/v1/sessions/{session_id}/turns/{turn_id}/events", "200"],
        ["GET", "(no", "route)"],
    ]
    assert all(line.endswith("node=node-0") for line in lines)
    assert not [line for line in lines if session_id in line or "secret-turn-id" in line or "hello" in line]


async def test_a_role_sees_in_clear_what_the_config_lets_it_see() -> None:
    async with served() as (node,):
        session_id = await node.session()
        await node.turn(session_id, f"phone {CANARY}", "t-1")
        paths = [f"/v1/sessions/{session_id}", f"/v1/sessions/{session_id}/messages"]
        masked = [(await node.http.get(path)).text for path in paths]
    clear = MaskingSection(clear={"roles": {"admin": ["phone"]}})  # type: ignore[arg-type]  # pydantic makes the section
    async with served(masker=Masker({"phone": "phone"}, clear)) as (node,):
        session_id = await node.session()
        await node.turn(session_id, f"phone {CANARY}", "t-1")
        paths = [f"/v1/sessions/{session_id}", f"/v1/sessions/{session_id}/messages"]
        shown = [(await node.http.get(path)).text for path in paths]  # where nobody is asked, everybody is admin
    assert all(MASKED in text and CANARY not in text for text in masked)
    assert all(CANARY in text for text in shown)


async def test_what_a_user_writes_can_be_stored_masked() -> None:
    stores = MaskingSection(before_store=True)
    async with served(masker=Masker({"phone": "phone"}, stores)) as (node,):
        session_id = await node.session()
        first = await node.turn(session_id, f"say {CANARY}", "t-1")
        again = await node.turn(session_id, f"say {CANARY}", "t-1")
        assert first.status_code == again.status_code == 200 and again.json()["replayed"]
        found = await node.store.load(session_id)
    assert found is not None
    assert found.messages[0].content == f"say {MASKED}"
