"""P7: a cached copy is never served as current when it is not.

Several nodes keep warm copies of the same sessions while others write, delete and make them anew; the server is frozen, refuses,
swallows; a failover takes back what a node had seen. Every read through every public method has to be something that the store
held at some moment within the call, or raise, or (only where the caller allowed it) be marked stale. A backend that says
"unchanged" to whoever has a copy shows that a cache without its check would be seen.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from failover_pairs import PAIRS, failover_pair
from holdfast import Message, Store, Turn
from holdfast.backends.records import Unchanged
from holdfast.errors import HoldfastError, OutcomeUnknown, SessionNotFound, StoreError
from store_nodes import Figures, Nodes, needs_redis_server

pytestmark = pytest.mark.alone

Value = int | None
"""What a session says: a number that is used once, or None where there is none."""


class Truth:
    """What one session may say. Its writes go one after the other; each is noted before it is sent, and when it is confirmed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.written: list[Value] = [None]
        self.confirmed = 0
        self.busy = asyncio.Lock()

    def may_be(self, since: int) -> set[Value]:
        return set(self.written[since:])


class Round:
    """Counts the checks, and what was wrong."""

    def __init__(self, rng: random.Random, sessions: int = 4) -> None:
        self.rng = rng
        self.truths = [Truth(f"s-{number}") for number in range(sessions)]
        self.counted: Counter[str] = Counter()
        self.violations: list[str] = []
        self._number = 0

    async def write(self, store: Store, truth: Truth, *, deletes: bool = True) -> None:
        """The next number, by an update, a set or a turn; now and then the session is deleted."""
        async with truth.busy:
            self._number += 1
            number: Value = self._number
            how = self.rng.choice(["update", "turn", "set", "update", "turn", "delete" if deletes else "set"])
            if how == "delete":
                number = None
            truth.written.append(number)
            try:
                if how == "update":
                    await store.update(truth.name, {"n": number}, append=[Message.user(str(number))])
                elif how == "turn":
                    await store.run_turn(truth.name, lambda turn: answer(turn, number), wait=5)
                elif how == "set":
                    await store.set(truth.name, {"n": number, "k": "x" * (self._number % 50)})
                else:
                    await store.delete(truth.name)
            except OutcomeUnknown:
                self.counted["writes unanswered"] += 1
            except HoldfastError:
                self.counted["writes refused"] += 1
            else:
                truth.confirmed = len(truth.written) - 1
                self.counted["writes"] += 1

    async def read(self, store: Store, truth: Truth, *, known: set[Value] | None = None) -> None:
        """One read by some method, compared. ``known``: all that it may say, where the writes do not tell."""
        name, method = self.rng.choice(list(READS.items()))
        since = truth.confirmed
        try:
            value, stale = await method(store, truth.name)
        except StoreError:
            self.counted["reads refused"] += 1
            return
        self.counted["checks"] += 1
        allowed = truth.may_be(since) if known is None else known
        if stale:
            self.counted["marked stale"] += 1
            if "stale" not in name:
                self.violations.append(f"{name} of {truth.name} brought a stale copy unasked")
            allowed = set(truth.written)
        if name == "exists":
            allowed = {one is not None for one in allowed}
        if value not in allowed:
            self.violations.append(f"{name} of {truth.name} says {value}, and the store {allowed}")

    async def writers(self, stores: list[Store], count: int, *, deletes: bool = True) -> None:
        for _ in range(count):
            await self.write(self.rng.choice(stores), self.rng.choice(self.truths), deletes=deletes)

    async def readers(self, stores: list[Store], count: int) -> None:
        for _ in range(count):
            await self.read(self.rng.choice(stores), self.rng.choice(self.truths))
            await asyncio.sleep(0)

    def check(self) -> None:
        assert not self.violations, "\n".join(self.violations[:5])


def answer(turn: Turn, number: Value) -> None:
    turn.state["n"] = number
    turn.append(Message.user(str(number)))


