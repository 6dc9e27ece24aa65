"""Values from a list, by any of their names, also with a typing error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from holdfast.errors import MissingExtra
from holdfast.understanding.entities.found import Found
from holdfast.understanding.entities.widths import folded

_WORD: Final = re.compile(r"[a-z0-9\u00c0-\u024f]+")
_RUN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
_LONGEST: Final = 500
"""Characters in which typing errors are looked for: a value of a list is given in a short text."""


class ValueList:
    """The values of one list, prepared; make it once and use it for every text.

    ``values`` gives each value's other names: ``{"express": ["next day", "特快", "次日达"]}``; the value itself is a name too.

    Typing errors (``typos``): one wrong, missing, added or swapped letter in a name of 4 letters or more, two from 9; the first
    letter has to be right. In Chinese one wrong character in a name of 3 or more, two from 6. A misspelling that is as near to
    the names of two values is neither.

    Raises `MissingExtra` where typos are wanted and rapidfuzz is not installed.
    """

    def __init__(self, kind: str, values: Mapping[str, Sequence[str]], *, typos: bool = True) -> None:
        self._kind = kind
        self._names: dict[str, str] = {}
        for value, others in values.items():
            for name in (value, *others):
                if key := " ".join(folded(name).split()):
                    self._names.setdefault(key, value)
        self._lengths = sorted({len(name) for name in self._names}, reverse=True)
        self._firsts = {name[0] for name in self._names}
        self._typos = _Typos(self._names) if typos else None

    def find(self, text: str) -> Iterator[Found]:
        """The values in order of place; each name as long as possible."""
        low = folded(text)
        free = 0
        ends = [0]
        for start, char in enumerate(low):
            if start < free or char not in self._firsts or (start and _glued(low[start - 1], char)):
                continue
            for length in self._lengths:
                value = self._names.get(low[start : start + length])
                free = start + length
                whole = free == len(low) or (free < len(low) and not _glued(low[free - 1], low[free]))
                if value is not None and whole:
                    yield from self._misspelt(text, low, ends[-1], start)
                    yield self._found(value, text, start, free)
                    ends.append(free)
                    break
            else:
                free = 0
        yield from self._misspelt(text, low, ends[-1], len(low))

    def _misspelt(self, text: str, low: str, start: int, end: int) -> Iterator[Found]:
        end = min(end, _LONGEST)
        if self._typos is None or start >= end:
            return
        for first, last, name in self._typos.find(low[start:end]):
            yield self._found(self._names[name], text, start + first, start + last)

    def _found(self, value: str, text: str, start: int, end: int) -> Found:
        return Found(self._kind, value, text[start:end], start, end)


class _Typos:
    """Names by their length, and which windows of a text are nearly one of them."""

    def __init__(self, names: Mapping[str, str]) -> None:
        try:
            from rapidfuzz import process
            from rapidfuzz.distance import OSA
        except ImportError as error:
            raise MissingExtra('typing errors need rapidfuzz: pip install "holdfast[nlu]"') from error
        self._extract, self._distance = process.extract, OSA.distance
        self._values = names
        self._words: dict[int, list[str]] = {}
        self._characters: dict[int, list[str]] = {}
        for name in names:
            if _RUN.fullmatch(name) and len(name) >= 3:
                self._characters.setdefault(len(name), []).append(name)
            elif name.isascii() and len(name) >= 4 and any(char.isalpha() for char in name):
                self._words.setdefault(len(name), []).append(name)
        self._most_words = max((len(name.split()) for group in self._words.values() for name in group), default=0)

    def find(self, low: str) -> Iterator[tuple[int, int, str]]:
        """Start, end and the name that was meant."""
        found = [*self._in_words(low), *self._in_characters(low)]
        free = 0
        for _, start, end, name in sorted(found, key=lambda item: (item[1], item[0], -item[2])):
            if start >= free:
                yield start, end, name
                free = end

    def _in_words(self, low: str) -> Iterator[tuple[int, int, int, str]]:
        words = [match.span() for match in _WORD.finditer(low)] if self._words else []
        for place, (start, _) in enumerate(words):
            for _, end in words[place : place + self._most_words]:
                window = low[start:end]
                edits = 1 if len(window) < 9 else 2
                names = [
                    name
                    for length in range(len(window) - edits, len(window) + edits + 1)
                    for name in self._words.get(length, ())
                    if name[0] == window[0] and edits <= (1 if length < 9 else 2)
                ]
                if (nearest := self._nearest(window, names, edits)) is not None:
                    yield nearest[0], start, end, nearest[1]

    def _in_characters(self, low: str) -> Iterator[tuple[int, int, int, str]]:
        for run in _RUN.finditer(low) if self._characters else ():
            for length, names in self._characters.items():
                for start in range(run.start(), run.end() - length + 1):
                    nearest = self._nearest(low[start : start + length], names, 1 if length < 6 else 2)
                    if nearest is not None:
                        yield nearest[0], start, start + length, nearest[1]

    def _nearest(self, window: str, names: list[str], edits: int) -> tuple[int, str] | None:
        if not names:
            return None
        near = self._extract(window, names, scorer=self._distance, score_cutoff=edits, limit=3)
        if not near:
            return None
        best = [name for name, distance, _ in near if distance == near[0][1]]
        return (int(near[0][1]), best[0]) if len({self._values[name] for name in best}) == 1 else None


def _glued(one: str, other: str) -> bool:
    """Whether no word can end between the two: both are letters or digits of a script that puts blanks between words."""
    return one.isalnum() and other.isalnum() and not (_RUN.match(one) or _RUN.match(other))
