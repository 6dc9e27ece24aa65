"""The contract's part about whole sessions: load, the log, delete, values of any bytes and size."""

from __future__ import annotations

from holdfast.backends.contract import Backend
from holdfast.backends.records import Committed, Field, LogPage, Record, SessionKey, Unchanged, Version
from holdfast.testing.calls import (
    KEY,
    finish,
    granted,
    missing,
    new_commit_id,
    new_token,
    put,
    record_of,
    run_turn,
    update,
    values,
)
from holdfast.testing.contract_base import ContractBase

ALL_BYTES = bytes(range(256))


class SessionContract(ContractBase):
    """Load, log pages, delete, values."""

    async def test_a_session_that_nobody_wrote_is_missing(self, backend: Backend) -> None:
        assert await backend.load(KEY, tail=10) is None
        assert await backend.load(KEY, tail=0, known=Version(1, new_commit_id())) is None
        assert await backend.read_log(KEY, start=0, count=10) is None
        assert await backend.delete(KEY) is False

    async def test_what_was_committed_is_loaded(self, backend: Backend) -> None:
        delta = update({"a": b"1", "b": b"2"}, appends=[b"x", b"y"])
        done = await backend.commit(KEY, delta)
        assert isinstance(done, Committed)
        record = await record_of(backend)
        assert record.version == done.version == Version(1, delta.commit_id)
        assert record.fields == {"a": Field(b"1", 1), "b": Field(b"2", 1)}
        assert (record.tail, record.total) == ([b"x", b"y"], 2)
        assert record.incarnation == done.incarnation
        assert len(record.incarnation) == 16
        assert (record.user, record.ttl_ms, record.expires_ms) == ("", 0, 0)
        assert record.created_ms <= done.now_ms

    async def test_a_load_brings_only_the_tail_asked_for(self, backend: Backend) -> None:
        entries = [b"%d" % n for n in range(10)]
        await put(backend, appends=entries)
        for tail, expected in ((0, []), (1, entries[-1:]), (3, entries[-3:]), (10, entries), (11, entries)):
            record = await record_of(backend, tail=tail)
            assert record.tail == expected
            assert record.total == 10

    async def test_a_load_of_the_known_version_says_unchanged(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        assert await backend.load(KEY, tail=10, known=done.version) == Unchanged(done.expires_ms)

    async def test_a_load_after_a_change_brings_the_record(self, backend: Backend) -> None:
        first = await put(backend, {"a": b"1"})
        await put(backend, {"a": b"2"})
        record = await backend.load(KEY, tail=10, known=first.version)
        assert isinstance(record, Record)
        assert values(record) == {"a": b"2"}

    async def test_a_version_is_known_by_its_commit_id_not_its_counter(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        fork = Version(done.version.counter, new_commit_id())
        assert isinstance(await backend.load(KEY, tail=10, known=fork), Record)

    async def test_the_version_of_a_former_life_is_not_known(self, backend: Backend) -> None:
        former = await put(backend, {"a": b"1"})
        await backend.delete(KEY)
        await put(backend, {"a": b"1"})
        assert isinstance(await backend.load(KEY, tail=10, known=former.version), Record)

    async def test_each_field_carries_the_counter_of_the_commit_that_wrote_it(self, backend: Backend) -> None:
        await put(backend, {"a": b"1", "b": b"1"})
        await put(backend, {"b": b"2"})
        await put(backend, {"c": b"3"}, appends=[b"x"])
        assert (await record_of(backend)).fields == {"a": Field(b"1", 1), "b": Field(b"2", 2), "c": Field(b"3", 3)}

    async def test_a_removed_field_is_gone(self, backend: Backend) -> None:
        await put(backend, {"a": b"1", "b": b"1"})
        await put(backend, {"a": None})
        assert values(await record_of(backend)) == {"b": b"1"}
        await put(backend, {"b": None})
        assert values(await record_of(backend)) == {}

    async def test_the_log_is_read_by_pages(self, backend: Backend) -> None:
        entries = [b"%d" % n for n in range(25)]
        await put(backend, appends=entries[:7])
        await put(backend, appends=entries[7:])
        for start, count in ((0, 10), (10, 10), (20, 10), (24, 1), (0, 25), (0, 100), (3, 0)):
            page = await backend.read_log(KEY, start=start, count=count)
            assert page == LogPage(entries[start : start + count], start, 25)

    async def test_a_page_past_the_end_is_empty_and_tells_the_total(self, backend: Backend) -> None:
        await put(backend, appends=[b"a", b"b"])
        for start in (2, 50):
            page = await backend.read_log(KEY, start=start, count=10)
            assert page is not None
            assert (page.entries, page.total) == ([], 2)

    async def test_delete_ends_the_session(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, appends=[b"x"])
        assert await backend.delete(KEY) is True
        assert await missing(backend)
        assert await backend.read_log(KEY, start=0, count=10) is None
        assert await backend.delete(KEY) is False

    async def test_nothing_of_a_deleted_session_shows_in_the_next(self, backend: Backend) -> None:
        await run_turn(backend, "t1", {"a": b"1", "b": b"1"})
        await backend.delete(KEY)
        await put(backend, {"b": b"2"}, appends=[b"new"])
        record = await record_of(backend)
        assert record.fields == {"b": Field(b"2", 1)}
        assert (record.tail, record.total) == ([b"new"], 1)

    async def test_empty_values_are_values(self, backend: Backend) -> None:
        await put(backend, {"empty": b"", "full": b"x"}, appends=[b"", b"x", b""])
        record = await record_of(backend)
        assert values(record) == {"empty": b"", "full": b"x"}
        assert record.tail == [b"", b"x", b""]
        first = new_token()
        grant = await granted(backend, "t1", text=b"", token=first)
        await backend.record(KEY, "t1", fence=grant.fence, name="s", value=b"", lease_ms=60_000)
        await backend.release(KEY, "t1", token=first, withdraw=False)
        again = await granted(backend, "t1", text=b"")
        assert again.steps == [("s", b"")]
        await finish(backend, "t1", again, appends=[b""], outcome=b"")
        assert (await record_of(backend)).tail == [b"", b"x", b"", b""]

    async def test_a_turn_without_an_input_entry_logs_its_replies_only(self, backend: Backend) -> None:
        done = await finish(backend, "t1", await granted(backend, "t1", text=b""), appends=[b"reply"])
        assert done.start == 0
        assert (await record_of(backend)).tail == [b"reply"]
        grant = await granted(backend, "t2", text=b"")
        await finish(backend, "t2", grant, appends=[])
        assert (await record_of(backend)).total == 1

    async def test_values_are_any_bytes(self, backend: Backend) -> None:
        nasty = [ALL_BYTES, b"\x00", b"\r\n", b"$-1\r\n", b"*3\r\n$3\r\nSET\r\n", "中文😀".encode(), b"'; --", b"{}"]
        await put(backend, {f"f{n}": value for n, value in enumerate(nasty)}, appends=nasty)
        grant = await granted(backend, "t1", text=ALL_BYTES)
        await finish(backend, "t1", grant, {"g": ALL_BYTES}, appends=[ALL_BYTES], outcome=ALL_BYTES)
        record = await record_of(backend)
        assert values(record) == {**{f"f{n}": value for n, value in enumerate(nasty)}, "g": ALL_BYTES}
        assert record.tail == [*nasty, ALL_BYTES, ALL_BYTES]

    async def test_the_store_shares_no_object_with_its_callers(self, backend: Backend) -> None:
        delta = update({"a": b"1"}, appends=[b"x"])
        await backend.commit(KEY, delta)
        delta.appends.append(b"slipped in")
        record = await record_of(backend)
        record.fields["b"] = Field(b"slipped in", 1)
        record.tail.append(b"slipped in")
        again = await record_of(backend)
        assert values(again) == {"a": b"1"}
        assert again.tail == [b"x"]

    async def test_a_value_of_a_megabyte(self, backend: Backend) -> None:
        big = ALL_BYTES * 4096
        await put(backend, {"big": big}, appends=[big])
        grant = await granted(backend, "t1", text=big)
        await backend.record(KEY, "t1", fence=grant.fence, name="s", value=big, lease_ms=60_000)
        await finish(backend, "t1", grant, {"big": big[::-1]}, outcome=big)
        record = await record_of(backend)
        assert values(record) == {"big": big[::-1]}
        assert record.tail[:2] == [big, big]

    async def test_three_thousand_fields_in_one_commit(self, backend: Backend) -> None:
        names = [f"field-{n}" for n in range(3000)]
        await put(backend, {name: name.encode() for name in names})
        record = await record_of(backend)
        assert values(record) == {name: name.encode() for name in names}
        await put(backend, dict.fromkeys(names[1:]))
        assert values(await record_of(backend)) == {names[0]: names[0].encode()}

    async def test_ten_thousand_entries_in_one_commit(self, backend: Backend) -> None:
        entries = [b"entry %d" % n for n in range(10_000)]
        done = await put(backend, {"a": b"1"}, appends=entries)
        record = await record_of(backend, tail=3)
        assert (record.tail, record.total, done.start) == (entries[-3:], 10_000, 0)
        page = await backend.read_log(KEY, start=0, count=10_000)
        assert page == LogPage(entries, 0, 10_000)
        grant = await granted(backend, "t1", tail=1)
        turn = await finish(backend, "t1", grant, appends=entries)
        assert turn.start == 10_000
        assert (await record_of(backend, tail=1)).total == 20_001

    async def test_sessions_with_other_ids_and_tenants_are_untouched(self, backend: Backend) -> None:
        keys = [SessionKey(tenant, id_) for tenant in ("", "a", "b") for id_ in ("1", "2")]
        for key in keys:
            await put(backend, {"me": "/".join(key).encode()}, key)
        await backend.delete(keys[0])
        assert await missing(backend, keys[0])
        for key in keys[1:]:
            assert values(await record_of(backend, key)) == {"me": "/".join(key).encode()}
