"""P6: fencing.

Broken on purpose: a node that runs a turn is frozen (SIGSTOP) for longer than its lease while another one takes its turn over,
or its session is deleted or born anew; then it wakes up (SIGCONT) and goes on with its step and its commit. Nothing of it may
be written. One that merely overslept, with nobody in between, may commit. Without the fence check the late commit
wins; without incarnations it writes into the next life; the mutants show both.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from holdfast import Store, Turn
from holdfast.backends.records import Granted
from holdfast.errors import HoldfastError, StoreUnavailable
from holdfast.testing.calls import asking
from holdfast.testing.mutants import MUTANTS
from store_nodes import Figures, Nodes
from workload import log_of, node_process

LEASE_S = 0.6
OPTIONS = {"lease": LEASE_S, "poll": 0.1}


async def overslept(store: Store, session: str) -> None:
    """Waits until the lease of turn "t" is over, by the store's word."""
    async with asyncio.timeout(10):
        while True:
            overdue = await store.backend.overdue()
            if "t" in [turn.turn_id for turn in overdue if turn.key == store.key(session)]:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("meanwhile", ["overtaken", "deleted", "reborn", "nothing"])
@pytest.mark.parametrize("backend_name", ["sqlite", "redis"], indirect=False)
async def test_a_frozen_node_wakes_up(
    nodes: Nodes, meanwhile: str, scale: Callable[[int], int], figures: Figures
) -> None:
    store = await nodes.open(**OPTIONS)
    rounds = scale(1)
    for round_ in range(rounds):
        session = f"s-{round_}"
        await store.set(session, {"born": 1})
        async with node_process(
            nodes.url, nodes.tenant, "hold", session=session, name="sleeper", seconds=0.2, step=True, options=OPTIONS
        ) as sleeper:
            await sleeper.until("holding")
            sleeper.signal(signal.SIGSTOP)
            await overslept(store, session)
            if meanwhile == "overtaken":
                outcome = await store.run_turn(session, by("waker"), input="x", turn_id="t")
                assert (outcome.reply, outcome.attempts) == ("waker", 2)
            elif meanwhile in ("deleted", "reborn"):
                await store.delete(session)
            if meanwhile == "reborn":
                await store.set(session, {"born": 2})
            sleeper.signal(signal.SIGCONT)
            assert await sleeper.ended() == 0
        log = [m.content for m in await log_of(store, session)]
        state = await store.get(session)
        if meanwhile == "overtaken":
            assert sleeper.of("outcome") == [["waker", True, 2]], "it has to learn what its turn became"
            assert (log, state) == (["x", "waker"], {"born": 1, "by": "waker"})
        elif meanwhile == "nothing":
            assert sleeper.of("outcome") == [["sleeper", False, 1]]
            assert (log, state) == (["x", "sleeper"], {"born": 1, "by": "sleeper"})
        else:
            assert sleeper.of("error") == [["SessionGone"]]
            assert (log, state) == ([], {"born": 2} if meanwhile == "reborn" else {})
    figures(
        "P6",
        nodes.name,
        **{f"frozen_{meanwhile}": rounds, f"late_writes_{meanwhile}": 0}
        if meanwhile != "nothing"
        else {"merely_overslept_and_committed": rounds},
    )


def by(name: str) -> Callable[[Turn], None]:
    def handler(turn: Turn) -> None:
        turn.state["by"] = name
        turn.reply(name)

    return handler


async def late_commit(nodes: Nodes, meanwhile: str) -> None:
    """The same in one process, over memory: the sleeper's renewals do not get through, and then it goes on."""
    first, between = await nodes.interposed(lease=LEASE_S, poll=0.05)
    second = await nodes.open(lease=LEASE_S, poll=0.05)
    assert nodes.clock is not None
    started, go = asyncio.Event(), asyncio.Event()

    async def unreachable() -> None:
        raise StoreUnavailable("cut off on purpose")

    between.before["renew"] = unreachable

    async def sleeper(turn: Turn) -> None:
        started.set()
        await go.wait()
        await turn.step("late", lambda: 1)
        turn.state["by"] = "sleeper"
        turn.reply("sleeper")

    await first.set("s", {"born": 1})
    task = asyncio.create_task(first.run_turn("s", sleeper, input="x", turn_id="t"))
    await started.wait()
    nodes.clock.advance(LEASE_S * 2)
    if meanwhile == "overtaken":
        request = asking("t", takeover=True)
        assert isinstance(await second.backend.begin(second.key("s"), request), Granted)
    else:
        await second.delete("s")
        await second.set("s", {"born": 2})
        other = asking("t", takeover=False, text=b"another input in the next life")
        assert isinstance(await second.backend.begin(second.key("s"), other), Granted)
    go.set()
    await asyncio.sleep(0.1)
    try:
        assert "by" not in await second.get("s"), "an overtaken holder committed"
        assert await second.get("s") == {"born": 1 if meanwhile == "overtaken" else 2}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("meanwhile", ["overtaken", "reborn"])
async def test_a_late_commit_is_refused(memory_nodes: Nodes, meanwhile: str, figures: Figures) -> None:
    await late_commit(memory_nodes, meanwhile)
    figures("P6", "memory", **{f"overslept_{meanwhile}": 1, f"late_writes_{meanwhile}": 0})


@pytest.mark.parametrize(
    ("mutants", "meanwhile"),
    [
        (["no-fence", "no-fence-in-journal"], "overtaken"),
        (["no-incarnation", "no-fence", "no-fence-in-journal"], "reborn"),
    ],
)
async def test_a_backend_without_fences_is_caught(memory_nodes: Nodes, mutants: list[str], meanwhile: str) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for name in mutants:
            stack.enter_context(MUTANTS[name].apply())
        with pytest.raises((AssertionError, HoldfastError)):
            await late_commit(memory_nodes, meanwhile)
