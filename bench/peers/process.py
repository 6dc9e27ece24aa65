"""The driver's side: a peer in a process and environment of its own, asked one thing at a time."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

from bench.workload import INPUT, REPLY

_ROOT: Final = Path(__file__).parents[2]
_PATIENCE_S: Final = 900.0
"""How long one answer may take; thousands of messages may have to be written first."""


class PeerFailed(RuntimeError):
    """The peer raised, or ended; the message says what it said last."""


class Ran(NamedTuple):
    """Of one turn: seconds on the clock and of processor time, bytes written to files and sockets, messages read."""

    wall_s: float
    client_s: float
    written: float
    read: float


class PeerProcess:
    """An async context manager around one peer that is connected to ``url``.

    Args:
        script: the peer's module in this package; arguments: what it is started with.
    """

    def __init__(self, python: Path, script: Path, arguments: tuple[str, ...], url: str) -> None:
        self._command = [str(python), "-m", f"bench.peers.{script.stem}", *arguments]
        self._url = url
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._complaints,
        )
        try:
            await self._ask(do="open", url=self._url, said=INPUT, reply=REPLY)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
        self._complaints.close()

    async def prepare(self, sessions: int, messages: int) -> None:
        """New sessions of that many messages, in place of the former ones."""
        await self._ask(do="prepare", sessions=sessions, messages=messages)

    async def run(self, *, sessions: int, callers: int, turns: int) -> Ran:
        """Runs ``turns`` turns on each of the first ``sessions`` sessions, shared out among the callers."""
        return Ran(**await self._ask(do="run", sessions=sessions, callers=callers, turns=turns))

    async def _ask(self, **command: object) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(command) + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(_PATIENCE_S):
                line = await process.stdout.readline()
        except ConnectionError:
            line = b""
        except TimeoutError:
            raise PeerFailed(f"no answer to {command['do']!r} within {_PATIENCE_S:g} s") from None
        if not line:
            raise PeerFailed(f"it ended: {self._last_words()}")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")[:300]
