"""The contract's part about listings: scan by tenant, sessions of a user, pages of both."""

from __future__ import annotations

from contextlib import suppress

from holdfast.backends.contract import Backend
from holdfast.backends.records import Birth, SessionKey
from holdfast.errors import InvalidInput
from holdfast.testing.calls import KEY, finish, granted, of_user, put, run_turn, scanned
from holdfast.testing.contract_base import ContractBase


def _keys(count: int, tenant: str = "acme") -> list[SessionKey]:
    return [SessionKey(tenant, f"s-{n:03}") for n in range(count)]


class ListingContract(ContractBase):
    """`Sessions.scan` and `Sessions.by_user`."""

    async def test_an_empty_store_lists_nothing(self, backend: Backend) -> None:
        assert await scanned(backend) == []
        assert await of_user(backend, "ann") == []

    async def test_a_scan_finds_every_session_whatever_the_page(self, backend: Backend) -> None:
        keys = _keys(45)
        for key in keys:
            await put(backend, {"a": b"1"}, key)
        for limit in (1, 7, 45, 100):
            assert sorted(set(await scanned(backend, limit=limit))) == [key.id for key in keys]

    async def test_a_page_is_not_longer_than_asked_for(self, backend: Backend) -> None:
        for key in _keys(20):
            await put(backend, {"a": b"1"}, key, birth=Birth("ann"))
        cursor = ""
        for _ in range(100):
            page = await backend.scan("acme", cursor=cursor, limit=3)
            assert len(page.ids) <= 3
            cursor = page.cursor
            if not cursor:
                break
        assert len((await backend.by_user("acme", "ann", limit=3)).ids) <= 3

    async def test_a_scan_finds_only_the_living(self, backend: Backend) -> None:
        keys = _keys(12)
        for n, key in enumerate(keys):
            short = Birth("ann", ttl_ms=self.short_ms if n % 3 == 0 else 0)
            await put(backend, {"a": b"1"}, key, birth=short)
        for key in keys[1::3]:
            await backend.delete(key)
        await granted(backend, "t1", SessionKey("acme", "begun"), user="ann")
        await self.pass_ms(self.short_ms)
        for limit in (2, 100):
            assert sorted(set(await scanned(backend, limit=limit))) == [key.id for key in keys[2::3]]
        assert sorted(await of_user(backend, "ann", limit=2)) == [key.id for key in keys[2::3]]

    async def test_a_scan_finds_what_lives_during_all_of_it(self, backend: Backend) -> None:
        keys = _keys(40)
        for key in keys:
            await put(backend, {"a": b"1"}, key)
        found: set[str] = set()
        cursor = ""
        for step in range(1000):
            page = await backend.scan("acme", cursor=cursor, limit=3)
            found.update(page.ids)
            cursor = page.cursor
            if not cursor:
                break
            await backend.delete(keys[2 * (step % 20)])
            await put(backend, {"a": b"1"}, SessionKey("acme", f"new-{step}"))
            await put(backend, {"a": b"2"}, keys[1 + 2 * (step % 20)])
        assert {key.id for key in keys[1::2]} <= found

    async def test_a_tenants_scan_shows_no_other_tenant(self, backend: Backend) -> None:
        tenants = ("", "a", "ab", "b")
        for tenant in tenants:
            for n in range(3):
                await put(backend, {"a": b"1"}, SessionKey(tenant, f"{tenant}-{n}"), birth=Birth("ann"))
        for tenant in tenants:
            expected = [f"{tenant}-{n}" for n in range(3)]
            assert sorted(await scanned(backend, tenant)) == expected
            assert sorted(await of_user(backend, "ann", tenant)) == expected
        assert await scanned(backend, "c") == []

    async def test_a_users_sessions_come_latest_first(self, backend: Backend) -> None:
        keys = _keys(9)
        for key in keys:
            await put(backend, {"a": b"1"}, key, birth=Birth("ann", ttl_ms=3_600_000))
            await self.tick()
        await put(backend, {"a": b"1"}, SessionKey("acme", "other"), birth=Birth("bob"))
        latest_first = [key.id for key in reversed(keys)]
        for limit in (2, 3, 100):
            assert await of_user(backend, "ann", limit=limit) == latest_first
        first = await backend.by_user("acme", "ann", limit=2)
        assert first.ids == latest_first[:2]

    async def test_the_order_does_not_depend_on_the_ttl(self, backend: Backend) -> None:
        keys = _keys(4)
        for key, ttl_ms in zip(keys, (7_200_000, 0, 3_600_000, 60_000), strict=True):
            await put(backend, {"a": b"1"}, key, birth=Birth("ann", ttl_ms=ttl_ms))
            await self.tick()
        assert await of_user(backend, "ann") == [key.id for key in reversed(keys)]

    async def test_a_users_pages_end_while_sessions_come_and_go(self, backend: Backend) -> None:
        keys = _keys(20)
        for key in keys:
            await put(backend, {"a": b"1"}, key, birth=Birth("ann"))
            await self.tick()
        found: list[str] = []
        cursor = ""
        for _ in range(100):
            page = await backend.by_user("acme", "ann", cursor=cursor, limit=2)
            found += page.ids
            cursor = page.cursor
            if not cursor:
                break
            await backend.delete(SessionKey("acme", page.ids[-1]))
        assert found == [key.id for key in reversed(keys)]
        assert not cursor

    async def test_what_is_no_cursor_is_refused_or_finds_something(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, _keys(1)[0], birth=Birth("ann"))
        for cursor in ("x", ":", "é:1", "1", "0x1.2", "9" * 400, "inf:1:x", "-1.-1", "\x00", "1:2:3:4"):
            with suppress(InvalidInput):
                await backend.by_user("acme", "ann", cursor=cursor)

    async def test_a_turn_puts_its_session_under_its_user(self, backend: Backend) -> None:
        await run_turn(backend, "t1", user="ann")
        await run_turn(backend, "t1", key=SessionKey("acme", "s-2"), user="bob")
        await run_turn(backend, "t1", key=SessionKey("acme", "s-3"))
        assert await of_user(backend, "ann") == [KEY.id]
        assert await of_user(backend, "bob") == ["s-2"]

    async def test_a_new_life_under_another_user_leaves_the_former_list(self, backend: Backend) -> None:
        await put(backend, {"a": b"1"}, birth=Birth("ann"))
        await backend.delete(KEY)
        assert await of_user(backend, "ann") == []
        await finish(backend, "t1", await granted(backend, "t1", user="bob"))
        assert (await of_user(backend, "ann"), await of_user(backend, "bob")) == ([], [KEY.id])
