"""A virtual environment for each peer, made when it is first needed, with the versions that its script pins (PEP 723)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r"^# /// script$\n(?P<text>(?:^#(?:| .*)$\n)+?)^# ///$", re.MULTILINE)


class EnvironmentFailed(RuntimeError):
    """A peer's environment could not be made; the message says why."""


def requirements(script: Path) -> list[str]:
    """What the script's inline metadata depends on; empty where it runs in this project's own environment."""
    block = _BLOCK.search(script.read_text())
    if block is None:
        return []
    toml = "\n".join(line[2:] for line in block["text"].splitlines())
    found: list[str] = tomllib.loads(toml)["dependencies"]
    return found


def cache_folder() -> Path:
    """``$HOLDFAST_BENCH_CACHE``, or ``holdfast-bench`` in the user's cache folder."""
    own = os.environ.get("HOLDFAST_BENCH_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast-bench"


async def python_for(script: Path, say: Callable[[str], None]) -> Path:
    """The interpreter that the script is to run with. Raises `EnvironmentFailed`."""
    needs = requirements(script)
    if not needs:
        return Path(sys.executable)
    name = hashlib.sha256("\n".join([sys.version, *needs]).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{script.stem}-{name}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"making an environment for {script.stem}: {', '.join(needs)}", file=sys.stderr)
        try:
            shutil.rmtree(folder, ignore_errors=True)  # one that was begun and not finished
            folder.parent.mkdir(parents=True, exist_ok=True)
            for command in _commands(folder, python, needs):
                await _run(command, lambda line: say(f"{script.stem}: {line}"))
        except OSError as error:
            raise EnvironmentFailed(f"{error.strerror or error}") from None
        ready.touch()
    return python


def _commands(folder: Path, python: Path, needs: list[str]) -> list[list[str]]:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is not None:
        return [
            [uv, "venv", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--python", str(python), *needs],
        ]
    return [[sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", *needs]]


async def _run(command: list[str], heard: Callable[[str], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    said: list[str] = []
    async for raw in process.stdout:
        said.append(raw.decode("utf-8", "replace").strip())
        heard(said[-1])
    if await process.wait():
        reason = next((line for line in said if "rror" in line or "×" in line), said[-1] if said else "no output")
        raise EnvironmentFailed(f"`{Path(command[0]).name} {' '.join(command[1:3])}` failed: {reason[:200]}")
