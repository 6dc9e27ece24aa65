"""Files of dialogues, checked against the assistant that they are played with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.validating import validated
from holdfast.assistant.flows.yaml_source import Place, Problem, Problems, Source, files_of, read
from holdfast.config.fields import nearest
from holdfast.testing.dialogues.schema import Dialogue, DialogueFile, Expect, Plays


@dataclass(frozen=True)
class Script:
    """One dialogue, with its file and its place there."""

    source: Source
    file: DialogueFile
    number: int

    @property
    def dialogue(self) -> Dialogue:
        return self.file.dialogues[self.number]

    def line(self, *place: str | int) -> int:
        """The line of a part of the dialogue."""
        return self.source.line(("dialogues", self.number, *place))

    @property
    def tools(self) -> Plays:
        """What tools do, unless a step says otherwise."""
        return {**self.file.tools, **self.dialogue.tools}


def read_dialogues(paths: Sequence[Path], *, only: str = "") -> list[Script]:
    """The dialogues of files, and of all ``*.yaml`` and ``*.yml`` of folders.

    ``only``: those with this text in their name or their file's, in either case of letters. Raises `Problems` with whatever is
    wrong in any of them.
    """
    problems: list[Problem] = []
    scripts: list[Script] = []
    for path in files_of(paths, problems):
        try:
            source = read(path)
            file = validated(DialogueFile, source)
        except Problems as error:
            problems += error.problems
            continue
        scripts += [Script(source, file, number) for number in range(len(file.dialogues))]
    if problems:
        raise Problems(sorted(problems))
    low = only.lower()
    return [script for script in scripts if low in f"{Path(script.source.file).name} {script.dialogue.name}".lower()]


def unknown_names(script: Script, flows: FlowSet, tools: Collection[str]) -> Iterator[Problem]:
    """Flows, slots and tools that the assistant has not."""
    slots = {name for name, _ in flows.slots()}
    yield from _tools(script.source, ("tools",), script.file.tools, tools)
    top: Place = ("dialogues", script.number)
    yield from _tools(script.source, (*top, "tools"), script.dialogue.tools, tools)
    for number, step in enumerate(script.dialogue.steps):
        place: Place = (*top, "steps", number)
        yield from _tools(script.source, (*place, "tools"), step.tools, tools)
        for key, names, known, what in _named(step.expect, flows.programs, slots, tools):
            for name in names:
                if name not in known:
                    yield script.source.problem(
                        (*place, "expect", key), f"{key}: there is no {what} {name!r}{nearest(name, known)}"
                    )


def _named(
    expect: Expect, flows: Collection[str], slots: Collection[str], tools: Collection[str]
) -> Iterator[tuple[str, Collection[str], Collection[str], str]]:
    yield "flow", (expect.flow,) if expect.flow else (), flows, "flow"
    yield "started", expect.started, flows, "flow"
    yield "ended", expect.ended, flows, "flow"
    yield "slots", tuple(expect.slots), slots, "slot"
    yield "slots_not", expect.slots_not, slots, "slot"
    yield "tool", tuple(call.name for call in expect.tool), tools, "tool"
    yield "tools", expect.tools or (), tools, "tool"


def _tools(source: Source, place: Place, plays: Mapping[str, object], tools: Collection[str]) -> Iterator[Problem]:
    for name in plays:
        if name not in tools:
            yield source.problem((*place, name), f"tools: there is no tool {name!r}{nearest(name, tools)}")
