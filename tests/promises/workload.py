"""The workload of the promise tests: every turn counts one up and says which number it is, so that the log proves itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from holdfast import Message, Store, Turn
from holdfast.errors import HoldfastError
from holdfast.testing.history import Line

NODE: Final = Path(__file__).with_name("node.py")
KEEP_ALL: Final = 100_000
"""Outcomes to keep, so that every turn of a test can be asked for afterwards."""


async def count(turn: Turn) -> None:
    """Reads the counter, yields, writes it back plus one, and answers with it."""
    number = turn.state.get("n", 0) + 1
    await asyncio.sleep(0)
    turn.state["n"] = number
    turn.reply(f"{number}")


def never(turn: Turn) -> None:
    raise AssertionError(f"the handler of {turn.id}, which is finished, was called")


async def log_of(store: Store, session_id: str) -> list[Message]:
    if not await store.exists(session_id):
        return []
    return [message async for message in store.messages(session_id)]


def lines(log: list[Message]) -> list[Line]:
    """A log for `holdfast.testing.history`."""
    return [
        Line(m.turn_id, "input" if m.role == "user" else "reply", b"" if m.role == "user" else m.content.encode())
        for m in log
    ]


async def check_whole(store: Store, session_id: str) -> list[str]:
    """Whole turns only, each on the one before it, the state agreeing, an outcome for each. Returns their ids.

    A half turn, a torn commit, a lost or doubled turn each break one of these assertions.
    """
    log = await log_of(store, session_id)
    ids = [message.turn_id for message in log[::2]]
    assert [(m.role, m.turn_id) for m in log] == [(role, id_) for id_ in ids for role in ("user", "assistant")], (
        "half a turn"
    )
    assert len(set(ids)) == len(ids), "a turn twice"
    assert [m.content for m in log[1::2]] == [str(n + 1) for n in range(len(ids))], "a turn on a stale base"
    state = await store.get(session_id)
    assert state.get("n", 0) == len(ids), "the state counts other turns than the log"
    for place, id_ in enumerate(ids):
        outcome = await store.run_turn(session_id, never, input=log[2 * place].content, turn_id=id_)
        assert outcome.replayed
        assert (outcome.reply, outcome.start) == (str(place + 1), 2 * place)
    return ids


class Node:
    """A node in a process of its own, which can be killed and frozen. It prints a JSON list for each event."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[list[Any]] = []
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                break  # killed while it wrote
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    async def until(self, kind: str, count: int = 1, within: float = 20.0) -> None:
        """Waits for so many events of a kind."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(self.of(kind)) >= count)

    def of(self, kind: str) -> list[list[Any]]:
        return [event[1:] for event in self.events if event[0] == kind]

    def signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            os.kill(self._process.pid, number)

    async def kill(self) -> None:
        """SIGKILL, and everything that it said before."""
        self.signal(signal.SIGKILL)
        await self._process.wait()
        await self._reading

    async def ended(self, within: float = 20.0) -> int:
        async with asyncio.timeout(within):
            await self._reading
            return await self._process.wait()


@asynccontextmanager
async def node_process(
    url: str, tenant: str, work: str, *, env: dict[str, str] | None = None, **config: Any
) -> AsyncIterator[Node]:
    """Starts ``node.py`` with this work; it is killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(NODE),
        json.dumps({"url": url, "tenant": tenant, "work": work, **config}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    node = Node(process)
    try:
        yield node
    finally:
        await node.kill()
        # the pipe's transport is closed by the loop only after the process is reaped
        process._transport.close()  # type: ignore[attr-defined]


async def sent_until_answered(store: Store, session_id: str, turn_id: str, text: str, within: float = 30.0) -> str:
    """Sends a turn with the same id until it is answered, as a webhook's sender does; the reply."""
    async with asyncio.timeout(within):
        while True:
            try:
                return (await store.run_turn(session_id, count, input=text, turn_id=turn_id)).reply
            except HoldfastError:
                await asyncio.sleep(0.02)
