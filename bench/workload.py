"""The conversation that every benchmark runs: an input and a reply of 0.8 KB each, and one small change of state."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from typing import Final

from holdfast import Store, Turn

MESSAGE_BYTES: Final = 800
_PHRASES: Final = (
    "the order was sent on monday and should arrive by friday please check your address refund invoice number parcel "
    "thank you for waiting we are sorry about the delay can you tell me when it left which size did you choose"
)


def text(seed: int, size: int = MESSAGE_BYTES) -> str:
    """ASCII text of that many bytes, the same for the same seed."""
    rng = random.Random(seed)
    known = _PHRASES.split()
    words: list[str] = []
    length = 0
    while length < size:
        words.append(rng.choice(known))
        length += len(words[-1]) + 1
    return " ".join(words)[:size].ljust(size, ".")


INPUT: Final = text(1)
REPLY: Final = text(2)
_numbers = itertools.count()


async def answer(turn: Turn) -> None:
    """A handler that costs next to nothing: what is measured is the store."""
    turn.state["step"] = turn.state.get("step", 0) + 1
    turn.reply(REPLY)


async def reading_answer(turn: Turn) -> None:
    """The same, after reading the messages that were loaded, as a prompt needs them."""
    if sum(len(message.content) for message in turn.messages) < 0:
        raise AssertionError
    await answer(turn)


def fresh(prefix: str, count: int) -> list[str]:
    """Ids of new sessions, as long as a UUID's."""
    return [f"{prefix}-{next(_numbers):0{35 - len(prefix)}d}" for _ in range(count)]


def turn_id() -> str:
    """As long as those that `run_turn` makes where the caller has none."""
    return f"{next(_numbers):032d}"


async def run_turn(store: Store, session_id: str, *, reading: bool = False) -> None:
    await store.run_turn(session_id, reading_answer if reading else answer, input=INPUT, turn_id=turn_id())


async def drive(
    store: Store, plan: Sequence[Sequence[str]], *, reading: bool = False, seconds: list[float] | None = None
) -> None:
    """Runs one caller for each part of the plan, all at once; each runs its sessions' turns one after the other."""

    async def caller(sessions: Sequence[str]) -> None:
        for session_id in sessions:
            started = time.perf_counter()
            await run_turn(store, session_id, reading=reading)
            if seconds is not None:
                seconds.append(time.perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for sessions in plan:
            group.create_task(caller(sessions))


async def grow(store: Store, sessions: Sequence[str], turns: int) -> None:
    """Gives every session ``turns`` turns (two messages each), as a real conversation would get them."""
    await drive(store, [[session_id] * turns for session_id in sessions])


def shared_out(sessions: Sequence[str], callers: int, turns: int) -> list[list[str]]:
    """A plan in which each caller has its own sessions and gives each of them ``turns`` turns."""
    return [[session_id for session_id in sessions[n::callers] for _ in range(turns)] for n in range(callers)]
