"""What a Cluster's node says about who has which slots, and whom to believe."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.backends.redis.address import Address
from holdfast.backends.redis.cluster import _LOOK_S, Cluster
from holdfast.backends.redis.cluster_map import Claim, View, read_view, redirection
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.slots import slots_by_tag, tag_of
from holdfast.backends.redis.urls import parse
from holdfast.backends.redis.wire import Arg
from holdfast.errors import ConfigError

KEY = "hf:{00}:s:acme:s-1"
NODES = (
    "aa 10.0.0.1:7000@17000,one.example myself,master - 0 0 7 connected 0-8191 [93-<-bb]\n"
    "bb 10.0.0.2:7000@17000 master,fail? - 0 0 3 connected 8192-16383\n"
    "cc 10.0.0.3:7000@17000 slave aa 0 0 7 connected\n"
)


def slots_reply(first: bytes | None) -> list[list[Arg | list[object]]]:
    return [
        [8192, 16383, [b"10.0.0.2", 7000, b"bb", []]],
        [0, 8191, [first, 7000, b"aa", []], [b"10.0.0.3", 7000, b"cc", []]],
    ]


def view(epoch: int, port: int) -> View:
    return View(((0, 16383, Claim(epoch, ("127.0.0.1", port))),), frozenset({("127.0.0.1", port)}))


def cluster() -> Cluster:
    def make(address: Address) -> Node:
        return Node(address, timeout=1, connections=1, max_waiting=10)

    return Cluster(parse("redis+cluster://127.0.0.1:7000"), make, 1.0)


def owner(cluster: Cluster) -> str:
    node = cluster.node(KEY)
    return node.where if node else ""


def test_a_view_has_the_epochs_of_one_reply_and_the_addresses_of_the_other() -> None:
    read = read_view(NODES, slots_reply(b"one.example"), "seed")
    assert read.claim(0) == read.claim(8191) == Claim(7, ("one.example", 7000))
    assert read.claim(8192) == Claim(3, ("10.0.0.2", 7000))
    assert read.nodes == {("one.example", 7000), ("10.0.0.2", 7000), ("10.0.0.3", 7000)}


def test_a_node_without_a_name_is_the_one_that_was_asked() -> None:
    for nameless in (b"", None):
        assert read_view(NODES, slots_reply(nameless), "seed").claim(5) == Claim(7, ("seed", 7000))
    unknown = read_view(NODES, slots_reply(b"?"), "seed")
    assert unknown.claim(5) is None and unknown.claim(9000) is not None
    assert redirection("MOVED 5 10.0.0.9:7001", "seed") == (5, ("10.0.0.9", 7001))
    assert redirection("ASK 5 :7001", "seed") == (5, ("seed", 7001))
    assert redirection("MOVED 5 ::1:7001", "seed") == (5, ("::1", 7001))


async def test_the_claim_of_the_higher_epoch_counts_whoever_tells_it() -> None:
    topology = cluster()
    told: list[str] = []
    topology.on_change(lambda: told.append(owner(topology)))
    for epoch, port in (
        (3, 7000),
        (5, 7001),
        (4, 7000),
        (5, 7002),
        (6, 7003),
    ):  # 4: a primary cut off from the majority
        topology._take(view(epoch, port))
    assert told == ["127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7003"]
    assert [node.where for node in topology.primaries()] == ["127.0.0.1:7003"]
    await topology.close()


async def test_moved_counts_at_once_until_a_newer_map_is_told() -> None:
    topology = cluster()
    topology._take(view(3, 7000))
    slot, deadline = slots_by_tag()[tag_of(KEY)], asyncio.get_running_loop().time() + 5
    way = await topology.way_on(KEY, topology.node(KEY), f"MOVED {slot} 127.0.0.1:7001", deadline)
    assert way is not None and way.node.where == owner(topology) == "127.0.0.1:7001"
    others = [key for key in ("hf:{01}:s::x", "hf:{02}:s::x") if slots_by_tag()[tag_of(key)] != slot]
    assert {node.where for key in others if (node := topology.node(key))} == {"127.0.0.1:7000"}
    topology._take(view(3, 7000))  # of before the move
    assert owner(topology) == "127.0.0.1:7001"
    topology._take(view(4, 7002))
    assert owner(topology) == "127.0.0.1:7002"
    await topology.close()


async def test_a_node_is_kept_for_as_long_as_it_is_a_primary() -> None:
    topology = cluster()
    topology._take(view(3, 7000))
    first = topology.node(KEY)
    topology._take(view(9, 7000))
    assert topology.node(KEY) is first
    topology._take(view(10, 7001))
    topology._take(view(11, 7000))
    assert topology.node(KEY) is not first  # that one was closed
    await topology.close()


async def test_errors_that_waiting_does_not_mend_are_not_repeated() -> None:
    topology = cluster()
    topology._take(view(3, 7000))
    deadline = asyncio.get_running_loop().time() + 5
    for text in ("NOPERM no", "OOM full", "ERR wrong", "HFCORRUPT meta"):
        assert await topology.way_on(KEY, topology.node(KEY), text, deadline) is None
    await topology.close()


async def test_a_refusal_that_comes_slowly_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later than a look waits for it, and before the next one begins."""

    async def refuses(*_: object) -> View:
        await asyncio.sleep(_LOOK_S * 1.25)
        raise ConfigError("the password is wrong")

    monkeypatch.setattr("holdfast.backends.redis.cluster.view_of", refuses)
    several = cluster()
    with pytest.raises(ConfigError, match="password"):
        await several.start()
    await several.close()
