"""The contract's part about turns that are told something from outside, and about those that wait for it."""

from __future__ import annotations

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    Absent,
    Fenced,
    Gone,
    Granted,
    Mismatch,
    Overdue,
    Parked,
    Queued,
    Running,
    Signalled,
)
from holdfast.testing.calls import (
    KEY,
    LONG_MS,
    begin,
    ending,
    finish,
    got,
    granted,
    missing,
    new_token,
    put,
    record_of,
    run_turn,
)
from holdfast.testing.contract_base import ContractBase


class ParkingContract(ContractBase):
    """`Turns.signal`, `Turns.park`."""

    async def _parked(self, backend: Backend, turn_id: str, name: str = "ok", for_ms: int = LONG_MS) -> Granted:
        """A turn that was granted and parked."""
        grant = await granted(backend, turn_id)
        assert await backend.park(KEY, turn_id, fence=grant.fence, name=name, for_ms=for_ms) is None
        return grant

    # --- signals ---

    async def test_a_signal_is_in_the_journal_of_the_running_turn(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) is None
        assert await backend.signal(KEY, "ok", b"\x00yes") == ("t1",)
        for _ in range(2):
            told = got(await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS), Signalled)
            assert told.steps == [("ok", b"\x00yes")]
        assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS) == b"\x00yes"
        await finish(backend, "t1", grant)
        assert await backend.signal(KEY, "ok", b"late") == ()

    async def test_a_signal_stands_behind_the_steps_that_were_recorded_before(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await backend.record(KEY, "t1", fence=grant.fence, name="a", value=b"1", lease_ms=LONG_MS)
        await backend.signal(KEY, "ok", b"yes", turn_id="t1")
        await backend.record(KEY, "t1", fence=grant.fence, name="b", value=b"2", lease_ms=LONG_MS)
        expected = [("a", b"1"), ("ok", b"yes"), ("b", b"2")]
        assert (await granted(backend, "t1", token=token)).steps == expected
        assert got(await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS), Signalled).steps == expected

    async def test_the_first_signal_of_a_name_stays(self, backend: Backend) -> None:
        token = new_token()
        await granted(backend, "t1", token=token)
        for value in (b"first", b"second", b""):
            assert await backend.signal(KEY, "ok", value) == ("t1",)
        await backend.signal(KEY, "o", b"another name")
        assert (await granted(backend, "t1", token=token)).steps == [("ok", b"first"), ("o", b"another name")]

    async def test_a_signal_for_a_turn_reaches_that_one_alone(self, backend: Backend) -> None:
        first = await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        assert await backend.signal(KEY, "ok", b"yes", turn_id="t2") == ("t2",)
        assert await backend.signal(KEY, "ok", b"yes", turn_id="t3") == ()
        assert await backend.renew(KEY, "t1", fence=first.fence, lease_ms=LONG_MS) is None
        await finish(backend, "t1", first)
        second = await granted(backend, "t2")
        assert second.steps == [("ok", b"yes")]
        assert await backend.renew(KEY, "t2", fence=second.fence, lease_ms=LONG_MS) is None  # told with the grant

    async def test_a_signal_ahead_reaches_all_that_stand_before_a_turn(self, backend: Backend) -> None:
        await self._parked(backend, "t0")
        first = await granted(backend, "t1")
        for turn_id in ("t2", "t3", "t4"):
            got(await begin(backend, turn_id), Queued)
        assert await backend.signal(KEY, "stop", b"", turn_id="t3", ahead=True) == ("t1", "t2")
        assert got(await backend.renew(KEY, "t1", fence=first.fence, lease_ms=LONG_MS), Signalled).steps == [
            ("stop", b"")
        ]
        assert await backend.signal(KEY, "stop", b"", turn_id="t9", ahead=True) == ()
        await finish(backend, "t1", first)
        second = await granted(backend, "t2")
        assert second.steps == [("stop", b"")]
        assert await backend.renew(KEY, "t2", fence=second.fence, lease_ms=LONG_MS) is None  # told with the grant
        await finish(backend, "t2", second)
        assert (await granted(backend, "t3")).steps == []

    async def test_a_signal_on_nothing_is_for_nobody(self, backend: Backend) -> None:
        assert await backend.signal(KEY, "ok", b"yes") == ()
        assert await missing(backend)
        await run_turn(backend, "t1")
        assert await backend.signal(KEY, "ok", b"yes") == ()
        assert await backend.signal(KEY, "ok", b"yes", turn_id="t1") == ()

    async def test_a_signal_gives_a_hint(self, backend: Backend) -> None:
        await granted(backend, "t1")
        async with backend.watch(KEY) as watch:
            await backend.signal(KEY, "ok", b"yes")
            assert await watch.wait(5.0) == b"signal"

    async def test_a_signal_changes_no_version(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        await self._parked(backend, "t1")
        await backend.signal(KEY, "ok", b"yes")
        assert (await record_of(backend)).version == done.version

    # --- parking ---

    async def test_a_parked_turn_is_nobodys_until_it_is_signalled(self, backend: Backend) -> None:
        first = await self._parked(backend, "t1", for_ms=LONG_MS)
        assert 0 < got(await begin(backend, "t1", takeover=True), Parked).left_ms <= LONG_MS
        got(await begin(backend, "t1"), Parked)
        assert await backend.overdue() == []
        assert await backend.signal(KEY, "ok", b"yes") == ("t1",)
        assert [(turn.turn_id, turn.attempt) for turn in await backend.overdue()] == [("t1", 0)]
        again = await granted(backend, "t1", takeover=True)
        assert (again.attempt, again.steps, again.entry) == (1, [("ok", b"yes")], b"input of t1")
        assert again.fence > first.fence
        await finish(backend, "t1", again)

    async def test_a_parked_turn_becomes_due_by_itself(self, backend: Backend) -> None:
        await self._parked(backend, "t1", for_ms=self.short_ms)
        assert await backend.overdue() == []
        await self.pass_ms(self.short_ms)
        (found,) = await backend.overdue()
        assert (found.key, found.turn_id) == (KEY, "t1")
        again = await granted(backend, "t1", takeover=True)
        assert (again.attempt, again.steps) == (1, [])

    async def test_parking_does_not_count_as_an_attempt(self, backend: Backend) -> None:
        for n in range(5):
            grant = await self._parked(backend, "t1", f"n{n}")
            assert grant.attempt == 1
            await backend.signal(KEY, f"n{n}", b"")
        again = await granted(backend, "t1", lease_ms=self.short_ms)
        assert [name for name, _ in again.steps] == [f"n{n}" for n in range(5)]
        await self.pass_ms(self.short_ms)
        assert (await granted(backend, "t1")).attempt == 2

    async def test_a_parked_turn_stalls_nobody(self, backend: Backend) -> None:
        await self._parked(backend, "t1")
        second = await granted(backend, "t2")
        got(await begin(backend, "t1"), Parked)
        await finish(backend, "t2", second)
        await backend.signal(KEY, "ok", b"yes")
        await finish(backend, "t1", await granted(backend, "t1"))
        assert (await record_of(backend)).tail[0] == b"input of t2"

    async def test_parking_hands_the_session_to_the_next_turn(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        async with backend.watch(KEY) as watch:
            assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS) is None
            assert await watch.wait(5.0) is not None
        await granted(backend, "t2")

    async def test_a_signal_wakes_the_first_turn_that_is_parked_for_it(self, backend: Backend) -> None:
        for turn_id, name in (("t1", "other"), ("t2", "ok"), ("t3", "ok")):
            await self._parked(backend, turn_id, name)
        await granted(backend, "t4")
        assert await backend.signal(KEY, "ok", b"1") == ("t2",)
        assert await backend.signal(KEY, "ok", b"2") == ("t3",)
        assert sorted(turn.turn_id for turn in await backend.overdue()) == ["t2", "t3"]
        got(await begin(backend, "t1"), Parked)
        assert await backend.signal(KEY, "ok", b"3") == ("t4",)

    async def test_any_signal_to_a_parked_turn_makes_it_due(self, backend: Backend) -> None:
        await self._parked(backend, "t1")
        assert await backend.signal(KEY, "stop", b"", turn_id="t1") == ("t1",)
        assert (await granted(backend, "t1", takeover=True)).steps == [("stop", b"")]

    async def test_a_woken_turn_that_parks_again_is_parked(self, backend: Backend) -> None:
        await self._parked(backend, "t1")
        await backend.signal(KEY, "stop", b"", turn_id="t1")
        await self._parked(backend, "t1", "ok")
        got(await begin(backend, "t1"), Parked)
        assert await backend.overdue() == []

    async def test_only_the_holder_may_park(self, backend: Backend) -> None:
        assert await backend.park(KEY, "t1", fence=1, name="ok", for_ms=LONG_MS) == Fenced()
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        for turn_id, fence in (("t1", grant.fence - 1), ("t2", grant.fence), ("t9", 0)):
            assert await backend.park(KEY, turn_id, fence=fence, name="ok", for_ms=LONG_MS) == Fenced()
        got(await begin(backend, "t1"), Running)
        await finish(backend, "t1", grant)
        assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS) == Fenced()

    async def test_who_parked_a_turn_has_let_go_of_it(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=LONG_MS)
        for withdraw in (False, True):
            await backend.release(KEY, "t1", token=token, withdraw=withdraw)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) == Fenced()
        late = await backend.record(KEY, "t1", fence=grant.fence, name="a", value=b"late", lease_ms=LONG_MS)
        assert late == Fenced()
        got(await begin(backend, "t1", token=token), Parked)
        await backend.signal(KEY, "ok", b"yes")
        assert (await granted(backend, "t1", token=token)).steps == [("ok", b"yes")]

    async def test_a_parked_turn_is_its_input(self, backend: Backend) -> None:
        await self._parked(backend, "t1")
        assert await begin(backend, "t1", text=b"another") == Mismatch()

    async def test_a_parked_turn_can_be_withdrawn_after_it_was_begun_again(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        await self._parked(backend, "t1")
        await backend.signal(KEY, "stop", b"", turn_id="t1")
        token = new_token()
        await granted(backend, "t1", token=token)
        await backend.release(KEY, "t1", token=token, withdraw=True)
        assert await begin(backend, "t1", takeover=True) == Absent()
        again = await granted(backend, "t1")
        assert again.steps == []

    async def test_a_park_keeps_its_session_alive(self, backend: Backend) -> None:
        clock = self.need_clock()
        grant = await granted(backend, "t1", ttl_ms=1_000)
        assert await backend.park(KEY, "t1", fence=grant.fence, name="ok", for_ms=3_600_000) is None
        clock.advance_ms(3_600_000)
        assert await backend.overdue() == [Overdue(KEY, "t1", "", 0, clock())]
        again = await granted(backend, "t1", takeover=True, ttl_ms=1_000)
        await finish(backend, "t1", again)
        clock.advance_ms(1_000)
        assert await missing(backend)

    async def test_a_deleted_session_takes_its_parked_turns_along(self, backend: Backend) -> None:
        grant = await self._parked(backend, "t1")
        await backend.delete(KEY)
        assert await backend.signal(KEY, "ok", b"yes") == ()
        assert await begin(backend, "t1", takeover=True) == Absent()
        assert await backend.commit(KEY, ending("t1", grant)) == Gone()
        again = await granted(backend, "t1")
        assert (again.attempt, again.steps) == (1, [])
