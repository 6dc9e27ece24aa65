"""What proves a backend, or an application built on Holdfast: the public testing kit.

| name | what it is | needs |
|---|---|---|
| `BackendContract` | the behavioural suite that every backend passes | pytest, pytest-asyncio to collect it |
| `run_suite` | the same suite without pytest | |
| `play`, `random_steps`, `steps` | random walks against a model of the promises | Hypothesis for `steps` |
| `MUTANTS` | backends broken on purpose, to test the tests | |
| `FakeClock` | the store's clock in the test's hand | |
| `FaultProxy`, `Faults` | a TCP proxy that loses, delays, cuts and holds | |
| `History`, `check_history` | finds lost, doubled, forked and torn turns | |

Names are imported when they are first used, so that importing this package needs nothing installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.clock import FakeClock
    from holdfast.testing.contract import BackendContract
    from holdfast.testing.fault_proxy import FaultProxy, Faults, Held, Traffic
    from holdfast.testing.history import Anomaly, History, Line, Operation, check_history
    from holdfast.testing.model import Model
    from holdfast.testing.mutants import MUTANTS, Mutant
    from holdfast.testing.stateful import Step, play, random_steps, steps
    from holdfast.testing.suite import Failure, run_suite

_HOME = {
    "FakeClock": "clock",
    "BackendContract": "contract",
    "FaultProxy": "fault_proxy",
    "Faults": "fault_proxy",
    "Held": "fault_proxy",
    "Traffic": "fault_proxy",
    "Anomaly": "history",
    "History": "history",
    "Line": "history",
    "Operation": "history",
    "check_history": "history",
    "Model": "model",
    "MUTANTS": "mutants",
    "Mutant": "mutants",
    "Step": "stateful",
    "play": "stateful",
    "random_steps": "stateful",
    "steps": "stateful",
    "Failure": "suite",
    "run_suite": "suite",
}

__all__ = [
    "MUTANTS",
    "Anomaly",
    "BackendContract",
    "Failure",
    "FakeClock",
    "FaultProxy",
    "Faults",
    "Held",
    "History",
    "Line",
    "Model",
    "Mutant",
    "Operation",
    "Step",
    "Traffic",
    "check_history",
    "play",
    "random_steps",
    "run_suite",
    "steps",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
