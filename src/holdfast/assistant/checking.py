"""What is wrong with an assistant, before it serves anybody. Nothing is written, no tool called, no model asked, no index built."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from holdfast.assistant.flows.checking import hidden_slots, unknown_tools
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.hints import shared_triggers
from holdfast.assistant.flows.reading import flows_and_problems
from holdfast.assistant.masking import EVERYTHING, Masker
from holdfast.assistant.models.asking import Asker
from holdfast.assistant.models.budget import Spending
from holdfast.assistant.parts import Parts, made
from holdfast.assistant.texts import Texts
from holdfast.assistant.tool_functions import FunctionTools
from holdfast.config import BudgetSection, CollectionSection, Config, ToolsSection
from holdfast.config.fields import nearest
from holdfast.config.problems import Problem
from holdfast.config.toml_lines import TomlLines
from holdfast.errors import ConfigError, HoldfastError, KnowledgeMissing, MissingExtra, UnreadableDocument
from holdfast.knowledge.adding import files_in
from holdfast.knowledge.readers import extract_text, read_file
from holdfast.sensitive import kinds

_BEFORE: Final = ("model", "memory", "knowledge", "tools", "answer")
_NAMING: Final = ("allow", "ask", "limits", "titles")
"""Of ``[tools]``, what names tools."""


@dataclass
class Findings:
    """What an assistant is made of, and what is wrong with it.

    Attributes:
        problems: by file and line. flows, slots, responses, tools: their names. documents: how many can be read.
        parts: by kind, those that are used.
    """

    problems: list[Problem] = field(default_factory=list)
    flows: list[str] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    documents: int = 0
    parts: dict[str, list[str]] = field(default_factory=dict)


async def check_assistant(config: Config, lines: TomlLines) -> Findings:
    """Looks at everything that a config names. ``lines``: of the config's file."""
    chosen = config.assistant
    found = Findings()
    flows = FlowSet()
    found.problems = list(_paths(config, lines))
    paths = [path for path in chosen.flows if path.exists()]
    flow_problems: list[Problem] = []
    try:
        flows, flow_problems = flows_and_problems(paths, tasks=config.tasks, languages=chosen.languages)
        found.problems += flow_problems
    except MissingExtra as error:
        found.problems.append(lines.problem(("assistant", "flows"), str(error)))
    found.flows, found.responses = list(flows.programs), list(flows.responses)
    found.slots = sorted({name for name, _ in flows.slots()})
    found.problems += _of_tasks(config, flows, lines)
    if not any(problem.level == "error" for problem in found.problems):  # else some slots may be missing
        found.problems += _sensitive(config, found.slots, lines)
    documents, problems = await asyncio.to_thread(_documents, config, lines)
    found.documents, found.problems = documents, [*found.problems, *problems]
    texts = Texts({})
    try:
        texts = Texts(chosen.texts)
    except ConfigError as error:
        found.problems.append(lines.problem(("assistant", "texts"), str(error)))
    found.problems += (tool_problems := list(_tools(config, lines)))
    # what making a part would write: the intents that it learns
    quiet = config.model_copy(update={"assistant": chosen.model_copy(update={"intents_cache": ""})})
    masker = Masker({})
    try:
        masker = Masker.of(config)
    except ConfigError as error:
        found.problems.append(lines.problem(("sensitive",), str(error)))
    parts = Parts(quiet, texts, masker, flows=flows)
    skip = {"tools"} if tool_problems else set()
    if any(problem.level == "error" for problem in flow_problems) and not chosen.intents:
        skip.add("intents")  # their examples may stand in a file that could not be read
    async with _made_all(parts, lines, found, skip=skip):
        if parts.tools is not None:
            try:
                specs = list(parts.tools.specs())
                found.tools = [spec.name for spec in specs]
            except Exception as error:  # noqa: BLE001  # a part of a user's own
                what = f"assistant.tools: specs() raised {type(error).__name__}: {error}"
                found.problems.append(lines.problem(("assistant", "tools"), what))
            else:
                found.problems += unknown_tools(flows, found.tools)
                found.problems += hidden_slots(flows, specs, parts.masker)
                found.problems += _clear(config, found.tools, lines)
    found.problems = sorted(set(found.problems))
    return found


@asynccontextmanager
async def _made_all(parts: Parts, lines: TomlLines, found: Findings, skip: Collection[str]) -> AsyncIterator[None]:
    """All parts, as the assistant makes them; what can be closed is closed at the end."""
    chosen = parts.config.assistant
    async with AsyncExitStack() as stack:

        def one(kind: Any, name: str, place: Sequence[str | int]) -> Any:
            found.parts.setdefault(kind, []).append(name)
            if kind in skip or name in skip:
                return None
            try:
                part = made(kind, name, parts)
            except HoldfastError as error:
                found.problems += [lines.problem(place, line) for line in str(error).splitlines()]
                return None
            if callable(close := getattr(part, "aclose", None)):
                stack.push_async_callback(close)
            return part

        names = {"knowledge": "documents"}
        for kind in _BEFORE:
            part = one(kind, getattr(chosen, kind), ("assistant", kind))
            setattr(parts, names.get(kind, kind), part)
            if kind == "model" and part is not None:
                parts.asker = Asker(part, parts.config.model, Spending(BudgetSection()))  # nothing is asked or spent
        for number, name in enumerate(chosen.understanding):
            one("understanding", name, ("assistant", "understanding", number))
        for number, name in enumerate(chosen.policy):
            one("policy", name, ("assistant", "policy", number))
        yield


