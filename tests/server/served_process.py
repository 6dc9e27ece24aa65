"""``holdfast serve`` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from server_kit import STREAM, Event, events_of

HERE = Path(__file__).parent
CONFIG = """
[store]
url = "sqlite:///{folder}/sessions.db"
lease = "2s"
[server]
node = "{node}"
drain = "{drain}"
[knowledge]
index = ""
[assistant]
policy = "scripted_stage:make"
[sensitive]
phone = "phone"
"""


class Process:
    """A running node; ``log`` is all that it wrote."""

    def __init__(self, process: asyncio.subprocess.Process, http: httpx.AsyncClient, log: Path) -> None:
        self.process = process
        self.http = http
        self.log = log

    async def session(self) -> str:
        """A new session's id."""
        session_id: str = (await self.http.post("/v1/sessions", json={})).json()["id"]
        return session_id

    async def turn(self, session_id: str, text: str, turn_id: str) -> httpx.Response:
        return await self.http.post(
            f"/v1/sessions/{session_id}/turns", json={"input": text}, headers={"Idempotency-Key": turn_id}
        )

    async def stream(self, session_id: str, text: str, turn_id: str) -> AsyncGenerator[Event, None]:
        """Events as they arrive; the connection is closed with the iterator."""
        headers = {"Idempotency-Key": turn_id, **STREAM}
        path = f"/v1/sessions/{session_id}/turns"
        async with self.http.stream("POST", path, json={"input": text}, headers=headers) as reply:
            assert reply.status_code == 200
            rest = ""
            async for piece in reply.aiter_text():
                *whole, rest = (rest + piece).split("\n\n")
                for event in events_of("\n\n".join(whole)):
                    yield event

    def signal(self, which: signal.Signals) -> None:
        self.process.send_signal(which)

    async def ended(self, within: float) -> int:
        """The exit code."""
        return await asyncio.wait_for(self.process.wait(), within)


@asynccontextmanager
async def process(
    folder: Path, *, node: str = "node-0", drain: str = "10s", **environment: str
) -> AsyncIterator[Process]:
    """A node over the SQLite file in ``folder``; killed at the end if it still runs."""
    config = folder / f"{node}.toml"
    config.write_text(CONFIG.format(folder=folder, node=node, drain=drain))
    log = folder / f"{node}.log"
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with log.open("ab") as out:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast", "serve", "--config", str(config), "--port", "0"),
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
    try:
        url = await _url(started, log)
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            yield Process(started, http, log)
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def _url(started: asyncio.subprocess.Process, log: Path) -> str:
    async with asyncio.timeout(30):
        while True:
            written = await asyncio.to_thread(log.read_text)
            if found := re.search(r"Open (http://\S+)\s", written):
                return found[1]
            assert started.returncode is None, written
            await asyncio.sleep(0.05)
