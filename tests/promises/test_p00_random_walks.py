"""All promises at once: random walks of several runners over each backend, every answer compared with the model.

A walk that goes wrong is shrunk by Hypothesis to its essence. That walks find each mutant is shown in
`tests/testing/test_stateful.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import BeginReply, BeginRequest, Granted, Queued, SessionKey
from holdfast.testing.clock import FakeClock
from holdfast.testing.stateful import Step, play, random_steps, steps
from store_nodes import SOAK_FACTOR, Figures

QUIET = settings(
    deadline=None,
    database=None,
    derandomize=SOAK_FACTOR == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


async def on_sqlite(walk: list[Step]) -> None:
    from holdfast.backends.sqlite import open_sqlite

    clock = FakeClock()
    backend = await open_sqlite(":memory:", clock=clock)
    try:
        await play(backend, walk, clock)
    finally:
        await backend.close()


async def on_memory(walk: list[Step]) -> None:
    clock = FakeClock()
    await play(MemoryBackend(clock=clock), walk, clock)


@settings(QUIET, max_examples=40 * SOAK_FACTOR)
@given(steps())
def test_walks_over_memory(walk: list[Step]) -> None:
    asyncio.run(on_memory(walk))


@settings(QUIET, max_examples=20 * SOAK_FACTOR)
@given(steps())
def test_walks_over_sqlite(walk: list[Step]) -> None:
    asyncio.run(on_sqlite(walk))


async def test_walks_over_a_sqlite_file(
    tmp_path: Path, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    from holdfast.backends.sqlite import open_sqlite

    for number in range(scale(5)):
        clock = FakeClock()
        backend = await open_sqlite(str(tmp_path / f"{number}.db"), clock=clock)
        try:
            await play(backend, random_steps(rng.randrange(10**6), 150), clock)
        finally:
            await backend.close()
    figures("all", "sqlite", walks=scale(5), steps=150 * scale(5), disagreements=0)


class FreshTokens:
    """Gives every runner of a turn a token of its own, as the contract asks; a walk uses one for all turns of a runner.

    Redis makes a session's incarnation from the token and the fence, and tells lives apart by its first bytes.
    """

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self._lives: Counter[tuple[SessionKey, str]] = Counter()
        self._holders: dict[tuple[SessionKey, str], bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _own(self, key: SessionKey, turn_id: str, token: bytes) -> bytes:
        life = self._lives[key, ""] * 1000 + self._lives[key, turn_id]
        return hashlib.blake2b(repr((key, turn_id, token, life)).encode(), digest_size=8).digest()

    async def begin(self, key: SessionKey, request: BeginRequest) -> BeginReply:
        own = self._own(key, request.turn_id, request.token)
        reply = await self._inner.begin(key, msgspec.structs.replace(request, token=own))
        if isinstance(reply, Granted | Queued):
            self._holders[key, request.turn_id] = own
        return reply

    async def release(self, key: SessionKey, turn_id: str, *, token: bytes, withdraw: bool) -> None:
        own = self._own(key, turn_id, token)
        await self._inner.release(key, turn_id, token=own, withdraw=withdraw)
        if withdraw and self._holders.get((key, turn_id)) == own:
            self._lives[key, turn_id] += 1

    async def delete(self, key: SessionKey) -> bool:
        self._lives[key, ""] += 1
        return await self._inner.delete(key)


async def test_walks_over_redis(
    redis_server: Any, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    from holdfast.sessions.settings import settings_from
    from holdfast.wiring import open_backend

    for _ in range(scale(8)):
        redis_server.command("FLUSHALL")
        backend = await open_backend(redis_server.url, settings_from({}))
        try:
            await play(cast(Backend, FreshTokens(backend)), random_steps(rng.randrange(10**6), 120), None)
        finally:
            await backend.close()
    figures("all", "redis", walks=scale(8), steps=120 * scale(8), disagreements=0)


def test_the_same_seed_is_the_same_walk() -> None:
    assert random_steps(7, 50) == random_steps(7, 50)
    with pytest.raises(AssertionError):
        assert random_steps(7, 50) == random_steps(8, 50)
