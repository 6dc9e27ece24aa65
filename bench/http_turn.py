"""A turn over HTTP with the extractive answer, beside a bare FastAPI echo of the same body; and the store's part of it.

``python -m bench.http_turn PORT`` serves the echo.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import msgspec
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

from bench.figures import Figure, Spread, at_most, figure
from bench.rounds import Cost, Side, cost_of, interleaved, median, micros, ratio, spread_of
from bench.setting import Setting
from bench.workload import fresh, turn_id
from holdfast import Citation, Store, Turn, open_store
from holdfast.testing.servers import RedisServer, free_port

_CALLERS: Final = (1, 16, 64)
_PART: Final = 16
"""Callers at which the store's part is compared."""

_BODY: Final = msgspec.json.encode({"input": "How many days do I have to return something?"})
_ECHO: Final = "echo"
_BACKENDS: Final = ("sqlite", "redis")
_START_S: Final = 30.0


async def measure(setting: Setting) -> list[Figure]:
    """On the server's own event loop, which is uvloop: the store is measured in this process."""

    def on_uvloop() -> list[Figure]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measured(setting))

    return await asyncio.to_thread(on_uvloop)


async def _measured(setting: Setting) -> list[Figure]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        urls = {"sqlite": f"sqlite:///{setting.folder / 'http.db'}", "redis": redis.url}
        config = _config(setting.folder, setting.pick("knowledge", "knowledge/en"))
        setting.say("starting the servers")
        commands = {_ECHO: ["bench.http_turn"]}
        for name, url in urls.items():
            commands[name] = ["holdfast", "serve", "--quiet", "--config", str(config), "--store", url, "--port"]
        runs = {}
        for name, command in commands.items():  # one after the other: the first one makes the index for both
            process = stack.enter_context(_Process(setting.folder, command))
            await asyncio.to_thread(process.wait)
            runs[name] = _Runs(process, "/echo" if name == _ECHO else None)
        stored = _Stored(await runs["sqlite"].answer())
        sides: dict[str, Side] = {}
        for callers in _CALLERS:
            for name, one in runs.items():
                count = setting.pick(300 if callers == 1 else 1024, 64)
                sides[f"{name} {callers}"] = one.side(callers, count * (2 if name == _ECHO else 1))
        for name, url in urls.items():
            # beside the server's: another file and another prefix, or its sessions would be shared
            own = url.replace("http.db", "own.db") if name == "sqlite" else f"{url}?prefix=own"
            store = await stack.enter_async_context(open_store(own, ttl="30d"))
            store.handlers.register("assistant", stored.answer)
            for callers in (1, _PART):
                sides[f"{name} store {callers}"] = stored.side(
                    store, callers, setting.pick(256 if callers == 1 else 1024, 64)
                )
        if not setting.quick:  # what is paid once
            await interleaved(sides, 1, setting.say)
        for one in runs.values():
            one.forget()
        costs = await interleaved(sides, setting.pick(5, 1), setting.say)
        return _rates(runs, costs) + _parts(costs)


def _rates(runs: dict[str, _Runs], costs: dict[str, list[Cost]]) -> list[Figure]:
    figures = []
    for callers in _CALLERS:
        people = f"{callers} caller{'s' if callers > 1 else ''}"
        for name, one in runs.items():
            found = costs[f"{name} {callers}"]
            what = "bare FastAPI echo" if name == _ECHO else f"HTTP turn, {name}"
            cpu = f"server CPU {micros(found, 'server_s')}, client CPU {micros(found, 'client_s')}"
            rate = spread_of([1 / cost.wall_s for cost in found])
            figures.append(figure("http", f"{what}, {people}: requests a second", rate, unit="/s", note=cpu))
            p50, p99 = (spread_of([cuts[at] * 1e3 for cuts in one.cuts[callers]]) for at in (49, 98))
            note = f"p50 {p50.median:.2f} ms"
            figures.append(figure("http", f"{what}, {people}: p99", p99, unit="ms", note=note))
    return figures


def _parts(costs: dict[str, list[Cost]]) -> list[Figure]:
    echo = costs[f"{_ECHO} {_PART}"]
    figures = []
    for name in _BACKENDS:
        store, turn = costs[f"{name} store {_PART}"], costs[f"{name} {_PART}"]
        lone = costs[f"{name} store 1"]
        title = f"{name}: store and session part of a turn / one bare echo"
        note = f"{micros(store, 'client_s')} / {micros(echo, 'server_s')} of processor time, {_PART} callers"
        figures.append(figure("http", title, _beside(store, echo), target=at_most(1), note=note))
        note = f"{micros(lone, 'client_s')}: commits that no others share"
        figures.append(figure("http", f"{title}, the store's 1 caller", _beside(lone, echo), note=note))
        share = median(store, "client_s") / median(turn, "server_s")
        note = f"{micros(turn, 'server_s')} / {micros(echo, 'server_s')}; {share:.0%} of it is the store's part"
        title = f"{name}: server CPU of the whole turn / one bare echo"
        figures.append(figure("http", title, ratio(turn, echo, "server_s"), note=note))
    return figures


def _beside(store: Sequence[Cost], echo: Sequence[Cost]) -> Spread:
    """Processor time of this process, where the store runs, by that of the echo's server."""
    return ratio([Cost(0, cost.client_s) for cost in store], [Cost(0, cost.server_s) for cost in echo], "client_s")


# --- over HTTP ---


