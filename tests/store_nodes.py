"""What tests share: several nodes over one backend, a way to step in between a node and its backend, and the figures' table."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from holdfast import Store, open_store
from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import OutcomeLimits
from holdfast.encryption import KeyRing, new_key
from holdfast.encryption.backend import EncryptedBackend
from holdfast.encryption.vault import Vault
from holdfast.sessions.settings import settings_from
from holdfast.testing.clock import FakeClock
from holdfast.wiring import open_backend

if TYPE_CHECKING:
    from holdfast.testing.servers import RedisServer

BACKENDS: Final = ("memory", "sqlite", "redis")
SOAK: Final = os.environ.get("HOLDFAST_SOAK", "") not in ("", "0")
SOAK_FACTOR: Final = int(os.environ.get("HOLDFAST_SOAK_FACTOR", "20")) if SOAK else 1
SHORT_TIMEOUT_S: Final = 120
ENCRYPTED: Final = os.environ.get("HOLDFAST_TEST_ENCRYPTED", "") not in ("", "0")
"""All nodes of the tests encrypt what they store, with one ring and one vault: nothing else may be different."""
if ENCRYPTED:
    os.environ.setdefault("HOLDFAST_TEST_RING", new_key())
    os.environ.setdefault("HOLDFAST_TEST_VAULT", f"sqlite:///{tempfile.mkdtemp()}/vault.db")


Hook = Callable[[], Awaitable[object]]


# --- figures -------------------------------------------------------------------------------------------------------

_figures: list[dict[str, str | int | float]] = []
"""On the controller of several workers: theirs."""


class Figures:
    """Collects what a promise's test counted; printed at the end of the run, and written to ``$HOLDFAST_FIGURES``."""

    def __call__(self, promise: str, backend: str, **counts: int | float) -> None:
        for what, count in counts.items():
            _figures.append({"promise": promise, "backend": backend, "what": what.replace("_", " "), "count": count})


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def scale() -> Callable[[int], int]:
    """The number of rounds: as given in the short run, more in the long one (``HOLDFAST_SOAK=1``)."""
    return lambda rounds: rounds * SOAK_FACTOR


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Seeded by ``$HOLDFAST_SEED`` (1 unless set); the seed is printed where the test fails."""
    seed = int(os.environ.get("HOLDFAST_SEED", "1"))
    print(f"HOLDFAST_SEED={seed} ({request.node.name})")  # shown by pytest for a failing test only
    return random.Random(f"{seed}/{request.node.name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SOAK and "scale" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.timeout(SHORT_TIMEOUT_S * SOAK_FACTOR))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:  # a worker of pytest-xdist
        output["figures"] = _figures


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any) -> None:
    _figures.extend(getattr(node, "workeroutput", {}).get("figures", ()))  # a worker that crashed has none


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _figures:
        return
    lines: dict[tuple[str, str], list[str]] = {}
    for figure in _figures:
        line = lines.setdefault((str(figure["promise"]), str(figure["backend"])), [])
        line.append(f"{figure['what']} {figure['count']}")
    terminalreporter.section("promises, counted" + (" (long run)" if SOAK else ""))
    for (promise, backend), parts in sorted(lines.items()):
        terminalreporter.write_line(f"{promise:<4}{backend:<8}{', '.join(parts)}")
    if path := os.environ.get("HOLDFAST_FIGURES"):
        with Path(path).open("a") as file:
            file.writelines(json.dumps({**figure, "long": SOAK}) + "\n" for figure in _figures)


# --- nodes over one backend ----------------------------------------------------------------------------------------


class Interposed:
    """A backend in between whose calls a test steps in.

    ``before[name]`` and ``after[name]`` are awaited around the call ``name`` (an exception from ``after`` stands for a lost
    reply); ``pauses`` is how many turns of the event loop every call gives away, before and after, so that an
    in-process backend can be cancelled where a networked one can. ``calls`` counts. ``dead``: no call reaches the backend or
    comes back any more, as on a node that was killed.
    """

    CALLS: Final = frozenset(
        [
            *("load", "commit", "delete", "read_log", "scan", "by_user", "begin", "record"),
            *("renew", "release", "resolve", "overdue", "publish", "check"),
            *("signal", "park", "append_events", "read_events"),
        ]
    )

    def __init__(self, inner: Backend, *, closes: bool = True, pauses: int = 0) -> None:
        self.inner = inner
        self.name = inner.name
        self.pauses = pauses
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}
        self.calls: Counter[str] = Counter()
        self.dead = False
        self._closes = closes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name not in self.CALLS:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if self.dead:
                await asyncio.Event().wait()
            for _ in range(self.pauses):
                await asyncio.sleep(0)
            if hook := self.before.get(name):
                await hook()
            reply = await getattr(self.inner, name)(*args, **kwargs)  # a hook may have put another one in
            if hook := self.after.get(name):
                await hook()
            for _ in range(self.pauses):
                await asyncio.sleep(0)
            return reply

        return call

    async def close(self) -> None:
        if self._closes:
            await self.inner.close()


class Nodes:
    """Opens nodes (stores with their own connections, caches and leases) over one and the same backend."""

    def __init__(self, name: str, url: str, clock: FakeClock | None = None) -> None:
        self.name = name
        self.url = url
        self.clock = clock
        self.tenant = uuid.uuid4().hex[:12]  # a Redis server is shared by many tests
        self._opened: list[Store] = []
        self._memory: MemoryBackend | None = None

    async def open(self, **options: Any) -> Store:
        if self.name == "memory" or ENCRYPTED:
            store, _ = await self.interposed(**options)
            return store
        store = await open_store(self.url, **{"tenant": self.tenant, **options})
        self._opened.append(store)
        return store

    async def interposed(self, *, pauses: int = 0, **options: Any) -> tuple[Store, Interposed]:
        """A node, and the place between it and its backend."""
        settings = settings_from(cast(Any, {"tenant": self.tenant, **options}))
        if self.name == "memory":
            limits = OutcomeLimits(turns=settings.outcomes, age_ms=settings.outcome_age_ms)
            self._memory = self._memory or MemoryBackend(clock=self.clock, outcomes=limits)
            between = Interposed(self._memory, closes=False, pauses=pauses)
        else:
            between = Interposed(await open_backend(self.url, settings), pauses=pauses)
        backend = cast(Backend, between)
        if ENCRYPTED:
            vault = await open_backend(os.environ["HOLDFAST_TEST_VAULT"], settings_from({}))
            ring = KeyRing.read({"test": os.environ["HOLDFAST_TEST_RING"]}, {})
            backend = EncryptedBackend(backend, Vault(vault, ring))
        store = Store(backend, settings)
        self._opened.append(store)
        return store, between

    async def close(self) -> None:
        for store in self._opened:
            await store.close()
        if self._memory is not None:
            await self._memory.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One redis-server for all tests that do not stop it."""
    needs_redis_server()
    from holdfast.testing.servers import RedisServer

    with RedisServer() as server:
        yield server


