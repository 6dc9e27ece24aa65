"""A flow's steps in a row: each knows its id, its line, and where it goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.assistant.flows.schema import (
    Ask,
    Call,
    Confirm,
    End,
    Flow,
    Go,
    HandOverStep,
    If,
    Link,
    Run,
    Switch,
    steps_within,
)

END: Final = -1
"""Where a flow ends."""


@dataclass
class Instruction:
    """One step.

    Attributes:
        id: the step's own, or its place in the file ("2.then.0"). place: keys that lead to it, from the flow's ``steps``.
        step: see `schema`. line: in ``file``; 0 where there is none.
        next: where it goes on. ways: where its branches begin, by name.
    """

    id: str
    place: tuple[str | int, ...]
    step: Any
    line: int = 0
    next: int = END
    ways: dict[str, int] = field(default_factory=dict)


@dataclass
class Program:
    """A flow made ready to run.

    Attributes:
        name, flow, file: whose it is. instructions: its steps; the first one is where it begins.
        at: their positions by id.
    """

    name: str
    flow: Flow
    file: str
    instructions: list[Instruction]
    at: dict[str, int]

    def position(self, id: str) -> int | None:
        """Of a step; None where the flow has none of that id (any more)."""
        return self.at.get(id)

    def first_use(self, slots: Sequence[str], within: Callable[[str], Container[str]] = lambda _: ()) -> int:
        """Where a flow has to go on from after these slots changed: the first step that asks for one of them, or gives it to a
        tool, or runs a flow that has it. ``within``: the slots of such a flow."""
        for number, instruction in enumerate(self.instructions):
            match instruction.step:
                case Ask(ask=slot, again=False) if slot in slots:
                    return number
                case Call(with_=None):
                    return number
                case Run(run=flow) if any(slot in within(flow) for slot in slots):
                    return number
                case Call(with_=arguments) if arguments and any(
                    name in slots for one in arguments.values() for name in one.names
                ):
                    return number
        return END

    def reachable(self) -> set[int]:
        """The positions that some way through the flow comes to."""
        found: set[int] = set()
        left = [0]
        while left:
            number = left.pop()
            if number != END and number not in found:
                found.add(number)
                left += self.follows(number)
        return found

    def follows(self, number: int) -> list[int]:
        """Where a step may go on."""
        instruction = self.instructions[number]
        match instruction.step:
            case Go() | End() | Link() | HandOverStep():
                return [instruction.next]
            case If() | Switch() | Confirm():
                return list(instruction.ways.values())
        return [instruction.next, *instruction.ways.values()]


def compiled(
    name: str, flow: Flow, file: str = "", lines: Mapping[tuple[str | int, ...], int] | None = None
) -> Program:
    """The program of a flow. Raises `KeyError` (the id) for a ``go`` that leads nowhere, `ValueError` for an id used twice."""
    instructions: list[Instruction] = []
    at: dict[str, int] = {}

    def number_all(steps: Sequence[Any], place: tuple[str | int, ...]) -> None:
        for number, step in enumerate(steps):
            here = (*place, number)
            id = step.id or ".".join(map(str, here))
            if id in at:
                raise ValueError(id)
            at[id] = len(instructions)
            numbers[here] = len(instructions)
            instructions.append(Instruction(id, here, step, (lines or {}).get(here, 0)))
            for keys, inner in steps_within(step):
                number_all(inner, (*here, *keys))

    numbers: dict[tuple[str | int, ...], int] = {}
    number_all(flow.steps, ())

    def join(steps: Sequence[Any], place: tuple[str | int, ...], after: int) -> None:
        for number, step in enumerate(steps):
            here = (*place, number)
            instruction = instructions[numbers[here]]
            instruction.next = numbers.get((*place, number + 1), after)
            match step:
                case Go(go=target):
                    instruction.next = at[target]
                case End() | Link() | HandOverStep():
                    instruction.next = END
            for keys, inner in steps_within(step):
                instruction.ways[keys[-1]] = numbers.get((*here, *keys, 0), instruction.next)
                join(inner, (*here, *keys), instruction.next)
            if isinstance(step, Confirm) and step.no is None:
                instruction.ways["no"] = END

    join(flow.steps, (), END)
    return Program(name, flow, file, instructions, at)
