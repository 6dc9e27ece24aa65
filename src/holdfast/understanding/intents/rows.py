"""Labelled sentences in CSV: a header with the columns ``text`` and ``category``, UTF-8, a byte order mark or not."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from holdfast.errors import ExamplesUnusable
from holdfast.understanding.intents.examples import OUT_OF_SCOPE

_COLUMNS: Final = ("text", "category")


class LabelledRow(NamedTuple):
    """A sentence, its category, and the line it begins on (from 1, the header's)."""

    text: str
    category: str
    line: int


def rows_of(content: bytes, name: str) -> list[LabelledRow]:
    """The rows of a file's content; other columns are ignored, empty lines too.

    Raises `ExamplesUnusable`, naming ``name`` and the line: no UTF-8, no such column, an empty text or category, broken quotes.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ExamplesUnusable(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from error
    if not text.strip():
        raise ExamplesUnusable(
            f"{name}, line 1: the file is empty; it needs a header with the columns text and category"
        )
    rows = list(_parsed(text, name))
    if not rows:
        raise ExamplesUnusable(f"{name}: there are no rows under the header")
    return rows


def _parsed(text: str, name: str) -> Iterator[LabelledRow]:
    reader = csv.reader(_lines(text), strict=True)
    places: list[int] | None = None
    line = 1
    try:
        for fields in reader:
            if places is None:
                places = _places(fields, name)
            elif fields:
                values = [fields[place].strip() if place < len(fields) else "" for place in places]
                for column, value in zip(_COLUMNS, values, strict=True):
                    if not value:
                        raise ExamplesUnusable(f"{name}, line {line}: the {column} is empty")
                yield LabelledRow(values[0], values[1], line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ExamplesUnusable(f"{name}, line {line}: {error}") from error


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _places(header: Sequence[str], name: str) -> list[int]:
    names = [field.strip().lower() for field in header]
    missing = [column for column in _COLUMNS if column not in names]
    if missing:
        found = ", ".join(header) or "none"
        raise ExamplesUnusable(f"{name}, line 1: no column {' and '.join(missing)} in the header (found: {found})")
    return [names.index(column) for column in _COLUMNS]


def sampled(rows: Sequence[LabelledRow], per_intent: int, seed: int) -> list[LabelledRow]:
    """``per_intent`` rows of each category (all where there are fewer), chosen by ``seed``; all that are out of scope."""
    chance = random.Random(seed)
    groups: dict[str, list[LabelledRow]] = {}
    for row in rows:
        groups.setdefault(row.category, []).append(row)
    kept: list[LabelledRow] = []
    for category in sorted(groups):
        group = groups[category]
        few = category == OUT_OF_SCOPE or len(group) <= per_intent
        kept += group if few else chance.sample(group, per_intent)
    return kept
