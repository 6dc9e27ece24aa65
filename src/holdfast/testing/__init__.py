"""What proves a backend, or an application built on Holdfast: the public testing kit.

| name | what it is | needs |
|---|---|---|
| `BackendContract` | the behavioural suite that every backend passes | pytest, pytest-asyncio to collect it |
| `run_suite` | the same suite without pytest | |
| `play`, `random_steps`, `steps` | random walks against a model of the promises | Hypothesis for `steps` |
| `MUTANTS` | backends broken on purpose, to test the tests | |
| `FakeClock` | the store's clock in the test's hand | |
| `FaultProxy`, `Faults` | a TCP proxy that loses, delays, cuts and holds | |
| `RedisServer`, `TlsRedisServer` | a redis-server of one's own | redis-server; openssl for TLS |
| `SentinelSet` | a primary, replicas and Sentinels that fail over | redis-server |
| `PartitionedSentinelSet`, `NetworkNamespaces` | hosts that can be cut off from each other | Linux, root, ip, nft |
| `RedisCluster` | a Cluster that fails over and reshards | redis-server, redis-cli |
| `ScriptedModel`, `ScriptedAnswer` | a language model that says what a script says; `scripted` is its factory for a config | |
| `History`, `check_history` | finds lost, doubled, forked and torn turns | |

Names are imported when they are first used, so that importing this package needs nothing installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.access import Access
    from holdfast.testing.certificates import Certificates, make_certificates
    from holdfast.testing.clock import FakeClock
    from holdfast.testing.clusters import ClusterNode, RedisCluster
    from holdfast.testing.contract import BackendContract
    from holdfast.testing.fault_proxy import FaultProxy, Faults, Held, Traffic
    from holdfast.testing.history import Anomaly, History, Line, Operation, check_history
    from holdfast.testing.model import Model
    from holdfast.testing.mutants import MUTANTS, Mutant
    from holdfast.testing.namespaces import Host, NamespaceTrouble, NetworkNamespaces, why_no_namespaces
    from holdfast.testing.partitions import PartitionedSentinelSet
    from holdfast.testing.places import ServerMissing
    from holdfast.testing.scripted_model import ModelRequest, ScriptedAnswer, ScriptedModel, ScriptRanOut, scripted
    from holdfast.testing.sentinels import NoPrimary, SentinelServer, SentinelSet
    from holdfast.testing.servers import RedisServer, TlsRedisServer
    from holdfast.testing.stateful import Step, play, random_steps, steps
    from holdfast.testing.suite import Failure, run_suite

_HOME = {
    "Host": "namespaces",
    "NamespaceTrouble": "namespaces",
    "NetworkNamespaces": "namespaces",
    "why_no_namespaces": "namespaces",
    "PartitionedSentinelSet": "partitions",
    "Access": "access",
    "Certificates": "certificates",
    "make_certificates": "certificates",
    "ClusterNode": "clusters",
    "RedisCluster": "clusters",
    "ServerMissing": "places",
    "ModelRequest": "scripted_model",
    "ScriptRanOut": "scripted_model",
    "ScriptedAnswer": "scripted_model",
    "ScriptedModel": "scripted_model",
    "scripted": "scripted_model",
    "NoPrimary": "sentinels",
    "SentinelServer": "sentinels",
    "SentinelSet": "sentinels",
    "RedisServer": "servers",
    "TlsRedisServer": "servers",
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
    "Access",
    "Anomaly",
    "BackendContract",
    "Certificates",
    "ClusterNode",
    "Failure",
    "FakeClock",
    "FaultProxy",
    "Faults",
    "Held",
    "History",
    "Host",
    "Line",
    "Model",
    "ModelRequest",
    "Mutant",
    "NamespaceTrouble",
    "NetworkNamespaces",
    "NoPrimary",
    "Operation",
    "PartitionedSentinelSet",
    "RedisCluster",
    "RedisServer",
    "ScriptRanOut",
    "ScriptedAnswer",
    "ScriptedModel",
    "SentinelServer",
    "SentinelSet",
    "ServerMissing",
    "Step",
    "TlsRedisServer",
    "Traffic",
    "check_history",
    "make_certificates",
    "play",
    "random_steps",
    "run_suite",
    "scripted",
    "steps",
    "why_no_namespaces",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
