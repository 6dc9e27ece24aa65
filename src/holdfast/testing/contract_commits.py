"""The contract's part about one commit: base, merge, repeat, existence, user, concurrency."""

from __future__ import annotations

import asyncio

from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    AlreadyThere,
    Birth,
    Change,
    Committed,
    Conflict,
    Field,
    Gone,
    Record,
    Replay,
    Seen,
    SessionKey,
    StoredOutcome,
    Version,
    WrongUserFound,
)
from holdfast.testing.calls import (
    KEY,
    begin,
    ending,
    finish,
    got,
    granted,
    input_of,
    missing,
    new_commit_id,
    put,
    record_of,
    run_turn,
    touch,
    update,
    values,
)
from holdfast.testing.contract_base import ContractBase


class CommitContract(ContractBase):
    """Commits of updates and turns on a living or a missing session."""

    async def test_the_version_counts_up_and_takes_the_commit_id(self, backend: Backend) -> None:
        for counter in (1, 2, 3):
            commit_id = new_commit_id()
            done = await put(backend, {"a": b"x"}, commit_id=commit_id)
            assert done.version == Version(counter, commit_id)

    async def test_a_commit_tells_where_its_first_entry_stands(self, backend: Backend) -> None:
        assert (await put(backend, appends=[b"a", b"b"])).start == 0
        assert (await put(backend, {"a": b"1"})).start == 2
        assert (await put(backend, appends=[b"c"])).start == 2
        assert (await run_turn(backend, "t1")).start == 3
        assert (await put(backend, appends=[b"d"])).start == 5

    async def test_a_turns_input_enters_the_log_before_its_replies(self, backend: Backend) -> None:
        grant = await granted(backend, "t1", text=b"question")
        await finish(backend, "t1", grant, appends=[b"one", b"two"])
        assert (await record_of(backend)).tail == [b"question", b"one", b"two"]

    # --- base ---

    async def test_a_strict_commit_on_the_current_version_applies(self, backend: Backend) -> None:
        first = await put(backend, {"a": b"1"}, strict=True)
        assert first.on_base
        second = await put(backend, {"a": b"2"}, base=first.version, strict=True)
        assert second.on_base
        assert values(await record_of(backend)) == {"a": b"2"}

    async def test_a_strict_commit_on_another_version_conflicts_and_writes_nothing(self, backend: Backend) -> None:
        first = await put(backend, {"a": b"1"})
        second = await put(backend, {"b": b"1"})
        for base in (first.version, None, Version(second.version.counter, new_commit_id())):
            delta = update({"c": b"lost"}, appends=[b"lost"], base=base, strict=True)
            assert await backend.commit(KEY, delta) == Conflict()
        record = await record_of(backend)
        assert record.version == second.version
        assert (values(record), record.total) == ({"a": b"1", "b": b"1"}, 0)

    async def test_a_strict_commit_on_a_version_of_a_missing_session_conflicts(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, base=Version(3, new_commit_id()), strict=True)
        assert await backend.commit(KEY, delta) == Conflict()
        assert await missing(backend)

    async def test_changes_of_different_fields_merge(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0"})).version
        mine = await put(backend, {"a": b"mine"}, base=base, counter=1)
        yours = await put(backend, {"b": b"yours"}, base=base, counter=1)
        assert (mine.on_base, yours.on_base) == (True, False)
        assert (await record_of(backend)).fields == {"a": Field(b"mine", 2), "b": Field(b"yours", 3)}

    async def test_only_fields_that_both_sides_changed_conflict(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0", "c": b"0"})).version
        theirs = await put(backend, {"a": b"theirs", "b": b"theirs"})
        delta = update({"a": b"mine", "b": b"mine", "c": b"mine"}, base=base, counter=1, appends=[b"mine"])
        refused = got(await backend.commit(KEY, delta), Conflict)
        assert sorted(refused.names) == ["a", "b"]
        record = await record_of(backend)
        assert record.version == theirs.version
        assert (values(record), record.total) == ({"a": b"theirs", "b": b"theirs", "c": b"0"}, 0)

    async def test_a_field_added_by_both_sides_conflicts(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"})).version
        await put(backend, {"new": b"theirs"}, base=base, counter=0)
        delta = update({"new": b"mine"}, base=base, counter=0)
        assert await backend.commit(KEY, delta) == Conflict(("new",))

    async def test_a_change_of_a_removed_field_conflicts(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0"})).version
        await put(backend, {"a": None})
        assert await backend.commit(KEY, update({"a": b"mine"}, base=base, counter=1)) == Conflict(("a",))
        assert values(await record_of(backend)) == {"b": b"0"}

    async def test_the_removal_of_a_changed_field_conflicts(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"})).version
        await put(backend, {"a": b"theirs"})
        assert await backend.commit(KEY, update({"a": None}, base=base, counter=1)) == Conflict(("a",))
        assert values(await record_of(backend)) == {"a": b"theirs"}

    async def test_a_field_removed_and_written_again_is_another_one(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"})).version
        await put(backend, {"a": None})
        await put(backend, {"a": b"0"})
        assert await backend.commit(KEY, update({"a": b"mine"}, base=base, counter=1)) == Conflict(("a",))

    async def test_a_removal_on_the_right_counter_applies(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0"})).version
        await put(backend, {"b": b"1"})
        await put(backend, {"a": None}, base=base, counter=1)
        assert values(await record_of(backend)) == {"b": b"1"}

    async def test_a_blind_change_writes_whatever_the_field_holds(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"})).version
        await put(backend, {"a": b"1"})
        await put(backend, {"a": b"blind", "new": b"blind", "absent": None}, base=base)
        assert values(await record_of(backend)) == {"a": b"blind", "new": b"blind"}

    async def test_blind_and_based_changes_in_one_commit(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0"})).version
        await put(backend, {"a": b"1"})
        delta = update({"a": b"blind"}, base=base)
        delta.changes.append(Change("b", b"based", 1))
        got(await backend.commit(KEY, delta), Committed)
        assert values(await record_of(backend)) == {"a": b"blind", "b": b"based"}

    async def test_a_stale_field_counter_on_a_missing_session_conflicts(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0"})).version
        await backend.delete(KEY)
        assert await backend.commit(KEY, update({"a": b"1"}, base=base, counter=1)) == Conflict(("a",))
        assert await missing(backend)

    async def test_appended_entries_always_merge(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"}, appends=[b"first"])).version
        assert (await put(backend, appends=[b"mine"], base=base)).start == 1
        yours = await put(backend, {"b": b"1"}, appends=[b"yours", b"too"], base=base, counter=0)
        assert (yours.start, yours.on_base) == (2, False)
        assert (await record_of(backend)).tail == [b"first", b"mine", b"yours", b"too"]

    async def test_an_update_beside_a_running_turn_loses_nothing_and_breaks_nothing(self, backend: Backend) -> None:
        await put(backend, {"cart": b"0"})
        grant = await granted(backend, "t1")
        base = got(grant.record, Record).version
        await put(backend, {"payment": b"paid"}, base=base, counter=0)
        turn = await finish(backend, "t1", grant, {"cart": b"1"}, base=base, counter=1)
        assert not turn.on_base
        assert values(await record_of(backend)) == {"cart": b"1", "payment": b"paid"}

    async def test_a_turn_that_conflicts_keeps_its_lease_and_may_commit_on_a_new_base(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"})).version
        grant = await granted(backend, "t1")
        newer = await put(backend, {"a": b"theirs"})
        delta = ending("t1", grant, {"a": b"mine"}, base=base, counter=1)
        assert await backend.commit(KEY, delta) == Conflict(("a",))
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=60_000) is None
        await finish(backend, "t1", grant, {"a": b"merged"}, base=newer.version, counter=2)
        assert values(await record_of(backend)) == {"a": b"merged"}

    # --- a base that is no part of the history ---

    async def test_a_rooted_commit_merges_with_later_ones(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0", "b": b"0"})).version
        await put(backend, {"b": b"theirs"})
        done = await put(backend, {"a": b"mine"}, base=base, counter=1, rooted=True, appends=[b"x"])
        assert not done.on_base
        assert values(await record_of(backend)) == {"a": b"mine", "b": b"theirs"}
        delta = update({"b": b"mine"}, base=base, counter=1, rooted=True)
        assert await backend.commit(KEY, delta) == Conflict(("b",))

    async def test_a_rooted_commit_on_the_current_version_applies(self, backend: Backend) -> None:
        base = (await put(backend, {"a": b"0"})).version
        assert (await put(backend, {"a": b"1"}, base=base, counter=1, rooted=True)).on_base
        assert (
            await put(backend, {"a": b"2"}, rooted=True)
        ).version.counter == 3  # without a base there is none to check

    async def test_a_rooted_commit_on_a_lost_version_conflicts_in_all_it_changes(self, backend: Backend) -> None:
        await put(backend, {"a": b"0", "b": b"0"})
        stored = await put(backend, {"a": b"theirs"}, appends=[b"theirs"])
        grant = await granted(backend, "t1")
        for counter in (2, 3, 0x1_0000_0000, 1 << 40):
            lost = Version(counter, new_commit_id())
            # by the fields' counters it would pass: both sides of a fork wrote "a" with their second commit
            changes = [Change("a", b"mine", 2), Change("new", b"mine", 0), Change("b", None, 1)]
            for delta in (
                update(base=lost, rooted=True, appends=[b"mine"]),
                ending("t1", grant, base=lost, rooted=True, appends=[b"mine"]),
                update(base=lost, rooted=True, incarnation=grant.incarnation, existence="must", ttl_ms=60_000),
            ):
                delta.changes = changes
                assert sorted(got(await backend.commit(KEY, delta), Conflict).names) == ["a", "b", "new"]
            nothing = update(base=lost, rooted=True, appends=[b"mine"])
            assert await backend.commit(KEY, nothing) == Conflict()
        record = await record_of(backend)
        assert (record.version, record.tail) == (stored.version, [b"theirs"])
        assert values(record) == {"a": b"theirs", "b": b"0"}
        await finish(backend, "t1", grant, {"a": b"turn"}, base=stored.version, counter=2, rooted=True)

    async def test_a_rooted_commit_on_a_version_of_a_missing_session_conflicts(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, base=Version(3, new_commit_id()), counter=0, rooted=True)
        assert await backend.commit(KEY, delta) == Conflict(("a",))
        assert await missing(backend)

    async def test_a_blind_commit_on_a_lost_version_writes_all_the_same(self, backend: Backend) -> None:
        await put(backend, {"a": b"0"})
        done = await put(backend, {"a": b"blind"}, base=Version(7, new_commit_id()), appends=[b"x"])
        assert (done.version.counter, done.on_base) == (2, False)
        assert values(await record_of(backend)) == {"a": b"blind"}

    # --- repeat ---

    async def test_a_repeated_update_is_seen_and_not_written_again(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, appends=[b"x", b"y"], outcome=b"done")
        await put(backend, appends=[b"before"])
        first = got(await backend.commit(KEY, delta), Committed)
        await put(backend, {"a": b"2"}, appends=[b"after"])
        again = got(await backend.commit(KEY, delta), Seen)
        assert again.stored == StoredOutcome(b"done", first.version, 1, [b"x", b"y"])
        record = await record_of(backend)
        assert values(record) == {"a": b"2"}
        assert record.tail == [b"before", b"x", b"y", b"after"]

    async def test_a_repeated_turn_commit_is_seen_and_not_written_again(self, backend: Backend) -> None:
        await put(backend, {"a": b"0"})
        grant = await granted(backend, "t1", text=b"in")
        delta = ending("t1", grant, {"a": b"1"}, appends=[b"out"], outcome=b"done")
        first = got(await backend.commit(KEY, delta), Committed)
        await put(backend, {"a": b"2"}, appends=[b"after"])
        again = got(await backend.commit(KEY, delta), Seen)
        assert again.stored == StoredOutcome(b"done", first.version, 0, [b"in", b"out"])
        record = await record_of(backend)
        assert (values(record), record.tail) == ({"a": b"2"}, [b"in", b"out", b"after"])

    async def test_a_repeat_is_seen_before_its_base_is_looked_at(self, backend: Backend) -> None:
        first = await put(backend, {"a": b"0"})
        strict = update({"a": b"1"}, base=first.version, strict=True)
        got(await backend.commit(KEY, strict), Committed)
        got(await backend.commit(KEY, strict), Seen)

    async def test_a_repeated_creation_is_seen_and_not_already_there(self, backend: Backend) -> None:
        delta = update({"a": b"0"}, existence="new")
        got(await backend.commit(KEY, delta), Committed)
        got(await backend.commit(KEY, delta), Seen)

    async def test_a_turn_is_seen_by_its_turn_id_whatever_the_commit_id(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        first = await finish(backend, "t1", grant)
        again = got(await backend.commit(KEY, ending("t1", grant)), Seen)
        assert again.stored.version == first.version
        assert (await record_of(backend)).total == 2

    async def test_a_turn_that_says_nothing_is_finished_all_the_same(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        grant = await granted(backend, "t1", text=b"")
        done = await finish(backend, "t1", grant, appends=[], outcome=b"")
        assert (done.version.counter, done.start) == (2, 0)
        assert got(await begin(backend, "t1", text=b""), Replay).stored == StoredOutcome(b"", done.version, 0, [])
        await run_turn(backend, "t2")

    async def test_an_update_with_nothing_but_an_outcome_is_a_version(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"})
        delta = update(outcome=b"done")
        done = got(await backend.commit(KEY, delta), Committed)
        assert done.version == (2, delta.commit_id)
        assert got(await backend.commit(KEY, delta), Seen).stored == StoredOutcome(b"done", done.version, 0, [])

    async def test_a_commit_without_a_turn_does_not_finish_one(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await put(backend, {"a": b"1"})
        got(await begin(backend, "t2"), object)
        assert await backend.renew(KEY, "t1", fence=grant.fence, lease_ms=60_000) is None

    # --- existence, life, user ---

    async def test_an_update_that_must_find_a_session_makes_none(self, backend: Backend) -> None:
        assert await backend.commit(KEY, update({"a": b"1"}, existence="must")) == Gone()
        assert await missing(backend)
        await put(backend, {"a": b"1"})
        await put(backend, {"a": b"2"}, existence="must")
        await backend.delete(KEY)
        assert await backend.commit(KEY, update({"a": b"3"}, existence="must")) == Gone()
        assert await missing(backend)

    async def test_an_update_that_must_find_a_session_does_not_take_a_begun_one(self, backend: Backend) -> None:
        await granted(backend, "t1")
        assert await backend.commit(KEY, update({"a": b"1"}, existence="must")) == Gone()
        assert await missing(backend)

    async def test_a_turn_has_its_session_from_the_begin_on(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await finish(backend, "t1", grant, existence="must")

    async def test_a_creation_meets_a_living_session(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, existence="new")
        assert await backend.commit(KEY, update({"b": b"2"}, existence="new")) == AlreadyThere()
        assert values(await record_of(backend)) == {"a": b"1"}
        await backend.delete(KEY)
        await put(backend, {"c": b"3"}, existence="new")
        assert values(await record_of(backend)) == {"c": b"3"}

    async def test_a_begun_session_is_not_there_yet_for_a_creation(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await put(backend, {"a": b"1"}, existence="new")
        await finish(backend, "t1", grant)
        assert (await record_of(backend)).version.counter == 2

    async def test_birth_counts_only_where_the_session_is_created(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth("ann", 60_000, 3_600_000))
        born = await record_of(backend)
        assert (born.user, born.ttl_ms) == ("ann", 60_000)
        await put(backend, {"a": b"2"}, birth=Birth("ann", 1_000, 2_000))
        assert (await record_of(backend)).ttl_ms == 60_000

    async def test_a_commit_for_another_life_finds_it_gone(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, incarnation=new_commit_id())
        assert await backend.commit(KEY, delta) == Gone()
        assert await missing(backend)
        await put(backend, {"a": b"0"})
        assert await backend.commit(KEY, delta) == Gone()
        assert values(await record_of(backend)) == {"a": b"0"}

    async def test_a_commit_of_another_user_is_refused(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth("ann"))
        delta = update({"a": b"2"}, appends=[b"x"], birth=Birth("bob"))
        assert await backend.commit(KEY, delta) == WrongUserFound()
        record = await record_of(backend)
        assert (values(record), record.total) == ({"a": b"1"}, 0)
        await put(backend, {"a": b"3"}, birth=Birth("ann"))
        await put(backend, {"a": b"4"}, birth=Birth(""))
        assert (await record_of(backend)).user == "ann"

    async def test_another_user_is_refused_before_the_repeat_is_told(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, outcome=b"secret", birth=Birth("ann"))
        got(await backend.commit(KEY, delta), Committed)
        delta.birth = Birth("bob")
        assert await backend.commit(KEY, delta) == WrongUserFound()

    async def test_a_touch_keeps_the_version_and_the_fields(self, backend: Backend) -> None:
        before = await put(backend, {"a": b"1"}, appends=[b"x"])
        touched = got(await touch(backend), Committed)
        assert touched.version == before.version
        record = await record_of(backend)
        assert (record.version, record.total, values(record)) == (before.version, 1, {"a": b"1"})

    async def test_a_touch_of_a_missing_session_finds_it_gone(self, backend: Backend) -> None:
        assert await touch(backend) == Gone()
        assert await missing(backend)

    # --- many at once ---

    async def test_of_many_strict_commits_on_one_base_one_applies(self, backend: Backend) -> None:
        base = (await put(backend, {"n": b"0"})).version
        deltas = [update({"n": b"%d" % n}, appends=[b"%d" % n], base=base, strict=True) for n in range(30)]
        replies = await asyncio.gather(*(backend.commit(KEY, delta) for delta in deltas))
        assert sorted(type(reply).__name__ for reply in replies) == ["Committed"] + ["Conflict"] * 29
        record = await record_of(backend)
        assert record.version.counter == 2
        assert record.tail == [values(record)["n"]]

    async def test_of_many_creations_one_applies(self, backend: Backend) -> None:
        deltas = [update({"n": b"%d" % n}, existence="new") for n in range(20)]
        replies = await asyncio.gather(*(backend.commit(KEY, delta) for delta in deltas))
        assert sorted(type(reply).__name__ for reply in replies) == ["AlreadyThere"] * 19 + ["Committed"]
        assert (await record_of(backend)).version.counter == 1

    async def test_concurrent_appends_all_arrive_once(self, backend: Backend) -> None:
        deltas = [update(appends=[b"%d" % n, b"%d+" % n]) for n in range(50)]
        replies = await asyncio.gather(*(backend.commit(KEY, delta) for delta in deltas))
        counters = sorted(got(reply, Committed).version.counter for reply in replies)
        assert counters == list(range(1, 51))
        record = await record_of(backend)
        assert record.total == 100
        for n, reply in enumerate(replies):
            start = got(reply, Committed).start
            assert record.tail[start : start + 2] == [b"%d" % n, b"%d+" % n]

    async def test_concurrent_increments_on_field_counters_lose_none(self, backend: Backend) -> None:
        await put(backend, {"n": b"0"})

        async def increment() -> None:
            for _ in range(10_000):
                record = await record_of(backend, tail=0)
                field = record.fields["n"]
                delta = update({"n": b"%d" % (int(field.value) + 1)}, base=record.version, counter=field.counter)
                if isinstance(await backend.commit(KEY, delta), Committed):
                    return
            raise AssertionError("an increment never got through")

        async def five() -> None:
            for _ in range(5):
                await increment()

        await asyncio.gather(*(five() for _ in range(8)))
        assert values(await record_of(backend)) == {"n": b"40"}

    async def test_a_commit_sent_many_times_at_once_applies_once(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        delta = ending("t1", grant, {"a": b"1"}, appends=[b"out"])
        replies = await asyncio.gather(*(backend.commit(KEY, delta) for _ in range(20)))
        assert sorted(type(reply).__name__ for reply in replies) == ["Committed"] + ["Seen"] * 19
        assert (await record_of(backend)).tail == [input_of("t1"), b"out"]
        replay = got(await begin(backend, "t1"), Replay)
        assert all(reply.stored == replay.stored for reply in replies if isinstance(reply, Seen))

    async def test_commits_on_many_sessions_at_once_stay_apart(self, backend: Backend) -> None:
        keys = [SessionKey("acme", f"many-{n}") for n in range(40)]
        await asyncio.gather(*(run_turn(backend, "t1", {"me": key.id.encode()}, key) for key in keys))
        records = await asyncio.gather(*(record_of(backend, key) for key in keys))
        assert [values(record)["me"].decode() for record in records] == [key.id for key in keys]
