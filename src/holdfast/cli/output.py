"""What goes to the terminal: text made harmless, times that people read, JSON for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.text import Text

_PIPE_WIDTH: Final = 200
_HARMLESS: Final = frozenset("\n\t\u200d")  # a zero-width joiner holds an emoji together


def console(*, errors: bool = False) -> Console:
    """A console on stdout (or stderr): as wide as the terminal, wide and plain in a pipe."""
    file = sys.stderr if errors else sys.stdout
    return Console(file=file, width=None if file.isatty() else _PIPE_WIDTH, highlight=False, markup=False, emoji=False)


def clean(text: str, *, one_line: bool = False) -> str:
    """Stored text without what would steer a terminal (escapes, text direction) or, in one line, break it."""
    return "".join(
        char if char.isprintable() or (char in _HARMLESS and not (one_line and char in "\n\t")) else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    if unicodedata.category(char) == "Zs":
        return char
    return char.encode("unicode_escape").decode()


def cell(text: str, style: str = "") -> Text:
    """Text of a table's cell that is folded, never cut."""
    return Text(clean(text, one_line=True), style=style, overflow="fold")


def print_json(document: Any) -> None:
    """One JSON document, or one line of JSON lines, on stdout."""
    print(json.dumps(document, ensure_ascii=False))


def iso(ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def moment(ms: int) -> str:
    """The same for people, in local time."""
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``1h 59m``."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
