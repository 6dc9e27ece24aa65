"""The tools that flows call in one turn: each call a journaled step, its result kept in the flow's frame."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from holdfast.assistant.context import Context
from holdfast.assistant.flows.frames import Frame, choices_in
from holdfast.assistant.flows.program import Instruction, Program
from holdfast.assistant.flows.schema import Call
from holdfast.assistant.flows.wording import Wording
from holdfast.errors import StepMisuse, ToolError

_log: Final = logging.getLogger(__name__)


class Calls:
    """Those of one turn."""

    def __init__(self, context: Context, words: Wording) -> None:
        self._context = context
        self._words = words
        self._specs = {spec.name: spec for spec in context.tools.specs()}
        self._times = Counter[str]()

    def asks(self, tool: str) -> bool:
        """Whether the user has to agree before it is called."""
        return tool in self._specs and self._specs[tool].asks

    async def made(self, frame: Frame, program: Program, instruction: Instruction, step: Call) -> bool:
        """Calls the tool of a step and keeps its result; False where it failed.

        The journal's name for it is the step's, and how often this turn has run that step: another attempt, which may take another
        way there, finds the same call by it.
        """
        context, place = self._context, f"flow:{frame.name}:{instruction.id}"
        self._times[place] += 1
        arguments = self._arguments(frame, program, step)
        given = self._given(step.call, arguments)
        context.turn.emit("status", stage="tool", tool=step.call)
        started = time.perf_counter()
        error = ""
        result: Any = None
        try:
            result = await context.tools.call(context.turn, step.call, given, step=f"{place}:{self._times[place]}")
            outcome = result.get("outcome") if isinstance(result, Mapping) else None
            if step.outcomes and outcome not in step.outcomes:
                error = f"tool {step.call} returned no outcome that the flow knows ({', '.join(step.outcomes)})"
        except (ToolError, StepMisuse) as failure:  # misuse: a result that cannot be stored
            error = str(failure)
        context.trace.note(
            "tool",
            tool=step.call,
            arguments=arguments,
            ms=round((time.perf_counter() - started) * 1000, 3),
            untrusted="tool",
            **({"error": error} if error else {"result": result}),
        )
        frame.acted = frame.acted or self.asks(step.call)
        if error:
            # a tool may name what it was given
            known = context.parts.masker.known({**context.turn.state, "arguments": arguments}, context.turn.text)
            why = context.parts.masker.replaced(error, known, detect=True)
            _log.warning("session %s: flow %s: %s", context.turn.key.id, frame.name, why)
            return False
        self._keep(frame, program, step, result, step.save or f"={instruction.id}")
        return True

    def _given(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments without what the tool may not see."""
        sees = self._specs[tool].sees if tool in self._specs else ()
        return self._context.parts.masker.arguments(tool, sees, arguments, self._context.turn.state)

    def _keep(self, frame: Frame, program: Program, step: Call, result: Any, name: str) -> None:
        """A tool's result, with the slots and choices that it names."""
        frame.results.pop(name, None)  # the latest is the last one
        frame.results[name] = result
        if step.slots and isinstance(result, Mapping):
            frame.choices.update(choices_in(result.get("choices")))
            if isinstance(found := result.get("slots"), Mapping):
                slots = program.flow.slots
                self._context.turn.state.update({slot: found[slot] for slot in slots if slot in found})

    def _arguments(self, frame: Frame, program: Program, step: Call) -> dict[str, Any]:
        if step.with_ is not None:
            names = self._words.names(frame)
            values = {name: expression.value(names) for name, expression in step.with_.items()}
            return {name: value for name, value in values.items() if value is not None}
        spec = self._specs.get(step.call)
        takes = spec.parameters.get("properties", {}) if spec is not None else {}
        state = self._context.turn.state
        return {name: state[name] for name in program.flow.slots if name in state and name in takes}
