"""The contract's part about hints, about calls that are cancelled, and about the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast.backends.contract import Backend
from holdfast.backends.records import Granted, Queued, Record, Replay, SessionKey
from holdfast.errors import StoreClosed
from holdfast.testing.calls import (
    KEY,
    asking,
    begin,
    ending,
    finish,
    got,
    granted,
    new_commit_id,
    new_token,
    put,
    record_of,
    run_turn,
    update,
    values,
)
from holdfast.testing.contract_base import ContractBase

T = TypeVar("T")

SOON_S = 5.0
"""A hint that has not come by then does not come."""

QUIET_S = 0.1
"""How long to listen for what should not come."""


class SignalContract(ContractBase):
    """`Signals`, cancellation, `Backend.close`."""

    # --- hints ---

    async def test_a_published_hint_reaches_whoever_watches(self, backend: Backend) -> None:
        async with backend.watch(KEY) as one, backend.watch(KEY) as two:
            for hint in (b"hello", b"", b"\x00\r\n\xff"):
                await backend.publish(KEY, hint)
                assert await one.wait(SOON_S) == hint
                assert await two.wait(SOON_S) == hint

    async def test_a_hint_reaches_another_node(self, backend: Backend) -> None:
        other = await self.second(backend)
        try:
            async with other.watch(KEY) as watch:
                await backend.publish(KEY, b"hello")
                assert await watch.wait(SOON_S) == b"hello"
        finally:
            if other is not backend:
                await other.close()

    async def test_a_hint_reaches_no_other_session(self, backend: Backend) -> None:
        others = [SessionKey("acme", "s-2"), SessionKey("", "s-1"), SessionKey("acme", "*"), SessionKey("*", "*")]
        for other in others:
            async with backend.watch(other) as watch:
                await backend.publish(KEY, b"hello")
                assert await watch.wait(QUIET_S) is None

    async def test_a_watch_ends_with_its_context(self, backend: Backend) -> None:
        for _ in range(3):
            async with backend.watch(KEY):
                pass
        await backend.publish(KEY, b"to nobody")
        async with backend.watch(KEY) as watch:
            await backend.publish(KEY, b"hello")
            assert await watch.wait(SOON_S) == b"hello"

    async def test_a_wait_ends_by_its_timeout(self, backend: Backend) -> None:
        loop = asyncio.get_running_loop()
        async with backend.watch(KEY) as watch:
            started = loop.time()
            assert await watch.wait(QUIET_S) is None
            assert QUIET_S * 0.8 <= loop.time() - started < SOON_S
            assert await watch.wait(0) is None

    async def test_a_cancelled_wait_leaves_the_watch_in_order(self, backend: Backend) -> None:
        async with backend.watch(KEY) as watch:
            waiting = asyncio.create_task(watch.wait(SOON_S))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await backend.publish(KEY, b"hello")
            assert await watch.wait(SOON_S) == b"hello"

    async def test_a_commit_on_a_session_that_a_turn_waits_for_gives_a_hint(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        async with backend.watch(KEY) as watch:
            await finish(backend, "t1", grant)
            assert await watch.wait(SOON_S) is not None
        await granted(backend, "t2")

    async def test_a_release_and_a_delete_give_a_hint_to_a_turn_that_waits(self, backend: Backend) -> None:
        for withdraw in (False, True):
            token = new_token()
            await granted(backend, "t1", token=token)
            got(await begin(backend, "t2"), Queued)
            async with backend.watch(KEY) as watch:
                await backend.release(KEY, "t1", token=token, withdraw=withdraw)
                assert await watch.wait(SOON_S) is not None
            async with backend.watch(KEY) as watch:
                await backend.delete(KEY)
                assert await watch.wait(SOON_S) is not None

    async def test_a_turn_handed_over_by_hints_does_not_wait_for_a_poll(self, backend: Backend) -> None:
        async def one(turn_id: str) -> None:
            token = new_token()
            async with backend.watch(KEY) as watch:
                for _ in range(1000):
                    reply = await begin(backend, turn_id, token=token)
                    if isinstance(reply, Granted):
                        await finish(backend, turn_id, reply)
                        return
                    await watch.wait(1.0)

        await asyncio.wait_for(asyncio.gather(*(one(f"t{n}") for n in range(8))), 20)
        assert (await record_of(backend)).total == 16

    # --- cancellation ---

    async def test_cancelled_calls_show_nobody_anothers_data(self, backend: Backend) -> None:
        dice = random.Random(11)
        keys = [SessionKey("acme", f"s-{n}") for n in range(20)]
        for key in keys:
            await put(backend, {"me": key.id.encode()}, key, appends=[key.id.encode()])

        async def reader(key: SessionKey) -> None:
            for _ in range(4):
                record = await record_of(backend, key)
                assert values(record) == {"me": key.id.encode()}
                assert set(record.tail) == {key.id.encode()}
                page = await backend.read_log(key, start=0, count=5)
                assert page is not None
                assert set(page.entries) == {key.id.encode()}
                await put(backend, appends=[key.id.encode()], key=key, commit_id=new_commit_id())

        for _ in range(5):
            await _cancel_half(dice, [_bind(reader, key) for key in keys for _ in range(2)])
        for key in keys:
            record = await record_of(backend, key)
            assert set(record.tail) == {key.id.encode()}
            assert record.version.counter == record.total

    async def test_cancelled_turns_are_whole_or_not_at_all(self, backend: Backend) -> None:
        dice = random.Random(12)
        committed: list[str] = []

        async def turn(n: int) -> None:
            key, turn_id = SessionKey("acme", f"s-{n % 10}"), f"t{n}"
            token = new_token()
            for _ in range(200):
                reply = await begin(backend, turn_id, key, token=token)
                if isinstance(reply, Granted):
                    delta = ending(turn_id, reply, {"last": turn_id.encode()}, appends=[b"reply " + turn_id.encode()])
                    await backend.commit(key, delta)
                    committed.append(turn_id)
                    return
                await asyncio.sleep(0.002)

        await _cancel_half(dice, [_bind(turn, n) for n in range(80)])
        for n in range(10):
            record = await backend.load(SessionKey("acme", f"s-{n}"), tail=1000)
            if record is None:
                continue
            log = got(record, Record).tail
            turns = [entry.removeprefix(b"input of ").decode() for entry in log[::2]]
            assert log[1::2] == [b"reply " + turn_id.encode() for turn_id in turns]
            assert len(set(turns)) == len(turns)
            assert got(record, Record).version.counter == len(turns)
            assert values(got(record, Record)) == {"last": turns[-1].encode()}
            for turn_id in turns:
                if self.outcomes.turns >= 8:
                    got(await begin(backend, turn_id, SessionKey("acme", f"s-{n}")), Replay)
        logged = {
            entry.removeprefix(b"input of ").decode()
            for n in range(10)
            for record in [await backend.load(SessionKey("acme", f"s-{n}"), tail=1000)]
            if isinstance(record, Record)
            for entry in record.tail[::2]
        }
        assert set(committed) <= logged

    # --- the end ---

    async def test_check_finds_nothing_bad_in_a_fresh_store(self, backend: Backend) -> None:
        findings = await backend.check()
        assert findings
        assert [finding for finding in findings if finding.level == "bad"] == []
        assert backend.name

    async def test_a_backend_may_be_closed_twice(self, backend: Backend) -> None:
        await run_turn(backend, "t1")
        await backend.close()
        await backend.close()

    async def test_every_call_after_the_close_says_closed(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, appends=[b"x"])
        await backend.close()

        async def watch() -> None:
            async with backend.watch(KEY):
                pass

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "load": lambda: backend.load(KEY, tail=1),
            "commit": lambda: backend.commit(KEY, update({"a": b"2"})),
            "delete": lambda: backend.delete(KEY),
            "read_log": lambda: backend.read_log(KEY, start=0, count=1),
            "scan": lambda: backend.scan(KEY.tenant),
            "by_user": lambda: backend.by_user(KEY.tenant, "ann"),
            "begin": lambda: backend.begin(KEY, asking("t1")),
            "record": lambda: backend.record(KEY, "t1", fence=1, name="s", value=b"", lease_ms=1),
            "renew": lambda: backend.renew(KEY, "t1", fence=1, lease_ms=1),
            "release": lambda: backend.release(KEY, "t1", token=new_token(), withdraw=True),
            "resolve": lambda: backend.resolve(KEY, "t1", fence=1),
            "signal": lambda: backend.signal(KEY, "ok", b""),
            "park": lambda: backend.park(KEY, "t1", fence=1, name="ok", for_ms=1),
            "append_events": lambda: backend.append_events(KEY, "t1", fence=1, chunk=b"", keep_ms=1),
            "read_events": lambda: backend.read_events(KEY, "t1"),
            "overdue": lambda: backend.overdue(),
            "publish": lambda: backend.publish(KEY, b"hello"),
            "watch": watch,
        }
        for name, call in calls.items():
            try:
                reply = await call()
            except StoreClosed:
                continue
            raise AssertionError(f"{name} answered {reply!r} after the close")


def _bind(call: Callable[[T], Awaitable[None]], argument: T) -> Callable[[], Awaitable[None]]:
    return lambda: call(argument)


async def _cancel_half(dice: random.Random, calls: list[Callable[[], Awaitable[None]]]) -> None:
    """Runs all calls at once, cancels about half of them at random moments, and fails if one of the others failed."""

    async def run(call: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(dice.random() * 0.01)
        await call()

    tasks = [asyncio.create_task(run(call)) for call in calls]
    for task in dice.sample(tasks, len(tasks) // 2):
        await asyncio.sleep(dice.random() * 0.001)
        task.cancel()
    for reply in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(reply, Exception):
            raise reply