# --- every way to read ---


class _Looked(Exception):
    """Ends a turn that only looks."""


async def by_get(store: Store, session: str) -> tuple[Value, bool]:
    return (await store.get(session)).get("n"), False


async def by_load(store: Store, session: str, **options: Any) -> tuple[Value, bool]:
    found = await store.load(session, tail=3, **options)
    if found is None:
        return None, False
    value = found.state.get("n")
    if found.messages and "k" not in found.state:
        assert len(found.messages) == min(3, found.total)
        assert found.messages[-1].content == str(value), "state and messages of two versions"
    return value, found.stale


async def by_stale_load(store: Store, session: str) -> tuple[Value, bool]:
    value, stale = await by_load(store, session, allow_stale=True)
    return value, stale


async def by_exists(store: Store, session: str) -> tuple[Value, bool]:
    return await store.exists(session), False


async def by_turn(store: Store, session: str) -> tuple[Value, bool]:
    seen: list[Value] = []

    def handler(turn: Turn) -> None:
        seen.append(turn.state.get("n"))
        raise _Looked

    with suppress(_Looked):
        await store.run_turn(session, handler, input="look", wait=5)
    return seen[-1], False


async def by_update(store: Store, session: str) -> tuple[Value, bool]:
    seen: list[Value] = []
    try:
        await store.update(session, lambda state: seen.append(state.get("n")), create=False, strict=True)
    except SessionNotFound:
        return None, False
    return seen[-1], False


READS: dict[str, Callable[[Store, str], Awaitable[tuple[Value, bool]]]] = {
    "get": by_get,
    "load": by_load,
    "load, stale allowed": by_stale_load,
    "exists": by_exists,
    "turn": by_turn,
    "update": by_update,
}


async def warm(stores: list[Store], truths: list[Truth]) -> None:
    for store in stores:
        for truth in truths:
            await store.load(truth.name)


# --- nothing is broken but the copies ---


