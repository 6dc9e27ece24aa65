"""On which line of a TOML file each key and list item stands: the parser of the standard library does not tell."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from typing import Final, Literal

from holdfast.config.problems import Problem

Place = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_PLAIN: Final = re.compile(r"[^,\]}#\n]*")


class TomlLines:
    """The lines of a file that is TOML: of anything else they are guesses."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines = _Scan(text).lines()

    def line(self, place: Sequence[str | int]) -> int:
        """The line of the deepest part that the place leads to, what leads nowhere passed over; 0 where none of it is there."""
        at: Place = ()
        for key in place:
            if (*at, key) in self._lines:
                at = (*at, key)
        return self._lines.get(at, 0)

    def problem(
        self, place: Sequence[str | int], message: str, level: Literal["error", "warning"] = "error"
    ) -> Problem:
        """A problem at that place."""
        return Problem(self.file, self.line(place), message, level)


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Place, int] = {}
        self._items: dict[Place, int] = {}

    def lines(self) -> dict[Place, int]:
        table: Place = ()
        while self._blank() < len(self._text):
            before = self._at
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            if self._at == before:  # no TOML
                break
        return self._found

    def _header(self) -> Place:
        several = self._text.startswith("[[", self._at)
        here = self._at
        self._at += 1 + several
        table: Place = ()
        keys = self._keys()
        for number, key in enumerate(keys, 1):
            table = (*table, key)
            if several and number == len(keys):
                self._items[table] = self._items.get(table, -1) + 1
                self._mark(table, here)
            if table in self._items:
                table = (*table, self._items[table])
            self._mark(table, here)
        self._at += 1 + several
        return table

    def _pair(self, table: Place) -> None:
        place = table
        for key in self._keys():
            place = (*place, key)
            self._mark(place, self._key_at)
        self._at += 1  # the equals sign
        self._value(place)

    def _keys(self) -> list[str]:
        """A dotted key, up to what stands behind it."""
        keys = []
        while True:
            self._blank()
            self._key_at = self._at
            if (bare := _BARE.match(self._text, self._at)) is not None:
                keys.append(bare[0])
                self._at = bare.end()
            else:
                start = self._at
                self._string()
                keys.append(_unquoted(self._text[start : self._at]))
            self._blank()
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, place: Place) -> None:
        self._blank()
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._inside("]", place)
        elif opening == "{":
            self._inside("}", place)
        elif opening in ('"', "'"):
            self._string()
        elif (plain := _PLAIN.match(self._text, self._at)) is not None:
            self._at = plain.end()

    def _inside(self, end: str, place: Place) -> None:
        self._at += 1
        number = 0
        while self._blank() < len(self._text) and not self._text.startswith(end, self._at):
            before = self._at
            if end == "}":
                self._pair(place)
            else:
                self._mark((*place, number), self._at)
                self._value((*place, number))
                number += 1
            self._blank()
            self._at += self._text.startswith(",", self._at)
            if self._at == before:
                break
        self._at += 1

    def _string(self) -> None:
        for pattern in _STRINGS:
            if (found := pattern.match(self._text, self._at)) is not None:
                self._at = found.end()
                return

    def _blank(self) -> int:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _mark(self, place: Place, at: int) -> None:
        self._found.setdefault(place, bisect.bisect_left(self._breaks, at) + 1)


def _unquoted(text: str) -> str:
    import tomllib

    try:
        return next(iter(tomllib.loads(f"{text} = 0")))
    except tomllib.TOMLDecodeError:
        return text
