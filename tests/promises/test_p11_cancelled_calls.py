"""P11: a cancelled call never shows another session's data.

Broken on purpose: half of all calls on one shared store are cancelled at a random moment, while many sessions are read and
written over the same few connections. Every reply carries its session's name; a reply left half-read on a connection, or one
too many, gives some later caller another session's data. The mutant (a backend that hands each reply to the next
caller after a cancellation) shows that this would be seen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Message, Store, Turn
from holdfast.errors import HoldfastError, SessionNotFound
from store_nodes import Figures, Nodes

SESSIONS = 20


async def one_call(store: Store, session: str, kind: int) -> None:
    """One call of some kind; whatever comes back has to be this session's."""
    mine = {"owner": session, "pad": session * 50}

    def answer(turn: Turn) -> None:
        assert turn.state.get("owner", session) == session, f"{session} was run on {turn.state['owner']}"
        assert all(message.content.startswith(f"{session}:") for message in turn.messages)
        turn.state["owner"] = session
        turn.reply(f"{session}: answer")

    match kind:
        case 0:
            state = await store.get(session)
            assert state.get("owner", session) == session, f"{session} got {state}"
        case 1:
            await store.set(session, mine)
        case 2:
            await store.update(session, {"owner": session}, append=[Message.user(f"{session}: note")])
        case 3:
            try:
                page = await store.read_log(session, limit=30)
            except SessionNotFound:
                return
            assert all(message.content.startswith(f"{session}:") for message in page.messages)
        case 4:
            loaded = await store.load(session)
            assert loaded is None or loaded.id == loaded.state.get("owner", session) == session
        case _:
            outcome = await store.run_turn(session, answer, input=f"{session}: question", wait=10)
            assert outcome.session_id == session
            assert outcome.reply == f"{session}: answer"
            assert all(message.content.startswith(f"{session}:") for message in outcome.messages)


async def fuzz(store: Store, rng: random.Random, calls: int, longest: float) -> tuple[int, int]:
    """Returns how many calls were through and how many were cancelled."""
    through = cancelled = 0
    for _ in range(calls // 40):
        plans = [(rng.randrange(SESSIONS), rng.randrange(7)) for _ in range(40)]
        tasks = [asyncio.create_task(one_call(store, f"session-{number}", kind)) for number, kind in plans]
        for task in tasks[::2]:
            delay = rng.random() * longest
            asyncio.get_running_loop().call_later(delay, task.cancel)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, asyncio.CancelledError):
                cancelled += 1
            elif isinstance(result, BaseException) and not isinstance(result, HoldfastError):
                raise result
            else:
                assert result is None, f"a call that nobody cancelled failed: {result!r}"
                through += 1
    return through, cancelled


async def test_half_of_all_calls_are_cancelled(
    nodes: Nodes, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    store, between = await nodes.interposed(lease=2, poll=0.05)
    if nodes.name == "memory":
        between.pauses = 8  # else there would be no moment at which to cancel it
    through, cancelled = await fuzz(store, rng, scale(1200), 0.006)
    assert cancelled > scale(1200) // 10, "too few were cancelled in flight: this showed little"
    for number in range(SESSIONS):
        session = f"session-{number}"
        assert (await store.get(session)).get("owner", session) == session
        if await store.exists(session):
            log = [message async for message in store.messages(session)]
            assert all(message.content.startswith(f"{session}:") for message in log)
    async with asyncio.timeout(30):
        await asyncio.gather(*[one_call(store, f"session-{number}", 6) for number in range(SESSIONS)])
    figures("P11", nodes.name, calls=through + cancelled, cancelled=cancelled, foreign_replies=0)


async def test_a_backend_that_mixes_up_replies_is_caught(memory_nodes: Nodes, rng: random.Random) -> None:
    store, between = await memory_nodes.interposed(pauses=3, cache_bytes=0)
    between.inner = _Shifted(between.inner)
    with pytest.raises((AssertionError, AttributeError, TypeError)):
        await fuzz(store, rng, 1200, 0.02)


class _Shifted:
    """A connection on which a cancelled read leaves its reply for the next one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._left: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def load(self, *args: Any, **kwargs: Any) -> Any:
        reply = await self._inner.load(*args, **kwargs)
        self._left.append(reply)
        await asyncio.sleep(0.002)  # cancelled here, its reply stays behind
        return self._left.pop(0)