@pytest.mark.parametrize("cache_age", [300, 0.02])
async def test_nodes_with_warm_copies_beside_writers(
    nodes: Nodes, cache_age: float, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    stores = [await nodes.open(lease=2, poll=0.05, cache_age=cache_age) for _ in range(3)]
    round_ = Round(rng)
    count = scale(120)
    await asyncio.gather(*[round_.writers(stores, count // 3) for _ in range(2)], round_.readers(stores, count * 3))
    for store in stores:
        for truth in round_.truths:
            await round_.read(store, truth)
    round_.check()
    assert round_.counted["checks"] >= count
    assert not round_.counted["marked stale"]
    assert [store.forks for store in stores] == [0, 0, 0], "no failover, no fork"
    assert sum(store.cache.hits for store in stores) > 0 or cache_age < 1
    figures("P7", nodes.name, **{f"checks_at_cache_age_{cache_age}_s": round_.counted["checks"], "stale_as_current": 0})


# --- the server is out of reach ---


@pytest.mark.parametrize("fault", ["frozen", "refused", "blackholed"])
async def test_a_server_out_of_reach(
    fault: str, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    needs_redis_server()
    from holdfast.testing.fault_proxy import FaultProxy
    from holdfast.testing.servers import RedisServer

    async with RedisServer() as server, FaultProxy("127.0.0.1", server.port) as proxy:
        through = Nodes("redis", f"redis://127.0.0.1:{proxy.port}/0")
        beside = Nodes("redis", server.url)
        beside.tenant = through.tenant
        options = {"timeout": 0.3, "settle": 0.2, "lease": 2, "poll": 0.05}
        stores = [await through.open(**options) for _ in range(2)]
        other = await beside.open(**{**options, "timeout": 5})
        round_ = Round(rng)
        for _ in range(scale(3)):
            await round_.writers([other], 12)
            await warm(stores, round_.truths)
            if fault == "frozen":
                server.freeze()
            elif fault == "refused":
                proxy.refuse()
                proxy.cut_all()
            else:
                proxy.blackhole()
            writing = [] if fault == "frozen" else [round_.writers([other], 10)]
            await asyncio.gather(*writing, *[round_.readers(stores, 4) for _ in range(8)])
            if fault == "frozen":
                server.thaw()
            elif fault == "refused":
                await proxy.accept()
            else:
                proxy.blackhole(False)
            await answers_again(stores)
            await asyncio.gather(round_.writers([other], 6), round_.readers(stores, 30))
        await through.close()
        await beside.close()
    round_.check()
    assert round_.counted["reads refused"] >= 10, "the fault was not felt"
    assert round_.counted["marked stale"] >= 3
    figures(
        "P7",
        "redis",
        **{
            f"checks_{fault}": round_.counted["checks"],
            f"refused_{fault}": round_.counted["reads refused"],
            f"marked_stale_{fault}": round_.counted["marked stale"],
            "stale_as_current": 0,
        },
    )


async def answers_again(stores: list[Store]) -> None:
    async with asyncio.timeout(20):
        for store in stores:
            while True:
                try:
                    await store.exists("-")
                except StoreError:
                    await asyncio.sleep(0.05)
                else:
                    break


# --- forks ---


@pytest.mark.parametrize("pair_name", PAIRS)
async def test_copies_of_what_a_failover_lost(
    pair_name: str, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    counted: Counter[str] = Counter()
    for _ in range(scale(2)):
        async with failover_pair(pair_name) as pair:
            stores = [await pair.node(lease=2, poll=0.05, wait=5) for _ in range(3)]
            round_ = Round(rng)
            await round_.writers(stores, 16)
            await round_.write(stores[0], round_.truths[0], deletes=False)  # one that lives on both sides
            await pair.cut()
            await round_.writers(stores, 16, deletes=False)
            await round_.write(stores[0], round_.truths[0], deletes=False)
            await warm(stores, round_.truths)
            await pair.move()
            _, new = pair.backends()
            for truth in round_.truths:  # what this side holds, asked without any cache between
                truth.written.append(await held(stores[0], new, truth.name))
                truth.confirmed = len(truth.written) - 1
            for truth in round_.truths:
                for store in stores:
                    await round_.read(store, truth)
            await asyncio.gather(round_.writers(stores, 30), round_.readers(stores, 120))
            for truth in round_.truths:
                for store in stores:
                    assert (await store.get(truth.name)) == (await stores[0].get(truth.name))
            round_.check()
            counted.update(round_.counted)
            counted["forks reported"] += sum(store.forks for store in stores)
    assert counted["forks reported"] >= 1
    assert not counted["marked stale"]
    figures(
        "P7",
        pair_name,
        checks_after_a_failover=counted["checks"],
        forks_reported=counted["forks reported"],
        stale_as_current=0,
    )


async def held(store: Store, backend: Any, session: str) -> Value:
    record = await backend.load(store.key(session), tail=0)
    field = None if record is None else record.fields.get("n")
    return None if field is None else store.codec.decode(field.value)


# --- broken on purpose ---


class _Trusting:
    """A backend that takes every copy for current: a cache that is not checked."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def load(self, key: Any, *, tail: int, known: Any = None) -> Any:
        if known is not None:
            return Unchanged(0)
        return await self._inner.load(key, tail=tail)


async def test_a_cache_that_is_not_checked_is_caught(memory_nodes: Nodes, rng: random.Random) -> None:
    reader, between = await memory_nodes.interposed()
    writer = await memory_nodes.open()
    between.inner = _Trusting(between.inner)
    round_ = Round(rng)
    await warm([reader], round_.truths)
    for _ in range(30):
        await round_.writers([writer], 1)
        await round_.readers([reader], 5)
    with pytest.raises(AssertionError):
        round_.check()
