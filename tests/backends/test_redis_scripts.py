"""The Redis backend by EVALSHA: when it is chosen, what a restart takes away, and that errors say the same as by functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from lesser_servers import FUNCTIONS, READING_SCRIPTS, without
from test_redis_server import (  # noqa: F401 -- the same tests, on another server
    fill_up,
    test_a_cut_log_is_corrupt_and_a_commit_leaves_it_as_it_was,
    test_a_key_of_another_type_is_corrupt,
    test_a_log_without_its_session_is_corrupt,
    test_a_newer_format_is_told_apart_from_damage,
    test_a_session_without_its_log_is_corrupt,
    test_a_truncated_head_is_corrupt,
    test_every_key_expires_with_its_session_and_never_before,
    test_hostile_ids_stay_apart_and_come_back_exactly,
    test_lost_outcomes_are_corrupt,
)

from holdfast.backends.redis import RedisBackend, open_redis
from holdfast.backends.redis.forms import functions_of
from holdfast.backends.redis.library import SERVER
from holdfast.backends.redis.mapping import error_for
from holdfast.backends.redis.rights import acl_rules
from holdfast.errors import ConfigError, OutcomeUnknown, ServerUnsuitable, StoreUnavailable
from holdfast.testing.calls import KEY, put, record_of, run_turn
from holdfast.testing.servers import RedisServer


@pytest.fixture(scope="module", params=["evalsha_ro", "evalsha"])
def lesser_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with without(*FUNCTIONS, *(READING_SCRIPTS if request.param == "evalsha" else ())) as server:
        yield server


@pytest.fixture
def server(lesser_server: RedisServer) -> RedisServer:
    lesser_server.command("FLUSHALL")
    return lesser_server


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    backend = await open_redis(server.url)
    yield backend
    await backend.close()


async def form_of(url: str) -> str:
    backend = await open_redis(url)
    await run_turn(backend, "t1")
    await backend.delete(KEY)
    found = {finding.subject: finding for finding in await backend.check()}
    await backend.close()
    return "scripts" if "EVALSHA" in found["functions"].text else "functions"


# --- which form ---


@pytest.mark.parametrize(
    ("commands", "form"),
    [((), "functions"), (("FCALL",), "scripts"), (("FUNCTION",), "scripts"), (FUNCTIONS, "scripts")],
)
async def test_functions_are_used_where_they_can_be_loaded_and_called(commands: tuple[str, ...], form: str) -> None:
    with without(*commands) as server:
        assert await form_of(server.url) == form


async def test_scripts_are_used_where_the_user_may_call_no_functions() -> None:
    with without() as server:
        server.command("ACL", "SETUSER", "node", "on", ">pw", "~hf:*", "resetchannels", "&hf:*", "+@all", "-fcall")
        assert await form_of(server.url.replace("//", "//node:pw@")) == "scripts"


async def test_a_server_with_neither_is_unsuitable() -> None:
    with without(*FUNCTIONS, "EVALSHA") as server, pytest.raises(ServerUnsuitable, match=r"neither FCALL nor EVALSHA"):
        await open_redis(server.url)


async def test_the_rights_for_functions_do_not_serve_for_scripts(server: RedisServer) -> None:
    rules = [rule for rule in acl_rules(functions_of(SERVER), "hf") if not rule.startswith("+fcall")]
    server.command("ACL", "SETUSER", "node", "reset", "on", ">pw", *rules)
    with pytest.raises(ConfigError, match="the command evalsha"):
        await open_redis(server.url.replace("//", "//node:pw@"))
    server.command("ACL", "DELUSER", "node")


# --- what a restart takes away ---


async def test_a_script_that_was_flushed_is_loaded_again(server: RedisServer, backend: RedisBackend) -> None:
    done = await put(backend, {"a": b"1"})
    for call in ("commit", "load", "overdue"):
        server.command("SCRIPT", "FLUSH")
        if call == "commit":
            await run_turn(backend, "t1")
        elif call == "load":
            assert await backend.load(KEY, tail=1, known=(await record_of(backend)).version) is not None
        else:
            assert await backend.overdue() == []
    assert done.version.counter == 1 and (await record_of(backend)).total == 2


async def test_who_may_not_load_a_lost_script_is_told_what_to_run(server: RedisServer, backend: RedisBackend) -> None:
    server.command("ACL", "SETUSER", "node", "reset", "on", ">pw", "~hf:*", "resetchannels", "&hf:*", "+@all")
    other = await open_redis(server.url.replace("//", "//node:pw@"))
    server.command("ACL", "SETUSER", "node", "-script")
    server.command("SCRIPT", "FLUSH")
    with pytest.raises(StoreUnavailable, match="holdfast store init"):
        await put(other, {"a": b"1"})
    await put(backend, {"a": b"1"})  # this one may, and loads it for both
    await put(other, {"a": b"1"})
    await other.close()
    server.command("ACL", "DELUSER", "node")


# --- errors, memory ---


@pytest.mark.parametrize("reading", [(), READING_SCRIPTS])
async def test_a_full_server_refuses_writes_loses_nothing_and_still_deletes(reading: tuple[str, ...]) -> None:
    with without(*FUNCTIONS, *reading, maxmemory="16mb") as server:
        await fill_up(server)


def test_a_fault_inside_a_script_leaves_its_outcome_unknown(server: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="user_script") as fault:  # without arguments a commit cannot be read
        server.command("EVAL", SERVER.script, 1, "hf:{00}:s:t:x", "c")
    assert isinstance(error_for(str(fault.value), write=True, where="here"), OutcomeUnknown)
