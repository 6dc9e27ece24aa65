"""Makes Prometheus' families from the counts, when Prometheus asks. Waits for nothing and calls no server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from holdfast.backends.measures import Measure, measured
from holdfast.telemetry.polling import ServerFigures
from holdfast.telemetry.recording import Telemetry
from holdfast.turns.store import TurnStore


class StoreCollector(Collector):
    """Everything that is counted around one store."""

    def __init__(self, store: TurnStore, telemetry: Telemetry) -> None:
        self._store = store
        self._counts = telemetry
        self._backend = store.backend.name

    def describe(self) -> Iterator[Metric]:
        """The same names every time, so that a registry notices a second store."""
        return self._own()

    def collect(self) -> Iterator[Metric]:
        yield from self._own()
        backend = measured(self._store.backend)
        if backend is not None:
            yield from _families(backend.measures(), self._backend)
        if self._counts.server is not None:
            yield from self._server(self._counts.server)

    def _own(self) -> Iterator[Metric]:
        yield from self._calls()
        yield from self._turns()
        yield from self._node()

    def _calls(self) -> Iterator[Metric]:
        backend, ops = self._backend, self._counts.ops
        counts = CounterMetricFamily(
            "holdfast_store_calls", "Calls to the store, by result.", labels=["backend", "op", "result"]
        )
        seconds = HistogramMetricFamily(
            "holdfast_store_call_seconds", "Seconds that calls to the store took.", labels=["backend", "op"]
        )
        for op, calls in ops.items():
            for result, count in calls.results():
                counts.add_metric([backend, op, result], count)
            if calls.count:
                seconds.add_metric([backend, op], calls.cumulative(), calls.seconds)
        settled = CounterMetricFamily(
            "holdfast_outcomes_settled",
            "Writes whose reply was lost, by what became of them.",
            labels=["backend", "result"],
        )
        for result in ("applied", "rejected", "unresolvable"):
            settled.add_metric([backend, result], ops["resolve"].result(result))
        yield counts
        yield seconds
        yield settled

    def _turns(self) -> Iterator[Metric]:
        turns = self._counts.turns
        ends = CounterMetricFamily("holdfast_turns", "Turns that ended here, by outcome.", labels=["outcome"])
        for end, count in list(turns.ends.items()):
            ends.add_metric([end], count)
        yield ends
        yield HistogramMetricFamily(
            "holdfast_turn_seconds",
            "Seconds from a turn's acceptance to its commit, for those that were run here.",
            turns.seconds.cumulative(),
            turns.seconds.seconds,
        )
        waits = HistogramMetricFamily(
            "holdfast_turn_wait_seconds",
            "Seconds that turns waited for their session, for those that had to.",
            labels=["result"],
        )
        for waited, timings in turns.waits.items():
            waits.add_metric([waited], timings.cumulative(), timings.seconds)
        yield waits
        for name, meaning, value in (
            ("turn_reruns", "Handlers called again because another writer changed the same keys.", turns.reruns),
            (
                "turn_takeovers",
                "Accepted turns that went on here after another attempt, or for another node.",
                turns.takeovers,
            ),
            ("steps_replayed", "Steps whose result came from the journal.", turns.steps_replayed),
            ("forks_detected", "Sessions of which two sides of a failover accepted something.", self._store.forks),
        ):
            yield CounterMetricFamily(f"holdfast_{name}", meaning, value)

    def _node(self) -> Iterator[Metric]:
        cache, compression = self._store.cache, self._store.codec.compression
        for name, meaning, value in (
            ("leases_held", "Turns whose lease this node keeps alive.", self._store.leases.count),
            ("near_cache_entries", "Sessions in the near cache.", cache.entries),
            ("near_cache_bytes", "Bytes of the near cache.", cache.bytes),
            ("near_cache_max_bytes", "Bytes that the near cache may take.", cache.max_bytes),
        ):
            yield GaugeMetricFamily(f"holdfast_{name}", meaning, value)
        lookups = CounterMetricFamily("holdfast_near_cache_lookups", "Looks into the near cache.", labels=["result"])
        lookups.add_metric(["hit"], cache.hits)
        lookups.add_metric(["miss"], cache.misses)
        yield lookups
        for name, meaning, value in (
            ("near_cache_evictions", "Sessions put out of the near cache to make room.", cache.evictions),
            ("compressed_values", "Values that were large enough to be compressed.", compression.values),
            ("compressed_bytes_before", "Their bytes before compression.", compression.bytes_before),
            ("compressed_bytes_after", "Their bytes after compression.", compression.bytes_after),
        ):
            yield CounterMetricFamily(f"holdfast_{name}", meaning, value)

    def _server(self, server: ServerFigures) -> Iterator[Metric]:
        labels = ["backend"]
        if server.reachable is not None:
            up = GaugeMetricFamily("holdfast_store_up", "1 where the store's server last answered.", labels=labels)
            up.add_metric([self._backend], int(server.reachable))
            yield up
        if (age := server.age) is not None:
            old = GaugeMetricFamily(
                "holdfast_server_figures_age_seconds", "Seconds since the server told its figures.", labels=labels
            )
            old.add_metric([self._backend], age)
            yield old
        failures = CounterMetricFamily(
            "holdfast_server_figures_failures", "Questions for the server's figures without an answer.", labels=labels
        )
        failures.add_metric([self._backend], server.failures)
        yield failures
        yield from _families(server.last, self._backend)


def _families(measures: Iterable[Measure], backend: str) -> list[Metric]:
    found: dict[str, Metric] = {}
    for measure in measures:
        name = f"holdfast_{measure.name}"
        family = found.get(name)
        if family is None:
            family = found[name] = Metric(name, measure.help or measure.name, measure.kind)
        sample = f"{name}_total" if measure.kind == "counter" else name
        family.add_sample(sample, {"backend": backend, **dict(measure.labels)}, measure.value)
    return list(found.values())
