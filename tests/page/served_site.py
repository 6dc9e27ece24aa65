"""`holdfast serve` in a process of its own, for a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[str]:
    """Its address: the sample assistant and its documents, on SQLite. ``settings``: variables without their `HOLDFAST_`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HOLDFAST_"))}
    environment |= {"XDG_DATA_HOME": str(folder), "HOLDFAST_SERVER__NODE": "web-1", "PYTHONUNBUFFERED": "1"}
    environment |= {f"HOLDFAST_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "holdfast", "serve", "--port", "0", "--quiet"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(rb"Open (http://\S+)", line):
                yield found[1].decode()
                break
        else:
            pytest.fail(f"holdfast serve did not start: {(folder / 'log').read_text()}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        process.wait(10)
