"""Metrics for Prometheus: calls to the store, turns, caches, and what the backend knows of itself."""

from holdfast.telemetry.instrumenting import instrument, server_figures

__all__ = ["instrument", "server_figures"]
