"""The tests of pages go red on every way in which packing could go wrong."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Final
from unittest import mock

import pytest
import test_redis_pages as pages
import test_redis_pages_faults as faults

from holdfast.backends.redis import open_redis
from holdfast.backends.redis.library import SERVER
from holdfast.testing.servers import RedisServer

TESTS: Final[list[Callable[..., Awaitable[None]]]] = [
    pages.test_every_part_of_the_log_is_as_if_nothing_was_packed,
    pages.test_pages_grow_until_they_are_full,
    pages.test_a_page_that_grows_in_pieces_stays_one,
    pages.test_a_replay_brings_entries_that_were_packed_meanwhile,
    pages.test_a_packing_is_no_commit,
    pages.test_nothing_is_left_of_a_deleted_session,
    pages.test_nothing_is_left_of_a_damaged_session,
    pages.test_pages_expire_with_their_session,
    pages.test_the_next_life_of_an_id_begins_without_pages,
    pages.test_what_an_evicted_session_left_behind_does_not_mix_in,
    faults.test_of_two_that_pack_the_same_one_comes_too_late,
    faults.test_a_page_made_on_the_other_side_of_a_fork_is_refused,
    faults.test_entries_cannot_be_shifted_over_their_ends,
]

MUTANTS: Final = {
    "entries of another fork pass": ("redis.sha1hex(table.concat(parts)) ~= digest", "false"),
    "a page of a former life passes": ("h.inc1 ~= inc1 or h.inc2 ~= inc2 or h.paged ~= paged", "h.paged ~= paged"),
    "a page that came too late passes": ("h.inc2 ~= inc2 or h.paged ~= paged", "h.inc2 ~= inc2"),
    "the last page of another fork is overwritten": ("start ~= first or last_mark ~= mark", "start ~= first"),
    "one entry too many is dropped": ("'LTRIM', log, count, -1", "'LTRIM', log, count + 1, -1"),
    "the list is not trimmed": ("redis.call('LTRIM', log, count, -1)", ""),
    "the head does not know": ("h.paged = paged + count", "h.paged = paged"),
    "the directory forgets": ("'d', d .. entry)", "'d', entry)"),
    "a former piece stays": ("redis.call('HDEL', name, field .. '+')", "local _ = 0"),
    "pages have no expiry": ("if paged == 0 and h.phys ~= 0 then redis.call('PEXPIREAT', name, h.phys) end", ""),
    "pages keep their first expiry": ("if h.paged > 0 then expire(h, base .. 'z' .. rest) end", ""),
    "pages outlive deletion": (
        "base .. 'z' .. rest, base .. 'e' .. rest}, {}",
        "base .. 'o' .. rest, base .. 'e' .. rest}, {}",
    ),
    "pages outlive damage": ("base .. 'o' .. rest, base .. 'z' .. rest}\n", "base .. 'o' .. rest}\n"),
    "leftovers mix in": ("if paged == 0 then redis.call('UNLINK', name) end", ""),
    "a replay looks in the list only": ("if o.start < h.paged and o.count > 0 then", "if false then"),
    "a load looks in the list only": ("if h.paged > 0 and tail > held then", "if false then"),
    "the log is read from the list only": ("if last > start and start < h.paged then pages =", "if false then pages ="),
    "the wrong page is found": ("<= first then low = middle", "< first then low = middle"),
    "packing is a commit": ("h.paged = paged + count", "h.paged, h.counter = paged + count, h.counter + 1"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def failures(server: RedisServer) -> list[str]:
    failed = []
    for test in TESTS:
        server.command("FLUSHALL")
        backend = await open_redis(server.url, page_messages=8, keep=3, pack=False)
        try:
            wanted = inspect.signature(test).parameters
            await test(**{name: value for name, value in (("server", server), ("backend", backend)) if name in wanted})
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 -- a broken backend may fail in any way
            failed.append(f"{test.__name__}: {type(error).__name__}")
            break
        finally:
            await backend.close()
    return failed


async def test_as_it_is_nothing_fails(server: RedisServer) -> None:
    assert await failures(server) == []


@pytest.mark.parametrize("name", MUTANTS)
async def test_the_tests_catch(server: RedisServer, name: str) -> None:
    right, wrong = MUTANTS[name]
    assert SERVER.code.count(right) >= 1, "the text that this mutant changes is gone"
    server.command("FUNCTION", "FLUSH")
    with mock.patch.object(SERVER, "code", SERVER.code.replace(right, wrong)):
        caught = await failures(server)
    server.command("FUNCTION", "FLUSH")
    assert caught, f"no test noticed: {name}"
    print(f"{name}: {caught[0]}")
