"""The contract suite catches every seeded mutant of the memory backend."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import OutcomeLimits
from holdfast.testing.clock import FakeClock
from holdfast.testing.mutants import MUTANTS
from holdfast.testing.suite import Failure, run_suite

LIMITS = OutcomeLimits(turns=6, updates=4, age_ms=3_600_000)


def failures(*, first: bool) -> list[Failure]:
    clock = FakeClock()

    async def make() -> MemoryBackend:
        return MemoryBackend(clock=clock, outcomes=LIMITS)

    return asyncio.run(run_suite(make, clock, outcomes=LIMITS, first_failure=first, timeout=10))


def test_the_backend_as_it_is_passes_the_same_run() -> None:
    assert failures(first=False) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_the_suite_catches(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.apply():
        caught = failures(first=True)
    assert caught, f"no test noticed: {mutant.sentence}"
    print(f"{name}: caught by {caught[0].test}")


def test_a_mutant_leaves_nothing_behind() -> None:
    assert failures(first=True) == []
