"""The contract's part about beginning turns: grant, replay, queue, takeover, fencing of those who were overtaken."""

from __future__ import annotations

import asyncio

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    Absent,
    Birth,
    Busy,
    Committed,
    Fenced,
    Granted,
    Mismatch,
    Queued,
    Record,
    Replay,
    Running,
    SessionKey,
    StoredOutcome,
    Unchanged,
    WrongUserFound,
)
from holdfast.testing.calls import (
    KEY,
    LONG_MS,
    asking,
    begin,
    ending,
    finish,
    got,
    granted,
    input_of,
    missing,
    new_token,
    of_user,
    put,
    record_of,
    run_turn,
    scanned,
    values,
)
from holdfast.testing.contract_base import ContractBase


class TurnContract(ContractBase):
    """`Turns.begin` in all its answers, and who may commit afterwards."""

    # --- granted ---

    async def test_the_first_turn_of_a_new_session_is_granted(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        assert grant.fence > 0
        assert (grant.attempt, grant.record, grant.steps, grant.entry) == (1, None, [], b"")
        assert len(grant.incarnation) == 16
        assert grant.now_ms > 0

    async def test_a_begun_session_shows_itself_only_from_its_first_commit_on(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", user="ann")
        await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=LONG_MS)
        assert await backend.load(KEY, tail=10) is None
        assert await backend.read_log(KEY, start=0, count=10) is None
        assert (await scanned(backend), await of_user(backend, "ann")) == ([], [])
        await finish(backend, "t1", grant)
        assert (await record_of(backend)).incarnation == grant.incarnation
        assert (await scanned(backend), await of_user(backend, "ann")) == ([KEY.id], [KEY.id])

    async def test_an_accepted_input_is_not_in_the_log_before_the_commit(self, backend: Backend) -> None:
        await put(backend, appends=[b"before"])
        grant = await granted(backend, "t1", text=b"question")
        assert (await record_of(backend)).tail == [b"before"]
        await put(backend, appends=[b"meanwhile"])
        await finish(backend, "t1", grant, appends=[b"answer"])
        assert (await record_of(backend)).tail == [b"before", b"meanwhile", b"question", b"answer"]

    async def test_a_grant_brings_the_record_with_its_tail(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"}, appends=[b"%d" % n for n in range(9)])
        grant = await granted(backend, "t1", tail=2)
        record = got(grant.record, Record)
        assert (record.version, record.tail, record.total) == (done.version, [b"7", b"8"], 9)
        assert record.incarnation == grant.incarnation
        assert values(record) == {"a": b"1"}

    async def test_a_grant_says_unchanged_for_the_known_version(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        assert (await granted(backend, "t1", known=done.version)).record == Unchanged(done.expires_ms)

    async def test_a_begin_repeated_with_its_token_is_the_same_grant(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        token = new_token()
        first = await granted(backend, "t1", token=token)
        await backend.record(KEY, "t1", fence=first.fence, name="s", value=b"v", lease_ms=LONG_MS)
        again = await granted(backend, "t1", token=token)
        assert (again.fence, again.attempt, again.incarnation) == (first.fence, 1, first.incarnation)
        assert again.steps == [("s", b"v")]
        await finish(backend, "t1", first)

    async def test_a_repeated_place_in_the_queue_is_one_place(self, backend: Backend) -> None:
        await granted(backend, "t1")
        token = new_token()
        for _ in range(3):
            assert got(await begin(backend, "t2", token=token), Queued).ahead == 1
        assert got(await begin(backend, "t3"), Queued).ahead == 2

    async def test_fences_rise(self, backend: Backend) -> None:
        last = 0
        for n in range(5):
            grant = await granted(backend, f"t{n}")
            assert grant.fence > last
            last = grant.fence
            await finish(backend, f"t{n}", grant)

    # --- replay, mismatch, running ---

    async def test_a_finished_turn_is_replayed(self, backend: Backend) -> None:
        await put(backend, appends=[b"before"])
        grant = await granted(backend, "t1", text=b"in")
        done = await finish(backend, "t1", grant, appends=[b"out", b"more"], outcome=b"done")
        await put(backend, appends=[b"after"])
        replay = got(await begin(backend, "t1", text=b"in"), Replay)
        assert replay.stored == StoredOutcome(b"done", done.version, 1, [b"in", b"out", b"more"])
        assert got(await begin(backend, "t1", takeover=True), Replay) == replay

    async def test_a_finished_turn_is_replayed_while_another_runs(self, backend: Backend) -> None:
        await run_turn(backend, "t1")
        await granted(backend, "t2")
        got(await begin(backend, "t1", place_ms=0), Replay)

    async def test_another_input_under_the_same_turn_id_is_a_mismatch(self, backend: Backend) -> None:
        token = new_token()
        grant = await granted(backend, "t1", text=b"in", token=token)
        assert await begin(backend, "t1", text=b"other") == Mismatch()
        assert await begin(backend, "t1", text=b"other", token=token) == Mismatch()
        got(await begin(backend, "t2", text=b"in"), Queued)
        assert await begin(backend, "t2", text=b"other") == Mismatch()
        await finish(backend, "t1", grant)
        assert await begin(backend, "t1", text=b"other") == Mismatch()

    async def test_a_turn_that_runs_elsewhere_is_running(self, backend: Backend) -> None:
        await granted(backend, "t1", lease_ms=60_000)
        for takeover in (False, True):
            running = got(await begin(backend, "t1", takeover=takeover), Running)
            assert 0 < running.lease_left_ms <= 60_000

    async def test_of_many_runners_of_one_turn_one_is_granted(self, backend: Backend) -> None:
        replies = await asyncio.gather(*(begin(backend, "t1") for _ in range(20)))
        assert sorted(type(reply).__name__ for reply in replies) == ["Granted"] + ["Running"] * 19

    # --- queue ---

    async def test_turns_of_a_busy_session_queue_in_order_of_arrival(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", lease_ms=60_000)
        for n in range(2, 6):
            queued = got(await begin(backend, f"t{n}"), Queued)
            assert queued.ahead == n - 1
            assert 0 < queued.lease_left_ms <= 60_000
        await finish(backend, "t1", grant)
        for n in range(2, 6):
            for later in range(5, n, -1):
                got(await begin(backend, f"t{later}"), Queued)
            await finish(backend, f"t{n}", await granted(backend, f"t{n}"))
        entries = [entry for entry in (await record_of(backend)).tail if entry.startswith(b"input")]
        assert entries == [input_of(f"t{n}") for n in range(1, 6)]

    async def test_a_free_session_is_not_given_past_a_live_place(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2"), Queued)
        await finish(backend, "t1", grant)
        assert got(await begin(backend, "t3"), Queued).ahead == 1
        assert isinstance(await begin(backend, "t4", place_ms=0), Busy)
        await granted(backend, "t2")

    async def test_who_does_not_want_to_wait_is_told_busy_and_nothing_is_stored(self, backend: Backend) -> None:
        await granted(backend, "t1", lease_ms=60_000)
        busy = got(await begin(backend, "t2", place_ms=0), Busy)
        assert 0 < busy.lease_left_ms <= 60_000
        assert await begin(backend, "t2", takeover=True) == Absent()
        assert got(await begin(backend, "t3"), Queued).ahead == 1

    async def test_who_does_not_want_to_wait_need_not_where_the_session_is_free(self, backend: Backend) -> None:
        for n in range(3):
            await finish(backend, f"t{n}", await granted(backend, f"t{n}", place_ms=0))

    async def test_a_dead_turn_is_taken_over_by_who_does_not_want_to_wait(self, backend: Backend) -> None:
        await granted(backend, "t1", lease_ms=self.short_ms)
        got(await begin(backend, "t2", place_ms=self.short_ms), Queued)
        await self.pass_ms(self.short_ms)
        assert (await granted(backend, "t1", place_ms=0, takeover=True)).attempt == 2

    async def test_a_place_that_ran_out_stalls_nobody(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2", place_ms=self.short_ms), Queued)
        got(await begin(backend, "t3"), Queued)
        await self.pass_ms(self.short_ms)
        await finish(backend, "t1", grant)
        third = await granted(backend, "t3")
        await finish(backend, "t3", third)
        assert (await granted(backend, "t2")).attempt == 1

    async def test_a_turn_granted_from_the_queue_has_no_place_any_more(self, backend: Backend) -> None:
        first = await granted(backend, "t1")
        got(await begin(backend, "t2", place_ms=LONG_MS), Queued)
        await finish(backend, "t1", first)
        await granted(backend, "t2", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        await granted(backend, "t3")

    async def test_a_place_that_is_asked_for_again_keeps_its_order(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t2", place_ms=self.short_ms), Queued)
        got(await begin(backend, "t3"), Queued)
        await self.pass_ms(self.short_ms)
        assert got(await begin(backend, "t2"), Queued).ahead == 1
        assert got(await begin(backend, "t3"), Queued).ahead == 2
        await finish(backend, "t1", grant)
        got(await begin(backend, "t3"), Queued)
        await granted(backend, "t2")

    async def test_asking_again_lengthens_a_place(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        token = new_token()
        got(await begin(backend, "t2", token=token, place_ms=self.short_ms), Queued)
        got(await begin(backend, "t2", token=token, place_ms=LONG_MS), Queued)
        await self.pass_ms(self.short_ms)
        await finish(backend, "t1", grant)
        got(await begin(backend, "t3"), Queued)

    async def test_a_queued_turn_may_be_waited_for_by_another_runner(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        old, new = new_token(), new_token()
        got(await begin(backend, "t2", token=old), Queued)
        assert got(await begin(backend, "t2", token=new), Queued).ahead == 1
        await backend.release(KEY, "t2", token=old, withdraw=True)
        await finish(backend, "t1", grant)
        got(await begin(backend, "t3"), Queued)
        await granted(backend, "t2", token=new, takeover=True)

    async def test_of_many_turns_at_once_one_is_granted_and_the_rest_stand_in_line(self, backend: Backend) -> None:
        replies = await asyncio.gather(*(begin(backend, f"t{n}") for n in range(12)))
        assert sum(isinstance(reply, Granted) for reply in replies) == 1
        ahead = sorted(reply.ahead for reply in replies if isinstance(reply, Queued))
        assert ahead == list(range(1, 12))

    async def test_many_sessions_run_turns_at_the_same_time(self, backend: Backend) -> None:
        keys = [SessionKey("acme", f"s-{n}") for n in range(10)]
        grants = await asyncio.gather(*(granted(backend, "t1", key) for key in keys))
        assert len({grant.incarnation for grant in grants}) == 10
        await asyncio.gather(*(finish(backend, "t1", g, None, key) for key, g in zip(keys, grants, strict=True)))

    # --- takeover, fencing ---

    async def test_a_takeover_of_what_was_never_accepted_is_absent(self, backend: Backend) -> None:
        assert await begin(backend, "t1", takeover=True) == Absent()
        await put(backend, {"a": b"1"})
        assert await begin(backend, "t1", takeover=True) == Absent()
        assert got(await begin(backend, "t1"), Granted).attempt == 1

    async def test_a_turn_whose_lease_ran_out_is_taken_over_with_its_input_and_journal(self, backend: Backend) -> None:
        first = await granted(backend, "t1", text=b"question", lease_ms=self.short_ms)
        for n in range(3):
            await backend.record(KEY, "t1", fence=first.fence, name=f"s{n}", value=b"%d" % n, lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t1", takeover=True)
        assert (second.attempt, second.entry) == (2, b"question")
        assert second.steps == [("s0", b"0"), ("s1", b"1"), ("s2", b"2")]
        assert second.fence > first.fence
        assert second.incarnation == first.incarnation
        await finish(backend, "t1", second, appends=[b"answer"])
        assert (await record_of(backend)).tail == [b"question", b"answer"]

    async def test_a_grant_brings_the_input_as_it_was_accepted_first(self, backend: Backend) -> None:
        """The same input is sent again with another time in it: what enters the log is what was accepted."""
        first = await granted(backend, "t1")
        early, late = asking("t2", text=b"early"), asking("t2", text=b"late")
        late.fingerprint = early.fingerprint
        got(await backend.begin(KEY, early), Queued)
        await backend.resolve(KEY, "t1", fence=first.fence)
        grant = got(await backend.begin(KEY, late), Granted)
        assert (grant.attempt, grant.entry) == (1, b"early")
        assert got(await backend.begin(KEY, late), Granted).entry == b"early"
        await backend.resolve(KEY, "t2", fence=grant.fence)
        again = got(await backend.begin(KEY, early), Granted)
        assert (again.attempt, again.entry) == (2, b"")
        await finish(backend, "t2", again, appends=[])
        assert (await record_of(backend)).tail == [b"early"]

    async def test_a_dead_head_stalls_nobody(self, backend: Backend) -> None:
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        got(await begin(backend, "t2"), Queued)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t2")
        assert second.fence > first.fence
        assert got(await begin(backend, "t1"), Queued).ahead == 1
        await finish(backend, "t2", second)
        assert (await granted(backend, "t1")).attempt == 2

    async def test_an_overtaken_holder_is_fenced_off(self, backend: Backend) -> None:
        await put(backend, {"a": b"0"})
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t2")
        assert await backend.commit(KEY, ending("t1", first, {"a": b"late"})) == Fenced()
        late = await backend.record(KEY, "t1", fence=first.fence, name="s", value=b"late", lease_ms=LONG_MS)
        assert late == Fenced()
        assert await backend.renew(KEY, "t1", fence=first.fence, lease_ms=LONG_MS) == Fenced()
        await finish(backend, "t2", second)
        assert await backend.commit(KEY, ending("t1", first, {"a": b"late"})) == Fenced()
        assert (await record_of(backend)).fields["a"].value == b"0"
        again = await granted(backend, "t1")
        assert (again.attempt, again.steps) == (2, [])

    async def test_a_holder_overtaken_by_another_runner_of_its_turn_is_fenced_off(self, backend: Backend) -> None:
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t1")
        assert await backend.commit(KEY, ending("t1", first)) == Fenced()
        late = await backend.record(KEY, "t1", fence=first.fence, name="s", value=b"late", lease_ms=LONG_MS)
        assert late == Fenced()
        assert await backend.renew(KEY, "t1", fence=first.fence, lease_ms=LONG_MS) == Fenced()
        assert await backend.renew(KEY, "t1", fence=second.fence, lease_ms=LONG_MS) is None
        await finish(backend, "t1", second)

    async def test_a_holder_that_only_overslept_may_go_on(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        recorded = await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"v", lease_ms=self.short_ms)
        assert recorded is None
        await self.pass_ms(self.short_ms)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=self.short_ms) is None
        got(await begin(backend, "t1"), Running)
        await self.pass_ms(self.short_ms)
        await finish(backend, "t1", grant)

    async def test_a_holder_that_overslept_with_others_in_line_may_commit(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", lease_ms=self.short_ms)
        got(await begin(backend, "t2"), Queued)
        await self.pass_ms(self.short_ms)
        await finish(backend, "t1", grant)
        await finish(backend, "t2", await granted(backend, "t2"))

    async def test_of_many_that_take_a_dead_turn_over_one_is_granted(self, backend: Backend) -> None:
        await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        replies = await asyncio.gather(*(begin(backend, "t1", takeover=True) for _ in range(10)))
        assert sorted(type(reply).__name__ for reply in replies) == ["Granted"] + ["Running"] * 9

    async def test_a_commit_frees_the_session_at_once(self, backend: Backend) -> None:
        for n in range(5):
            await run_turn(backend, f"t{n}")
        assert (await record_of(backend)).total == 10

    # --- user, birth ---

    async def test_a_turn_of_another_user_is_refused(self, backend: Backend) -> None:
        await run_turn(backend, "t1", user="ann")
        for turn_id in ("t1", "t2"):
            assert await begin(backend, turn_id, user="bob") == WrongUserFound()
        assert await begin(backend, "t2", takeover=True) == Absent()
        await run_turn(backend, "t2", user="ann")
        await run_turn(backend, "t3", user="")

    async def test_another_user_is_refused_from_the_begin_on(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", user="ann")
        assert await begin(backend, "t2", user="bob") == WrongUserFound()
        delta = ending("t1", grant)
        delta.birth = Birth("bob")
        assert await backend.commit(KEY, delta) == WrongUserFound()
        await finish(backend, "t1", grant)

    async def test_a_session_without_a_user_takes_any(self, backend: Backend) -> None:
        await run_turn(backend, "t1")
        await run_turn(backend, "t2", user="bob")

    async def test_a_turn_that_finds_its_session_deleted_is_new(self, backend: Backend) -> None:
        await run_turn(backend, "t1")
        await backend.delete(KEY)
        again = await begin(backend, "t1")
        assert got(again, Granted).record is None
        assert await missing(backend)
        assert isinstance(await backend.commit(KEY, ending("t1", got(again, Granted))), Committed)
