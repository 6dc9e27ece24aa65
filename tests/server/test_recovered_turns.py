"""Turns that a node takes over on its own: as much room as for any other, none while it drains, and no session brought back."""

from __future__ import annotations

import asyncio

from server_kit import Served, served

from holdfast import Message
from holdfast.backends.records import BeginRequest, Birth, Granted, Overdue
from holdfast.server.app import node_of
from holdfast.server.desk import HANDLER
from holdfast.testing.calls import new_token
from holdfast.turns.accepting import fingerprint


async def left_behind(node: Served, session_id: str, turn_id: str, text: str) -> Overdue:
    """A turn that was accepted, and whose node is gone."""
    store, message = node.store, Message("user", text)
    entry = store.message_codec.encode(message, turn_id)
    prints = fingerprint(message, store.message_codec)
    request = BeginRequest(turn_id, new_token(), prints, entry, HANDLER, Birth(), 60_000, 0, 0)
    key = store.key(session_id)
    assert isinstance(await store.backend.begin(key, request), Granted)
    await store.backend.release(key, turn_id, token=request.token, withdraw=False)
    (found,) = [turn for turn in await store.backend.overdue() if turn.key == key]
    return found


async def test_it_runs_to_its_end_and_can_be_asked_for() -> None:
    async with served() as (node,):
        session_id = await node.session()
        found = await left_behind(node, session_id, "t-1", "say yes")
        assert await node_of(node.app).desk.take_over(found)
        assert not await node_of(node.app).desk.take_over(found)
        body = (await node.turn(session_id, "say yes", "t-1")).json()
        assert (body["reply"].strip(), body["attempts"], body["replayed"]) == ("yes", 2, True)


async def test_a_session_that_was_deleted_meanwhile_is_not_brought_back() -> None:
    """The input was accepted between the look for the session and its deletion, and then the node died."""
    async with served() as (node,):
        found = await left_behind(node, "never-there", "t-1", "say yes")
        assert await node_of(node.app).desk.take_over(found)
        assert not await node.store.exists("never-there")
        assert await node.store.backend.overdue() == []


async def test_it_takes_room_like_any_other() -> None:
    async with served(config={"max_concurrent_turns": 1}) as (node,):
        first, second = await node.session(), await node.session()
        found = await left_behind(node, second, "t-1", "say yes")
        held = asyncio.create_task(node.turn(first, "hold a", "t-1"))
        await node.running(first, "t-1")
        assert not await node_of(node.app).desk.take_over(found)
        node.assistant.open("a")
        await held
        assert await node_of(node.app).desk.take_over(found)


async def test_a_node_that_stops_takes_none() -> None:
    async with served() as (node,):
        session_id = await node.session()
        found = await left_behind(node, session_id, "t-1", "say yes")
        node_of(node.app).desk.draining = True
        assert not await node_of(node.app).desk.take_over(found)
        assert [turn.attempt for turn in await node.store.backend.overdue()] == [1]
