"""YAML whose every value knows its line, read strictly: no aliases, no key twice, and only ``true`` and ``false`` are boolean."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.errors import ConfigError, MissingExtra

MOST_BYTES: Final = 1_000_000
"""Of one file."""
_DEEPEST: Final = 50

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """Something wrong in a file. ``line`` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class Problems(ConfigError):
    """A file that cannot be used. ``problems``: everything that is wrong, by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


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

    def problem(self, place: Sequence[str | int], message: str) -> Problem:
        """A problem at that place."""
        return Problem(self.file, self.line(place), message)


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
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Problems([Problem(str(path), 0, f"is larger than {MOST_BYTES:,} bytes")])
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Problems([Problem(str(path), 0, f"cannot be read: {error}")]) from None
    return parse(text, str(path))


def parse(text: str, file: str) -> Source:
    """As `read`, of a text. ``file`` is what errors call it."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ImportError as error:
        raise MissingExtra('flows are YAML, which needs ruamel.yaml: pip install "holdfast[flows]"') from error
    lines: dict[Place, int] = {}
    try:
        node = YAML(typ="rt", pure=True).compose(text)
        value = _Builder(file, lines).built(node, ()) if node is not None else None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise Problems([Problem(file, mark.line + 1 if mark else 0, f"not YAML: {what}")]) from None
    except (YAMLError, RecursionError) as error:
        raise Problems([Problem(file, 0, f"not YAML: {error}")]) from None
    return Source(file, value, lines)


class _Builder:
    def __init__(self, file: str, lines: dict[Place, int]) -> None:
        self._file = file
        self._lines = lines
        self._seen: set[int] = set()

    def built(self, node: Any, place: Place) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(place, line)
        if len(place) > _DEEPEST:
            raise Problems([Problem(self._file, line, f"is nested deeper than {_DEEPEST} levels")])
        if id(node) in self._seen:
            raise Problems([Problem(self._file, line, "aliases (*name) are not read here")])
        self._seen.add(id(node))
        kind = type(node).__name__
        if kind == "MappingNode":
            return self._mapping(node, place)
        if kind == "SequenceNode":
            return [self.built(item, (*place, number)) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: Any, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key: Hashable = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise Problems([Problem(self._file, line, "a key has to be text")])
            if key in found:
                raise Problems([Problem(self._file, line, f"{key!r} stands here twice")])
            self._lines[*place, key] = line
            found[key] = self.built(value_node, (*place, key))
        return found

    def _scalar(self, node: Any) -> Any:
        text = str(node.value)
        if node.style is not None or not text:  # quoted, or a block
            return text if node.style is not None else None
        if text in ("true", "false"):
            return text == "true"
        if text in ("null", "~"):
            return None
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
        return text


_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_DECIMAL: Final = re.compile(r"-?\d{1,15}\.\d{1,15}")
