"""The contract's part about running turns: journaled steps, lease renewal, release and withdrawal."""

from __future__ import annotations

from holdfast.backends.contract import Backend
from holdfast.backends.records import Absent, Busy, Fenced, Gone, Granted, Queued, Running
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
    scanned,
    values,
)
from holdfast.testing.contract_base import ContractBase


async def _step(
    backend: Backend, turn: str, fence: int, name: str, value: bytes, lease: int = LONG_MS
) -> Fenced | None:
    return await backend.record(KEY, turn, fence=fence, name=name, value=value, lease_ms=lease)


class JournalContract(ContractBase):
    """`Turns.record`, `Turns.renew`, `Turns.release`."""

    async def _steps(self, backend: Backend, turn_id: str, token: bytes) -> list[tuple[str, bytes]]:
        """The journal as the runner with this token sees it."""
        return (await granted(backend, turn_id, token=token)).steps

    # --- record, renew ---

    async def test_steps_are_kept_in_order(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        names = [f"step-{n}" for n in (5, 3, 9, 1, 7, 10, 2)]
        for name in names:
            assert await _step(backend, "t1", grant.fence, name, name.encode()) is None
        assert await self._steps(backend, "t1", token) == [(name, name.encode()) for name in names]

    async def test_a_step_recorded_again_overwrites_in_its_place(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        for name, value in (("a", b"1"), ("b", b"1"), ("a", b"2")):
            await _step(backend, "t1", grant.fence, name, value)
        assert await self._steps(backend, "t1", token) == [("a", b"2"), ("b", b"1")]

    async def test_the_journal_is_kept_over_attempts(self, backend: Backend) -> None:
        expected: list[tuple[str, bytes]] = []
        for attempt in range(1, 5):
            grant = await granted(backend, "t1", lease_ms=self.short_ms)
            assert (grant.attempt, grant.steps) == (attempt, expected)
            await _step(backend, "t1", grant.fence, f"s{attempt}", b"%d" % attempt, self.short_ms)
            expected.append((f"s{attempt}", b"%d" % attempt))
            await self.pass_ms(self.short_ms)

    async def test_each_turn_has_its_own_journal(self, backend: Backend) -> None:
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await _step(backend, "t1", first.fence, "s", b"one", self.short_ms)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t2")
        assert second.steps == []
        await _step(backend, "t2", second.fence, "s", b"two")
        await finish(backend, "t2", second)
        assert (await granted(backend, "t1")).steps == [("s", b"one")]

    async def test_a_withdrawn_turns_journal_is_dropped(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await _step(backend, "t1", grant.fence, "s", b"v")
        await backend.release(KEY, "t1", token=token, withdraw=True)
        again = await granted(backend, "t1")
        assert (again.attempt, again.steps) == (1, [])

    async def test_only_the_holder_may_journal_and_renew(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        for turn_id, fence in (("t1", grant.fence - 1), ("t1", grant.fence + 1), ("t2", grant.fence), ("t9", 0)):
            assert await _step(backend, turn_id, fence, "s", b"wrong") == Fenced()
            assert await backend.renew(KEY, turn_id, fence=fence, lease_ms=LONG_MS) == Fenced()
        await finish(backend, "t1", grant)
        assert (await granted(backend, "t2")).steps == []

    async def test_a_step_after_the_end_of_the_turn_is_fenced(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await finish(backend, "t1", grant)
        assert await _step(backend, "t1", grant.fence, "s", b"late") == Fenced()
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) == Fenced()
        token = new_token()
        grant = await granted(backend, "t2", token=token)
        await backend.release(KEY, "t2", token=token, withdraw=True)
        assert await _step(backend, "t2", grant.fence, "s", b"late") == Fenced()
        assert await backend.renew(KEY, "t2", fence=grant.fence, lease_ms=LONG_MS) == Fenced()

    async def test_a_step_or_a_renewal_on_nothing_is_fenced(self, backend: Backend) -> None:
        assert await _step(backend, "t1", 1, "s", b"v") == Fenced()
        assert await backend.renew(KEY, "t1", fence=1, lease_ms=LONG_MS) == Fenced()
        assert await missing(backend)

    async def test_a_renewed_lease_is_not_overtaken(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", lease_ms=self.short_ms)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) is None
        await self.pass_ms(self.short_ms)
        assert isinstance(await begin(backend, "t2", place_ms=0), Busy)
        got(await begin(backend, "t1"), Running)
        await finish(backend, "t1", grant)

    async def test_a_recorded_step_renews_the_lease(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", lease_ms=self.short_ms)
        await _step(backend, "t1", grant.fence, "s", b"v")
        await self.pass_ms(self.short_ms)
        assert isinstance(await begin(backend, "t2", place_ms=0), Busy)

    async def test_a_lease_ends_to_the_millisecond(self, backend: Backend) -> None:
        clock = self.need_clock()
        await granted(backend, "t1", lease_ms=10_000)
        clock.advance_ms(9_999)
        assert got(await begin(backend, "t2", place_ms=0), Busy).lease_left_ms == 1
        clock.advance_ms(1)
        await granted(backend, "t2")

    async def test_journaling_and_renewing_change_no_version(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        grant = await granted(backend, "t1")
        await _step(backend, "t1", grant.fence, "s", b"v")
        await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS)
        assert (await record_of(backend)).version == done.version

    # --- release ---

    async def test_a_released_turn_may_be_begun_again_at_once(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token, text=b"question")
        await _step(backend, "t1", grant.fence, "s", b"v")
        await backend.release(KEY, "t1", token=token, withdraw=False)
        again = await granted(backend, "t1", takeover=True)
        assert (again.attempt, again.steps, again.entry) == (2, [("s", b"v")], b"question")
        assert again.fence > grant.fence
        assert await backend.commit(KEY, ending("t1", grant)) == Fenced()

    async def test_a_released_turn_stalls_nobody(self, backend: Backend) -> None:
        token = new_token()
        await granted(backend, "t1", token=token)
        got(await begin(backend, "t2"), Queued)
        await backend.release(KEY, "t1", token=token, withdraw=False)
        await finish(backend, "t2", await granted(backend, "t2"))

    async def test_a_release_with_a_stale_token_lets_go_of_nothing(self, backend: Backend) -> None:
        stale = new_token()
        await granted(backend, "t1", token=stale, lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        grant = await granted(backend, "t1")
        for withdraw in (False, True):
            await backend.release(KEY, "t1", token=stale, withdraw=withdraw)
            await backend.release(KEY, "t1", token=new_token(), withdraw=withdraw)
        got(await begin(backend, "t1"), Running)
        await finish(backend, "t1", grant)

    async def test_a_release_of_nothing_is_harmless(self, backend: Backend) -> None:
        await backend.release(KEY, "t1", token=new_token(), withdraw=True)
        assert await missing(backend)
        await run_turn(backend, "t1")
        await backend.release(KEY, "t1", token=new_token(), withdraw=True)
        await backend.release(KEY, "t2", token=new_token(), withdraw=False)
        assert (await record_of(backend)).total == 2

    async def test_a_release_after_the_commit_changes_nothing(self, backend: Backend) -> None:
        token = new_token()
        await finish(backend, "t1", await granted(backend, "t1", token=token))
        grant = await granted(backend, "t2")
        await backend.release(KEY, "t1", token=token, withdraw=True)
        await finish(backend, "t2", grant)
        assert (await record_of(backend)).total == 4

    async def test_a_withdrawn_turn_was_never_accepted(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await backend.release(KEY, "t1", token=token, withdraw=True)
        assert await begin(backend, "t1", takeover=True) == Absent()
        assert await backend.commit(KEY, ending("t1", grant, {"a": b"late"})) == Fenced()
        assert await backend.overdue() == []
        record = await record_of(backend)
        assert (values(record), record.total) == ({"a": b"1"}, 0)
        assert (await granted(backend, "t1", text=b"another input")).attempt == 1

    async def test_a_commit_of_a_withdrawn_turn_does_not_end_the_same_turn_begun_anew(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await backend.release(KEY, "t1", token=token, withdraw=True)
        anew = await granted(backend, "t1")
        assert await backend.commit(KEY, ending("t1", grant, {"a": b"late"})) == Fenced()
        await finish(backend, "t1", anew)

    async def test_a_withdrawn_place_leaves_the_queue(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2", token=token), Queued)
        assert got(await begin(backend, "t3"), Queued).ahead == 2
        await backend.release(KEY, "t2", token=token, withdraw=True)
        assert got(await begin(backend, "t3"), Queued).ahead == 1
        await finish(backend, "t1", grant)
        await granted(backend, "t3")

    async def test_a_place_that_was_let_go_stalls_nobody_and_stays_pending(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2", token=token), Queued)
        await backend.release(KEY, "t2", token=token, withdraw=False)
        assert got(await begin(backend, "t3"), Queued).ahead == 1
        await finish(backend, "t1", grant)
        await finish(backend, "t3", await granted(backend, "t3"))
        assert got(await begin(backend, "t2", takeover=True), Granted).attempt == 1

    async def test_withdrawing_the_only_turn_of_a_begun_session_leaves_nothing(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token, user="ann")
        await backend.release(KEY, "t1", token=token, withdraw=True)
        assert await missing(backend)
        assert await scanned(backend) == []
        assert await backend.commit(KEY, ending("t1", grant)) == Gone()
        anew = await granted(backend, "t1", user="bob", text=b"another input")
        assert anew.incarnation != grant.incarnation
        await finish(backend, "t1", anew)
        assert (await record_of(backend)).user == "bob"

    async def test_withdrawing_one_of_two_turns_of_a_begun_session_keeps_the_other(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        got(await begin(backend, "t2"), Queued)
        await backend.release(KEY, "t1", token=token, withdraw=True)
        other = await granted(backend, "t2")
        assert other.incarnation == grant.incarnation
        await finish(backend, "t2", other)
