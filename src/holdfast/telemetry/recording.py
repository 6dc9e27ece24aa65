"""All that is counted around one store, and where to find it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.backends.contract import Backend
from holdfast.backends.measures import layers, server_measured
from holdfast.telemetry.calls import CallRecorder
from holdfast.telemetry.metered import MeteredBackend
from holdfast.telemetry.polling import ServerFigures
from holdfast.telemetry.turns import TurnCounts
from holdfast.turns.store import TurnStore

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Telemetry(CallRecorder):
    """The counts of one store.

    Attributes:
        turns: counts of turns. server: figures of the store's server, None where it has none.
        registry: where they are shown.
    """

    def __init__(self, backend: Backend, registry: CollectorRegistry) -> None:
        super().__init__()
        probe = server_measured(backend)
        self.turns = TurnCounts()
        self.server = None if probe is None else ServerFigures(probe)
        self.registry = registry


def telemetry_of(store: TurnStore) -> Telemetry | None:
    """The counts of a store that is measured already; None where it is not."""
    for backend in layers(store.backend):
        if isinstance(backend, MeteredBackend) and isinstance(backend.recorder, Telemetry):
            return backend.recorder
    return None
