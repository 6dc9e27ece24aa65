"""What the SQLite backend adds to the very statements that it runs: they are recorded once, and replayed bare."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from bench.figures import Figure, Target, at_least, figure
from bench.rounds import Cost, cost_of, interleaved, median, ratio
from bench.setting import Setting
from bench.sqlite_worker import Ran
from bench.workload import drive, fresh, grow, shared_out
from holdfast import open_store

Statement = tuple[str, tuple[Any, ...]]
_SESSIONS: Final = 64


async def measure(setting: Setting) -> list[Figure]:
    trial = _Trial(setting)
    await trial.prepare()
    sides = {
        "bare": trial.bare,
        "1 caller": lambda: trial.ours(1, setting.pick(320, 64)),
        "64 callers": lambda: trial.ours(64, setting.pick(3200, 128)),
        "64 callers, one process": lambda: trial.processes(1, 64),
        "64 callers, two processes": lambda: trial.processes(2, 32),
        "1 caller, one process": lambda: trial.processes(1, 1),
        "1 caller each, two processes": lambda: trial.processes(2, 1),
    }
    costs = await interleaved(sides, setting.pick(11, 1), setting.say)
    bare, one, many, single, double, lone, pair = costs.values()

    def line(name: str, above: list[Cost], below: list[Cost], target: Target | None = None, note: str = "") -> Figure:
        rates = f"{1 / median(below, 'wall_s'):.0f} / {1 / median(above, 'wall_s'):.0f} turns a second"
        return figure("sqlite", name, ratio(above, below, "wall_s"), target=target, note=rates + note)

    statements = f"; {trial.statements:.1f} statements a turn"
    return [
        line("turns a second, 1 caller / the same statements bare", bare, one, at_least(0.5), statements),
        line("turns a second, 64 callers / the same statements bare, 1 caller", bare, many, at_least(2)),
        line("turns a second on one file, 2 processes of 32 callers / 1 of 64", single, double, at_least(0.8)),
        line("turns a second on one file, 2 processes of 1 caller / 1 of 1", lone, pair),
    ]


class _Recorder(sqlite3.Connection):
    """Keeps what is executed on it, in `kept`."""

    kept: list[Statement]

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        self.kept.append((sql, tuple(parameters)))
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
        rows = [tuple(row) for row in parameters]
        self.kept += [(sql, row) for row in rows]
        return super().executemany(sql, rows)


class _Trial:
    """Every run begins with a copy of the same file: 64 sessions of 40 messages."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._folder = setting.folder
        self._base = setting.folder / "base.db"
        self._sessions = fresh("bare", _SESSIONS)
        self._log: list[Statement] = []
        self._turns = 0

    @property
    def statements(self) -> float:
        return len(self._log) / self._turns

    async def prepare(self) -> None:
        async with open_store(f"sqlite:///{self._base}?synchronous=normal", ttl="2h") as store:
            await grow(store, self._sessions, 20)
        await self._record(self._setting.pick(320, 64))

    async def _record(self, turns: int) -> None:
        """The statements of one caller's turns: all that its store's writer ran, BEGIN and COMMIT too."""
        made: list[_Recorder] = []

        def connected(*args: Any, **options: Any) -> _Recorder:
            db: _Recorder = connect(*args, factory=_Recorder, **options)
            db.kept = []
            made.append(db)
            return db

        connect: Any = sqlite3.connect
        path = self._copy("recorded")
        with mock.patch("sqlite3.connect", connected):
            opening = open_store(f"sqlite:///{path}", ttl="2h")
            store = await opening
        try:
            opened = [len(db.kept) for db in made]
            seen: list[str] = []
            writer = max(made, key=lambda db: sum(sql.startswith("BEGIN") for sql, _ in db.kept))
            writer.set_trace_callback(seen.append)
            await drive(store, shared_out(self._sessions, 1, turns // _SESSIONS))
            writer.set_trace_callback(None)
            self._log = writer.kept[opened[made.index(writer)] :]
        finally:
            await store.close()
        if len(seen) != len(self._log):
            raise RuntimeError(f"SQLite ran {len(seen)} statements, and {len(self._log)} were recorded")
        self._turns = turns

    def _copy(self, name: str) -> Path:
        for old in self._folder.glob(f"{name}.db*"):
            old.unlink()
        path = self._folder / f"{name}.db"
        shutil.copy(self._base, path)
        return path

    async def bare(self) -> Cost:
        """The recorded statements in a plain loop, on the same file, with the same durability."""
        path = self._copy("replayed")
        db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        try:
            for pragma in ("journal_mode = wal", "synchronous = full", "cache_size = -16384", "temp_store = memory"):
                db.execute(f"PRAGMA {pragma}").fetchall()

            async def replay() -> None:
                execute = db.execute
                for sql, parameters in self._log:
                    execute(sql, parameters).fetchall()

            return await cost_of(replay, self._turns)
        finally:
            db.close()

    async def ours(self, callers: int, turns: int) -> Cost:
        path = self._copy("ours")
        async with open_store(f"sqlite:///{path}", ttl="2h") as store:
            plan = shared_out(self._sessions, callers, turns // _SESSIONS)
            return await cost_of(lambda: drive(store, plan), turns)

    async def processes(self, count: int, callers: int) -> Cost:
        """Turns of several processes on one file, from the first one's start to the last one's end."""
        path = self._copy("shared")
        turns = self._setting.pick(3200 if callers > 1 else 640, 128)
        workers = []
        for number in range(count):
            own = self._sessions[number::count]
            workers.append(
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "bench.sqlite_worker", str(path), str(callers), str(turns // count), *own),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    cwd=Path(__file__).parent.parent,
                )
            )
        try:
            for worker in workers:
                assert worker.stdout is not None
                await worker.stdout.readline()
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write(b"go\n")
            ran = [msgspec.json.decode((await worker.communicate())[0], type=Ran) for worker in workers]
        finally:
            for worker in workers:
                if worker.returncode is None:
                    worker.kill()
                    await worker.wait()
        wall = max(one.ended for one in ran) - min(one.started for one in ran)
        done = sum(one.turns for one in ran)
        return Cost(wall / done, sum(one.cpu_s for one in ran) / done)
