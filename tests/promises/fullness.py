"""Nodes that run turns until the store is full, and what is left of them then."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final

import pytest

from holdfast import Store, Turn
from holdfast.errors import StoreError, StoreFull
from workload import check_whole

REFUSALS: Final = 10
"""So many turns of one writer are refused before it stops."""
PAUSE_S: Final = 0.01


@dataclass
class Filling:
    """Sessions of one writer each, on several nodes; every turn is large, counts one up and says which number it is."""

    stores: list[Store]
    sessions: list[str]
    text: int = 4000
    answered: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    unsure: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    async def until_full(self) -> None:
        """Every writer goes on until its turns were refused a few times, or the server is gone."""
        async with asyncio.timeout(60):
            await asyncio.gather(*[self._fill(n, session) for n, session in enumerate(self.sessions)])
        assert all(len(self.refused[one]) == REFUSALS or self.unsure[one] for one in self.sessions)

    async def _fill(self, number: int, session: str) -> None:
        answered, refused = self.answered.setdefault(session, []), self.refused.setdefault(session, [])
        unsure = self.unsure.setdefault(session, [])
        dice = random.Random(number)
        while len(refused) < REFUSALS and not unsure:
            turn_id = f"{session}-{len(answered)}-{len(refused)}"
            self.texts[turn_id] = dice.randbytes(self.text // 2).hex()
            try:
                await self.turn(session, turn_id)
            except StoreFull:
                refused.append(turn_id)
                await asyncio.sleep(PAUSE_S)
            except StoreError:
                unsure.append(turn_id)
            else:
                answered.append(turn_id)

    async def go_on(self) -> None:
        """Sends the turns again that were not answered, and a new one for each session."""
        for session, answered in self.answered.items():
            for turn_id in [*self.unsure[session], *self.refused[session], f"{session}-after"]:
                await self.turn(session, turn_id)
                answered.append(turn_id)

    async def turn(self, session: str, turn_id: str) -> None:
        ballast = self.texts.get(turn_id, "")
        store = self.stores[self.sessions.index(session) % len(self.stores)]

        async def handler(turn: Turn) -> None:
            number = turn.state.get("n", 0) + 1
            await asyncio.sleep(0)
            turn.state["n"] = number
            turn.state["ballast"] = ballast
            turn.reply(f"{number}")

        await store.run_turn(session, handler, input=turn_id + ballast, turn_id=turn_id)

    async def all_is_whole(self, reader: Store, *, full: bool = False) -> int:
        """Every answered turn is there, in order, and nothing of any other; how many turns there are.

        Args:
            full: nothing can be written now: outcomes cannot be asked for.
        """
        total = 0
        for session, answered in self.answered.items():
            assert await (read_whole if full else check_whole)(reader, session) == answered
            total += len(answered)
        return total

    def counts(self) -> dict[str, int]:
        return {
            "refused": sum(map(len, self.refused.values())),
            "unanswered": sum(map(len, self.unsure.values())),
        }


async def read_whole(store: Store, session: str) -> list[str]:
    """As `check_whole`, where nothing can be written: log and state only."""
    log = [message async for message in store.messages(session)]
    ids = [message.turn_id for message in log[::2]]
    assert [(m.role, m.turn_id) for m in log] == [(role, id_) for id_ in ids for role in ("user", "assistant")]
    assert [m.content for m in log[1::2]] == [str(n + 1) for n in range(len(ids))]
    assert (await store.get(session))["n"] == len(ids)
    loaded = await store.load(session)
    assert loaded is not None
    assert loaded.state["n"] == len(ids)
    return ids


async def holding(store: Store, session: str, go: asyncio.Event, started: asyncio.Event) -> StoreError:
    """A turn that was begun in time and commits when the store is full; what it was told."""

    async def handler(turn: Turn) -> None:
        started.set()
        await go.wait()
        turn.state["late"] = "x" * 50_000
        turn.reply("late")

    with pytest.raises(StoreError) as caught:
        await store.run_turn(session, handler, input="held", turn_id="held")
    return caught.value
