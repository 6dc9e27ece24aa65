"""The contract's part about what is over or left over: resolve, stored outcomes and their limits, overdue turns."""

from __future__ import annotations

import asyncio

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    Birth,
    Committed,
    Fenced,
    Granted,
    Overdue,
    Queued,
    Rejected,
    Replay,
    Seen,
    SessionKey,
    StoredOutcome,
    Unresolvable,
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
    put,
    record_of,
    run_turn,
    touch,
    update,
    values,
)
from holdfast.testing.contract_base import ContractBase


class OutcomeContract(ContractBase):
    """`Turns.resolve`, `OutcomeLimits`, `Turns.overdue`."""

    # --- resolve of what was applied ---

    async def test_resolve_finds_the_outcome_of_a_committed_turn(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", text=b"in")
        done = await finish(backend, "t1", grant, appends=[b"out"], outcome=b"done")
        await run_turn(backend, "t2")
        expected = StoredOutcome(b"done", done.version, 0, [b"in", b"out"])
        for _ in range(2):
            assert await backend.resolve(KEY, "t1", fence=grant.fence, age_ms=1_000) == expected
        assert got(await begin(backend, "t1", text=b"in"), Replay).stored == expected

    async def test_resolve_finds_the_outcome_of_a_committed_update(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, appends=[b"x"], outcome=b"done")
        done = got(await backend.commit(KEY, delta), Committed)
        await put(backend, {"a": b"2"})
        expected = StoredOutcome(b"done", done.version, 0, [b"x"])
        assert await backend.resolve(KEY, delta.commit_id) == expected
        assert await backend.resolve(KEY, delta.commit_id, age_ms=1_000) == expected

    async def test_an_update_without_an_outcome_is_resolved_too(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        assert await backend.resolve(KEY, done.version.commit_id) == StoredOutcome(b"", done.version, 0, [])

    # --- resolve of what was not applied ---

    async def test_a_turn_resolved_as_rejected_can_never_commit(self, backend: Backend) -> None:
        await put(backend, {"a": b"0"})
        grant = await granted(backend, "t1")
        assert await backend.resolve(KEY, "t1", fence=grant.fence, age_ms=1_000) == Rejected()
        for _ in range(2):
            assert await backend.commit(KEY, ending("t1", grant, {"a": b"late"})) == Fenced()
        record = await record_of(backend)
        assert (values(record), record.total) == ({"a": b"0"}, 0)

    async def test_a_first_turn_resolved_as_rejected_can_never_commit(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        assert await backend.resolve(KEY, "t1", fence=grant.fence, age_ms=1_000) == Rejected()
        assert await backend.commit(KEY, ending("t1", grant, {"a": b"late"})) == Fenced()
        assert await missing(backend)

    async def test_a_turn_resolved_as_rejected_is_fenced_off_altogether(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await backend.resolve(KEY, "t1", fence=grant.fence)
        late = await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"late", lease_ms=LONG_MS)
        assert late == Fenced()
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS) == Fenced()
        assert (await granted(backend, "t1")).steps == []

    async def test_a_turn_resolved_as_rejected_stays_pending_and_unleased(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", text=b"question")
        await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=LONG_MS)
        got(await begin(backend, "t2"), Queued)
        assert await backend.resolve(KEY, "t1", fence=grant.fence) == Rejected()
        assert [turn.turn_id for turn in await backend.overdue()] == ["t1"]
        await finish(backend, "t2", await granted(backend, "t2"))
        again = await granted(backend, "t1", takeover=True)
        assert (again.attempt, again.entry, again.steps) == (2, b"question", [("s", b"v")])
        assert again.fence > grant.fence
        assert await backend.commit(KEY, ending("t1", grant)) == Fenced()
        done = await finish(backend, "t1", again)
        assert got(await backend.resolve(KEY, "t1", fence=grant.fence), StoredOutcome).version == done.version

    async def test_resolve_fences_no_newer_holder_of_the_turn(self, backend: Backend) -> None:
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t1")
        assert await backend.resolve(KEY, "t1", fence=first.fence) == Rejected()
        assert await backend.renew(KEY, "t1", fence=second.fence, lease_ms=LONG_MS) is None
        await finish(backend, "t1", second)

    async def test_resolve_fences_no_other_turn_that_overtook(self, backend: Backend) -> None:
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t2")
        assert await backend.resolve(KEY, "t1", fence=first.fence) == Rejected()
        assert await backend.renew(KEY, "t2", fence=second.fence, lease_ms=LONG_MS) is None
        assert await backend.commit(KEY, ending("t1", first)) == Fenced()
        await finish(backend, "t2", second)

    async def test_a_repeated_resolve_fences_no_later_attempt(self, backend: Backend) -> None:
        first = await granted(backend, "t1")
        await backend.resolve(KEY, "t1", fence=first.fence)
        second = await granted(backend, "t1")
        assert await backend.resolve(KEY, "t1", fence=first.fence) == Rejected()
        await finish(backend, "t1", second)

    async def test_resolve_of_a_withdrawn_turn_is_rejected(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        token = new_token()
        grant = await granted(backend, "t1", token=token)
        await backend.release(KEY, "t1", token=token, withdraw=True)
        assert await backend.resolve(KEY, "t1", fence=grant.fence) == Rejected()
        assert await backend.commit(KEY, ending("t1", grant)) == Fenced()

    async def test_resolve_without_a_session_is_rejected(self, backend: Backend) -> None:
        assert await backend.resolve(KEY, "t1", fence=1) == Rejected()
        assert await backend.resolve(KEY, new_commit_id()) == Rejected()
        assert await missing(backend)

    async def test_an_update_resolved_as_rejected_can_never_apply(self, backend: Backend) -> None:
        before = await put(backend, {"a": b"0"})
        delta = update({"a": b"late"}, appends=[b"late"])
        for _ in range(2):
            assert await backend.resolve(KEY, delta.commit_id, age_ms=1_000) == Rejected()
            assert await backend.commit(KEY, delta) == Fenced()
        record = await record_of(backend)
        assert (record.version, values(record), record.total) == (before.version, {"a": b"0"}, 0)
        await put(backend, {"a": b"1"})

    async def test_an_update_rejected_without_a_session_can_never_apply(self, backend: Backend) -> None:
        delta = update({"a": b"late"})
        assert await backend.resolve(KEY, delta.commit_id) == Rejected()
        assert await backend.commit(KEY, delta) == Fenced()
        assert await missing(backend)
        await put(backend, {"a": b"1"})
        assert await backend.commit(KEY, delta) == Fenced()
        assert values(await record_of(backend)) == {"a": b"1"}

    async def test_an_update_rejected_in_a_former_life_can_never_apply(self, backend: Backend) -> None:
        await put(backend, {"a": b"0"})
        delta = update({"a": b"late"})
        assert await backend.resolve(KEY, delta.commit_id) == Rejected()
        await backend.delete(KEY)
        assert await backend.commit(KEY, delta) == Fenced()
        assert await missing(backend)

    async def test_many_later_updates_do_not_let_a_rejected_one_through(self, backend: Backend) -> None:
        await put(backend, {"a": b"0"})
        delta = update({"a": b"late"})
        assert await backend.resolve(KEY, delta.commit_id) == Rejected()
        for n in range(2 * self.outcomes.updates + 2):
            await put(backend, {"a": b"%d" % n})
        assert await backend.commit(KEY, delta) == Fenced()

    async def test_a_rejected_update_is_rejected_for_its_session_only(self, backend: Backend) -> None:
        delta = update({"a": b"1"})
        await backend.resolve(KEY, delta.commit_id)
        got(await backend.commit(SessionKey(KEY.tenant, "s-2"), delta), Committed)

    async def test_resolve_and_the_delayed_commit_agree_whoever_is_first(self, backend: Backend) -> None:
        for n in range(20):
            key = SessionKey("acme", f"race-{n}")
            grant = await granted(backend, "t1", key)
            commit = backend.commit(key, ending("t1", grant, {"a": b"1"}))
            resolve = backend.resolve(key, "t1", fence=grant.fence, age_ms=1_000)
            both = (commit, resolve) if n % 2 else (resolve, commit)
            replies = await asyncio.gather(*both)
            kinds = {type(reply).__name__ for reply in replies}
            assert kinds in ({"Committed", "StoredOutcome"}, {"Fenced", "Rejected"})
            assert await missing(backend, key) == ("Rejected" in kinds)

    # --- limits ---

    async def test_the_last_outcomes_of_turns_are_kept(self, backend: Backend) -> None:
        limit = self.outcomes.turns
        for n in range(limit + 3):
            await run_turn(backend, f"t{n}")
        for n in range(3, limit + 3):
            stored = got(await begin(backend, f"t{n}"), Replay).stored
            assert (stored.outcome, stored.start) == (f"outcome of t{n}".encode(), 2 * n)

    async def test_the_last_outcomes_of_updates_are_kept(self, backend: Backend) -> None:
        deltas = [update(appends=[b"%d" % n]) for n in range(self.outcomes.updates + 3)]
        for delta in deltas:
            got(await backend.commit(KEY, delta), Committed)
        for n, delta in enumerate(deltas[3:], start=3):
            assert got(await backend.commit(KEY, delta), Seen).stored.start == n

    async def test_older_outcomes_are_dropped_with_their_journals(self, backend: Backend) -> None:
        grant = await granted(backend, "t0")
        await backend.record(KEY, "t0", fence=grant.fence, name="s", value=b"v", lease_ms=LONG_MS)
        await finish(backend, "t0", grant)
        for n in range(3 * self.outcomes.turns):
            await run_turn(backend, f"later-{n}")
        again = await granted(backend, "t0", text=b"another input")
        assert (again.attempt, again.steps) == (1, [])

    async def test_updates_do_not_push_out_the_outcomes_of_turns(self, backend: Backend) -> None:
        await run_turn(backend, "t1")
        for n in range(2 * self.outcomes.updates + self.outcomes.turns):
            await put(backend, {"n": b"%d" % n})
        got(await begin(backend, "t1"), Replay)

    async def test_turns_do_not_push_out_the_outcomes_of_updates(self, backend: Backend) -> None:
        delta = update({"a": b"1"})
        got(await backend.commit(KEY, delta), Committed)
        for n in range(2 * self.outcomes.turns + self.outcomes.updates):
            await run_turn(backend, f"t{n}")
        got(await backend.commit(KEY, delta), Seen)

    async def test_touches_push_out_nothing(self, backend: Backend) -> None:
        delta = update({"a": b"1"})
        got(await backend.commit(KEY, delta), Committed)
        for _ in range(2 * self.outcomes.updates + 1):
            got(await touch(backend), Committed)
        got(await backend.commit(KEY, delta), Seen)

    async def test_what_may_have_been_dropped_is_unresolvable(self, backend: Backend) -> None:
        await run_turn(backend, "t0")
        delta = update({"a": b"1"})
        got(await backend.commit(KEY, delta), Committed)
        await self.tick()
        for n in range(3 * self.outcomes.turns):
            await run_turn(backend, f"t{n + 1}")
        for n in range(3 * self.outcomes.updates):
            await put(backend, {"n": b"%d" % n})
        assert await backend.resolve(KEY, "t0", fence=1, age_ms=LONG_MS) == Unresolvable()
        assert await backend.resolve(KEY, delta.commit_id, age_ms=LONG_MS) == Unresolvable()
        assert await backend.resolve(KEY, "never", fence=1, age_ms=LONG_MS) == Unresolvable()
        await self.pass_ms(2 * self.short_ms)
        assert await backend.resolve(KEY, "never", fence=1, age_ms=self.short_ms) == Rejected()
        assert await backend.resolve(KEY, new_commit_id(), age_ms=self.short_ms) == Rejected()

    async def test_an_outcome_of_the_very_time_asked_for_may_have_been_dropped(self, backend: Backend) -> None:
        clock = self.need_clock()
        await run_turn(backend, "t0")
        clock.advance_ms(10)
        for n in range(self.outcomes.turns):
            await run_turn(backend, f"t{n + 1}")
        assert await backend.resolve(KEY, "t0", fence=1, age_ms=10) == Unresolvable()
        assert await backend.resolve(KEY, "never", fence=1, age_ms=9) == Rejected()

    async def test_the_holder_of_a_pending_turn_is_always_resolvable(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        for n in range(3 * self.outcomes.updates):
            await put(backend, {"n": b"%d" % n})
        assert await backend.resolve(KEY, "t1", fence=grant.fence, age_ms=LONG_MS) == Rejected()
        assert await backend.commit(KEY, ending("t1", grant)) == Fenced()

    async def test_outcomes_count_as_unseen_after_their_age(self, backend: Backend) -> None:
        clock = self.need_clock()
        grant = await granted(backend, "t1")
        await finish(backend, "t1", grant)
        delta = update({"a": b"1"})
        got(await backend.commit(KEY, delta), Committed)
        clock.advance_ms(self.outcomes.age_ms - 1)
        got(await begin(backend, "t1"), Replay)
        got(await backend.commit(KEY, delta), Seen)
        clock.advance_ms(1)
        assert await backend.resolve(KEY, "t1", fence=grant.fence, age_ms=self.outcomes.age_ms) == Unresolvable()
        assert await backend.resolve(KEY, delta.commit_id, age_ms=self.outcomes.age_ms) == Unresolvable()
        got(await begin(backend, "t1", text=b"another input"), Granted)

    # --- overdue ---

    async def test_turns_that_somebody_holds_are_not_overdue(self, backend: Backend) -> None:
        await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        await run_turn(backend, "t1", key=SessionKey("acme", "s-2"))
        assert await backend.overdue() == []

    async def test_a_turn_whose_lease_ran_out_is_overdue(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", lease_ms=self.short_ms, handler="answer")
        await self.pass_ms(self.short_ms)
        expected = Overdue(KEY, "t1", "answer", 1, grant.now_ms + self.short_ms)
        assert await backend.overdue() == [expected]
        await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=LONG_MS)
        assert await backend.overdue() == []

    async def test_a_turn_whose_place_ran_out_is_overdue(self, backend: Backend) -> None:
        await granted(backend, "t1")
        got(await begin(backend, "t2", place_ms=self.short_ms, handler="answer"), Queued)
        await self.pass_ms(self.short_ms)
        (turn,) = await backend.overdue()
        assert (turn.key, turn.turn_id, turn.handler, turn.attempt) == (KEY, "t2", "answer", 0)

    async def test_a_turn_that_was_let_go_is_overdue_at_once(self, backend: Backend) -> None:
        token = new_token()
        await granted(backend, "t1", token=token)
        await backend.release(KEY, "t1", token=token, withdraw=False)
        assert [turn.turn_id for turn in await backend.overdue()] == ["t1"]

    async def test_an_overdue_turn_that_was_taken_is_overdue_no_more(self, backend: Backend) -> None:
        await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        again = await granted(backend, "t1", takeover=True)
        assert await backend.overdue() == []
        await finish(backend, "t1", again)
        await self.pass_ms(self.short_ms)
        assert await backend.overdue() == []

    async def test_overdue_turns_of_all_tenants_are_found(self, backend: Backend) -> None:
        keys = [SessionKey(tenant, id_) for tenant in ("", "a", "b") for id_ in ("1", "2")]
        for key in keys:
            await granted(backend, "t1", key, lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        assert sorted(turn.key for turn in await backend.overdue()) == sorted(keys)
        assert len(await backend.overdue(limit=4)) == 4

    async def test_the_longest_overdue_turns_of_a_session_come_first(self, backend: Backend) -> None:
        await granted(backend, "t0", lease_ms=self.short_ms)
        for n in (1, 2, 3):
            await self.tick()
            got(await begin(backend, f"t{n}", place_ms=self.short_ms), Queued)
        await self.pass_ms(2 * self.short_ms)
        assert [turn.turn_id for turn in await backend.overdue()] == ["t0", "t1", "t2", "t3"]

    async def test_turns_of_deleted_sessions_are_not_overdue(self, backend: Backend) -> None:
        await granted(backend, "t1", lease_ms=self.short_ms)
        await put(backend, {"a": b"1"}, birth=Birth(ttl_ms=1))
        await backend.delete(KEY)
        await self.pass_ms(self.short_ms)
        assert await backend.overdue() == []
