"""P4: an honest outcome.

Broken on purpose: the reply of a commit never comes, because it was lost after it was applied, because the request never
arrived, or because it arrives only later, when its sender has asked what became of it. What the caller is told has to be what
the store holds, also later. A `resolve` that only reads says "not applied" of a commit that is still on its way; the mutant
shows it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Store, Turn
from holdfast.errors import OutcomeUnknown, StoreUnavailable
from holdfast.testing.mutants import MUTANTS
from store_nodes import Figures, Interposed, Nodes
from workload import check_whole, log_of


class Ambiguous:
    """Every commit of this node loses its reply; ``fate`` says what became of it. A late one arrives when it is delivered."""

    def __init__(self, between: Interposed, rng: random.Random) -> None:
        self.between, self._rng = between, rng
        self.counted: Counter[str] = Counter()
        self._late: list[tuple[Any, Any]] = []
        self._real = between.inner.commit
        between.inner = _Instead(between.inner, self.commit)

    async def commit(self, key: Any, delta: Any) -> Any:
        fate = self._rng.choice(["answered", "applied", "lost", "late"])
        self.counted[fate] += 1
        if fate == "answered":
            return await self._real(key, delta)
        if fate == "applied":
            await self._real(key, delta)
        if fate == "late":
            self._late.append((key, delta))
        raise OutcomeUnknown("no reply, on purpose")

    async def deliver(self) -> int:
        """The delayed commits arrive at last."""
        late, self._late = self._late, []
        for key, delta in late:
            await self._real(key, delta)
        return len(late)


class _Instead:
    def __init__(self, inner: Any, commit: Any) -> None:
        self._inner = inner
        self.commit = commit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def ambiguous_updates(store: Store, ambiguous: Ambiguous, rounds: int) -> tuple[int, int]:
    """Updates of one counter; returns how many were said to be in, and how many were said to be out."""
    told_in = told_out = here = 0

    def add(state: Any) -> None:
        state["u"] = state.get("u", 0) + 1

    for number in range(rounds):
        # a session remembers its last 64 updates: more in a second could not be told any more, and `update` would say so
        session = f"s-{number // 40}"
        here = here if number % 40 else 0
        try:
            await store.update(session, add)
        except StoreUnavailable:
            told_out += 1
        else:
            told_in += 1
            here += 1
        assert (await store.get(session)).get("u", 0) == here, "the caller was told something else"
        await ambiguous.deliver()
        assert (await store.get(session)).get("u", 0) == here, "a commit applied after it had been ruled out"
    return told_in, told_out


async def ambiguous_turns(store: Store, ambiguous: Ambiguous, rounds: int) -> None:
    for number in range(rounds):
        runs: list[int] = []

        def handler(turn: Turn, runs: list[int] = runs) -> None:
            runs.append(turn.attempt)
            turn.state["n"] = turn.state.get("n", 0) + 1
            turn.reply(str(turn.state["n"]))

        outcome = await store.run_turn("s", handler, input=str(number), turn_id=f"t-{number}")
        assert outcome.reply == str(number + 1)
        assert len(await log_of(store, "s")) == 2 * (number + 1)
        await ambiguous.deliver()
        assert len(await log_of(store, "s")) == 2 * (number + 1), "a commit applied after it had been ruled out"
    assert len(await check_whole(store, "s")) == rounds


async def test_every_ambiguous_update_is_told_as_it_is(
    nodes: Nodes, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    store, between = await nodes.interposed(settle=5, outcomes=100_000)
    ambiguous = Ambiguous(between, rng)
    told_in, told_out = await ambiguous_updates(store, ambiguous, scale(60))
    figures("P4", nodes.name, updates=told_in + told_out, **_counts(ambiguous), told_wrongly=0)


async def test_every_ambiguous_turn_is_told_as_it_is(
    nodes: Nodes, rng: random.Random, scale: Callable[[int], int], figures: Figures
) -> None:
    store, between = await nodes.interposed(settle=5, max_attempts=1000, outcomes=100_000)
    ambiguous = Ambiguous(between, rng)
    await ambiguous_turns(store, ambiguous, scale(30))
    figures("P4", nodes.name, turns=scale(30), told_wrongly_of_turns=0, **_counts(ambiguous, "_of_turns"))


def _counts(ambiguous: Ambiguous, suffix: str = "") -> dict[str, int]:
    return {f"{fate}{suffix}": number for fate, number in sorted(ambiguous.counted.items())}


async def test_a_reply_lost_on_the_wire(redis_server: Any, scale: Callable[[int], int], figures: Figures) -> None:
    from holdfast.testing.fault_proxy import FaultProxy

    rounds = scale(15)
    async with FaultProxy("127.0.0.1", redis_server.port, seed=4) as proxy:
        nodes = Nodes("redis", f"redis://127.0.0.1:{proxy.port}/0")
        store = await nodes.open(timeout=0.5, settle=5)

        def add(state: Any) -> None:
            state["u"] = state.get("u", 0) + 1

        told_in = 0
        for number in range(rounds):
            if number % 3 == 0:
                proxy.lose_reply(to=b"FCALL")
            elif number % 3 == 1:
                proxy.lose_request(to=b"FCALL")
            else:
                proxy.cut_reply(3, to=b"FCALL")
            try:
                await store.update("s", add)
            except StoreUnavailable:
                pass
            else:
                told_in += 1
            proxy.cut_all()
            async with asyncio.timeout(10):
                while True:
                    try:
                        state = await store.get("s")
                        break
                    except Exception:  # noqa: BLE001 - the connection was cut; what counts is what it says then
                        await asyncio.sleep(0.02)
            assert state.get("u", 0) == told_in
        await nodes.close()
    figures("P4", "redis", replies_lost_on_the_wire=rounds, told_wrongly_on_the_wire=0)


@pytest.mark.parametrize("mutant", ["resolve-does-not-mark", "resolve-does-not-fence"])
async def test_a_backend_that_only_reads_is_caught(memory_nodes: Nodes, rng: random.Random, mutant: str) -> None:
    store, between = await memory_nodes.interposed(settle=2, max_attempts=1000)
    ambiguous = Ambiguous(between, rng)
    with MUTANTS[mutant].apply(), pytest.raises(AssertionError):
        await ambiguous_updates(store, ambiguous, 60)
        for number in range(40):
            await fenced_by_resolve(store, ambiguous, number)


async def fenced_by_resolve(store: Store, ambiguous: Ambiguous, number: int) -> None:
    """A turn whose commit is on its way is settled as rejected: it must not apply afterwards."""
    from holdfast.backends.records import Delta, Rejected
    from holdfast.testing.calls import asking

    key = store.key(f"r-{number}")
    granted: Any = await store.backend.begin(key, asking("t"))
    delta = Delta(number.to_bytes(16), "t", granted.fence, granted.incarnation, appends=[b"late"], outcome=b"o")
    assert isinstance(await store.backend.resolve(key, "t", fence=granted.fence), Rejected)
    await ambiguous._real(key, delta)
    assert not await store.exists(key.id)
