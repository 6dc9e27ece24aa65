"""The peer's side of the talk with the driver: one JSON object a line in, one out. Only the standard library is needed here.

Commands, by their ``do``: ``open`` (url, texts), ``prepare`` (sessions of so many messages, in place of the former ones) and
``run`` (so many turns on each of the first sessions, by so many callers at once).
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

TTL_S = 7200
"""How long sessions live, where a peer knows such a thing."""

CONTEXT = 20
"""How many messages a turn reads, where a peer can be told."""


class Peer(Protocol):
    """One way to keep sessions, used as its documentation says."""

    async def open(self, url: str, said: str, reply: str) -> None:
        """Connects to ``url``; ``said`` and ``reply`` are the two messages of every turn."""

    async def fill(self, session_id: str, messages: int) -> None:
        """Makes a session of that many messages."""

    async def turn(self, session_id: str) -> int:
        """Reads the context and appends two messages durably. Returns how many messages were read."""

    async def close(self) -> None: ...


def serve(peer: Peer) -> None:
    """Answers the driver until its end of the pipe closes. Whatever the peer prints goes to stderr."""
    out, sys.stdout = sys.stdout, sys.stderr
    asyncio.run(_answer(peer, out))


async def _answer(peer: Peer, out: TextIO) -> None:
    sessions: list[str] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        command: dict[str, Any] = json.loads(line)
        reply: dict[str, Any] = {}
        try:
            match command["do"]:
                case "open":
                    await peer.open(command["url"], command["said"], command["reply"])
                case "prepare":
                    sessions = [str(uuid.uuid4()) for _ in range(command["sessions"])]
                    for session_id in sessions:
                        await peer.fill(session_id, command["messages"])
                case "run":
                    reply = await _run(peer, sessions[: command["sessions"]], command["callers"], command["turns"])
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is the driver's to show
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(reply), file=out, flush=True)
    await peer.close()


async def _run(peer: Peer, sessions: Sequence[str], callers: int, turns: int) -> dict[str, float]:
    """Seconds on the clock and of this process's processor time, bytes written to files and sockets, and messages read."""

    async def caller(own: Sequence[str]) -> int:
        return sum([await peer.turn(session_id) for session_id in own for _ in range(turns)])

    gc.collect()
    wrote, cpu, wall = _written(), time.process_time(), time.perf_counter()
    read = await asyncio.gather(*[caller(sessions[number::callers]) for number in range(callers)])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done = len(sessions) * turns
    return {
        "wall_s": wall / done,
        "client_s": cpu / done,
        "written": (_written() - wrote) / done,
        "read": sum(read) / done,
    }


def _written() -> int:
    """Bytes that this process has handed to write(), for files too (/proc/self/io, `wchar`); 0 where there is no /proc."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])
