"""What Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._turns = Counter(
            "holdfast_turns", "Turns that ended here, by outcome.", ["outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "holdfast_turn_seconds",
            "Seconds from a turn's acceptance to its commit, for those that were run here.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._running = Gauge("holdfast_turns_running", "Turns that run or wait here now.", registry=self.registry)
        self._requests = Counter(
            "holdfast_http_requests",
            "Requests, by method, path and status.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self._by_request: dict[tuple[str, str, int], Counter] = {}

    def running(self, count: Callable[[], int]) -> None:
        """Where the number of running turns comes from."""
        self._running.set_function(count)

    def turn(self, outcome: str, seconds: float) -> None:
        """Counts a turn's end."""
        self._turns.labels(outcome).inc()
        if outcome == "completed":
            self._seconds.observe(seconds)

    def request(self, method: str, path: str, status: int) -> None:
        """Counts a request; ``path`` is its template, so that there are few."""
        key = (method, path, status)
        counter = self._by_request.get(key)
        if counter is None:
            counter = self._by_request[key] = self._requests.labels(method, path, str(status))
        counter.inc()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
