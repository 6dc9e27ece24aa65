"""Steps: once per turn, journaled before the next, the same key on every attempt."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from holdfast import Store, Turn
from holdfast.errors import InvalidId, StepMisuse
from holdfast.turns.retry import Retry
from store_nodes import Nodes


class Shop:
    """An outside service that counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def order(self, number: int, *, idempotency_key: str) -> dict[str, Any]:
        self.calls.append((number, idempotency_key))
        return {"id": number, "price": Decimal("9.90"), "tags": ("a", "b")}


async def test_a_step_returns_its_result_as_it_will_be_read_back(store: Store) -> None:
    shop = Shop()
    seen: list[Any] = []

    async def handler(turn: Turn) -> None:
        seen.append(await turn.step("order", shop.order, 7))
        assert turn.idempotency_key("order") == shop.calls[0][1]

    await store.run_turn("s", handler, input="x")
    assert seen == [{"id": 7, "price": Decimal("9.90"), "tags": ["a", "b"]}]
    assert len(shop.calls[0][1]) == 32


async def test_a_second_attempt_gets_the_recorded_results(nodes: Nodes) -> None:
    first, second = await nodes.open(), await nodes.open()
    shop, attempts = Shop(), list[int]()

    async def handler(turn: Turn) -> None:
        attempts.append(turn.attempt)
        order = await turn.step("order", shop.order, 7)
        if turn.attempt < 3:
            raise RuntimeError("the node dies here")
        order2 = await turn.step("order again", shop.order, 8)
        turn.reply(f"{order['id']} {order2['id']}")

    for store in (first, second):
        with pytest.raises(RuntimeError):
            await store.run_turn("s", handler, input="x", turn_id="t")
    outcome = await first.run_turn("s", handler, input="x", turn_id="t")
    assert (outcome.reply, outcome.attempts) == ("7 8", 3)
    assert attempts == [1, 2, 3]
    assert [number for number, _ in shop.calls] == [7, 8]


async def test_a_crash_leaves_the_journal_to_the_next_node(nodes: Nodes) -> None:
    """The runner is cut off without a word (as by SIGKILL): its lease runs out, and another node goes on from its journal."""
    first, second = await nodes.open(lease=0.6, poll=0.1), await nodes.open(lease=0.6, poll=0.1)
    shop, reached = Shop(), asyncio.Event()

    async def dies(turn: Turn) -> None:
        await turn.step("order", shop.order, 7)
        reached.set()
        await asyncio.Event().wait()

    async def lives(turn: Turn) -> None:
        order = await turn.step("order", shop.order, 7)
        turn.reply(f"{order['id']} at attempt {turn.attempt}")

    task = asyncio.create_task(first.run_turn("s", dies, input="x", turn_id="t"))
    await reached.wait()
    await first.leases.close()  # nobody renews any more
    outcome = await second.run_turn("s", lives, input="x", turn_id="t")
    assert outcome.reply == "7 at attempt 2"
    assert len(shop.calls) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await second.read_log("s")).total == 2


async def test_a_step_that_raises_is_not_recorded(store: Store) -> None:
    calls = 0

    async def flaky() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("try again")
        return "fine"

    async def handler(turn: Turn) -> None:
        turn.reply(await turn.step("flaky", flaky))

    with pytest.raises(ConnectionError):
        await store.run_turn("s", handler, input="x", turn_id="t")
    assert (await store.run_turn("s", handler, input="x", turn_id="t")).reply == "fine"
    assert calls == 2


async def test_idempotency_keys_depend_on_all_that_names_a_step(store: Store) -> None:
    keys: list[str] = []

    async def handler(turn: Turn) -> None:
        keys.extend([turn.idempotency_key("a"), turn.idempotency_key("b")])

    for session, turn_id in (("s", "t"), ("s", "u"), ("r", "t")):
        await store.run_turn(session, handler, input="x", turn_id=turn_id)
    await store.delete("s")
    await store.run_turn("s", handler, input="x", turn_id="t")
    assert len(set(keys)) == 8


