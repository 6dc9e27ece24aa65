"""What cannot work in flows, although each file is well-formed: names that lead nowhere, steps that are never reached, loops."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.program import END, Instruction, Program
from holdfast.assistant.flows.schema import (
    Ask,
    Call,
    Confirm,
    Forget,
    If,
    Link,
    Response,
    Run,
    Say,
    Switch,
)
from holdfast.assistant.flows.yaml_source import Problem, Source
from holdfast.config import Language
from holdfast.config.fields import nearest


def checked(flows: FlowSet, sources: Mapping[str, Source], languages: Sequence[Language]) -> Iterator[Problem]:
    """Whatever is wrong in flows that came from files. ``sources``: by the flow's name."""
    for name, source in sources.items():
        program = flows.programs[name]
        yield from _flow(flows, program, source, languages)


def unknown_tools(flows: FlowSet, tools: Collection[str]) -> Iterator[Problem]:
    """Calls of tools that the assistant has not, or is not allowed."""
    for program in flows.programs.values():
        for instruction in program.instructions:
            if isinstance(instruction.step, Call) and instruction.step.call not in tools:
                yield Problem(
                    program.file or "[[tasks]]",
                    instruction.line,
                    f"call: {instruction.step.call} is no tool of this assistant{nearest(instruction.step.call, tools)}",
                )


def _flow(flows: FlowSet, program: Program, source: Source, languages: Sequence[Language]) -> Iterator[Problem]:
    top = ("flows", program.name)
    flow = program.flow
    for language in languages:
        if language not in flow.title:
            yield source.problem((*top, "title"), f"title has no text for language {language!r}")
    for name, slot in flow.slots.items():
        place = (*top, "slots", name)
        for language in languages:
            if not slot.ask.of(language):
                yield source.problem((*place, "ask"), f"ask has no text for language {language!r}")
            if slot.invalid != Response() and not slot.invalid.of(language):
                yield source.problem((*place, "invalid"), f"invalid has no text for language {language!r}")
        for other in slot.depends:
            if other not in flow.slots:
                yield source.problem(
                    (*place, "depends"), f"depends: there is no slot {other!r}{nearest(other, flow.slots)}"
                )
    reachable = program.reachable()
    for number, instruction in enumerate(program.instructions):
        yield from (
            _problem(source, program, instruction, what) for what in _step(flows, program, instruction, languages)
        )
        if number not in reachable:
            yield _problem(source, program, instruction, "this step is never reached")
    yield from _loops(program, source)


def _problem(source: Source, program: Program, instruction: Instruction, what: str) -> Problem:
    return source.problem(("flows", program.name, "steps", *instruction.place), what)


def _step(flows: FlowSet, program: Program, instruction: Instruction, languages: Sequence[Language]) -> Iterator[str]:
    slots = program.flow.slots
    match instruction.step:
        case Ask(ask=name, say=say):
            if name not in slots:
                yield f"ask: the flow has no slot {name!r}{nearest(name, slots)}"
            if say:
                yield from _response(flows, say, languages)
        case Say(say=say):
            yield from _response(flows, say, languages)
        case Confirm(confirm=say):
            yield from _response(flows, say, languages)
        case Forget(forget=names):
            for name in names:
                if name not in slots:
                    yield f"forget: the flow has no slot {name!r}{nearest(name, slots)}"
        case Run(run=name) | Link(link=name):
            if name not in flows.programs:
                yield f"there is no flow {name!r}{nearest(name, flows.programs)}"


def _response(flows: FlowSet, say: str | Response, languages: Sequence[Language]) -> Iterator[str]:
    if isinstance(say, str):
        if say not in flows.responses:
            yield f"there is no response {say!r}{nearest(say, flows.responses) if flows.responses else ''}"
        return
    for language in languages:
        if not say.of(language):
            yield f"has no text for language {language!r}"


def _loops(program: Program, source: Source) -> Iterator[Problem]:
    """Circles without a step that waits for somebody and without a way out: they never end."""
    for number, instruction in enumerate(program.instructions):
        seen: set[int] = set()
        left = [number]
        ends = False
        while left and not ends:
            at = left.pop()
            if at == END or isinstance(program.instructions[at].step, Ask | Confirm | Call | Run):
                ends = True
            elif at not in seen:
                seen.add(at)
                left += program.follows(at)
        if not ends and not isinstance(instruction.step, If | Switch):
            yield _problem(source, program, instruction, "the flow never ends from here, and never waits for the user")
            return
