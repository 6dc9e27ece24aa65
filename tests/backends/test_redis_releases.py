"""Nodes of two releases on one Redis server at the same time, and the way back to the older one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import pytest
from lesser_servers import without

import holdfast
from holdfast import Store, Turn, open_store
from holdfast.backends.redis.library import SERVER
from holdfast.errors import ConfigError
from holdfast.testing.servers import RedisServer
from holdfast.wiring import init_redis

NODE: Final = """
import asyncio, json, sys
from holdfast import open_store
from holdfast.backends.redis.library import SERVER

async def main(url):
    async with open_store(url) as store:
        print(SERVER.name, flush=True)
        for line in sys.stdin:
            session_id, turn_id, text = json.loads(line)
            async def answer(turn):
                turn.state["count"] = turn.state.get("count", 0) + 1
                turn.reply("later: " + text)
            outcome = await store.run_turn(session_id, answer, input=text, turn_id=turn_id)
            await store.update(session_id, {"by": turn_id})
            print(json.dumps([outcome.reply, outcome.replayed]), flush=True)

asyncio.run(main(sys.argv[1]))
"""
SESSIONS: Final = ("s-1", "s-2", "s-3")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with without() as server:
        yield server


class LaterNode:
    """A node, in a process of its own, of a release whose functions have another text."""

    def __init__(self, folder: Path, url: str) -> None:
        shutil.copytree(
            Path(holdfast.__file__).parent, folder / "holdfast", ignore=shutil.ignore_patterns("__pycache__")
        )
        head = folder / "holdfast" / "backends" / "redis" / "functions" / "head.lua"
        head.write_text("-- Another release.\n" + head.read_text("utf-8"), "utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-c", NODE, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
        )
        self.library = self._read().strip()

    def turn(self, session_id: str, turn_id: str) -> tuple[str, bool]:
        """A turn on this node: its reply, and whether it was replayed."""
        self._pipe(self._process.stdin).write(json.dumps([session_id, turn_id, "hello"]) + "\n")
        self._pipe(self._process.stdin).flush()
        reply, replayed = json.loads(self._read())
        return reply, replayed

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        return self._pipe(self._process.stdout).readline()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


async def turn_here(store: Store, session_id: str, turn_id: str) -> tuple[Any, bool]:
    async def answer(turn: Turn) -> None:
        turn.state["count"] = turn.state.get("count", 0) + 1
        turn.reply("earlier: hello")

    outcome = await store.run_turn(session_id, answer, input="hello", turn_id=turn_id)
    return outcome.reply, outcome.replayed


def libraries(server: RedisServer) -> set[str]:
    reply = server.command("FUNCTION", "LIST")
    assert isinstance(reply, list)
    return {one[one.index("library_name") + 1] for one in reply}


async def test_two_releases_share_sessions_and_the_later_can_be_rolled_back(
    server: RedisServer, tmp_path: Path
) -> None:
    async with open_store(server.url) as store:
        await turn_here(store, "s-1", "t-0")
        later = LaterNode(tmp_path, server.url)
        try:
            assert libraries(server) == {SERVER.name, later.library} and later.library != SERVER.name
            for number in range(1, 7):  # turn by turn, on the same sessions
                for session_id in SESSIONS:
                    turn_id = f"t-{number}"
                    if number % 2:
                        assert later.turn(session_id, turn_id) == ("later: hello", False)
                        assert await turn_here(store, session_id, turn_id) == ("later: hello", True)
                    else:
                        assert await turn_here(store, session_id, turn_id) == ("earlier: hello", False)
                        assert later.turn(session_id, turn_id) == ("earlier: hello", True)
        finally:
            later.stop()
        for session_id in SESSIONS:  # only the earlier one goes on
            assert await turn_here(store, session_id, "t-7") == ("earlier: hello", False)
            assert await turn_here(store, session_id, "t-5") == ("later: hello", True)
        assert (await store.get("s-1"))["count"] == 8
        assert (await store.get("s-2"))["count"] == 7
        assert libraries(server) == {SERVER.name, later.library}
        found = {finding.subject: finding for finding in await store.check()}
        assert later.library in found["functions"].text and "--prune" in found["functions"].mend

    assert server.command("FUNCTION", "LIST", "LIBRARYNAME", later.library) != []


def test_the_functions_of_a_release_that_is_gone_are_deleted_by_name(server: RedisServer) -> None:
    other = "holdfast_0123456789abcdef"
    code = SERVER.code.replace(SERVER.name, other).replace(f"h{SERVER.tag}", "hzzzz")
    server.command("FUNCTION", "LOAD", code)
    [done] = init_redis(server.url, "holdfast", "", create=False, prune=other)
    assert done.pruned and libraries(server) == {SERVER.name}
    with pytest.raises(ConfigError, match="has no library"):
        init_redis(server.url, "holdfast", "", create=False, prune=other)
    for name in (SERVER.name, "mylib"):
        with pytest.raises(ConfigError, match="another release"):
            init_redis(server.url, "holdfast", "", create=False, prune=name)
