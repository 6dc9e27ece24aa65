"""Random walks over the memory backend agree with the model, and find mutants.

``HOLDFAST_WALKS`` sets how many (default 60 by Hypothesis, 40 by seed); the soak takes thousands.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import (
    BeginReply,
    CommitReply,
    EventChunks,
    Record,
    Rejected,
    Signalled,
    StoredOutcome,
    Unchanged,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.mutants import MUTANTS
from holdfast.testing.stateful import Step, play, random_steps, steps

WALKS = int(os.environ.get("HOLDFAST_WALKS", "0"))


def walk_on_memory(walk: list[Step], *, timed: bool = True) -> Counter[str]:
    clock = FakeClock()
    return asyncio.run(play(MemoryBackend(clock=clock), walk, clock if timed else None))


@settings(
    max_examples=WALKS or 60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not WALKS,
)
@given(steps())
def test_walks_by_hypothesis_agree_with_the_model(walk: list[Step]) -> None:
    walk_on_memory(walk)


@pytest.mark.parametrize("timed", [True, False])
def test_walks_by_seed_agree_with_the_model(timed: bool) -> None:
    for seed in range(WALKS or 40):
        walk_on_memory(random_steps(seed, 150), timed=timed)


def test_walks_reach_every_kind_of_answer() -> None:
    answers: Counter[str] = sum((walk_on_memory(random_steps(seed, 150)) for seed in range(20)), Counter())
    kinds = {*get_args(BeginReply), *get_args(CommitReply), StoredOutcome, Rejected, Record, Unchanged}
    kinds |= {Signalled, EventChunks, bytes}
    assert {kind.__name__ for kind in kinds} <= set(answers)


# they show only after outcomes were dropped; a walk changes a ttl only together with something else, and hardly ever parks
# two turns for one name
NOT_ON_A_WALK = {"journal-left", "one-ring", "resolve-guesses", "new-ttl-is-a-touch", "signal-wakes-the-last"}


@pytest.mark.parametrize("name", sorted(set(MUTANTS) - NOT_ON_A_WALK))
def test_walks_find_the_mutant(name: str) -> None:
    with MUTANTS[name].apply(), pytest.raises(AssertionError):
        for seed in range(60):
            walk_on_memory(random_steps(seed, 150))
