"""The behavioural suite that every backend passes.

A third party runs it over their own in a few lines::

    import pytest
    from holdfast.testing.contract import BackendContract

    class TestMyBackend(BackendContract):
        @pytest.fixture
        async def backend(self):
            backend = await MyBackend.connect("my://localhost/empty")   # an empty store for every test
            yield backend
            await backend.close()

The tests are plain ``async def`` methods that ask for the fixture ``backend``: set ``asyncio_mode = "auto"`` for
pytest-asyncio (or mark the class with ``pytest.mark.asyncio``, and the fixture with ``pytest_asyncio.fixture``).

Two more settings, as attributes of the class or set on ``self`` by the fixture (`ContractBase`):

* ``clock``: the `FakeClock` that the backend was given. A backend on a server's clock leaves it None; tests of
  leases and expiry then wait for real, and the few that would take minutes are skipped.
* ``outcomes``: the `OutcomeLimits` that the backend was given, if they are not the default ones.

Without pytest, `holdfast.testing.suite.run_suite` runs the same methods.
"""

from __future__ import annotations

import sys

_PARTS = (
    "sessions",
    "commits",
    "lives",
    "turns",
    "journal",
    "outcomes",
    "listings",
    "ids",
    "signals",
    "parking",
    "streams",
)

if pytest := sys.modules.get("pytest"):  # a failed assertion then shows its values, as in a test file
    for _part in _PARTS:
        pytest.register_assert_rewrite(f"holdfast.testing.contract_{_part}")

from holdfast.testing.contract_commits import CommitContract  # noqa: E402 - after the lines above
from holdfast.testing.contract_ids import IdContract  # noqa: E402
from holdfast.testing.contract_journal import JournalContract  # noqa: E402
from holdfast.testing.contract_listings import ListingContract  # noqa: E402
from holdfast.testing.contract_lives import LifeContract  # noqa: E402
from holdfast.testing.contract_outcomes import OutcomeContract  # noqa: E402
from holdfast.testing.contract_parking import ParkingContract  # noqa: E402
from holdfast.testing.contract_sessions import SessionContract  # noqa: E402
from holdfast.testing.contract_signals import SignalContract  # noqa: E402
from holdfast.testing.contract_streams import StreamContract  # noqa: E402
from holdfast.testing.contract_turns import TurnContract  # noqa: E402


class BackendContract(
    SessionContract,
    CommitContract,
    LifeContract,
    TurnContract,
    JournalContract,
    OutcomeContract,
    ListingContract,
    IdContract,
    SignalContract,
    ParkingContract,
    StreamContract,
):
    """Every rule of `holdfast.backends.contract`, as tests named after the behaviour."""
