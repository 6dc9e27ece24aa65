"""The parts of an assistant by name: those that Holdfast brings, those of other packages, and a user's own by dotted path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from holdfast.assistant.dotted import imported
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.masking import Masker
from holdfast.assistant.texts import Texts
from holdfast.config.fields import nearest
from holdfast.errors import ConfigError, HoldfastError

if TYPE_CHECKING:
    from holdfast.assistant.contract import Answer, Documents, Memory, Model, Tools
    from holdfast.assistant.models.asking import Asker
    from holdfast.config import Config
    from holdfast.knowledge.contract import Knowledge
    from holdfast.turns.store import TurnStore

PartKind = Literal["model", "memory", "knowledge", "tools", "answer", "understanding", "policy"]
"""In the order in which they are made: a factory finds those before it in its `Parts`."""

KINDS: Final[tuple[PartKind, ...]] = get_args(PartKind)

METHODS: Final[Mapping[PartKind, tuple[str, ...]]] = {
    "model": ("stream", "aclose"),
    "memory": ("history",),
    "knowledge": ("search",),
    "tools": ("specs", "call"),
    "answer": ("answer",),
    "understanding": ("understand",),
    "policy": ("respond",),
}
"""What a part of each kind must be able to do; see `holdfast.assistant.contract`."""

GROUP: Final = "holdfast.parts"
"""The entry points of parts; each is named ``KIND.NAME`` and leads to a factory."""

_HERE: Final = "holdfast.assistant.built_in"
BUILT_IN: Final[Mapping[PartKind, Mapping[str, str]]] = {
    "model": {"openai": f"{_HERE}:openai"},
    "memory": {"recent": f"{_HERE}:recent"},
    "knowledge": {"index": f"{_HERE}:index"},
    "tools": {"functions": f"{_HERE}:functions"},
    "answer": {"auto": f"{_HERE}:auto", "extractive": f"{_HERE}:extractive", "model": f"{_HERE}:by_model"},
    "understanding": {
        "rules": f"{_HERE}:rules",
        "intents": f"{_HERE}:intents",
        "model": f"{_HERE}:understanding_by_model",
    },
    "policy": {
        "handover": f"{_HERE}:handover",
        "flows": f"{_HERE}:flows",
        "agent": f"{_HERE}:agent",
        "small_talk": f"{_HERE}:small_talk",
        "documents": f"{_HERE}:documents",
    },
}
"""The parts that Holdfast brings: kind, name, dotted path of the factory."""


@dataclass
class Parts:
    """What a part's factory may use. A part of your own: a function or class that takes `Parts` and returns the part.

    Attributes:
        config, texts, masker: there from the start. index: the opened knowledge, where the config has one.
        flows: those of the config's files and of its ``[[tasks]]``.
        store: where the sessions are, if it was known when the assistant was built.
        asker: the model, asked within budgets, checked and counted; there where a model is.
        model, memory, documents, tools, answer: made in this order; before that they are not there to be used.
        clock: tells the moment instead of the machine's, with its offset from UTC; for tests.
    """

    config: Config
    texts: Texts
    masker: Masker
    index: Knowledge | None = None
    flows: FlowSet = field(default_factory=FlowSet)
    store: TurnStore | None = None
    model: Model | None = None
    asker: Asker | None = None
    memory: Memory = None  # type: ignore[assignment]  # made before anything that uses it
    documents: Documents | None = None
    tools: Tools = None  # type: ignore[assignment]
    answer: Answer = None  # type: ignore[assignment]
    clock: Callable[[], datetime] | None = None

    def now(self) -> datetime:
        """The moment, in the zone that users mean when they say "tomorrow at nine"."""
        if self.clock is not None:
            return self.clock()
        zone = self.config.assistant.timezone
        return datetime.now(ZoneInfo(zone)) if zone else datetime.now().astimezone()


Factory = Callable[[Parts], Any]


@dataclass(frozen=True)
class Listed:
    """A part that can be chosen. ``where``: its dotted path; ``package``: whose it is, with its version.

    Attributes:
        sentence: what it is: the first line of its factory's docstring.
        error: why it cannot be used; "" where it can. hidden: whether the name leads to another one.
    """

    kind: PartKind
    name: str
    where: str
    package: str
    sentence: str = ""
    error: str = ""
    hidden: bool = False


def available() -> Iterator[Listed]:
    """All parts that can be chosen by name, by kind and name. What cannot be imported is there, with its error."""
    found = _entry_points()
    for kind in KINDS:
        named = {name: points for (of, name), points in found.items() if of == kind}
        for name in sorted({*BUILT_IN[kind], *named}):
            if name in BUILT_IN[kind]:
                yield _listed(kind, name, BUILT_IN[kind][name], "holdfast")
            for point in named.get(name, ()):
                error = ""
                if name in BUILT_IN[kind]:
                    error = "Holdfast has a part of this name: choose this one by its dotted path"
                elif len(named[name]) > 1:
                    error = "several packages have a part of this name: choose one by its dotted path"
                yield replace(_listed(kind, name, _path(point), _package(point), error), hidden=name in BUILT_IN[kind])


def own(kind: PartKind, path: str) -> Listed:
    """A part by dotted path, as `available` lists those with names."""
    return _listed(kind, path, path, "")


def misnamed() -> list[tuple[str, str]]:
    """Entry points that no part can be: name, and package."""
    return [(point.name, _package(point)) for point in entry_points(group=GROUP) if _key(point) is None]


def factory_of(kind: PartKind, name: str) -> Factory:
    """The factory of a part. Raises `ConfigError` where the name is neither that of a part nor a dotted path."""
    key = f"assistant.{kind}"
    if name in BUILT_IN[kind]:
        return imported(BUILT_IN[kind][name], key)
    if ":" in name:
        return imported(name, key)
    found = _entry_points()
    points = found.get((kind, name), [])
    if len(points) > 1:
        paths = " or ".join(f"{_path(point)} ({_package(point)})" for point in points)
        raise ConfigError(f'{key} = "{name}" is a part of several packages: choose {paths}')
    if points:
        try:
            return imported(_path(points[0]), key)
        except ConfigError as error:
            raise ConfigError(f'{key} = "{name}" of {_package(points[0])}: {error}') from error
    known = [*BUILT_IN[kind], *(other for of, other in found if of == kind)]
    raise ConfigError(
        f'{key} = "{name}" is no part{nearest(name, known)}; `holdfast parts ls` lists them, and package.module:factory is one '
        "of your own"
    )


def made(kind: PartKind, name: str, parts: Parts) -> Any:
    """A part. Raises `ConfigError` where there is none of that name, its factory raises, or what it made is no part of that
    kind."""
    key = f"assistant.{kind}"
    factory = factory_of(kind, name)
    try:
        part = factory(parts)
    except HoldfastError:
        raise
    except Exception as error:
        raise ConfigError(f'{key} = "{name}" cannot be made: {type(error).__name__}: {error}') from error
    if inspect.iscoroutine(part):
        part.close()
        raise ConfigError(
            f'{key} = "{name}" is async; a factory returns the part itself, and opens connections when used'
        )
    if part is None and kind in ("model", "knowledge"):
        return None  # an assistant can do without
    for method in METHODS[kind]:
        if not callable(getattr(part, method, None)):
            raise ConfigError(f'{key} = "{name}" made {type(part).__name__}, which has no method {method}()')
    return part


def _listed(kind: PartKind, name: str, path: str, package: str, error: str = "") -> Listed:
    try:
        doc = inspect.getdoc(imported(path, f"{kind}.{name}")) or ""
    except ConfigError as cause:
        return Listed(kind, name, path, package, error=error or str(cause))
    return Listed(kind, name, path, package, " ".join(doc.partition("\n\n")[0].split()), error)


def _entry_points() -> dict[tuple[PartKind, str], list[EntryPoint]]:
    """By kind and name; a name that several packages use leads to each of theirs."""
    found: dict[tuple[PartKind, str], list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if (key := _key(point)) is not None:
            found.setdefault(key, []).append(point)
    return found


def _key(point: EntryPoint) -> tuple[PartKind, str] | None:
    kind, _, name = point.name.partition(".")
    return (kind, name) if kind in METHODS and name else None  # type: ignore[return-value]  # a key of METHODS is a kind


def _path(point: EntryPoint) -> str:
    return point.value.partition("[")[0].strip()  # without the extras that it may name


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
