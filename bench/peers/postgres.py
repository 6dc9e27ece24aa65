"""A PostgreSQL server of one's own, as Debian's package leaves it: its folder, its port, its default durability."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from holdfast.testing.servers import ServerMissing, free_port

_START_S: Final = 30.0


class PostgresServer:
    """An async context manager. As root it runs under the user ``postgres``, because PostgreSQL refuses root.

    Raises `ServerMissing` where it is not installed or does not start.
    """

    def __init__(self) -> None:
        self._folder = Path()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    async def __aenter__(self) -> Self:
        programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
        try:
            await asyncio.to_thread(self._start, programs)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            await asyncio.to_thread(process.wait)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, programs: Path) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        data = self._folder / "data"
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"],
            capture_output=True,
            user=self._user,
            cwd=self._folder,
        )
        if made.returncode:
            raise ServerMissing(f"initdb failed: {made.stderr.decode('utf-8', 'replace')[-300:]}")
        self.port = free_port()
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self._folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self._folder,
            )
        self._wait_until_it_answers(programs)

    def _wait_until_it_answers(self, programs: Path) -> None:
        command = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        for _ in range(int(_START_S * 10)):
            if subprocess.run(command).returncode == 0:
                return
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.1)
        log = (self._folder / "log").read_text("utf-8", "replace")
        raise ServerMissing(f"PostgreSQL did not start on port {self.port}: {log[-300:]}")


def _programs() -> Path:
    """The folder of the newest version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    if program is None:
        raise ServerMissing("PostgreSQL is not installed (Debian: apt-get install postgresql-15)")
    return Path(program).parent
