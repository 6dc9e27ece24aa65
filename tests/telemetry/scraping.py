"""Reading what a registry shows, as Prometheus would."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from holdfast import Store, Turn
from holdfast.telemetry import instrument


class Scrape:
    """One scrape of a store, or of a text. A sample that is not there is None."""

    def __init__(self, source: Store | CollectorRegistry | str) -> None:
        if isinstance(source, Store):
            source = instrument(source)
        self.text = source if isinstance(source, str) else generate_latest(source).decode()
        self.families = list(text_string_to_metric_families(self.text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float | None:
        found = [s.value for s in self.samples if s.name == f"holdfast_{name}" and labels.items() <= s.labels.items()]
        return sum(found) if found else None

    def calls(self, op: str) -> dict[str, float]:
        """What came of the calls of an operation; only what happened."""
        return {
            sample.labels["result"]: sample.value
            for sample in self.samples
            if sample.name == "holdfast_store_calls_total" and sample.labels["op"] == op and sample.value
        }

    def turns(self) -> dict[str, float]:
        """How turns ended; only what happened."""
        return {s.labels["outcome"]: s.value for s in self.samples if s.name == "holdfast_turns_total" and s.value}


async def answer(turn: Turn) -> None:
    turn.state["turns"] = turn.state.get("turns", 0) + 1
    turn.reply(f"You said {turn.text}.")
