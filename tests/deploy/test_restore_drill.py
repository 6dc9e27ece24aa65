"""The restore drill: a backup by the documented commands, the server and its folder lost, all of it back on another server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from deployed import DEPLOY, holdfast, run

from holdfast import Store, Turn, open_store
from holdfast.backends.redis.library import SERVER
from holdfast.testing import RedisServer
from holdfast.testing.server_group import wait_until
from redis_servers import needs

AOF = {"appendonly": "yes", "appendfsync": "everysec"}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    needs("redis-server", "redis-cli", "redis-check-aof")
    with RedisServer(AOF) as running:
        yield running


def folder(server: RedisServer) -> Path:
    return Path(str(server.command("CONFIG", "GET", "dir")[1]))  # type: ignore[index]  # a list of two


def backup(server: RedisServer, file: Path) -> str:
    return run("sh", DEPLOY / "backup.sh", folder(server), file, "-p", server.port)


def refused(*command: Any) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    return done.stderr


class Restored(RedisServer):
    """A new server, on a port and folder of its own, that finds the backup in its folder."""

    def __init__(self, file: Path) -> None:
        super().__init__(AOF)
        self._file = file

    def _start_on_port(self, program: str) -> None:
        assert self._folder is not None
        if not (Path(self._folder.name) / "appendonlydir").exists():
            run("sh", DEPLOY / "restore.sh", self._file, self._folder.name)
        super()._start_on_port(program)
        wait_until(lambda: "" if self.info("persistence")["loading"] == "0" else "it still loads", within=30)


async def answer(turn: Turn) -> None:
    turn.state["n"] = turn.state.get("n", 0) + 1
    turn.reply(f"{turn.text} {turn.state['n']} 好的" * 20)


async def talk(store: Store, session_id: str, turns: int) -> None:
    for number in range(turns):
        await store.run_turn(session_id, answer, input=f"question {number}", turn_id=f"t-{number}")


async def whole(store: Store, session_id: str) -> dict[str, Any]:
    """Everything that a caller can see of a session."""
    session = await store.load(session_id)
    assert session is not None
    messages = [message async for message in store.messages(session_id)]
    return {"state": dict(session.state), "version": session.version, "messages": messages}


SESSIONS = {f"s-{number}": turns for number, turns in enumerate([1, 3, 10, 90, 1, 2])}


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    async with open_store(server.url, ttl="2h") as opened:
        yield opened


async def test_what_was_backed_up_is_back_message_by_message(server: RedisServer, store: Store, tmp_path: Path) -> None:
    for session_id, turns in SESSIONS.items():
        await talk(store, session_id, turns)
    await store.set("kept", {"phone": "138****1234"}, ttl="9d")
    holdfast("store", "pack", server.url)  # pages are part of it
    before = {session_id: await whole(store, session_id) for session_id in SESSIONS}

    file = tmp_path / "redis.tar"
    assert "bytes" in backup(server, file)
    assert server.command("CONFIG", "GET", "auto-aof-rewrite-percentage")[1] == "100"  # type: ignore[index]  # as before
    await talk(store, "later", 1)
    lost = folder(server)
    await store.close()
    await server.kill()
    shutil.rmtree(lost / "appendonlydir")

    async with Restored(file) as restored:
        libraries = str(restored.command("FUNCTION", "LIST"))
        assert SERVER.name in libraries  # from the backup: nobody has opened a store yet
        checked = json.loads(holdfast("store", "check", "--json", restored.url))
        assert checked["ok"], checked
        async with open_store(restored.url, ttl="2h") as again:
            assert {session_id: await whole(again, session_id) for session_id in SESSIONS} == before
            assert await again.get("kept") == {"phone": "138****1234"}
            assert await again.load("later") is None  # said after the backup: gone
            replayed = await again.run_turn("s-3", answer, input="question 89", turn_id="t-89")
            assert replayed.replayed
            await talk(again, "later", 1)
            outcome = await again.run_turn("s-0", answer, input="next", turn_id="t-next")
            assert outcome.reply.startswith("next 2")


async def test_a_turn_that_was_under_way_is_taken_over_from_its_journal(server: RedisServer, tmp_path: Path) -> None:
    """Its steps that were journaled before the backup are not called again; those after it are: hence idempotency keys."""
    called: list[str] = []
    waiting, backed_up = asyncio.Event(), asyncio.Event()

    async def charge(idempotency_key: str) -> str:
        called.append(f"charge {idempotency_key}")
        return "charged"

    async def mail(idempotency_key: str) -> str:
        called.append(f"mail {idempotency_key}")
        return "mailed"

    async def order(turn: Turn) -> None:
        await turn.step("charge", charge)
        if not backed_up.is_set():
            waiting.set()
            await backed_up.wait()
        turn.reply(await turn.step("mail", mail))

    file = tmp_path / "redis.tar"
    options: Any = {"lease": 1.0}
    async with open_store(server.url, **options) as old:
        running = asyncio.create_task(old.run_turn("s-1", order, input="buy it", turn_id="t-1"))
        await waiting.wait()
        await asyncio.to_thread(backup, server, file)
        backed_up.set()
        first = await running  # committed, after the backup
    await server.kill()

    async with Restored(file) as restored, open_store(restored.url, **options) as store:
        again = await store.run_turn("s-1", order, input="buy it", turn_id="t-1")
        assert not again.replayed
        assert again.reply == first.reply == "mailed"
        assert [message.content async for message in store.messages("s-1")] == ["buy it", "mailed"]
    charges = [call for call in called if call.startswith("charge")]
    mails = [call for call in called if call.startswith("mail")]
    assert len(charges) == 1
    assert len(mails) == 2
    assert len(set(mails)) == 1  # the same key both times: the other side can tell


async def test_a_node_that_was_not_stopped_cannot_commit_into_the_restored_past(
    server: RedisServer, tmp_path: Path
) -> None:
    """Its grant came after the backup, so the restored counter hands the same number out again; the fence's random bits differ."""
    file = tmp_path / "redis.tar"
    async with open_store(server.url) as old:
        await talk(old, "s-1", 1)
        await asyncio.to_thread(backup, server, file)
        granted = asyncio.Event()
        go_on = asyncio.Event()

        async def slow(turn: Turn) -> None:
            granted.set()
            await go_on.wait()
            turn.reply("from the lost side")

        running = asyncio.create_task(old.run_turn("s-1", slow, input="slow", turn_id="t-slow"))
        await granted.wait()
        where = server.port
        lost = folder(server)
        await server.kill()
        shutil.rmtree(lost / "appendonlydir")
        run("sh", DEPLOY / "restore.sh", file, lost)
        await server.start()  # on the same port, under a node that still runs
        assert server.port == where
        async with open_store(server.url) as new:
            other = await new.run_turn("s-1", answer, input="other", turn_id="t-other")
            assert other.reply.startswith("other 2")
            go_on.set()
            await asyncio.gather(running, return_exceptions=True)
            said = [message.content async for message in new.messages("s-1") if message.turn_id == "t-slow"]
            assert said in ([], ["slow", "from the lost side"])  # not at all, or as a turn of its own after the other
            everything = [message.content async for message in new.messages("s-1")]
            assert everything[2:4] == ["other", other.reply]


