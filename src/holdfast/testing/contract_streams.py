"""The contract's part about the events of a running turn."""

from __future__ import annotations

from holdfast.backends.contract import Backend
from holdfast.backends.records import EventChunks, Fenced, Granted, Queued, Running
from holdfast.testing.calls import KEY, LONG_MS, begin, finish, got, granted, missing, new_token, put, record_of
from holdfast.testing.contract_base import ContractBase


class StreamContract(ContractBase):
    """`Streams`."""

    async def _say(
        self, backend: Backend, grant: Granted, *chunks: bytes, turn_id: str = "t1", keep_ms: int = LONG_MS
    ) -> None:
        for chunk in chunks:
            reply = await backend.append_events(KEY, turn_id, fence=grant.fence, chunk=chunk, keep_ms=keep_ms)
            assert reply is None

    async def test_chunks_come_back_in_order(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        assert await backend.read_events(KEY, "t1") == EventChunks()
        chunks = [b"one", b"", b"\x00\r\n\xff", b"one"]
        await self._say(backend, grant, *chunks)
        assert await backend.read_events(KEY, "t1") == EventChunks(grant.fence, 0, chunks)
        assert await backend.read_events(KEY, "t1", fence=grant.fence, start=3) == EventChunks(
            grant.fence, 3, chunks[3:]
        )
        assert (await backend.read_events(KEY, "t1", fence=grant.fence, start=4)).chunks == []

    async def test_whoever_saw_another_attempt_gets_all(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await self._say(backend, grant, b"a", b"b")
        found = await backend.read_events(KEY, "t1", fence=grant.fence - 1, start=1)
        assert found == EventChunks(grant.fence, 0, [b"a", b"b"])

    async def test_a_further_attempt_drops_the_events_of_the_one_before(self, backend: Backend) -> None:
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await self._say(backend, first, b"half an ans")
        await self.pass_ms(self.short_ms)
        second = await granted(backend, "t1")
        assert await backend.read_events(KEY, "t1") == EventChunks(first.fence, 0, [b"half an ans"])
        await self._say(backend, second, b"an answer")
        assert await backend.read_events(KEY, "t1") == EventChunks(second.fence, 0, [b"an answer"])

    async def test_only_the_holder_may_append(self, backend: Backend) -> None:
        assert await backend.append_events(KEY, "t1", fence=1, chunk=b"x", keep_ms=LONG_MS) == Fenced()
        assert await missing(backend)
        first = await granted(backend, "t1", lease_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        await self._say(backend, first, b"merely overslept")
        token = new_token()
        second = await granted(backend, "t1", token=token)
        got(await begin(backend, "t2"), Queued)
        for turn_id, fence in (("t1", first.fence), ("t2", second.fence), ("t9", 0)):
            reply = await backend.append_events(KEY, turn_id, fence=fence, chunk=b"x", keep_ms=LONG_MS)
            assert reply == Fenced()
        assert (await backend.read_events(KEY, "t1")).chunks == [b"merely overslept"]
        await finish(backend, "t1", second)
        late = await backend.append_events(KEY, "t1", fence=second.fence, chunk=b"x", keep_ms=LONG_MS)
        assert late == Fenced()

    async def test_events_stay_for_a_while_after_the_end(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await self._say(backend, grant, b"a", keep_ms=self.short_ms)
        await finish(backend, "t1", grant)
        assert (await backend.read_events(KEY, "t1")).chunks == [b"a"]
        await self.pass_ms(self.short_ms)
        assert await backend.read_events(KEY, "t1", fence=grant.fence, start=1) == EventChunks()

    async def test_what_follows_events_that_are_gone_is_the_first_again(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await self._say(backend, grant, b"a", keep_ms=self.short_ms)
        await self.pass_ms(self.short_ms)
        await self._say(backend, grant, b"b")
        assert await backend.read_events(KEY, "t1") == EventChunks(grant.fence, 0, [b"b"])

    async def test_each_chunk_keeps_those_before_it(self, backend: Backend) -> None:
        clock = self.need_clock()
        grant = await granted(backend, "t1")
        for chunk in (b"a", b"b", b"c"):
            await self._say(backend, grant, chunk, keep_ms=1_000)
            clock.advance_ms(999)
        assert (await backend.read_events(KEY, "t1")).chunks == [b"a", b"b", b"c"]
        clock.advance_ms(1)
        assert await backend.read_events(KEY, "t1") == EventChunks()

    async def test_another_client_reads_them(self, backend: Backend) -> None:
        second = await self.second(backend)
        try:
            grant = await granted(backend, "t1")
            got(await begin(second, "t1"), Running)
            async with second.watch(KEY) as watch:
                await self._say(backend, grant, b"a", b"b")
                assert await watch.wait(5.0) == b"events"
            assert await second.read_events(KEY, "t1", fence=grant.fence, start=1) == EventChunks(
                grant.fence, 1, [b"b"]
            )
            await finish(backend, "t1", grant)
            assert (await second.read_events(KEY, "t1")).chunks == [b"a", b"b"]
        finally:
            if second is not backend:
                await second.close()

    async def test_the_next_turns_events_take_their_place(self, backend: Backend) -> None:
        first = await granted(backend, "t1")
        await self._say(backend, first, b"a")
        await finish(backend, "t1", first)
        second = await granted(backend, "t2")
        assert (await backend.read_events(KEY, "t1")).chunks == [b"a"]
        assert await backend.read_events(KEY, "t2") == EventChunks()
        await self._say(backend, second, b"b", turn_id="t2")
        assert await backend.read_events(KEY, "t1") == EventChunks()
        assert (await backend.read_events(KEY, "t2")).chunks == [b"b"]

    async def test_events_go_with_their_session(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        await self._say(backend, grant, b"a")
        await backend.delete(KEY)
        assert await backend.read_events(KEY, "t1") == EventChunks()
        again = await granted(backend, "t1")
        assert await backend.read_events(KEY, "t1") == EventChunks()
        reply = await backend.append_events(KEY, "t1", fence=grant.fence, chunk=b"x", keep_ms=LONG_MS)
        assert reply == Fenced()
        await finish(backend, "t1", again)

    async def test_events_change_no_version_and_no_lease(self, backend: Backend) -> None:
        done = await put(backend, {"a": b"1"})
        grant = await granted(backend, "t1", lease_ms=self.short_ms)
        await self._say(backend, grant, b"a")
        assert (await record_of(backend)).version == done.version
        await self.pass_ms(self.short_ms)
        assert (await granted(backend, "t2")).fence > grant.fence

    async def test_a_chunk_gives_a_hint_to_whoever_waits(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        got(await begin(backend, "t1"), Running)
        async with backend.watch(KEY) as watch:
            await self._say(backend, grant, b"a")
            assert await watch.wait(5.0) == b"events"

    async def test_a_large_stream_comes_back_whole(self, backend: Backend) -> None:
        grant = await granted(backend, "t1")
        chunks = [bytes([n % 256]) * 4000 for n in range(100)]
        await self._say(backend, grant, *chunks)
        assert (await backend.read_events(KEY, "t1")).chunks == chunks
