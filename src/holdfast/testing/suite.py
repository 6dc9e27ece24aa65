"""Runs the contract suite without pytest, for mutants, soaks and third parties with another test runner."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from unittest import SkipTest

from holdfast.backends.contract import Backend
from holdfast.backends.records import OutcomeLimits
from holdfast.testing.clock import FakeClock
from holdfast.testing.contract import BackendContract
from holdfast.testing.contract_base import ContractBase

MakeBackend = Callable[[], Awaitable[Backend]]
"""Opens a backend over an empty store; `run_suite` closes it."""


class Failure(NamedTuple):
    """One test that failed."""

    test: str
    error: str
    """The exception's type and message."""
    where: str
    """The traceback."""


def list_tests(suite: type[ContractBase]) -> list[str]:
    """Names of the suite's test methods, in the order in which its parts are listed and written."""
    names: dict[str, None] = {}
    for part in suite.__mro__:
        names.update(dict.fromkeys(name for name in vars(part) if name.startswith("test_")))
    return list(names)


async def run_suite(
    make_backend: MakeBackend,
    clock: FakeClock | None = None,
    *,
    outcomes: OutcomeLimits | None = None,
    suite: type[ContractBase] = BackendContract,
    only: Callable[[str], bool] = lambda test: True,
    first_failure: bool = False,
    timeout: float = 60.0,
) -> list[Failure]:
    """Runs every test of the suite on a fresh backend and returns those that failed.

    Args:
        make_backend: opens a backend over an empty store, for each test anew.
        clock: the clock that these backends were given; None where time is the server's.
        outcomes: the limits that they were given.
        only: picks tests by name.
        first_failure: stop at the first one.
        timeout: seconds for each test.
    """
    if not __debug__:
        raise RuntimeError("the contract suite works by assert statements: run it without -O")
    failures: list[Failure] = []
    for name in filter(only, list_tests(suite)):
        scene = suite()
        scene.clock = clock
        scene.outcomes = outcomes or OutcomeLimits()
        if failure := await _run_one(scene, name, make_backend, timeout):
            failures.append(failure)
            if first_failure:
                break
    return failures


async def _run_one(scene: ContractBase, name: str, make_backend: MakeBackend, timeout: float) -> Failure | None:
    backend = await make_backend()
    try:
        test = getattr(scene, name)
        wanted = inspect.signature(test).parameters
        async with asyncio.timeout(timeout):
            await test(**({"backend": backend} if "backend" in wanted else {}))
    except SkipTest:
        return None
    except Exception as error:  # noqa: BLE001 - a broken backend may fail in any way
        return Failure(name, f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        await backend.close()
    return None