async def test_a_backup_under_load_is_whole(server: RedisServer, store: Store, tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def load(session_id: str) -> int:
        turns = 0
        while not stop.is_set():
            await store.run_turn(session_id, answer, input=f"question {turns}")
            turns += 1
        return turns

    callers = [asyncio.create_task(load(f"s-{number}")) for number in range(8)]
    await talk(store, "warm", 3)
    file = tmp_path / "redis.tar"
    await asyncio.to_thread(backup, server, file)
    stop.set()
    turns = await asyncio.gather(*callers)
    async with Restored(file) as restored, open_store(restored.url) as again:
        for number, most in enumerate(turns):
            session = await again.load(f"s-{number}")
            assert session is not None
            messages = [message async for message in again.messages(f"s-{number}")]
            assert len(messages) == 2 * session.state["n"] <= 2 * most  # whole turns only


def test_a_restore_overwrites_nothing_and_takes_no_damaged_file(server: RedisServer, tmp_path: Path) -> None:
    server.command("SET", "key", "value")
    file = tmp_path / "redis.tar"
    backup(server, file)
    assert "there already" in refused("sh", DEPLOY / "backup.sh", folder(server), file, "-p", server.port)
    assert "move the old data away" in refused("sh", DEPLOY / "restore.sh", file, folder(server))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (tmp_path / "redis.tar.sha256").read_text().split()[0] == digest
    whole_file = file.read_bytes()
    file.write_bytes(whole_file.replace(b"REDIS", b"RADIS"))
    assert "damaged" in refused("sh", DEPLOY / "restore.sh", file, tmp_path / "new")
    (tmp_path / "redis.tar.sha256").unlink()
    assert "cannot be read by Redis" in refused("sh", DEPLOY / "restore.sh", file, tmp_path / "new")
    assert not (tmp_path / "new" / "appendonlydir").exists()


def test_a_backup_says_what_is_wrong_and_leaves_nothing_behind(tmp_path: Path) -> None:
    needs("redis-server", "redis-cli")
    file = tmp_path / "redis.tar"
    with RedisServer() as without:
        assert "appendonly yes" in refused("sh", DEPLOY / "backup.sh", folder(without), file, "-p", without.port)
        port = without.port
    assert "redis-cli" in refused("sh", DEPLOY / "backup.sh", tmp_path, file, "-p", port)
    assert list(tmp_path.iterdir()) == []
