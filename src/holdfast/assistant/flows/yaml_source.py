"""YAML whose every value knows its line, read strictly: no aliases, no tags, no key twice, only ``true`` and ``false`` boolean."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from holdfast.config.problems import Problem as Problem
from holdfast.config.problems import Problems as Problems
from holdfast.errors import MissingExtra

MOST_BYTES: Final = 256 * 1024
"""Of one file; such a file takes seconds to read."""
MOST_VALUES: Final = 20_000
"""Of one file: keys, list items, mappings and lists."""
_DEEPEST: Final = 50

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


class Source:
    """A file's content (``value``: mappings, lists and scalars), and the line of each of its parts."""

    def __init__(self, file: str, value: Any, lines: Mapping[Place, int]) -> None:
        self.file = file
        self.value = value
        self._lines = lines

    def line(self, place: Sequence[str | int]) -> int:
        """The line of the deepest part that the place leads to; what leads nowhere is passed over."""
        at: Place = ()
        for key in place:
            if (*at, key) in self._lines:
                at = (*at, key)
        return self._lines.get(at, 1)

    def problem(
        self, place: Sequence[str | int], message: str, level: Literal["error", "warning"] = "error"
    ) -> Problem:
        """A problem at that place."""
        return Problem(self.file, self.line(place), message, level)


def files_of(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    """Files, and all ``*.yaml`` and ``*.yml`` of folders. A folder without one is a problem."""
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml"))
            if not found:
                problems.append(Problem(str(path), 0, "has no .yaml file"))
            yield from found
        else:
            yield path


def read(path: Path) -> Source:
    """Reads a file. Raises `Problems` where it is not there, too large, or no such YAML; `MissingExtra` without ruamel.yaml."""
    why = ""
    data = b""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe waits for its writer
            why = "is no file"
        else:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        why = "there is no such file"
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if why:
        raise Problems([Problem(str(path), 0, why)])
    if len(data) > MOST_BYTES:
        raise Problems([Problem(str(path), 0, f"is larger than {MOST_BYTES:,} bytes; several files can share it")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Problems([Problem(str(path), line, "is not UTF-8")]) from None
    return parse(text.replace("\r\n", "\n"), str(path))


def parse(text: str, file: str) -> Source:
    """As `read`, of a text. ``file`` is what errors call it."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ImportError as error:
        raise MissingExtra('flows are YAML, which needs ruamel.yaml: pip install "holdfast[flows]"') from error
    builder = _Builder(file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except Problems:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Problems([Problem(file, mark.line + 1 if mark else 0, f"not YAML: {_why(error)}")]) from None
    except YAMLError as error:  # a character that no YAML has
        line = text.count("\n", 0, getattr(error, "position", None) or 0) + 1
        raise Problems([Problem(file, line, f"not YAML: {str(error).partition(chr(10))[0]}")]) from None
    except (ValueError, OverflowError) as error:  # ruamel's own, of an escape that is no character
        raise Problems([Problem(file, builder.line, f"not YAML: {error}")]) from None
    return Source(file, builder.value, builder.lines)


_UNQUOTED: Final = re.compile(r"expected ',' or '\}'|mapping values are not allowed")
"""What YAML's reader says of a text that ought to be quoted."""


def _why(error: Any) -> str:
    what = " ".join(part for part in (error.context, error.problem) if part)
    if "'\\t'" in what:
        return "a tab cannot indent here; use spaces"
    hint = "; put texts with {, }, : or # in quotes" if _UNQUOTED.search(what) else ""
    return "".join(char if char.isprintable() else " " for char in what) + hint


class _Builder:
    """Makes values of YAML's events, and stops at the first one that is too much."""

    def __init__(self, file: str) -> None:
        self.value: Any = None
        self.lines: dict[Place, int] = {}
        self.line = 1
        self._file = file
        self._open: list[_Open] = []
        self._values = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """The next event."""
        self.line = event.start_mark.line + 1
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._refuse("aliases (*name) are not read here")
        if getattr(event, "anchor", None) is not None:
            self._refuse("anchors (&name) are not read here")
        if getattr(event, "tag", None) is not None:
            self._refuse("tags (!name) are not read here")
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                self._refuse("a file is one document; this is the second")
        elif kind == "ScalarEvent":
            self._put(event)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._begin({} if kind == "MappingStartEvent" else [])
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._open.pop()

    def _begin(self, value: dict[str, Any] | list[Any]) -> None:
        if self._open and self._open[-1].wants_key:
            self._refuse("a key has to be text")
        place = self._next()
        if len(self._open) >= _DEEPEST:
            self._refuse(f"is nested deeper than {_DEEPEST} levels")
        self._add(value)
        self._open.append(_Open(value, place))

    def _put(self, event: Any) -> None:
        if self._open and self._open[-1].wants_key:
            holder = self._open[-1]
            if event.value in holder.value:
                self._refuse(f"{event.value!r} stands here twice")
            holder.key = event.value
            self.lines[*holder.place, event.value] = self.line
        else:
            self._next()
            self._add(_scalar(event))

    def _next(self) -> Place:
        """The place of the value that comes now."""
        self._values += 1
        if self._values > MOST_VALUES:
            self._refuse(f"has more than {MOST_VALUES:,} values; several files can share them")
        if not self._open:
            place: Place = ()
        elif (holder := self._open[-1]).key is not None:
            return (*holder.place, holder.key)  # its line is the key's
        else:
            place = (*holder.place, len(holder.value))
        self.lines[place] = self.line
        return place

    def _add(self, value: Any) -> None:
        if not self._open:
            self.value = value
        elif (holder := self._open[-1]).key is not None:
            holder.value[holder.key] = value
            holder.key = None
        else:
            holder.value.append(value)

    def _refuse(self, message: str) -> None:
        raise Problems([Problem(self._file, self.line, message)])


class _Open:
    """A mapping or list that is not at its end yet. ``key``: the one whose value comes next."""

    __slots__ = ("key", "place", "value")

    def __init__(self, value: Any, place: Place) -> None:
        self.value = value
        self.place = place
        self.key: str | None = None

    @property
    def wants_key(self) -> bool:
        return self.key is None and isinstance(self.value, dict)


def _scalar(event: Any) -> Any:
    text = str(event.value)
    if event.style is not None:  # quoted, or a block
        return text
    if not text or text in ("null", "~"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text


_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?\d{1,15}\.\d{1,15}", re.ASCII)