def _paths(config: Config, lines: TomlLines) -> Iterator[Problem]:
    for key in ("flows", "intents"):
        for number, path in enumerate(getattr(config.assistant, key)):
            if not path.exists():
                yield lines.problem(("assistant", key, number), f"assistant.{key}: there is no file or folder {path}")


def _of_tasks(config: Config, flows: FlowSet, lines: TomlLines) -> Iterator[Problem]:
    tasks = {task.name: number for number, task in enumerate(config.tasks)}
    for name, language, number, other in shared_triggers(flows):
        if name in tasks:
            what = f"flow {other!r} has this trigger too, and comes first"
            yield lines.problem(("tasks", tasks[name], "triggers", language, number), what, "warning")


def _sensitive(config: Config, slots: Collection[str], lines: TomlLines) -> Iterator[Problem]:
    for name in config.sensitive:
        if "." not in name and name not in slots:
            hint = nearest(name, slots) if slots else ""
            yield lines.problem(("sensitive", name), f"sensitive.{name}: no slot has this name{hint}", "warning")


def _clear(config: Config, tools: Collection[str], lines: TomlLines) -> Iterator[Problem]:
    """What ``[masking.clear]`` names and there is not."""
    clear = config.masking.clear
    known = {*kinds(), *config.sensitive, EVERYTHING}
    sections: dict[str, Mapping[Any, Sequence[str]]] = {"tools": clear.tools, "roles": clear.roles}
    for section, given in sections.items():
        for name, listed in given.items():
            place = ("masking", "clear", section, name)
            if section == "tools" and name not in tools:
                hint = nearest(name, tools) if tools else "; there is none"
                yield lines.problem(place, f"masking.clear.tools: there is no tool {name!r}{hint}", "warning")
            for one in listed:
                if one not in known:
                    what = f"masking.clear.{section}.{name}: {one!r} is no kind, and no key of [sensitive]"
                    yield lines.problem(place, what + nearest(one, known))


# --- documents ---


def _documents(config: Config, lines: TomlLines) -> tuple[int, list[Problem]]:
    """How many documents can be read, and what is wrong with those and the rest."""
    settings = config.knowledge
    problems: list[Problem] = []
    sections: list[tuple[tuple[str, ...], CollectionSection]] = [(("knowledge",), settings)]
    sections += [(("knowledge", "collections", name), one) for name, one in settings.collections.items()]
    has_folders = any(section.folders for _, section in sections)
    if not settings.index and has_folders:
        what = 'knowledge.index = "": without an index the folders are not read'
        problems.append(lines.problem(("knowledge", "index"), what, "warning"))
    elif settings.index and not has_folders and not settings.collections and not Path(settings.index).is_file():
        what = f"knowledge.index: there is no file {settings.index}, and there are no folders to make it from"
        problems.append(lines.problem(("knowledge", "index"), what))
    readable = 0
    for place, section in sections:
        for number, folder in enumerate(section.folders):
            readable += _folder(folder, (*place, "folders", number), lines, problems)
    return readable, problems


def _folder(folder: Path, place: tuple[str | int, ...], lines: TomlLines, problems: list[Problem]) -> int:
    try:
        files = files_in([folder])
    except KnowledgeMissing as error:
        problems.append(lines.problem(place, f"folders: {error}"))
        return 0
    readable = 0
    for path, name in files:
        try:
            data, suffix = read_file(path, name)
            extract_text(name, data, suffix)
            readable += 1
        except UnreadableDocument as error:
            problems.append(Problem(str(path), 0, f"is left out: {error.reason}", "warning"))
        except (KnowledgeMissing, MissingExtra) as error:
            problems.append(Problem(str(path), 0, f"is left out: {error}", "warning"))
    if not files:
        problems.append(lines.problem(place, f"folders: {folder} has no document that can be read", "warning"))
    return readable


# --- tools ---


def _tools(config: Config, lines: TomlLines) -> Iterator[Problem]:
    """What is wrong with functions, each by itself; two of one name are found when all of them are put together."""
    if config.assistant.tools != "functions":
        return
    names: set[str] = set()
    whole = True
    for number, path in enumerate(config.tools.functions):
        try:
            names.update(spec.name for spec in FunctionTools(ToolsSection(functions=(path,))).specs())
        except ConfigError as error:
            whole = False
            yield lines.problem(("tools", "functions", number), str(error))
    for number, task in enumerate(config.tasks):
        try:
            names.update(spec.name for spec in FunctionTools(ToolsSection(), also={task.tool: None}).specs())
        except ConfigError as error:
            whole = False
            yield lines.problem(("tasks", number, "tool"), f"task {task.name!r}: {error}")
    if not whole:
        return  # a name that is not there may be that of one that could not be imported
    for key in _NAMING:
        given = getattr(config.tools, key) or ()
        for number, name in enumerate(given):
            if name not in names:
                place = number if isinstance(given, tuple) else name
                hint = nearest(name, names) if names else "; there is none"
                yield lines.problem(("tools", key, place), f"tools.{key}: there is no tool {name!r}{hint}")
