"""Checks the citations in a model's answer while it streams: ``[n]`` stays where passage n was given to the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.sessions.message import Citation

_BRACKETS: Final = re.compile(r"[ \t]*[\[【]\s*(\d{1,3}(?:\s*[,,、;]\s*\d{1,3})*)\s*[\]】]")
_OPEN: Final = re.compile(r"[ \t]*(?:[\[【][\d\s,,、;]{0,24})?\Z")


class CheckedCitations:
    """Takes the answer in pieces, gives it back with citations numbered in the order of their first use, unknown ones dropped."""

    def __init__(self, passages: Sequence[Citation], cite: Callable[[Citation], int]) -> None:
        self._passages = passages
        self._cite = cite
        self._held = ""
        self.dropped = 0

    def feed(self, piece: str) -> str:
        """What can be said already: a bracket that may become a citation is held back until it is closed."""
        text = self._held + piece
        opened = _OPEN.search(text)
        cut = opened.start() if opened else len(text)
        self._held = text[cut:]
        return _BRACKETS.sub(self._checked, text[:cut])

    def end(self) -> str:
        """The rest, without a bracket that was never closed."""
        held, self._held = self._held, ""
        return _BRACKETS.sub(self._checked, _OPEN.sub("", held)).rstrip()

    def _checked(self, match: re.Match[str]) -> str:
        numbers: list[int] = []
        for text in re.findall(r"\d+", match[1]):
            if 1 <= int(text) <= len(self._passages):
                number = self._cite(self._passages[int(text) - 1])
                if number not in numbers:
                    numbers.append(number)
            else:
                self.dropped += 1
        return " " + "".join(f"[{number}]" for number in numbers) if numbers else ""
