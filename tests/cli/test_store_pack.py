"""``holdfast store pack``: what it moved, what it left out, and where it does not apply."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest
from command_line import cli

from holdfast import Message, open_store
from holdfast.testing.servers import RedisServer


@pytest.fixture
def tenant() -> str:
    return uuid.uuid4().hex


def said(session_id: str, count: int) -> list[Message]:
    return [Message("user", f"{session_id}: where is parcel {n}?", created_at=1.7e9 + n) for n in range(count)]


async def filled(url: str, tenant: str) -> None:
    async with open_store(f"{url}?pack=no", tenant=tenant) as store:
        for session_id, count in (("long", 500), ("short", 5)):
            await store.update(session_id, {}, append=said(session_id, count))


async def contents(url: str, tenant: str, session_id: str) -> list[str]:
    async with open_store(url, tenant=tenant) as store:
        return [message.content async for message in store.messages(session_id)]


def test_sessions_are_packed_and_read_as_before(redis_server: RedisServer, tenant: str) -> None:
    url = redis_server.url
    asyncio.run(filled(url, tenant))
    ran = cli("store", "pack", url, "--tenant", tenant, "--json")
    assert ran.code == 0, ran.err
    report = ran.document
    assert (report["sessions"], report["packed"], report["left_out"]) == (2, 1, [])
    assert 450 < report["messages"] < 500
    assert 0 < report["bytes_after"] < report["bytes_before"] / 4
    for session_id, count in (("long", 500), ("short", 5)):
        expected = [message.content for message in said(session_id, count)]
        assert asyncio.run(contents(url, tenant, session_id)) == expected
    again = cli("store", "pack", url, "--tenant", tenant)
    assert (again.code, again.out) == (0, "0 of 2 sessions had something to pack\n")


def test_a_damaged_session_is_left_out_and_named(redis_server: RedisServer, tenant: str) -> None:
    url = redis_server.url
    asyncio.run(filled(url, tenant))
    found = redis_server.command("KEYS", f"hf:*:l:{tenant}:long")
    assert isinstance(found, list)
    redis_server.command("LTRIM", found[0], 1, -1)
    ran = cli("store", "pack", url, "--tenant", tenant)
    assert ran.code == 1
    assert "left out long: " in ran.out and "damaged" in ran.out


def test_other_stores_have_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    ran = cli("store", "pack", f"sqlite:///{path}", "--json")
    assert ran.code == 2
    assert "only a Redis store" in json.loads(ran.err)["message"]
