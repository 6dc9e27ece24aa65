"""What the assistant does after its turns: beside the next ones, and not beyond the node's end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from server_kit import served

from holdfast.server.app import node_of


async def test_it_is_told_of_each_committed_turn_once() -> None:
    told: list[str] = []

    async def after(store: Any, session_id: str) -> None:
        assert await store.exists(session_id)
        told.append(session_id)

    async with served() as [node]:
        node.assistant.after = after  # type: ignore[attr-defined]
        session = await node.session()
        await node.turn(session, "say a b", "t-1")
        await node.turn(session, "say a b", "t-1")  # its outcome is known
        await node.turn(session, "say c", "t-2")
        await node.turn(session, "raise", "t-3")
        await asyncio.sleep(0.05)
        assert told == [session, session]


async def test_no_turn_waits_for_it_and_none_fails_with_it(caplog: pytest.LogCaptureFixture) -> None:
    gate = asyncio.Event()

    async def after(store: Any, session_id: str) -> None:
        await gate.wait()
        raise RuntimeError("cannot")

    async with served() as [node]:
        node.assistant.after = after  # type: ignore[attr-defined]
        session = await node.session()
        for number in range(3):
            assert (await node.turn(session, f"say {number}")).json()["reply"] == str(number)
        gate.set()
        await asyncio.sleep(0.05)
    assert "what is done after a turn failed" in caplog.text


async def test_a_node_that_stops_waits_for_it_and_not_for_ever() -> None:
    ended: list[str] = []

    async def after(store: Any, session_id: str) -> None:
        try:
            await asyncio.sleep(0.2 if not ended else 60)
            ended.append("done")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with served() as [node]:
        node.assistant.after = after  # type: ignore[attr-defined]
        session = await node.session()
        await node.turn(session, "say a")
        await node_of(node.app).desk.drain(1)
        assert ended == ["done"]
        node_of(node.app).desk.draining = False
        await node.turn(session, "say b")
        started = time.monotonic()
        await node_of(node.app).desk.drain(0.1)
        await asyncio.sleep(0)
        assert ended == ["done", "cancelled"] and time.monotonic() - started < 20
