"""What works in a flow, and probably does not do what it should: warnings."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.program import END, Instruction, Program
from holdfast.assistant.flows.schema import Answer, Ask, Call, Confirm, If, Link, Response, Run, Say, Set, Switch
from holdfast.assistant.flows.yaml_source import Problem, Source
from holdfast.config import Language

FEWEST_EXAMPLES: Final = 3
"""Sentences from which an intent can be learned."""

_ALWAYS: Final = frozenset({"now", "today", "choices"})
_NAMED: Final = re.compile(r"\{([A-Za-z_]\w*)[\w.]*\}")


def hints(flows: FlowSet, program: Program, source: Source) -> Iterator[Problem]:
    """The warnings of a flow that came from a file."""
    top = ("flows", program.name)
    for place, message in _starting(flows, program):
        yield source.problem((*top, *place), message, "warning")
    for instruction, message in _names(flows, program):
        yield source.problem((*top, "steps", *instruction.place), message, "warning")
    known = {*program.flow.slots, *_own(program), *_ALWAYS}
    if not any(isinstance(instruction.step, Call) for instruction in program.instructions):
        for name, slot in program.flow.slots.items():
            for key, response in (("ask", slot.ask), ("invalid", slot.invalid)):
                for unknown in _in_response(response, known):
                    yield source.problem((*top, "slots", name, key), _nowhere(f"{{{unknown}}}", known), "warning")


def shared_triggers(flows: FlowSet) -> Iterator[tuple[str, Language, int, str]]:
    """Triggers that an earlier flow has too, which wins: flow, language, position, the earlier flow."""
    first: dict[tuple[Language, str], str] = {}
    for program in flows.startable:
        for language, phrases in program.flow.triggers.items():
            for number, phrase in enumerate(phrases):
                words = "*".join(" ".join(part.split()) for part in phrase.lower().split("*")).strip("* ")
                owner = first.setdefault((language, words), program.name)
                if owner != program.name:
                    yield program.name, language, number, owner


def _starting(flows: FlowSet, program: Program) -> Iterator[tuple[tuple[str | int, ...], str]]:
    flow = program.flow
    for language, sentences in flow.examples.items():
        if len(sentences) < FEWEST_EXAMPLES:
            what = f"{len(sentences)} example{'s' if len(sentences) != 1 else ''}"
            yield ("examples", language), f"{what}: an intent is learned from at least {FEWEST_EXAMPLES}"
    for name, spoken, number, other in shared_triggers(flows):
        if name == program.name:
            phrase = flow.triggers[spoken][number]
            yield ("triggers", spoken, number), f"flow {other!r} has the trigger {phrase!r} too, and comes first"
    if _referred_to(flows, program.name):
        return
    if not flow.startable:
        yield (), f"nothing starts flow {program.name!r}: it is not startable, and no flow runs it"
    elif not (any(flow.triggers.values()) or any(flow.examples.values()) or flow.description):
        yield (), f"nothing starts flow {program.name!r}: it has no triggers, examples or description"


def _referred_to(flows: FlowSet, name: str) -> bool:
    return any(
        (isinstance(step, Run) and step.run == name) or (isinstance(step, Link) and step.link == name)
        for program in flows.programs.values()
        for step in (instruction.step for instruction in program.instructions)
    )


def _names(flows: FlowSet, program: Program) -> Iterator[tuple[Instruction, str]]:
    """Names in expressions and templates that nothing can give a value. Behind a tool any name may be a key of its result."""
    known = {*program.flow.slots, *_own(program), *_ALWAYS}
    after = _after_calls(program)
    for number, instruction in enumerate(program.instructions):
        if number in after:
            continue
        for name in sorted({one for expression in _expressions(instruction.step) for one in expression.names}):
            if name not in known:
                yield instruction, _nowhere(repr(name), known)
        for response in _responses(flows, instruction.step):
            for name in _in_response(response, known):
                yield instruction, _nowhere(f"{{{name}}}", known)


def _nowhere(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name.strip("'{}"), sorted(known), n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name} is no slot, nothing that `set` makes, and no tool was called before{hint}"


def _own(program: Program) -> set[str]:
    """What ``set`` makes."""
    return {
        name
        for instruction in program.instructions
        if isinstance(instruction.step, Set)
        for name in instruction.step.set
    }


def _after_calls(program: Program) -> set[int]:
    """The steps that may come after a tool was called."""
    found: set[int] = set()
    left = [
        after
        for number, instruction in enumerate(program.instructions)
        if isinstance(instruction.step, Call)
        for after in program.follows(number)
    ]
    while left:
        number = left.pop()
        if number != END and number not in found:
            found.add(number)
            left += program.follows(number)
    return found


def _expressions(step: Any) -> Sequence[Any]:
    match step:
        case If(if_=one) | Switch(switch=one) | Answer(answer=one):
            return [one]
        case Ask(choices=one) if one is not None:
            return [one]
        case Set(set=values):
            return list(values.values())
        case Call(with_=values) if values is not None:
            return list(values.values())
    return []


def _responses(flows: FlowSet, step: Any) -> Iterator[Response]:
    match step:
        case Say(say=say) | Confirm(confirm=say) | Ask(say=say):
            response = flows.responses.get(say) if isinstance(say, str) else say
            if response is not None:
                yield response


def _in_response(response: Response, known: Collection[str]) -> list[str]:
    """The names in a response's templates that are not known."""
    texts = [*response.zh, *response.en]
    for channel in response.channels.values():
        texts += [*channel.zh, *channel.en]
    return sorted({name for text in texts for name in _NAMED.findall(text)} - set(known))
