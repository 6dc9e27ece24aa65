"""Hosts in network namespaces: a cut really drops, silently and only where it was made, and heals."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing import NamespaceTrouble, NetworkNamespaces, PartitionedSentinelSet
from redis_servers import needs_namespaces

NAMESPACES = Path("/run/netns")


@pytest.fixture(scope="module")
def network() -> Iterator[NetworkNamespaces]:
    needs_namespaces()
    with NetworkNamespaces(["a", "b", "c"]) as running:
        yield running


@pytest.fixture(autouse=True)
def healed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "network" in request.fixturenames:
        request.getfixturevalue("network").heal()


def reached(network: NetworkNamespaces) -> set[str]:
    return {a + b for a in "abc" for b in "abc" if a != b and network.reaches(a, b)}


EVERYONE = {"ab", "ba", "ac", "ca", "bc", "cb"}


def test_a_cut_drops_between_its_groups_only_and_heals(network: NetworkNamespaces) -> None:
    assert reached(network) == EVERYONE
    network.cut(["a"], ["b", "c"])
    assert reached(network) == {"bc", "cb"}
    network.heal()
    assert reached(network) == EVERYONE


def test_cuts_add_up_and_one_may_be_one_way(network: NetworkNamespaces) -> None:
    network.cut(["a"], ["b"], one_way=True)
    assert reached(network) == EVERYONE - {"ab"}
    network.cut(["c"], ["b"])
    assert reached(network) == EVERYONE - {"ab", "cb", "bc"}


def test_a_connection_over_a_cut_hears_nothing_and_goes_on_after_it(network: NetworkNamespaces) -> None:
    a, b = network.hosts["a"], network.hosts["b"]
    with (
        b.call(lambda: socket.create_server((b.address, 7000))) as listening,
        a.connect(b.address, 7000, timeout=0.3) as connection,
        listening.accept()[0] as accepted,
    ):
        network.cut(["a"], ["b"])
        connection.sendall(b"x")  # no error: nobody tells
        with pytest.raises(TimeoutError):
            connection.recv(1)
        with pytest.raises(TimeoutError):
            a.connect(b.address, 7000, timeout=0.3)
        network.heal()
        accepted.settimeout(10)
        assert accepted.recv(1) == b"x"


def test_a_drop_that_does_not_work_is_noticed(network: NetworkNamespaces, monkeypatch: pytest.MonkeyPatch) -> None:
    real = network._nft

    def wrong(*args: str, text: str = "") -> str:
        return real(*args, text=text.replace("counter drop", "counter accept"))

    monkeypatch.setattr(network, "_nft", wrong)
    with pytest.raises(NamespaceTrouble, match="came through"):
        network.cut(["a"], ["b"])


def test_programs_and_threads_run_on_a_host_with_this_environment(
    network: NetworkNamespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_SEEN", "yes")
    host = network.hosts["b"]
    code = "import os, socket, sys; socket.create_server((sys.argv[1], 0)); print(os.environ['HOLDFAST_SEEN'])"
    process = network.python("b", ["-c", code, host.address], stdout=subprocess.PIPE)
    assert process.communicate(timeout=30)[0] == b"yes\n"
    host.call(lambda: socket.create_server((host.address, 0))).close()
    with pytest.raises(OSError, match="assign"):
        socket.create_server((host.address, 0))  # not here


def test_what_a_call_on_a_host_raises_comes_back(network: NetworkNamespaces) -> None:
    with pytest.raises(ConnectionRefusedError):
        network.hosts["a"].connect(network.hosts["b"].address, 9, timeout=5)


def test_nothing_is_left_behind_not_even_by_a_run_that_was_killed() -> None:
    needs_namespaces()
    code = """
import os, signal, subprocess, sys
from holdfast.testing import NetworkNamespaces
network = NetworkNamespaces(["x"])
network.open()
print(network.run("x", ["sleep", "600"], stdout=subprocess.DEVNULL).pid, network.hosts["x"].namespace, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert killed.stdout and killed.stdin
    pid, namespace = killed.stdout.readline().decode().split()
    with NetworkNamespaces(["y"]):
        assert (NAMESPACES / namespace).exists(), "it still runs"
        killed.communicate(b"\n", timeout=30)
        assert (NAMESPACES / namespace).exists() and Path(f"/proc/{pid}").exists()
    with NetworkNamespaces(["y"]) as network:
        assert not (NAMESPACES / namespace).exists()
        mine = [host.namespace for host in network.hosts.values()]
        assert all((NAMESPACES / name).exists() for name in mine)
    assert not Path(f"/proc/{pid}/net").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert not any((NAMESPACES / name).exists() for name in mine)


async def test_a_primary_that_is_cut_off_with_its_client_is_replaced(
    new_partitioned_set: type[PartitionedSentinelSet],
) -> None:
    async with new_partitioned_set() as running:
        old = running.primary()
        side = running.cut_off_primary()
        assert side == [running.host_of(old), "client"]
        new = await running.wait_for_primary(other_than=old)
        code = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)"
        ends = {}
        for server in (old, new):
            process = running.python(["-c", code, server.host, str(server.port)], stderr=subprocess.PIPE)
            _, errors = process.communicate(timeout=30)
            ends[server] = "timed out" if b"TimeoutError" in errors else errors.decode()
        assert ends == {old: "", new: "timed out"}
        old.command("SET", "fork", "1")  # it does not know yet that it is the primary no more
        running.heal()
        await running.wait_until_synced()
        assert running.primary() is new and old in running.replicas() and old.command("GET", "fork") is None
        assert running.call(lambda: socket.create_connection((new.host, new.port), timeout=5).close()) is None