async def test_functions_of_any_kind(store: Store) -> None:
    results: list[Any] = []

    async def handler(turn: Turn) -> None:
        results.append(await turn.step("builtin", max, 1, 2))
        results.append(await turn.step("lambda", lambda: None))
        results.append(await turn.step("keywords", dict, a=1))
        results.append(await turn.step("own key", Shop().order, 1, idempotency_key="mine"))

    await store.run_turn("s", handler, input="x")
    assert results[:3] == [2, None, {"a": 1}]


async def test_misuse_is_named(store: Store) -> None:
    async def twice(turn: Turn) -> None:
        await turn.step("a", lambda: 1)
        await turn.step("a", lambda: 2)

    with pytest.raises(StepMisuse, match="two steps named 'a'"):
        await store.run_turn("s", twice, input="x")

    async def unstorable(turn: Turn) -> None:
        await turn.step("a", lambda: {"client": object()})

    with pytest.raises(StepMisuse, match=r"step 'a'.*client"):
        await store.run_turn("s", unstorable, input="x")

    async def huge(turn: Turn) -> None:
        await turn.step("a", lambda: "x" * 2_000_000)

    with pytest.raises(StepMisuse, match="max_value_bytes"):
        await store.run_turn("s", huge, input="x")

    async def nameless(turn: Turn) -> None:
        await turn.step("", lambda: 1)

    with pytest.raises(InvalidId):
        await store.run_turn("s", nameless, input="x")
    assert not await store.exists("s")


async def test_steps_side_by_side(store: Store) -> None:
    async def slow(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def handler(turn: Turn) -> None:
        results = await asyncio.gather(*[turn.step(f"s{n}", slow, n) for n in range(10)])
        turn.reply(str(sum(results)))

    assert (await store.run_turn("s", handler, input="x")).reply == "45"


async def test_the_journal_ends_with_the_turn(store: Store) -> None:
    calls: list[str] = []

    async def handler(turn: Turn) -> None:
        await turn.step("same name", calls.append, turn.id)

    await store.run_turn("s", handler, input="x", turn_id="a")
    await store.run_turn("s", handler, input="x", turn_id="b")
    assert calls == ["a", "b"]


async def test_a_step_is_tried_again_with_one_key(store: Store) -> None:
    keys: list[str] = []

    async def shaky(idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if len(keys) < 3:
            raise ConnectionError("not yet")
        return "there"

    async def handler(turn: Turn) -> None:
        retry = Retry(times=3, on=ConnectionError, first=0.01)
        turn.reply(await turn.step("call", shaky, retry=retry))

    assert (await store.run_turn("s", handler, input="x")).reply == "there"
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_step_that_goes_on_failing_raises_what_the_last_try_did(store: Store) -> None:
    tries: list[int] = []

    def failing() -> None:
        tries.append(len(tries))
        raise ConnectionError(f"try {len(tries)}")

    async def handler(turn: Turn) -> None:
        with pytest.raises(ConnectionError, match="try 3"):
            await turn.step("call", failing, retry=2)
        with pytest.raises(ValueError, match="not worth it"):
            await turn.step("other", other, retry=Retry(5, on=ConnectionError, first=0.01))

    def other() -> None:
        raise ValueError("not worth it")

    await store.run_turn("s", handler, input="x")
    assert len(tries) == 3


async def test_each_try_of_a_step_has_its_own_time(store: Store) -> None:
    tries: list[int] = []

    async def slow(seconds: float) -> str:
        tries.append(len(tries))
        await asyncio.sleep(seconds if len(tries) == 1 else 0)
        return "in time"

    async def handler(turn: Turn) -> None:
        with pytest.raises(TimeoutError):
            await turn.step("too slow", slow, 30, timeout=0.05)
        tries.clear()
        turn.reply(await turn.step("again", slow, 30, timeout=0.05, retry=Retry(2, first=0.01)))

    assert (await store.run_turn("s", handler, input="x")).reply == "in time"
    assert len(tries) == 2
