"""Fixtures of real Redis in production's shapes: Sentinels, a Cluster, TLS. A missing program skips; in CI it fails.

The session's servers are for tests that leave them as they were (every server up, no slot moved); a test that breaks one
makes its own with ``async with new_sentinel_set()`` or ``new_redis_cluster()``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from holdfast.testing import Certificates, PartitionedSentinelSet, RedisCluster, SentinelSet, TlsRedisServer

_PATIENCE_MS = 5000
"""A server that a busy machine holds up is not failed over: these sets stay as they are."""
_untested: set[str] = set()


def needs(*programs: str) -> None:
    """Skips where one of these programs is not installed; in CI that is a failure."""
    missing = ", ".join(program for program in programs if shutil.which(program) is None)
    if missing:
        skip_or_fail(f"not installed: {missing}; `sh scripts/install-servers.sh` installs it")


def skip_or_fail(reason: str) -> None:
    """Skips with a reason; in CI every test has to run, and it is a failure."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"{reason} (CI has to run every test)")
    pytest.skip(reason)


def needs_namespaces() -> None:
    """Skips where network namespaces do not work, and says so at the end of the run; programs that are missing fail in CI."""
    needs("ip", "nft")
    from holdfast.testing import why_no_namespaces

    if reason := why_no_namespaces():
        _untested.add(f"partitions are NOT tested: {reason}")
        pytest.skip(reason)


@pytest.hookimpl(specname="pytest_sessionfinish")
def pytest_hand_over_what_is_untested(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:  # a worker of pytest-xdist
        output["untested"] = sorted(_untested)


@pytest.hookimpl(specname="pytest_testnodedown", optionalhook=True)
def pytest_take_over_what_is_untested(node: Any) -> None:
    _untested.update(getattr(node, "workeroutput", {}).get("untested", ()))


@pytest.hookimpl(specname="pytest_terminal_summary")
def pytest_say_what_is_untested(terminalreporter: Any) -> None:
    for line in sorted(_untested):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA, certificates of server and client, and some that have to be refused."""
    needs("openssl")
    from holdfast.testing import make_certificates

    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def sentinel_set() -> Iterator[SentinelSet]:
    """One primary, two replicas, three Sentinels, for all tests that break none of them."""
    needs("redis-server")
    from holdfast.testing import SentinelSet

    with SentinelSet(down_after_ms=_PATIENCE_MS) as running:
        yield running


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Three primaries with a replica each, for all tests that break none of them and move no slot."""
    needs("redis-server", "redis-cli")
    from holdfast.testing import RedisCluster

    with RedisCluster(node_timeout_ms=_PATIENCE_MS) as running:
        yield running


@pytest.fixture(scope="session")
def tls_redis() -> Iterator[TlsRedisServer]:
    """One redis-server that speaks TLS only and asks for a client certificate."""
    needs("redis-server", "openssl")
    from holdfast.testing import TlsRedisServer

    with TlsRedisServer() as running:
        yield running


@pytest.fixture
def new_sentinel_set() -> type[SentinelSet]:
    """Makes a set that a test may break: ``async with new_sentinel_set(replicas=2) as running``."""
    needs("redis-server")
    from holdfast.testing import SentinelSet

    return SentinelSet


@pytest.fixture
def new_redis_cluster() -> type[RedisCluster]:
    """Makes a Cluster that a test may break: ``async with new_redis_cluster() as running``."""
    needs("redis-server", "redis-cli")
    from holdfast.testing import RedisCluster

    return RedisCluster


@pytest.fixture
def new_partitioned_set() -> type[PartitionedSentinelSet]:
    """Makes a set whose network a test may cut: ``async with new_partitioned_set() as running``."""
    needs("redis-server")
    needs_namespaces()
    from holdfast.testing import PartitionedSentinelSet

    return PartitionedSentinelSet
