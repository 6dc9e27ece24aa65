"""What durability costs a turn that streams: a journaled step and events in the store, against the same turn without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from bench.figures import Figure, at_most, figure
from bench.rounds import Cost, Side, cost_of, interleaved, median, micros, ratio
from bench.setting import Setting
from bench.workload import fresh, turn_id
from holdfast import Store, Turn, open_store
from holdfast.testing.servers import RedisServer

_TOKENS: Final = 50
_LASTS_S: Final = 1.0
"""A turn's model: so long, in so many pieces."""
_CALLERS: Final = (32, 512)

_TOPIC: Final = "durable"


async def measure(setting: Setting) -> list[Figure]:
    """Turns of `_LASTS_S` by 32 callers, and by more than one process can hold up."""
    found: list[Figure] = []
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer())
        stores = {"Redis": server.url, "SQLite": f"sqlite:///{setting.folder / 'durable.db'}"}
        for name, url in stores.items():
            # read on this node alone, events are gathered five times as long as where somebody follows them elsewhere
            followed = await stack.enter_async_context(open_store(url, event_group=0.01))
            store = await stack.enter_async_context(open_store(url))
            for callers in setting.pick(_CALLERS, (8,)):
                found += await _compared(setting, name, store, followed, callers)
    return found


async def _compared(setting: Setting, name: str, store: Store, followed: Store, callers: int) -> list[Figure]:
    each = 1
    sides: dict[str, Side] = {
        "plain": _side(store, callers, each, _plain, stream=False),
        "journal": _side(store, callers, each, _journaled, stream=False),
        "both": _side(store, callers, each, _journaled, stream=True),
        "followed": _side(followed, callers, each, _journaled, stream=True),
    }
    costs = await interleaved(sides, setting.pick(5, 1), setting.say)
    both, plain = costs["both"], costs["plain"]
    per_second = 1 / median(plain, "wall_s")
    return [
        figure(
            _TOPIC,
            f"{name}, {callers} callers: time of a turn with journal and stream / without",
            ratio(both, plain, "wall_s"),
            target=at_most(1.3),
            note=f"{per_second:.0f} turns a second without, {1 / median(both, 'wall_s'):.0f} with",
        ),
        figure(
            _TOPIC,
            f"{name}, {callers} callers: the same, events written as often as for a follower",
            ratio(costs["followed"], plain, "wall_s"),
            target=at_most(1.3),
        ),
        figure(
            _TOPIC,
            f"{name}, {callers} callers: client CPU of that",
            ratio(both, plain, "client_s"),
            note=f"{micros(plain, 'client_s')} without, {micros(both, 'client_s')} with; "
            f"with the journal alone {micros(costs['journal'], 'client_s')}",
        ),
    ]


def _side(
    store: Store, callers: int, each: int, handler: Callable[[Turn], Awaitable[None]], *, stream: bool
) -> Callable[[], Awaitable[Cost]]:
    async def one(session: str) -> None:
        for _ in range(each):
            await store.run_turn(
                session, handler, input="a question", turn_id=turn_id(), on_event=_heard, stream=stream
            )

    async def work() -> None:
        await asyncio.gather(*[one(session) for session in fresh("durable", callers)])

    return lambda: cost_of(work, callers * each)


def _heard(kind: str, data: dict[str, Any]) -> None:
    """The reader on this node."""


async def _plain(turn: Turn) -> None:
    await _talk(turn, "found")


async def _journaled(turn: Turn) -> None:
    await _talk(turn, await turn.step("look up", lambda: "found"))


async def _talk(turn: Turn, found: str) -> None:
    for number in range(_TOKENS):
        turn.emit("token", text=f"word {number} ")
        await asyncio.sleep(_LASTS_S / _TOKENS)
    turn.reply(found + "".join(f"word {number} " for number in range(_TOKENS)))
