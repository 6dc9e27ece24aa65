"""What encryption (and masking) costs: the same turns over the same store, in clear and encrypted, in one run."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any, Final

from bench.figures import Figure, at_most, figure
from bench.rounds import Side, cost_of, interleaved, median, micros, ratio
from bench.setting import Setting
from bench.workload import fresh, turn_id
from holdfast import Store, Turn, open_store
from holdfast.assistant.building import build_assistant
from holdfast.config import Config, load_config
from holdfast.encryption import Encryption, KeyRing
from holdfast.testing.servers import RedisServer

_TOPIC: Final = "encryption"
_AIM: Final = 1.25
_SAID: Final = "It is on its way, and will be with you tomorrow between nine and twelve. " * 4
_WALK: Final = ("where is my order?", "13800138000", "yes", "thanks")
"""A flow of the sample: it asks for a phone number, which is sensitive, and calls a tool with it."""


async def measure(setting: Setting) -> list[Figure]:
    """Turns that only store; and turns of the sample assistant, which mask too."""
    found: list[Figure] = []
    ring = Encryption(KeyRing({"bench": os.urandom(32)}))
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer())
        vault = f"sqlite:///{setting.folder / 'vault.db'}"
        for name, url in {
            "Redis": server.url,
            "SQLite": f"sqlite:///{setting.folder / 'encryption.db'}?synchronous=normal",
            "memory": "memory:",
        }.items():
            encryption = Encryption(ring.kms, vault)
            clear = await stack.enter_async_context(open_store(url, tenant="clear"))
            sealed = await stack.enter_async_context(open_store(url, tenant="sealed", encryption=encryption))
            found += await _stored(setting, name, clear, sealed)
            found += await _assistant(setting, name, clear, sealed)
    return found


async def _stored(setting: Setting, name: str, clear: Store, sealed: Store) -> list[Figure]:
    callers, each = setting.pick(32, 4), setting.pick(20, 3)
    sides = {
        "clear": _side(clear, callers, each, _answer),
        "sealed": _side(sealed, callers, each, _answer),
    }
    costs = await interleaved(sides, setting.pick(9, 1), setting.say)
    return [
        figure(
            _TOPIC,
            f"{name}: a turn that only stores, {callers} callers, encrypted / in clear",
            ratio(costs["sealed"], costs["clear"], "wall_s"),
            target=at_most(_AIM),
            note=f"client CPU {micros(costs['clear'], 'client_s')} to {micros(costs['sealed'], 'client_s')}; "
            f"{1 / median(costs['sealed'], 'wall_s'):,.0f} turns/s",
        )
    ]


async def _assistant(setting: Setting, name: str, clear: Store, sealed: Store) -> list[Figure]:
    plain, masking = await build_assistant(_config(masks=False)), await build_assistant(_config(masks=True))
    callers, each = setting.pick(8, 2), len(_WALK) * setting.pick(4, 1)
    sides = {
        "clear": _side(clear, callers, each, plain, walk=True),
        "sealed": _side(sealed, callers, each, masking, walk=True),
    }
    costs = await interleaved(sides, setting.pick(9, 1), setting.say)
    for assistant in (plain, masking):
        await assistant.aclose()
    return [
        figure(
            _TOPIC,
            f"{name}: a turn of the sample's flows, {callers} callers, encrypted and masked / neither",
            ratio(costs["sealed"], costs["clear"], "wall_s"),
            target=at_most(_AIM),
            note=f"client CPU {micros(costs['clear'], 'client_s')} to {micros(costs['sealed'], 'client_s')}",
        )
    ]


def _config(*, masks: bool) -> Config:
    config = load_config(None, {"store": {"url": "memory:"}, "knowledge": {"index": ""}})
    return config if masks else config.model_copy(update={"sensitive": {}})


def _side(store: Store, callers: int, each: int, handler: Any, *, walk: bool = False) -> Side:
    async def caller(session: str) -> None:
        for number in range(each):
            said = _WALK[number % len(_WALK)] if walk else "where is my order?"
            await store.run_turn(session, handler, input=said, turn_id=turn_id(), user="someone")

    async def work() -> None:
        await asyncio.gather(*[caller(session) for session in fresh("encryption", callers)])

    return lambda: cost_of(work, callers * each)


async def _answer(turn: Turn) -> None:
    turn.state["count"] = turn.state.get("count", 0) + 1
    turn.state["order"] = {"id": "A-1042", "phone": "13800138000"}
    turn.reply(_SAID)
