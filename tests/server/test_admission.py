"""Slots are shared fairly among tenants: who gets the next one, who waits, who is sent away."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.server.admission import FairAdmission, Overfull

LONG = 60.0


async def entered(admission: FairAdmission, tenant: str, order: list[str]) -> asyncio.Task[float]:
    """A task that waits for a slot, and notes when it gets it."""

    async def enter() -> float:
        waited = await admission.enter(tenant, LONG)
        order.append(tenant)
        return waited

    task = asyncio.ensure_future(enter())
    await asyncio.sleep(0)
    return task


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_tenant_may_use_all_slots_while_nobody_else_waits() -> None:
    admission = FairAdmission(8)
    for _ in range(8):
        assert await admission.enter("a", LONG) == 0.0
    assert (admission.running, admission.held("a")) == (8, 8)
    assert not admission.take("b")


async def test_a_freed_slot_goes_to_the_tenant_that_holds_fewest() -> None:
    admission, order = FairAdmission(4), list[str]()
    for _ in range(4):
        admission.take("noisy")
    for _ in range(10):
        await entered(admission, "noisy", order)
    await entered(admission, "quiet", order)
    admission.leave("noisy")
    await settle()
    assert order == ["quiet"]


async def test_equals_take_turns() -> None:
    admission, order = FairAdmission(1), list[str]()
    admission.take("x")
    for tenant in ("a", "a", "a", "b", "b", "c"):
        await entered(admission, tenant, order)
    holder = "x"
    for _ in range(6):
        admission.leave(holder)
        await settle()
        holder = order[-1]
    assert order == ["a", "b", "c", "a", "b", "a"]


async def test_a_tenant_that_comes_back_at_once_overtakes_nobody_who_waits() -> None:
    admission, order = FairAdmission(1), list[str]()
    admission.take("busy")
    await entered(admission, "patient", order)
    await entered(admission, "busy", order)
    admission.leave("busy")
    await settle()
    assert order == ["patient"]


async def test_a_weight_is_a_share() -> None:
    weights = {"big": 3.0, "small": 1.0}
    admission, order = FairAdmission(8, weight=lambda tenant: weights[tenant]), list[str]()
    for _ in range(8):
        admission.take("small")
    for _ in range(50):
        await entered(admission, "big", order)
        await entered(admission, "small", order)
    running = deque(["small"] * 8)
    for _ in range(60):
        admission.leave(running.popleft())
        await settle()
        running.append(order[-1])
    assert (admission.held("big"), admission.held("small")) == (6, 2)


async def test_nothing_is_cut_short_to_make_room() -> None:
    admission, order = FairAdmission(2), list[str]()
    admission.take("a")
    admission.take("a")
    waiting = await entered(admission, "b", order)
    await settle()
    assert not waiting.done()
    assert admission.held("a") == 2


async def test_who_waited_too_long_is_sent_away_and_leaves_no_trace() -> None:
    admission = FairAdmission(1)
    admission.take("a")
    with pytest.raises(Overfull) as refused:
        await admission.enter("b", 0.01)
    assert refused.value.why == "wait"
    with pytest.raises(Overfull):
        await admission.enter("b", 0)
    assert admission.waiting == 0
    admission.leave("a")
    assert admission.take("b")


async def test_a_full_line_refuses_its_own_tenant_only() -> None:
    admission, order = FairAdmission(1, line=2), list[str]()
    admission.take("a")
    for _ in range(2):
        await entered(admission, "a", order)
    with pytest.raises(Overfull) as refused:
        await admission.enter("a", LONG)
    assert refused.value.why == "queue"
    await entered(admission, "b", order)
    assert (admission.waiting_of("a"), admission.waiting_of("b")) == (2, 1)


async def test_where_all_lines_are_full_the_longest_gives_way() -> None:
    admission, order = FairAdmission(1, line=2), list[str]()
    admission.take("x")
    tasks = [await entered(admission, f"t{number // 2}", order) for number in range(32)]
    assert admission.waiting == 32
    newcomer = await entered(admission, "new", order)
    await settle()
    assert isinstance(tasks[1].exception(), Overfull)
    assert not newcomer.done()
    assert admission.waiting == 32
    admission.leave("x")
    await settle()
    assert order == ["t0"]


async def test_a_waiter_that_is_cancelled_frees_its_place() -> None:
    admission, order = FairAdmission(1), list[str]()
    admission.take("a")
    gone = await entered(admission, "b", order)
    await entered(admission, "c", order)
    gone.cancel()
    await settle()
    admission.leave("a")
    await settle()
    assert (order, admission.running, admission.waiting) == (["c"], 1, 0)


async def test_a_slot_that_comes_together_with_the_cancellation_is_passed_on() -> None:
    admission, order = FairAdmission(1), list[str]()
    admission.take("a")
    gone = await entered(admission, "b", order)
    await entered(admission, "c", order)
    admission.leave("a")  # granted to b, which has not run yet
    gone.cancel()
    await settle()
    assert (order, admission.held("b"), admission.running) == (["c"], 0, 1)


async def test_the_wait_is_told() -> None:
    now = 100.0
    admission, order = FairAdmission(1, clock=lambda: now), list[str]()
    admission.take("a")
    task = await entered(admission, "b", order)
    now = 102.5
    admission.leave("a")
    assert await task == 2.5


# --- simulations: a round is the time in which every slot ends once ---


async def _rounds(slots: int, noisy: int, quiet: int) -> dict[str, int]:
    """In which round each quiet tenant's one turn began, with a noisy tenant that had all slots and a queue before them."""
    admission, order = FairAdmission(slots, line=noisy), list[str]()
    for _ in range(slots):
        admission.take("noisy")
    for _ in range(noisy):
        await entered(admission, "noisy", order)
    for number in range(quiet):
        await entered(admission, f"quiet-{number}", order)
    running, began, seen, rounds = ["noisy"] * slots, dict[str, int](), 0, 0
    while len(began) < quiet:
        rounds += 1
        for tenant in running:
            admission.leave(tenant)
            await settle()
        running = order[seen:]
        seen = len(order)
        began |= {tenant: rounds for tenant in running if tenant != "noisy"}
    return began


