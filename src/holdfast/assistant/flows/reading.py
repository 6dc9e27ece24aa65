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
from holdfast.assistant.flows.schema import STEP_KINDS, Flow, FlowFile, Response, steps_within
from holdfast.assistant.flows.validating import validated
from holdfast.assistant.flows.yaml_source import Problem, Problems, Source, files_of, read
from holdfast.config import Language, TaskSection
from holdfast.errors import ConfigError


def read_flows(
    paths: Sequence[Path], *, tasks: Sequence[TaskSection] = (), languages: Sequence[Language] = ("zh", "en")
) -> FlowSet:
    """Reads files, and all ``*.yaml`` and ``*.yml`` of folders; ``tasks`` become flows too.

    Raises `Problems` with whatever is wrong in any of them, `MissingExtra` without ruamel.yaml.
    """
    flows, problems = flows_and_problems(paths, tasks=tasks, languages=languages)
    if problems:
        raise Problems(problems)
    return flows


def flows_and_problems(
    paths: Sequence[Path], *, tasks: Sequence[TaskSection] = (), languages: Sequence[Language] = ("zh", "en")
) -> tuple[FlowSet, list[Problem]]:
    """As `read_flows`: what could be read, and what is wrong, by file and line."""
    problems: list[Problem] = []
    programs: dict[str, Program] = {}
    responses: dict[str, Response] = {}
    sources: dict[str, Source] = {}
    for task in tasks:
        programs[task.name] = flow_of(task)
    for path in files_of(paths, problems):
        try:
            source = read(path)
            file = validated(FlowFile, source, STEP_KINDS)
        except Problems as error:
            problems += error.problems
            continue
        for name, flow in file.flows.items():
            if name in programs:
                problems.append(source.problem(("flows", name), f"there is a flow {name!r} already"))
                continue
            program = _program(name, flow, source, problems)
            if program is not None:
                programs[name] = program
                sources[name] = source
        for name, response in file.responses.items():
            if name in responses:
                problems.append(source.problem(("responses", name), f"there is a response {name!r} already"))
            responses[name] = response
            problems += _languages(source, ("responses", name), response, languages)
    checks = _checks(programs, sources, problems)
    flows = FlowSet(programs, responses, checks)
    problems += checked(flows, sources, languages)
    return flows, sorted(set(problems))


def _program(name: str, flow: Flow, source: Source, problems: list[Problem]) -> Program | None:
    lines: dict[tuple[str | int, ...], int] = {}

    def find_lines(steps: Sequence[Any], place: tuple[str | int, ...]) -> None:
        for number, step in enumerate(steps):
            here = (*place, number)
            lines[here] = source.line(("flows", name, "steps", *here))
            for keys, inner in steps_within(step):
                find_lines(inner, (*here, *keys))

    find_lines(flow.steps, ())
    try:
        return compiled(name, flow, source.file, lines)
    except KeyError as error:
        problems.append(
            source.problem(("flows", name, "steps"), f"flow {name!r}: go: {error.args[0]} is the id of no step")
        )
    except ValueError as error:
        problems.append(
            source.problem(("flows", name, "steps"), f"flow {name!r}: two steps have the id {error.args[0]!r}")
        )
    return None


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
