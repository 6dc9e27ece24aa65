"""The contract's part about a session's life: incarnations, fences over lives, expiry, the hold of pending turns."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.backends.contract import HOLD_MS, Backend
from holdfast.backends.records import (
    Absent,
    AlreadyThere,
    Birth,
    Committed,
    Fenced,
    Gone,
    Granted,
    Record,
    Rejected,
    Replay,
    Version,
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
    new_commit_id,
    new_token,
    of_user,
    put,
    record_of,
    run_turn,
    scanned,
    touch,
    update,
    values,
)
from holdfast.testing.contract_base import ContractBase


class Former(NamedTuple):
    """What a runner of a life that is over still has in its hands."""

    grant: Granted
    token: bytes
    version: Version
    incarnation: bytes


class LifeContract(ContractBase):
    """A life that is over reaches nothing; a life ends on time and not before."""

    async def _former_life(self, backend: Backend) -> Former:
        """A session with a finished turn ``t0`` and a running turn ``t1``, deleted."""
        done = await run_turn(backend, "t0", {"a": b"former"})
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await backend.record(KEY, "t1", fence=grant.fence, name="step", value=b"former", lease_ms=LONG_MS)
        assert await backend.delete(KEY)
        return Former(grant, token, done.version, done.incarnation)

    # --- incarnation ---

    async def test_every_life_has_its_own_incarnation(self, backend: Backend) -> None:
        seen = set()
        for _ in range(3):
            seen.add((await put(backend, {"a": b"1"})).incarnation)
            await backend.delete(KEY)
        grant = await granted(backend, "t1")
        done = await finish(backend, "t1", grant)
        assert grant.incarnation == done.incarnation
        assert len(seen | {grant.incarnation}) == 4

    async def test_whoever_gives_birth_makes_the_first_half_of_the_incarnation(self, backend: Backend) -> None:
        commit_id = new_commit_id()
        born = await put(backend, {"a": b"1"}, commit_id=commit_id)
        assert born.incarnation[:8] == commit_id[4:12]
        assert (await put(backend, {"a": b"2"})).incarnation == born.incarnation
        await backend.delete(KEY)
        token = new_token()
        assert (await granted(backend, "t1", token=token)).incarnation[:8] == token

    async def test_unborn_rules_out_what_a_pending_turn_gave_birth_to(self, backend: Backend) -> None:
        first = update({"a": b"1"}, existence="unborn")
        grant = await granted(backend, "t1")
        assert await backend.commit(KEY, first) == AlreadyThere()
        assert got(await backend.commit(KEY, update({"a": b"1"}, existence="new")), Committed)
        await backend.delete(KEY)
        assert got(await backend.commit(KEY, first), Committed).incarnation != grant.incarnation
        assert await backend.commit(KEY, update({"a": b"2"}, existence="unborn")) == AlreadyThere()

    async def test_a_creation_that_arrives_again_after_the_end_makes_another_life(self, backend: Backend) -> None:
        delta = update({"a": b"1"})
        former = got(await backend.commit(KEY, delta), Committed)
        await backend.delete(KEY)
        again = got(await backend.commit(KEY, delta), Committed)
        assert again.incarnation != former.incarnation
        late = update({"a": b"late"}, incarnation=former.incarnation)
        assert await backend.commit(KEY, late) == Gone()

    async def test_a_begin_that_arrives_again_after_the_end_makes_another_life(self, backend: Backend) -> None:
        token = new_token()
        former = await granted(backend, "t1", token=token)
        await backend.delete(KEY)
        again = await granted(backend, "t1", token=token)
        assert again.incarnation != former.incarnation
        assert again.fence > former.fence
        assert isinstance(await backend.commit(KEY, ending("t1", former, {"a": b"late"})), Fenced | Gone)
        await put(backend, {"a": b"1"})
        late = update({"a": b"late"}, incarnation=former.incarnation)
        assert await backend.commit(KEY, late) == Gone()

    async def test_a_turn_of_a_deleted_session_cannot_commit(self, backend: Backend) -> None:
        former = await self._former_life(backend)
        assert await backend.commit(KEY, ending("t1", former.grant, {"a": b"late"})) == Gone()
        assert await missing(backend)
        await put(backend, {"a": b"new"})
        assert await backend.commit(KEY, ending("t1", former.grant, {"a": b"late"})) == Gone()
        assert values(await record_of(backend)) == {"a": b"new"}

    async def test_a_turn_of_a_deleted_session_cannot_commit_into_the_same_turn_id(self, backend: Backend) -> None:
        former = await self._former_life(backend)
        grant = await granted(backend, "t1")
        assert await backend.commit(KEY, ending("t1", former.grant, {"a": b"late"})) == Gone()
        await finish(backend, "t1", grant, {"a": b"new"})
        assert values(await record_of(backend)) == {"a": b"new"}

    async def test_a_turn_of_a_deleted_session_cannot_journal_or_renew(self, backend: Backend) -> None:
        former = await self._former_life(backend)
        fence = former.grant.fence
        for _ in range(2):
            late = await backend.record(KEY, "t1", fence=fence, name="step", value=b"late", lease_ms=LONG_MS)
            assert late == Fenced()
            assert await backend.renew(KEY, "t1", fence=fence, lease_ms=LONG_MS) == Fenced()
            grant = got(await begin(backend, "t1", token=b"newtoken"), Granted)
        assert (grant.attempt, grant.steps) == (1, [])

    async def test_a_release_of_a_former_life_lets_go_of_nothing(self, backend: Backend) -> None:
        former = await self._former_life(backend)
        grant = await granted(backend, "t1")
        for withdraw in (False, True):
            await backend.release(KEY, "t1", token=former.token, withdraw=withdraw)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) is None
        await finish(backend, "t1", grant)

    async def test_a_resolve_of_a_former_life_fences_nobody(self, backend: Backend) -> None:
        former = await self._former_life(backend)
        grant = await granted(backend, "t1")
        await backend.resolve(KEY, "t1", fence=former.grant.fence)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) is None
        await finish(backend, "t1", grant)

    async def test_an_update_of_a_former_life_finds_it_gone(self, backend: Backend) -> None:
        former = await self._former_life(backend)
        delta = update({"a": b"late"}, incarnation=former.incarnation)
        assert await backend.commit(KEY, delta) == Gone()
        await put(backend, {"a": b"new"})
        assert await backend.commit(KEY, delta) == Gone()
        assert await touch(backend, incarnation=former.incarnation) == Gone()
        assert values(await record_of(backend)) == {"a": b"new"}

    async def test_outcomes_and_journals_of_a_former_life_are_gone(self, backend: Backend) -> None:
        await self._former_life(backend)
        for turn_id in ("t0", "t1"):
            assert await begin(backend, turn_id, takeover=True) == Absent()
        first = await granted(backend, "t1", text=b"another input")
        assert (first.attempt, first.steps, first.record) == (1, [], None)
        await finish(backend, "t1", first)
        again = await granted(backend, "t0", text=b"another input")
        assert (again.attempt, again.steps) == (1, [])

    async def test_fences_rise_over_the_lives_of_a_session(self, backend: Backend) -> None:
        fences = []
        for turn in range(3):
            for n in range(2):
                grant = await granted(backend, f"t{turn}.{n}")
                fences.append(grant.fence)
                await finish(backend, f"t{turn}.{n}", grant)
            await backend.delete(KEY)
        token = new_token()
        fences.append((await granted(backend, "w", token=token)).fence)
        await backend.release(KEY, "w", token=token, withdraw=True)
        fences.append((await granted(backend, "w")).fence)
        assert fences == sorted(set(fences))
        assert fences[0] > 0

    async def test_delete_ends_the_turns_that_wait(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        await granted(backend, "t1")
        await begin(backend, "t2")
        assert await backend.delete(KEY) is True
        assert await backend.overdue() == []
        for turn_id in ("t1", "t2"):
            assert await begin(backend, turn_id, takeover=True) == Absent()

    async def test_delete_ends_a_session_that_was_only_begun(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await backend.delete(KEY)
        assert await begin(backend, "t1", takeover=True) == Absent()
        assert await backend.commit(KEY, ending("t1", grant)) == Gone()

    # --- expiry ---

    async def test_a_session_lives_to_the_last_millisecond_of_its_ttl_and_no_longer(self, backend: Backend) -> None:
        clock = self.need_clock()
        done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        assert done.expires_ms == clock() + 5_000
        clock.advance_ms(4_999)
        assert values(await record_of(backend)) == {"a": b"1"}
        clock.advance_ms(1)
        assert await missing(backend)

    async def test_an_expired_session_is_missing_everywhere(self, backend: Backend) -> None:
        born = Birth("ann", ttl_ms=self.short_ms)
        done = await put(backend, {"a": b"1"}, appends=[b"x"], birth=born)
        record = await record_of(backend)
        assert record.expires_ms == done.expires_ms == done.now_ms + self.short_ms
        await self.pass_ms(self.short_ms)
        assert await backend.load(KEY, tail=1) is None
        assert await backend.load(KEY, tail=1, known=done.version) is None
        assert await backend.read_log(KEY, start=0, count=1) is None
        assert await scanned(backend) == []
        assert await of_user(backend, "ann") == []
        assert await backend.commit(KEY, update({"a": b"2"}, existence="must")) == Gone()
        assert await backend.commit(KEY, update({"a": b"2"}, incarnation=done.incarnation)) == Gone()
        assert await touch(backend) == Gone()
        assert await backend.delete(KEY) is False

    async def test_an_expired_session_may_be_created_anew(self, backend: Backend) -> None:
        former = await put(backend, {"a": b"1"}, appends=[b"x"], birth=Birth("ann", ttl_ms=self.short_ms))
        await self.pass_ms(self.short_ms)
        done = await put(backend, {"b": b"2"}, birth=Birth("bob"), existence="new")
        assert done.incarnation != former.incarnation
        record = await record_of(backend)
        assert (values(record), record.user, record.ttl_ms, record.total) == ({"b": b"2"}, "bob", 0, 0)
        assert (await scanned(backend), await of_user(backend, "ann")) == ([KEY.id], [])

    async def test_a_turn_of_an_expired_life_reaches_nothing_of_the_next(self, backend: Backend) -> None:
        clock = self.need_clock()
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        token = new_token()
        grant = await granted(backend, "t1", token=token, lease_ms=10_000)
        clock.advance_ms(10_000 + 2 * HOLD_MS)
        assert await backend.commit(KEY, ending("t1", grant)) == Gone()
        next_one = await granted(backend, "t1")
        assert (next_one.attempt, next_one.record) == (1, None)
        assert next_one.fence > grant.fence
        assert next_one.incarnation != grant.incarnation
        assert await backend.commit(KEY, ending("t1", grant)) == Gone()
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) == Fenced()
        await backend.release(KEY, "t1", token=token, withdraw=True)
        assert await backend.resolve(KEY, "t1", fence=grant.fence) == Rejected()
        await finish(backend, "t1", next_one, {"b": b"2"})
        assert values(await record_of(backend)) == {"b": b"2"}

    async def test_outcomes_end_with_the_life_that_expires(self, backend: Backend) -> None:
        await run_turn(backend, "t1", ttl_ms=self.short_ms)
        got(await begin(backend, "t1"), Replay)
        await self.pass_ms(self.short_ms)
        assert (await granted(backend, "t1", text=b"another input")).attempt == 1

    async def test_every_commit_slides_the_expiry(self, backend: Backend) -> None:
        clock = self.need_clock()
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        for n in range(4):
            clock.advance_ms(4_000)
            done = await (run_turn(backend, f"t{n}") if n % 2 else put(backend, {"n": b"%d" % n}))
            assert done.expires_ms == (await record_of(backend)).expires_ms == clock() + 5_000
        clock.advance_ms(5_000)
        assert await missing(backend)

    async def test_a_load_does_not_slide_the_expiry(self, backend: Backend) -> None:
        clock = self.need_clock()
        done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        for _ in range(4):
            clock.advance_ms(1_000)
            assert (await record_of(backend)).expires_ms == done.expires_ms
            await backend.load(KEY, tail=1, known=done.version)
        clock.advance_ms(1_000)
        assert await missing(backend)

    async def test_the_slide_in_real_time(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=self.short_ms))
        for n in range(6):
            await self.pass_ms(self.short_ms // 4)
            await put(backend, {"n": b"%d" % n}, existence="must")
        await self.pass_ms(self.short_ms)
        assert await missing(backend)

    async def test_max_age_caps_the_slide(self, backend: Backend) -> None:
        clock = self.need_clock()
        end = clock() + 12_000
        done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000, max_age_ms=12_000))
        assert done.expires_ms == end - 7_000
        clock.advance_ms(4_000)
        assert (await run_turn(backend, "t1")).expires_ms == end - 3_000
        clock.advance_ms(4_000)
        assert (await put(backend, {"a": b"2"})).expires_ms == end
        assert got(await touch(backend), Committed).expires_ms == end
        assert (await put(backend, {"a": b"3"}, ttl_ms=3_600_000)).expires_ms == end
        clock.advance_ms(3_999)
        assert not await missing(backend)
        clock.advance_ms(1)
        assert await missing(backend)

    async def test_max_age_counts_without_a_ttl(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"}, birth=Birth(max_age_ms=self.short_ms))
        assert done.expires_ms == done.now_ms + self.short_ms
        await put(backend, {"a": b"2"})
        await self.pass_ms(self.short_ms)
        assert await missing(backend)

    async def test_a_session_without_limits_does_not_expire(self, backend: Backend) -> None:
        clock = self.need_clock()
        assert (await put(backend, {"a": b"1"})).expires_ms == 0
        clock.advance(100 * 365 * 86_400)
        assert values(await record_of(backend)) == {"a": b"1"}

    async def test_a_commit_may_change_the_ttl(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=50_000))
        done = await put(backend, {"a": b"2"}, ttl_ms=90_000)
        assert done.expires_ms == done.now_ms + 90_000
        done = await put(backend, {"a": b"3"})
        assert done.expires_ms == done.now_ms + 90_000
        assert (await put(backend, {"a": b"4"}, ttl_ms=0)).expires_ms == 0
        assert (await record_of(backend)).ttl_ms == 0
        done = await put(backend, {"a": b"5"}, ttl_ms=self.short_ms)
        assert (await record_of(backend)).ttl_ms == self.short_ms
        await self.pass_ms(self.short_ms)
        assert await missing(backend)

    async def test_a_touch_moves_the_expiry(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=self.short_ms))
        await self.tick()
        touched = got(await touch(backend), Committed)
        assert touched.version == done.version
        assert done.expires_ms < touched.expires_ms == touched.now_ms + self.short_ms
        longer = got(await touch(backend, ttl_ms=LONG_MS), Committed)
        assert longer.expires_ms == longer.now_ms + LONG_MS
        await self.pass_ms(self.short_ms)
        record = await record_of(backend)
        assert (record.ttl_ms, values(record)) == (LONG_MS, {"a": b"1"})

    async def test_a_new_ttl_is_a_new_version(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=LONG_MS))
        delta = update(existence="must", ttl_ms=2 * LONG_MS)
        assert got(await backend.commit(KEY, delta), Committed).version == Version(2, delta.commit_id)
        record = got(await backend.load(KEY, tail=0, known=done.version), Record)  # not "unchanged"
        assert (record.ttl_ms, record.version) == (2 * LONG_MS, Version(2, delta.commit_id))

    async def test_the_birth_of_a_turn_sets_user_and_ttl(self, backend: Backend) -> None:
        done = await run_turn(backend, "t1", user="ann", ttl_ms=self.short_ms, max_age_ms=LONG_MS)
        record = await record_of(backend)
        assert (record.user, record.ttl_ms) == ("ann", self.short_ms)
        assert done.expires_ms == done.now_ms + self.short_ms
        await self.pass_ms(self.short_ms)
        assert await missing(backend)

    # --- the hold ---

    async def test_a_pending_turn_holds_its_session_past_the_ttl(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth("ann", ttl_ms=self.short_ms))
        grant = await granted(backend, "t1")
        await self.pass_ms(2 * self.short_ms)
        assert values(await record_of(backend)) == {"a": b"1"}
        assert (await scanned(backend), await of_user(backend, "ann")) == ([KEY.id], [KEY.id])
        done = await finish(backend, "t1", grant, {"a": b"2"})
        assert done.expires_ms == done.now_ms + self.short_ms
        assert values(await record_of(backend)) == {"a": b"2"}

    async def test_the_hold_outlasts_the_lease_so_that_somebody_can_take_over(self, backend: Backend) -> None:
        clock = self.need_clock()
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        await granted(backend, "t1", lease_ms=10_000)
        clock.advance_ms(10_000 + HOLD_MS - 1)
        assert not await missing(backend)
        grant = await granted(backend, "t1", takeover=True, lease_ms=10_000)
        assert grant.attempt == 2
        clock.advance_ms(10_000 + HOLD_MS - 1)
        assert not await missing(backend)

    async def test_the_hold_ends_some_time_after_the_lease(self, backend: Backend) -> None:
        clock = self.need_clock()
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        await granted(backend, "t1", lease_ms=10_000)
        clock.advance_ms(10_000 + 2 * HOLD_MS)
        assert await missing(backend)
        assert await begin(backend, "t1", takeover=True) == Absent()
        assert await backend.overdue() == []

    async def test_a_begun_session_is_held_and_then_forgotten(self, backend: Backend) -> None:
        clock = self.need_clock()
        await granted(backend, "t1", lease_ms=10_000, ttl_ms=1_000)
        clock.advance_ms(10_000 + HOLD_MS - 1)
        assert (await granted(backend, "t1", takeover=True, lease_ms=10_000)).attempt == 2
        clock.advance_ms(10_000 + 2 * HOLD_MS)
        assert await begin(backend, "t1", takeover=True) == Absent()

    async def test_a_renewed_lease_renews_the_hold(self, backend: Backend) -> None:
        clock = self.need_clock()
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        grant = await granted(backend, "t1", lease_ms=10_000)
        clock.advance_ms(9_000)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=10_000) is None
        clock.advance_ms(10_000 + HOLD_MS - 1)
        assert not await missing(backend)
        await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=10_000)
        clock.advance_ms(10_000 + HOLD_MS - 1)
        assert not await missing(backend)

    async def test_a_queued_turn_holds_too(self, backend: Backend) -> None:
        clock = self.need_clock()
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=5_000))
        grant = await granted(backend, "t1", lease_ms=10_000)
        await begin(backend, "t2", place_ms=30_000)
        await finish(backend, "t1", grant)
        clock.advance_ms(30_000 + HOLD_MS - 1)
        assert not await missing(backend)

    async def test_the_hold_ends_with_the_last_pending_turn(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=self.short_ms))
        token = new_token()
        first = await granted(backend, "t1")
        await begin(backend, "t2", token=token)
        await finish(backend, "t1", first)
        await self.pass_ms(self.short_ms)
        assert not await missing(backend)
        await finish(backend, "t2", await granted(backend, "t2", token=token))
        assert not await missing(backend)
        await self.pass_ms(self.short_ms)
        assert await missing(backend)

    async def test_a_withdrawn_turn_holds_no_longer(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=self.short_ms))
        token = new_token()
        await granted(backend, "t1", token=token)
        await self.pass_ms(self.short_ms)
        assert not await missing(backend)
        await backend.release(KEY, "t1", token=token, withdraw=True)
        assert await missing(backend)

    async def test_a_released_turn_still_holds(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=self.short_ms))
        token = new_token()
        await granted(backend, "t1", token=token)
        await backend.release(KEY, "t1", token=token, withdraw=False)
        await self.pass_ms(self.short_ms)
        assert not await missing(backend)
        assert (await granted(backend, "t1", takeover=True)).attempt == 2

    async def test_the_hold_passes_max_age_too(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth(max_age_ms=self.short_ms))
        grant = await granted(backend, "t1")
        await self.pass_ms(self.short_ms)
        assert not await missing(backend)
        await finish(backend, "t1", grant)
        assert await missing(backend)
