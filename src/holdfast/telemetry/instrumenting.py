"""Has a store measured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError, MissingExtra
from holdfast.telemetry.metered import MeteredBackend
from holdfast.telemetry.polling import EVERY_S, polling
from holdfast.telemetry.recording import Telemetry, telemetry_of
from holdfast.turns.store import TurnStore

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def instrument(store: TurnStore, registry: CollectorRegistry | None = None) -> CollectorRegistry:
    """Counts and times what this store does from now on, for Prometheus; returns the registry that shows it.

    To be called once, right after `open_store` and before `for_tenant`. See docs/metrics.md for what is counted.

    Args:
        registry: where to show it; a new one if None. One registry takes one store.

    Raises:
        MissingExtra: prometheus-client is not installed.
        ConfigError: the registry has another store's figures, or this store is measured in another registry.
    """
    return measure(store, registry).registry


def measure(store: TurnStore, registry: CollectorRegistry | None = None) -> Telemetry:
    """As `instrument`; returns the counts themselves."""
    if not isinstance(store, TurnStore):
        raise ConfigError(f"instrument() takes what open_store() returned, not {type(store).__name__}")
    try:
        from prometheus_client import CollectorRegistry

        from holdfast.telemetry.collector import StoreCollector
    except ImportError as error:
        raise MissingExtra("metrics need prometheus-client: pip install 'holdfast[metrics]'") from error
    known = telemetry_of(store)
    if known is not None:
        if registry is None or registry is known.registry:
            return known
        raise ConfigError("this store is measured in another registry already; use the one that instrument() returned")
    telemetry = Telemetry(store.backend, CollectorRegistry() if registry is None else registry)
    try:
        telemetry.registry.register(StoreCollector(store, telemetry))
    except ValueError as error:
        raise ConfigError("this registry shows another store already; give each store a registry of its own") from error
    store.wrap_backend(lambda inner: MeteredBackend(inner, telemetry))
    store.observer = telemetry.turns
    return telemetry


@asynccontextmanager
async def server_figures(store: TurnStore, every: float = EVERY_S) -> AsyncIterator[None]:
    """Asks a measured store's server for its own figures (memory, replicas), every ``every`` seconds, for the length of the
    context. `holdfast serve` does this by itself; a store without a server has none, which is no error.

    Raises `ConfigError` where the store is not measured.
    """
    telemetry = telemetry_of(store)
    if telemetry is None:
        raise ConfigError("this store is not measured: call instrument(store) first")
    async with polling(telemetry.server, every):
        yield
