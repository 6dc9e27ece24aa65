"""The testing kit can be imported, and its suite run, with none of the optional packages installed."""

from __future__ import annotations

import subprocess
import sys

import holdfast.testing
from holdfast.testing.contract import BackendContract
from holdfast.testing.suite import list_tests

WITHOUT_EXTRAS = """
import sys
for name in ("pytest", "pytest_asyncio", "hypothesis", "redis", "hiredis"):
    sys.modules[name] = None
import asyncio
import holdfast.testing
from holdfast.backends.memory import MemoryBackend
from holdfast.errors import MissingExtra
for name in holdfast.testing.__all__:
    getattr(holdfast.testing, name)
clock = holdfast.testing.FakeClock()
async def make():
    return MemoryBackend(clock=clock)
only = lambda name: "base" in name or "expir" in name
assert asyncio.run(holdfast.testing.run_suite(make, clock, only=only)) == []
try:
    holdfast.testing.steps()
except MissingExtra as error:
    assert "pip install hypothesis" in str(error)
else:
    raise SystemExit("steps() works without hypothesis?")
"""


def test_everything_but_hypothesis_walks_works_without_the_extras() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there_and_documented() -> None:
    for name in holdfast.testing.__all__:
        thing = getattr(holdfast.testing, name)
        assert isinstance(thing, dict) or thing.__doc__, f"{name} has no docstring"
    assert sorted(holdfast.testing._HOME) == sorted(holdfast.testing.__all__)
    assert not hasattr(holdfast.testing, "nothing")


def test_the_suite_runs_its_parts_once_each() -> None:
    names = list_tests(BackendContract)
    assert len(names) == len(set(names)) > 200
    defined = [name for part in BackendContract.__mro__ for name in vars(part) if name.startswith("test_")]
    assert sorted(defined) == sorted(names), "two parts of the suite define a test of one name"
