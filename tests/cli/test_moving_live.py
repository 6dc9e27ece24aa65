"""Moving in while everything goes on: killed imports, turns that come in between, and a change-over that follows its source."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

import moving_sources
import pytest
from moving_sources import Application, Home, take_over

from holdfast import Message, Turn
from holdfast.backends.records import BeginRequest, Birth, Granted
from holdfast.cli.moving_mapping import Unusable, load_mapping
from holdfast.cli.moving_overlap import contains, overlap
from holdfast.cli.moving_source import Found
from holdfast.cli.moving_stamp import stamp_of, stamped
from holdfast.cli.moving_target import Target
from store_nodes import Nodes

application_server = moving_sources.application_server
application = moving_sources.application
home = moving_sources.home

PLAN = load_mapping(None, "json", "chat:*")


def started(application: Application, home: Home, *args: str) -> subprocess.Popen[str]:
    """``holdfast store import`` in a process of its own."""
    command = [sys.executable, "-m", "holdfast", "store", "import", application.url, "--pattern", "chat:*"]
    return subprocess.Popen(
        [*command, *home.options, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


# --- killed ----------------------------------------------------------------------------------------------------------


def test_a_killed_import_ends_complete_and_nothing_is_doubled(application: Application, home: Home) -> None:
    wanted = {f"s-{number:04}": [f"{number}-{n}" for n in range(4)] for number in range(1500)}
    wanted["long"] = [f"long-{n}" for n in range(9000)]  # five commits
    for id_, texts in wanted.items():
        application.say(f"chat:{id_}", *texts, n=len(texts))
    with home.open():
        pass  # it is there, for whoever looks
    before = kills = 0
    for _ in range(4):
        process = started(application, home, "--parallel", "1")
        try:
            some_more_are_there(home, before, process)
        finally:
            process.kill()
            process.communicate()
        before = len(home.ids())
        kills += process.returncode == -signal.SIGKILL and before < len(wanted)
    assert kills, "every import was through before it could be killed"
    ran = take_over(application, home)
    assert ran.code == 0, ran.err
    document = ran.document
    assert document["imported"] + document["unchanged"] + document["extended"] == len(wanted)
    assert document["unchanged"] >= before - 1
    assert set(home.ids()) == set(wanted)
    with home.open() as store:
        for id_, texts in wanted.items():
            session = store.load(id_, tail=len(texts) + 1)
            assert session is not None
            assert [message.content for message in session.messages] == texts
            assert dict(session.state) == {"n": len(texts)}
            assert session.version is not None
            assert session.version.counter == (1 if id_ != "long" else session.version.counter)
    assert take_over(application, home).document["unchanged"] == len(wanted)


def some_more_are_there(home: Home, before: int, process: subprocess.Popen[str]) -> None:
    """Waits until some more sessions are there, or the process is through."""
    with home.open() as store:
        while process.poll() is None and sum(1 for _ in store.scan()) <= before + 20:
            pass


# --- following -------------------------------------------------------------------------------------------------------


def test_following_takes_what_changes_until_it_is_stopped(application: Application, home: Home) -> None:
    application.say("chat:s-1", "one")
    process = started(application, home, "--follow", "0.05", "--json")
    try:
        assert process.stdout is not None
        rounds = map(json.loads, process.stdout)
        assert next(rounds)["imported"] == 1
        application.say("chat:s-1", "one", "two")
        application.say("chat:s-2", "one")
        seen = {"extended": 0, "imported": 0}
        for found in rounds:
            for name in seen:
                seen[name] += found[name]
            if seen == {"extended": 1, "imported": 1}:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()
        process.communicate()
    assert home.said("s-1") == ["one", "two"]


def test_following_outlives_its_source(application: Application, home: Home) -> None:
    application.say("chat:s-1", "one")
    with Application() as short_lived:
        short_lived.say("chat:s-1", "one")
        process = started(short_lived, home, "--follow", "0.05", "--json")
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            rounds = map(json.loads, process.stdout)
            assert next(rounds)["imported"] == 1
            asyncio.run(short_lived.kill())
            assert "broke off, and will be made again" in process.stderr.readline()
            asyncio.run(short_lived.start())
            short_lived.say("chat:s-2", "one")
            assert any(found["imported"] for found in rounds)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()


def test_control_c_finishes_what_is_begun_and_says_that_it_is_not_all(application: Application, home: Home) -> None:
    for number in range(3000):
        application.say(f"chat:{number}", "one", "two")
    with home.open():
        pass
    process = started(application, home, "--parallel", "1", "--json")
    try:
        some_more_are_there(home, 0, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    document = json.loads(out)
    assert document["stopped"] is True
    assert document["imported"] == len(home.ids()) < 3000


# --- turns that come in between --------------------------------------------------------------------------------------


def found(key: str, *texts: str, ttl_ms: int | None = None, **more: Any) -> Found:
    return Found(key.encode(), json.dumps({"history": moving_sources.history(*texts), **more}).encode(), ttl_ms)


async def hello(turn: Turn) -> None:
    turn.reply("hello from Holdfast")


async def said(store: Any, id_: str) -> list[str]:
    return [message.content async for message in store.messages(id_)]


@pytest.mark.parametrize("call", ["commit", "load"])
async def test_a_turn_between_look_and_write_wins(nodes: Nodes, call: str) -> None:
    store, between = await nodes.interposed()
    other = await nodes.open()
    target = Target(store, PLAN)
    assert await target.take(found("chat:s-1", "one", "two")) == "imported"

    async def comes_first() -> None:
        del (between.after if call == "load" else between.before)[call]
        await other.run_turn("s-1", hello, input="three", turn_id="t-1")

    (between.after if call == "load" else between.before)[call] = comes_first
    with pytest.raises(Unusable, match="used in Holdfast since"):
        await target.take(found("chat:s-1", "one", "two", "meanwhile"))
    assert await said(other, "s-1") == ["one", "two", "three", "hello from Holdfast"]
    assert await target.take(found("chat:s-1", "one", "two")) == "kept"


@pytest.mark.parametrize("texts", [("one", "meanwhile"), ("other",)])
async def test_a_running_turn_is_neither_lost_nor_doubled(nodes: Nodes, texts: tuple[str, ...]) -> None:
    """Whether the source appends or rewrites: the turn commits, and the import says what it left alone."""
    store = await nodes.open()
    target = Target(await nodes.open(), PLAN)
    assert await target.take(found("chat:s-1", "one")) == "imported"
    running, go_on = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        running.set()
        await go_on.wait()
        turn.reply("slow reply")

    task = asyncio.create_task(store.run_turn("s-1", slow, input="slow", turn_id="t-1"))
    await running.wait()
    try:
        fate: str = await target.take(found("chat:s-1", *texts))
    except Unusable as error:
        fate = error.reason
    go_on.set()
    outcome = await task
    assert outcome.reply == "slow reply"
    assert fate == ("extended" if texts[0] == "one" else "busy")
    before = list(texts) if fate == "extended" else ["one"]
    assert await said(store, "s-1") == [*before, "slow", "slow reply"]


async def test_turns_that_arrive_while_a_session_is_replaced_run_on_what_replaces_it(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    other = await nodes.open()
    target = Target(store, PLAN)
    await target.take(found("chat:s-1", "one", "two"))
    tasks: list[asyncio.Task[Any]] = []

    async def arrives() -> None:
        del between.before["delete"]
        tasks.append(asyncio.create_task(other.run_turn("s-1", hello, input="three", turn_id="t-1")))
        load = await other.backend.load(other.key("s-1"), tail=0)
        assert load is not None

    between.before["delete"] = arrives
    try:
        fate: str = await target.take(found("chat:s-1", "rewritten"))
    except Unusable as error:
        fate = error.reason
    outcome = await tasks[0]
    assert outcome.reply == "hello from Holdfast"
    log = await said(other, "s-1")
    assert log[-2:] == ["three", "hello from Holdfast"]
    assert log[:-2] == (["rewritten"] if fate == "replaced" else []), fate


async def test_a_session_with_an_unfinished_turn_is_not_replaced(nodes: Nodes) -> None:
    """A node died in the middle: its turn is accepted, and nobody holds it now."""
    store = await nodes.open()
    target = Target(store, PLAN)
    await target.take(found("chat:s-1", "one"))
    entry = store.message_codec.encode(Message.user("two"))
    request = BeginRequest("t-1", b"12345678", b"f", entry, "", Birth(), 30_000, 0, 0)
    key = store.key("s-1")
    assert isinstance(await store.backend.begin(key, request), Granted)
    await store.backend.release(key, "t-1", token=b"12345678", withdraw=False)
    with pytest.raises(Unusable, match="accepted turn"):
        await target.take(found("chat:s-1", "rewritten"))
    assert await said(store, "s-1") == ["one"]
    assert any(turn.turn_id == "t-1" for turn in await store.backend.overdue(limit=10_000) if turn.key == key)
    assert not any(turn.turn_id != "t-1" for turn in await store.backend.overdue(limit=10_000) if turn.key == key)


@pytest.mark.parametrize("state", [{}, {"n": 1}], ids=["messages alone", "with state"])
async def test_two_imports_at_once_make_each_session_once(nodes: Nodes, state: dict[str, Any]) -> None:
    first, second = Target(await nodes.open(), PLAN), Target(await nodes.open(), PLAN)
    texts = ["one", "two"]
    for step in range(10):
        values = [found(f"chat:s-{number}", *texts, **state) for number in range(20)]
        fates = await asyncio.gather(*[target.take(value) for value in values for target in (first, second)])
        assert set(fates) <= {"imported", "extended", "unchanged"}
        texts.append(f"more {step}")
    store = await nodes.open()
    for number in range(20):
        assert await said(store, f"s-{number}") == texts[:-1]


async def test_a_turns_longer_life_is_not_shortened(nodes: Nodes) -> None:
    store, between = await nodes.interposed()
    other = await nodes.open()
    target = Target(store, PLAN)
    await target.take(found("chat:s-1", "one", ttl_ms=3_600_000))

    async def comes_first() -> None:
        del between.before["commit"]
        await other.update("s-1", {"n": 1})

    between.before["commit"] = comes_first
    assert await target.take(found("chat:s-1", "one", ttl_ms=60_000)) == "kept"
    session = await other.load("s-1")
    assert session is not None
    assert session.ttl == 3600


async def test_users_and_tenants_out_of_the_key(nodes: Nodes, tmp_path: Any) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text("[key]\nregex = 'chat:(?P<tenant>[^:]*):(?P<user>[^:]*):(?P<id>.*)'\n")
    store = await nodes.open()
    target = Target(store, load_mapping(file, "json", "chat:*"))
    tenant = f"{nodes.tenant}-b"
    assert await target.take(found(f"chat:{tenant}:u-1:s-1", "hi")) == "imported"
    assert await target.take(found("chat::u-2:s-1", "hi")) == "imported"
    assert (await store.by_user("u-2")).ids == ["s-1"]
    assert (await store.for_tenant(tenant).by_user("u-1")).ids == ["s-1"]
    with pytest.raises(Unusable, match="comes from elsewhere"):
        await target.take(found("chat::u-3:s-1", "other"))


# --- parts -----------------------------------------------------------------------------------------------------------


def test_overlaps() -> None:
    def lap(old: str, new: str) -> int:
        return overlap([c.encode() for c in old], [c.encode() for c in new])

    assert [lap("abc", "abcd"), lap("abcd", "cdef"), lap("abc", "xyz"), lap("", "ab"), lap("ab", "")] == [3, 2, 0, 0, 0]
    assert [lap("aab", "aabaab"), lap("ababab", "ababx"), lap("abc", "ab"), lap("xaa", "aaa")] == [3, 4, 0, 2]
    assert contains([b"x", b"a", b"b", b"y"], [b"a", b"b"])
    assert not contains([b"a", b"x", b"b"], [b"a", b"b"])


async def test_a_stamp_names_its_value_and_its_session_and_never_repeats(memory_nodes: Nodes) -> None:
    store = await memory_nodes.open()
    one, other = store.key("s-1"), store.key("s-2")
    digest = bytes(range(16))
    stamps = {stamped(one, b"chat:s-1", digest) for _ in range(100)}
    assert len(stamps) == 100
    assert {len(stamp) for stamp in stamps} == {16}
    assert {stamp_of(one, b"chat:s-1", stamp) for stamp in stamps} == {digest[:5]}
    assert {stamp_of(other, b"chat:s-1", stamp) for stamp in stamps} == {None}
    assert {stamp_of(one, b"chat:s-2", stamp) for stamp in stamps} == {None}
    assert {stamp_of(one, b"chat:s-1", os.urandom(16)) for _ in range(1000)} == {None}
