"""Flow files to flows. Everything that is wrong is found in one go, with its file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.assistant.dotted import imported
from holdfast.assistant.flows.checking import checked
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.from_tasks import flow_of
from holdfast.assistant.flows.program import Program, compiled
from holdfast.assistant.flows.schema import STEP_KINDS, Flow, FlowFile, Go, Response, steps_within
from holdfast.assistant.flows.validating import validated
from holdfast.assistant.flows.yaml_source import Place, Problem, Problems, Source, files_of, read
from holdfast.config import Language, TaskSection
from holdfast.config.fields import nearest
from holdfast.errors import ConfigError


def read_flows(
    paths: Sequence[Path], *, tasks: Sequence[TaskSection] = (), languages: Sequence[Language] = ("zh", "en")
) -> FlowSet:
    """Reads files, and all ``*.yaml`` and ``*.yml`` of folders; ``tasks`` become flows too.

    Raises `Problems` with whatever is wrong in any of them (warnings are not), `MissingExtra` without ruamel.yaml.
    """
    flows, problems = flows_and_problems(paths, tasks=tasks, languages=languages)
    if errors := [problem for problem in problems if problem.level == "error"]:
        raise Problems(errors)
    return flows


def flows_and_problems(
    paths: Sequence[Path], *, tasks: Sequence[TaskSection] = (), languages: Sequence[Language] = ("zh", "en")
) -> tuple[FlowSet, list[Problem]]:
    """As `read_flows`: what could be read, and what is wrong, by file and line; warnings too."""
    problems: list[Problem] = []
    programs: dict[str, Program] = {}
    responses: dict[str, Response] = {}
    sources: dict[str, Source] = {}
    whole = True
    for task in tasks:
        programs[task.name] = flow_of(task)
    for path in files_of(paths, problems):
        try:
            source = read(path)
            file = validated(FlowFile, source, STEP_KINDS)
        except Problems as error:
            problems += error.problems
            whole = False
            continue
        for name, flow in file.flows.items():
            if name in programs:
                problems.append(
                    source.problem(("flows", name), f"there is a flow {name!r} already{_where(sources, name)}")
                )
                continue
            program = _program(name, flow, source, problems)
            if program is None:
                whole = False
            else:
                programs[name] = program
                sources[name] = source
        for name, response in file.responses.items():
            if name in responses:
                problems.append(source.problem(("responses", name), f"there is a response {name!r} already"))
            responses[name] = response
            problems += _languages(source, ("responses", name), response, languages)
    checks = _checks(programs, sources, problems)
    flows = FlowSet(programs, responses, checks)
    problems += checked(flows, sources, languages, whole=whole)
    return flows, sorted(set(problems))


def _where(sources: Mapping[str, Source], name: str) -> str:
    source = sources.get(name)
    return f", at {source.file}:{source.line(('flows', name))}" if source is not None else ", in [[tasks]]"


def _program(name: str, flow: Flow, source: Source, problems: list[Problem]) -> Program | None:
    """The flow's program; None where its steps do not lead to each other."""
    steps = dict(_steps_of(flow.steps, ()))
    lines = {place: source.line(("flows", name, "steps", *place)) for place in steps}
    wrong: list[Problem] = []
    at: dict[str, int] = {}
    for place, step in steps.items():
        id = step.id or ".".join(map(str, place))
        if id in at:
            wrong.append(Problem(source.file, lines[place], f"there is a step {id!r} already, at line {at[id]}"))
        at.setdefault(id, lines[place])
    ids = [step.id for step in steps.values() if step.id]
    for place, step in steps.items():
        if isinstance(step, Go) and step.go not in at:
            where = nearest(step.go, ids) if ids else "; none has an id"
            wrong.append(Problem(source.file, lines[place], f"go: there is no step {step.go!r} in this flow{where}"))
    problems += wrong
    return None if wrong else compiled(name, flow, source.file, lines)


def _steps_of(steps: Sequence[Any], place: Place) -> Iterator[tuple[Place, Any]]:
    """All steps, those within others too, with the keys that lead to them."""
    for number, step in enumerate(steps):
        here = (*place, number)
        yield here, step
        for keys, inner in steps_within(step):
            yield from _steps_of(inner, (*here, *keys))


def _languages(
    source: Source, place: tuple[str | int, ...], response: Response, languages: Sequence[Language]
) -> Iterator[Problem]:
    for language in languages:
        if not response.of(language):
            yield source.problem(place, f"{place[-1]}: has no text for language {language!r}")


def _checks(
    programs: Mapping[str, Program], sources: Mapping[str, Source], problems: list[Problem]
) -> dict[str, Callable[[Any], Any]]:
    found: dict[str, Callable[[Any], Any]] = {}
    for program in programs.values():
        for name, slot in program.flow.slots.items():
            if slot.check and slot.check not in found:
                try:
                    found[slot.check] = imported(slot.check, "check")
                except ConfigError as error:
                    source = sources.get(program.name)
                    if source is not None:
                        place = ("flows", program.name, "slots", name, "check")
                        problems.append(source.problem(place, str(error)))
    return found
