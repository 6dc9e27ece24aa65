"""One process of several on a SQLite file: opens it, says so, waits for a line, runs its turns and reports."""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from bench.workload import drive, shared_out
from holdfast import open_store


class Ran(msgspec.Struct):
    """When it ran (seconds of the monotonic clock, which all processes of a machine share) and what it used."""

    started: float
    ended: float
    cpu_s: float
    turns: int


async def main(path: str, callers: int, turns: int, sessions: list[str]) -> None:
    async with open_store(f"sqlite:///{path}", ttl="2h") as store:
        await store.get(sessions[0])
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        plan = shared_out(sessions, callers, max(1, turns // len(sessions)))
        cpu, started = time.process_time(), time.monotonic()
        await drive(store, plan)
        ran = Ran(started, time.monotonic(), time.process_time() - cpu, sum(map(len, plan)))
    print(msgspec.json.encode(ran).decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
