"""Flows that go round in circles: no way on from a step comes to an end, or waits for the user."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.program import END, Program
from holdfast.assistant.flows.schema import Ask, Confirm, Forget, Go, If, Link, Run, Set, Switch

_Step = tuple[str, int]


def never_ending(flows: FlowSet) -> dict[str, int]:
    """By flow, the first step from which it never ends. A tool's answer, and a flow that is not there, are no circle."""
    waiting = {name for name, program in flows.programs.items() if _asks_each_time(program)}
    follows: dict[_Step, list[_Step]] = {}
    good: list[_Step] = []
    for name, program in flows.programs.items():
        emptied = _emptied(program)
        for number, instruction in enumerate(program.instructions):
            here = (name, number)
            after = [(name, one) for one in program.follows(number)]
            match instruction.step:
                case Run(run=other) | Link(link=other):
                    # a flow that runs already is not run again: its caller goes on
                    after = [(other, 0), *(after if isinstance(instruction.step, Run) else ())]
                    if other not in flows.programs or other in waiting:
                        good.append(here)
                case step if _waits(step, emptied):
                    good.append(here)
            if (name, END) in after:
                good.append(here)
            follows[here] = after
    ends = _leading_to(good, follows)
    found: dict[str, int] = {}
    for name, program in flows.programs.items():
        for number in sorted(program.reachable()):
            if (name, number) not in ends and not isinstance(program.instructions[number].step, If | Switch | Go):
                found[name] = number
                break
        else:
            if stuck := [number for number in program.reachable() if (name, number) not in ends]:
                found[name] = min(stuck)
    return found


def _leading_to(good: Collection[_Step], follows: dict[_Step, list[_Step]]) -> set[_Step]:
    """The steps from which some way leads to a good one."""
    before: dict[_Step, list[_Step]] = {}
    for step, after in follows.items():
        for one in after:
            before.setdefault(one, []).append(step)
    found: set[_Step] = set()
    left = list(good)
    while left:
        step = left.pop()
        if step not in found:
            found.add(step)
            left += before.get(step, ())
    return found


def _waits(step: Any, emptied: Collection[str]) -> bool:
    """Whether a step waits for the user whenever it is come to; a slot that has its value is not asked for."""
    match step:
        case Confirm() | Ask(again=True):
            return True
        case Ask(ask=slot):
            return slot in emptied
    return False


def _emptied(program: Program) -> set[str]:
    """The slots that some step of the flow may leave without a value."""
    found: set[str] = set()
    for instruction in program.instructions:
        match instruction.step:
            case Forget(forget=names):
                found.update(names)
            case Set(set=values):
                found.update(values)
            case Ask(ask=name, again=True):
                found.add(name)
    return found


def _asks_each_time(program: Program) -> bool:
    """Whether a flow, entered anew, may wait for the user."""
    return any(isinstance(instruction.step, Ask | Confirm) for instruction in program.instructions)