async def test_one_noisy_tenant_and_twenty_quiet_ones() -> None:
    began = await _rounds(slots=16, noisy=1000, quiet=20)
    assert max(began.values()) <= 2
    in_order = await _rounds(slots=64, noisy=1000, quiet=20)
    assert max(in_order.values()) == 1


@pytest.mark.parametrize("slots", [1, 3, 8])
async def test_the_bound_holds_for_any_number_of_slots(slots: int) -> None:
    began = await _rounds(slots=slots, noisy=200, quiet=20)
    assert max(began.values()) <= -(-21 // slots) + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_slots_are_neither_lost_nor_made(slots: int, seed: int) -> None:
    asyncio.run(_churn(slots, Random(seed)))


async def _churn(slots: int, rng: Random) -> None:
    admission = FairAdmission(slots, line=3)
    holding: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def one(tenant: str) -> None:
        try:
            await admission.enter(tenant, LONG)
        except Overfull:
            return
        holding.append(tenant)

    for _ in range(120):
        what = rng.random()
        if what < 0.5:
            tasks.append(asyncio.ensure_future(one(rng.choice("abcd"))))
        elif what < 0.8 and holding:
            admission.leave(holding.pop(rng.randrange(len(holding))))
        elif tasks and not (task := rng.choice(tasks)).done():
            task.cancel()
        if rng.random() < 0.6:
            await asyncio.sleep(0)
        assert admission.running <= slots
    await settle()
    assert sum(admission.held(tenant) for tenant in "abcd") == admission.running == len(holding)
    assert admission.waiting == 0 or admission.running == slots
    while holding:
        admission.leave(holding.pop())
        await settle()
    assert (admission.running, admission.waiting) == (0, 0)
