"""All flows of an assistant, with their responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.assistant.flows.program import Program
from holdfast.assistant.flows.schema import FlowSlot, Response


@dataclass(frozen=True)
class FlowSet:
    """Flows by name, in the order of their files, and the responses that they share."""

    programs: Mapping[str, Program] = field(default_factory=dict)
    responses: Mapping[str, Response] = field(default_factory=dict)
    checks: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """The functions that slots name as their ``check``, by dotted path."""

    @property
    def startable(self) -> Iterator[Program]:
        """Those that a user can start."""
        return (program for program in self.programs.values() if program.flow.startable)

    def slots(self) -> Iterator[tuple[str, FlowSlot]]:
        """All slots, with their names; one that several flows have comes once for each."""
        for program in self.programs.values():
            yield from program.flow.slots.items()