def needs_redis_server() -> None:
    """Skips where redis-server is not installed; in CI that is a failure."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail("redis-server is not installed, and CI has to run every test")
        pytest.skip("redis-server is not installed")


@pytest.fixture(params=BACKENDS)
def backend_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def nodes(backend_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Nodes]:
    """Nodes over each backend in turn."""
    opened = Nodes(backend_name, url_of(backend_name, request, tmp_path))
    yield opened
    await opened.close()


def url_of(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if name == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return server.url
    return "memory:" if name == "memory" else f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def own_nodes(backend_name: str, tmp_path: Path) -> AsyncIterator[Nodes]:
    """Nodes over a store of this test's own: what other tests left pending on a shared server is looked at by every recovery."""
    with ExitStack() as stack:
        if backend_name == "redis":
            needs_redis_server()
            from holdfast.testing.servers import RedisServer

            url = stack.enter_context(RedisServer()).url
        else:
            url = f"sqlite:///{tmp_path / 'store.db'}"
        opened = Nodes(backend_name, url)
        yield opened
        await opened.close()


@pytest.fixture
async def memory_nodes() -> AsyncIterator[Nodes]:
    """Nodes over one memory backend whose clock only the test moves."""
    opened = Nodes("memory", "memory:", FakeClock())
    yield opened
    await opened.close()


@pytest.fixture
async def store(nodes: Nodes) -> Store:
    """One node over each backend in turn; leases, polls and deadlines are short."""
    return await nodes.open(lease=2, poll=0.1, timeout=5)


async def eventually(true: Callable[[], bool], within: float = 10.0) -> None:
    """Polls until ``true()``; a failure, not a hang, after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not true within {within} s"
        await asyncio.sleep(0.002)