class _Process:
    """A server process on a free port, its last argument."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.port = free_port()
        self._log = folder / f"{self.port}.log"
        self._command = [sys.executable, "-m", *command, str(self.port)]

    def __enter__(self) -> Self:
        # nothing from outside may bring in a model, or other settings
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=plain, cwd=Path(__file__).parent.parent
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait(self) -> None:
        """Until it is ready."""
        until = time.monotonic() + _START_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2):
                    return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"no server:\n{self._log.read_text(errors='replace')[-800:]}") from error
            time.sleep(0.05)

    def cpu_s(self) -> float:
        """Processor time of all its threads so far: Linux's clock of another process, as clock_getcpuclockid(3) makes it."""
        return time.clock_gettime((~self._process.pid << 3) | 2)


class _Connection(asyncio.Protocol):
    """HTTP/1.1, kept alive, one request at a time: as little as will do, since it shares the machine with the servers."""

    def __init__(self) -> None:
        self._data = b""
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class does not say so

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found or self._waiting is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._data = b""
        if head[9:11] == b"20":
            self._waiting.set_result(body)
        else:
            self._waiting.set_exception(RuntimeError(f"{head[:40]!r}: {body[:300]!r}"))

    def post(self, path: str, body: bytes) -> asyncio.Future[bytes]:
        self._waiting = asyncio.get_running_loop().create_future()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {turn_id()}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        return self._waiting


class _Runs:
    """Requests to one server: to one path, or turns of new sessions.

    Attributes:
        cuts: the percentiles of each round's seconds, by number of callers.
    """

    def __init__(self, process: _Process, path: str | None) -> None:
        self.process = process
        self.cuts: dict[int, list[list[float]]] = {}
        self._path = path

    def forget(self) -> None:
        self.cuts = {}

    def side(self, callers: int, count: int) -> Side:
        return lambda: self._round(callers, count)

    async def _opened(self) -> tuple[_Connection, str]:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self.process.port)
        if self._path is not None:
            return connection, self._path
        made = msgspec.json.decode(await connection.post("/v1/sessions", b"{}"))
        return connection, f"/v1/sessions/{made['id']}/turns"

    async def answer(self) -> dict[str, Any]:
        """One turn's outcome, as the API shows it."""
        connection, path = await self._opened()
        outcome: dict[str, Any] = msgspec.json.decode(await connection.post(path, _BODY))
        connection.transport.close()
        if outcome["metadata"].get("mode") != "extractive":
            raise RuntimeError(f"this is to be an extractive answer: {outcome}")
        return outcome

    async def _round(self, callers: int, count: int) -> Cost:
        """Every caller has a connection and a new session of its own, and one turn behind it."""
        opened = [await self._opened() for _ in range(callers)]
        for connection, path in opened:
            await connection.post(path, _BODY)
        seconds: list[float] = []

        async def caller(connection: _Connection, path: str) -> None:
            for _ in range(count // callers):
                started = time.perf_counter()
                await connection.post(path, _BODY)
                seconds.append(time.perf_counter() - started)

        before = self.process.cpu_s()
        cost = await cost_of(lambda: _all(opened, caller), count // callers * callers)
        server = (self.process.cpu_s() - before) / len(seconds)
        for connection, _ in opened:
            connection.transport.close()
        self.cuts.setdefault(callers, []).append(statistics.quantiles(seconds, n=100))
        return msgspec.structs.replace(cost, server_s=server)


async def _all(opened: Sequence[tuple[Any, ...]], caller: Callable[..., Any]) -> None:
    await asyncio.gather(*[caller(*one) for one in opened])


# --- the store alone, in this process ---


class _Stored:
    """The same turns by `run_turn`, whose handler only replies what the assistant replied."""

    def __init__(self, outcome: dict[str, Any]) -> None:
        self._input: str = msgspec.json.decode(_BODY)["input"]
        self._reply: str = outcome["reply"]
        self._citations = msgspec.convert(tuple(outcome["citations"]), tuple[Citation, ...])
        self._metadata: dict[str, Any] = outcome["metadata"]

    def side(self, store: Store, callers: int, count: int) -> Side:
        async def caller(session_id: str, turns: int) -> None:
            for _ in range(turns):
                await store.run_turn(session_id, "assistant", input=self._input, turn_id=turn_id())

        async def once() -> Cost:
            sessions = fresh("http", callers)
            await _all([(session_id, 1) for session_id in sessions], caller)
            turns = count // callers
            cost = await cost_of(lambda: _all([(one, turns) for one in sessions], caller), turns * callers)
            last = await store.load(sessions[-1])
            if last is None or last.state["step"] != turns + 1:
                raise RuntimeError(f"turns are missing: {last}")
            return cost

        return once

    async def answer(self, turn: Turn) -> None:
        turn.state["step"] = turn.state.get("step", 0) + 1
        turn.reply(self._reply, citations=self._citations, **self._metadata)


# --- what is served ---


def _config(folder: Path, documents: str) -> Path:
    """The sample's config, with an index of its own."""
    sample = resources.files("holdfast.samples")
    text = (sample / "holdfast.toml").read_text(encoding="utf-8")
    text = text.replace('"holdfast-knowledge.db"', f'"{folder / "knowledge.db"}"')
    text = text.replace('folders = ["knowledge"]', f'folders = ["{sample / documents}"]')
    text = text.replace('flows = ["flows"]', f'flows = ["{sample / "flows"}"]')
    path = folder / "http.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _echo() -> FastAPI:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    @app.get("/readyz")
    async def ready() -> Response:
        return Response()

    return app


def _serve_echo(port: int) -> None:
    """As `holdfast serve --quiet` is served."""
    config = uvicorn.Config(
        _echo(),
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    _serve_echo(int(sys.argv[1]))
