"""Which steps of the flows were reached."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from holdfast.assistant.flows.flow_set import FlowSet


class Missing(msgspec.Struct, frozen=True):
    """A step that was not reached. ``step``: its id, or its place in the flow; ``kind``: what it does."""

    line: int
    step: str
    kind: str


class FlowCoverage(msgspec.Struct, frozen=True):
    """Of one flow."""

    flow: str
    file: str
    reached: int
    steps: int
    missing: tuple[Missing, ...] = ()


class Coverage(msgspec.Struct, frozen=True):
    """Of all flows, in their order."""

    flows: tuple[FlowCoverage, ...]

    @property
    def reached(self) -> int:
        """Steps that some dialogue came to."""
        return sum(flow.reached for flow in self.flows)

    @property
    def steps(self) -> int:
        """All steps."""
        return sum(flow.steps for flow in self.flows)

    @property
    def percent(self) -> float:
        """100 where there is nothing to reach."""
        return percent(self.reached, self.steps)


def coverage_of(flows: FlowSet, reached: Collection[tuple[str, str]]) -> Coverage:
    """``reached``: flows and ids of steps."""
    found = []
    for name, program in flows.programs.items():
        missing = tuple(
            Missing(step.line, step.id, _kind(step.step))
            for step in program.instructions
            if (name, step.id) not in reached
        )
        steps = len(program.instructions)
        found.append(FlowCoverage(name, program.file or "[[tasks]]", steps - len(missing), steps, missing))
    return Coverage(tuple(found))


def percent(part: int, whole: int) -> float:
    """Never 100 before all of it is there."""
    return 100.0 if part >= whole else min(round(100 * part / whole, 1), 99.9)


def _kind(step: object) -> str:
    names: Sequence[str] = (
        "ask",
        "call",
        "say",
        "confirm",
        "if_",
        "switch",
        "go",
        "run",
        "link",
        "answer",
        "hand_over",
    )
    for name in names:
        value = getattr(step, name, None)
        if value is not None:
            text = getattr(value, "text", value)
            return f"{name.rstrip('_')}: {text}" if isinstance(text, str) else name.rstrip("_")
    return type(step).__name__.lower()
