"""Turns without a pause on several sessions from several nodes, while a test breaks or reshapes the Cluster beneath them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from redis.crc import key_slot

from holdfast import Store, Turn
from holdfast.backends.records import SessionKey
from holdfast.backends.redis.keys import Keys
from holdfast.errors import HoldfastError
from holdfast.testing.history import Anomaly, History
from workload import lines, log_of


class Ack(NamedTuple):
    session: str
    sent: float
    answered: float


class Load:
    """One client for each session and store. A turn that fails is sent again with its id until it is answered."""

    def __init__(self, stores: Sequence[Store], sessions: Sequence[str]) -> None:
        self.errors: list[HoldfastError] = []
        self.acks: list[Ack] = []
        self._histories = {session: History() for session in sessions}
        self._ending = False
        self._tasks = [
            asyncio.create_task(self._client(store, session, f"{session}-{number}"))
            for number, store in enumerate(stores)
            for session in sessions
        ]

    async def _client(self, store: Store, session: str, name: str) -> None:
        sent = 0
        while not self._ending:
            await self._turn(store, session, f"{name}-{sent}")
            sent += 1

    async def _turn(self, store: Store, session: str, turn_id: str) -> None:
        history, bases, began = self._histories[session], list[int](), monotonic()

        async def handler(turn: Turn) -> None:
            bases.append(turn.state.get("n", 0))
            history.add(turn_id, bases[-1], "unknown")
            await asyncio.sleep(0)
            turn.state["n"] = bases[-1] + 1
            turn.reply(f"{bases[-1] + 1}")

        history.add(turn_id, None, "unknown")
        while True:
            try:
                outcome = await store.run_turn(session, handler, input=turn_id, turn_id=turn_id)
            except HoldfastError as error:
                self.errors.append(error)
                await asyncio.sleep(0.02)
                continue
            base = None if outcome.replayed else bases[-1]
            history.add(turn_id, base, "replayed" if outcome.replayed else "committed", outcome.reply.encode())
            self.acks.append(Ack(session, began, monotonic()))
            return

    async def more(self, count: int, within: float = 60.0) -> None:
        """Returns after so many more turns were answered."""
        goal = len(self.acks) + count
        async with asyncio.timeout(within):
            while len(self.acks) < goal:  # noqa: ASYNC110 -- nobody tells it
                await asyncio.sleep(0.01)

    async def recovered(self, sessions: Sequence[str], since: float, within: float = 60.0) -> float:
        """Seconds from ``since`` until each of these sessions had a turn that was sent after it."""
        async with asyncio.timeout(within):
            while True:
                first: dict[str, float] = {}
                for ack in self.acks:
                    if ack.sent >= since:
                        first.setdefault(ack.session, ack.answered)
                if set(sessions) <= set(first):
                    return max(first[session] for session in sessions) - since
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Ends after the turns under way."""
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def anomalies(self, reader: Store) -> list[Anomaly]:
        """What is wrong in what the store holds in the end, against all that the callers were told."""
        found: list[Anomaly] = []
        for session, history in self._histories.items():
            state = await reader.get(session)
            found += history.check(lines(await log_of(reader, session)), state.get("n", 0))
        return found

    async def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        with suppress(BaseException):
            await asyncio.gather(*self._tasks, return_exceptions=True)


def slot_of(tenant: str, session: str) -> int:
    """The slot that a session is in."""
    return int(key_slot(Keys("hf").session(SessionKey(tenant, session)).encode()))
