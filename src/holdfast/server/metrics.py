"""What Prometheus reads: what is counted around the store (`holdfast.telemetry`), and what the server counts itself."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from holdfast import __version__
from holdfast.server.running import RunningTurn
from holdfast.telemetry.recording import Telemetry
from holdfast.telemetry.turns import TURN_BOUNDS

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_HTTP_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
_WAIT_BOUNDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counts of one node, in the registry of its store's."""

    def __init__(self, telemetry: Telemetry, node: str) -> None:
        self.registry = telemetry.registry
        self._turns = telemetry.turns
        self._turns.counted_above = True  # the desk knows better how a turn ended: time-outs, drains, joined ones
        self._running = Gauge("holdfast_turns_running", "Turns that run or wait here now.", registry=self.registry)
        self._first = Histogram(
            "holdfast_turn_first_event_seconds",
            "Seconds from a turn's acceptance to its first event of any kind, and to the first piece of its reply.",
            ["event"],
            buckets=TURN_BOUNDS,
            registry=self.registry,
        )
        self._first_any, self._first_token = self._first.labels("any"), self._first.labels("token")
        self._requests = Counter(
            "holdfast_http_requests",
            "Requests, by method, path and status.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "holdfast_http_request_seconds",
            "Seconds from a request to the end of its answer; a stream lasts as long as its turn.",
            ["method", "path"],
            buckets=_HTTP_BOUNDS,
            registry=self.registry,
        )
        self._limited = Counter(
            "holdfast_limit_refusals",
            "Requests and turns that a limit refused, by limit; tenants that have limits of their own are named.",
            ["limit", "tenant"],
            registry=self.registry,
        )
        self._unchecked = Counter(
            "holdfast_limits_unchecked",
            "Questions for shared rates that the store did not answer, or was not asked because it had not.",
            registry=self.registry,
        )
        self._waiting = Gauge(
            "holdfast_admission_waiting", "Turns that wait for room on this node now.", registry=self.registry
        )
        self._admission = Histogram(
            "holdfast_admission_wait_seconds",
            "Seconds that turns waited for room on this node, for those that had to, by what they got.",
            ["result"],
            buckets=_WAIT_BOUNDS,
            registry=self.registry,
        )
        for result in ("granted", "refused"):
            self._admission.labels(result)
        for limit in ("admission-wait", "admission-queue", "session-line"):
            self._limited.labels(limit, "")  # so that they begin at 0
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        info = Gauge("holdfast_node_info", "Always 1; names the node.", ["node", "version"], registry=self.registry)
        info.labels(node, __version__).set(1)

    def running(self, count: Callable[[], int]) -> None:
        """Where the number of running turns comes from."""
        self._running.set_function(count)

    def turn(self, outcome: str, started: float, turn: RunningTurn) -> None:
        """Counts a turn's end; ``started`` is when it was accepted (`time.perf_counter`)."""
        self._turns.count(outcome, perf_counter() - started)
        if outcome == "completed" and turn.first is not None:
            self._first_any.observe(turn.first - started)
            if turn.first_token is not None:
                self._first_token.observe(turn.first_token - started)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Counts a request; ``path`` is its template, so that there are few."""
        key = (method, path, status)
        counted = self._by_request.get(key)
        if counted is None:
            counted = self._requests.labels(method, path, str(status)), self._request_seconds.labels(method, path)
            self._by_request[key] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    def waiting(self, count: Callable[[], int]) -> None:
        """Where the number of turns that wait for room comes from."""
        self._waiting.set_function(count)

    def admitted(self, seconds: float, result: str) -> None:
        """Counts a wait for room: ``granted`` or ``refused``."""
        self._admission.labels(result).observe(seconds)

    def limited(self, limit: str, tenant: str) -> None:
        """Counts a refusal; ``tenant`` is "" for all but those that the config names."""
        self._limited.labels(limit, tenant).inc()

    def unchecked(self) -> None:
        """Counts a rate that the store did not say anything about."""
        self._unchecked.inc()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
