"""The flows, as understanding by a model is told of them."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.frames import Frame, load
from holdfast.assistant.flows.program import Program
from holdfast.assistant.flows.schema import FlowSlot
from holdfast.assistant.understanding_by_model import FlowInfo, SlotInfo
from holdfast.config import Language
from holdfast.turns.turn import Turn


class FlowsTold:
    """`FlowCatalogue` over the assistant's flows."""

    def __init__(self, flows: FlowSet) -> None:
        self._flows = flows

    def flows(self, language: Language) -> Sequence[FlowInfo]:
        """See `FlowCatalogue.flows`."""
        return [_flow(program, language) for program in self._flows.programs.values()]

    def running(self, turn: Turn) -> str:
        """See `FlowCatalogue.running`."""
        frame = self._frame(turn)
        return frame.name if frame is not None else ""

    def asking(self, turn: Turn) -> str:
        """See `FlowCatalogue.asking`."""
        frame = self._frame(turn)
        return frame.asking if frame is not None and not frame.asking.startswith("?") else ""

    def _frame(self, turn: Turn) -> Frame | None:
        frames = load(turn.state, self._flows.programs)
        return frames[-1] if frames and not frames[-1].done else None


def _flow(program: Program, language: Language) -> FlowInfo:
    flow = program.flow
    slots = tuple(_slot(name, slot, language) for name, slot in flow.slots.items())
    return FlowInfo(program.name, flow.title.get(language, program.name), flow.description, slots, flow.startable)


def _slot(name: str, slot: FlowSlot, language: Language) -> SlotInfo:
    called = ", ".join(slot.called.get(language, ()))
    return SlotInfo(name, slot.type, tuple(slot.values), called, slot.description)
