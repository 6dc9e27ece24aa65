"""What cannot work in flows, although each file is well-formed: names that lead nowhere, steps that are never reached,
loops; and what probably does not do what it should."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from holdfast.assistant.contract import ToolSpec
from holdfast.assistant.flows.endings import never_ending
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.hints import hints
from holdfast.assistant.flows.program import Instruction, Program
from holdfast.assistant.flows.schema import (
    Ask,
    Call,
    Confirm,
    Forget,
    Link,
    Response,
    Run,
    Say,
)
from holdfast.assistant.flows.yaml_source import Problem, Source
from holdfast.assistant.masking import Masker
from holdfast.config import Language
from holdfast.config.fields import nearest


def checked(
    flows: FlowSet, sources: Mapping[str, Source], languages: Sequence[Language], *, whole: bool = True
) -> Iterator[Problem]:
    """Whatever is wrong in flows that came from files. ``sources``: by the flow's name. ``whole``: whether all flows and responses
    are there; where some could not be read, nobody can tell what a name leads to."""
    endless = never_ending(flows)
    for name, source in sources.items():
        program = flows.programs[name]
        yield from _flow(flows, program, source, languages, whole)
        if name in endless:
            what = "the flow never ends from here, and never waits for the user"
            yield _problem(source, program, program.instructions[endless[name]], what)
        yield from hints(flows, program, source)


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


def hidden_slots(flows: FlowSet, tools: Iterable[ToolSpec], masker: Masker) -> Iterator[Problem]:
    """Sensitive slots that a flow passes to a tool which may not see them: it will be given masks."""
    specs = {spec.name: spec for spec in tools}
    for program in flows.programs.values():
        for instruction in program.instructions:
            step = instruction.step
            if not isinstance(step, Call) or (spec := specs.get(step.call)) is None:
                continue
            if step.with_ is None:
                named = set(spec.parameters.get("properties", {}))
            else:
                named = {name for expression in step.with_.values() for name in expression.names}
            sees = masker.for_tool(spec.name, spec.sees)
            for slot in program.flow.slots:
                if slot in named and sees.covers(slot):
                    what = (
                        f"call: {spec.name} is given {slot} masked, as nothing lets it see that: "
                        f'@tool(sees=("{slot}",)), or masking.clear.tools.{spec.name} = ["{slot}"]'
                    )
                    yield Problem(program.file or "[[tasks]]", instruction.line, what, "warning")


def _flow(
    flows: FlowSet, program: Program, source: Source, languages: Sequence[Language], whole: bool
) -> Iterator[Problem]:
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
            elif other == name:
                yield source.problem((*place, "depends"), "depends: a slot cannot depend on itself")
    for language, phrases in flow.triggers.items():
        for number, phrase in enumerate(phrases):
            if not phrase.replace("*", "").strip():
                yield source.problem((*top, "triggers", language, number), "a trigger has to have words")
    reachable = program.reachable()
    for number, instruction in enumerate(program.instructions):
        for what in _step(flows, program, instruction, languages, whole):
            yield _problem(source, program, instruction, what)
        if number not in reachable and (number == 0 or number - 1 in reachable):  # the first one of a stretch
            yield _problem(source, program, instruction, "this step is never reached")


def _problem(source: Source, program: Program, instruction: Instruction, what: str) -> Problem:
    return source.problem(("flows", program.name, "steps", *instruction.place), what)


def _step(
    flows: FlowSet, program: Program, instruction: Instruction, languages: Sequence[Language], whole: bool
) -> Iterator[str]:
    slots = program.flow.slots
    match instruction.step:
        case Ask(ask=name, say=say):
            if name not in slots:
                yield f"ask: the flow has no slot {name!r}{_nearest(name, slots)}"
            if say:
                yield from _response(flows, say, languages, whole)
        case Say(say=say) | Confirm(confirm=say):
            yield from _response(flows, say, languages, whole)
        case Forget(forget=names):
            for name in names:
                if name not in slots:
                    yield f"forget: the flow has no slot {name!r}{_nearest(name, slots)}"
        case Run(run=name) | Link(link=name):
            if whole and name not in flows.programs:
                yield f"there is no flow {name!r}{_nearest(name, flows.programs)}"
            elif isinstance(instruction.step, Run) and name == program.name:
                yield "a flow cannot run itself; `go` leads back to one of its steps"


def _response(flows: FlowSet, say: str | Response, languages: Sequence[Language], whole: bool) -> Iterator[str]:
    if isinstance(say, str):
        if whole and say not in flows.responses:
            yield f"there is no response {say!r}{_nearest(say, flows.responses)}"
        return
    for language in languages:
        if not say.of(language):
            yield f"has no text for language {language!r}"


def _nearest(name: str, known: Collection[str]) -> str:
    return nearest(name, known) if known else "; there is none"
