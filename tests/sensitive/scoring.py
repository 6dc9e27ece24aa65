"""How much of what is there is found, and how much of what is found is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sentences import Sentence

from holdfast.sensitive import find

_COVERED = 0.9
"""Of a value's characters, that it counts as found."""


@dataclass
class Score:
    """Counts by language and kind.

    Attributes:
        there: values. found: those of which nine characters in ten are covered, by whatever kind. claims: spans that were found.
        right: those most of which is a value. missed, wrong: examples.
    """

    there: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    claims: Counter[tuple[str, str]] = field(default_factory=Counter)
    right: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)

    def recall(self, language: str) -> float:
        """The share of values that were found."""
        return _share(self.found, self.there, language)

    def precision(self, language: str) -> float:
        """The share of what was found that is a value."""
        return _share(self.right, self.claims, language)


def scored(sentences: Iterable[Sentence]) -> Score:
    """All kinds are looked for in all sentences."""
    score = Score()
    for text, spans, language in sentences:
        spots = find(text)
        for start, end, kind in spans:
            covered = sum(max(0, min(end, spot.end) - max(start, spot.start)) for spot in spots)
            score.there[language, kind] += 1
            if covered >= _COVERED * (end - start):
                score.found[language, kind] += 1
            else:
                score.missed.append((kind, text))
        for spot in spots:
            inside = sum(max(0, min(end, spot.end) - max(start, spot.start)) for start, end, _ in spans)
            score.claims[language, spot.kind] += 1
            if inside >= (spot.end - spot.start) / 2:
                score.right[language, spot.kind] += 1
            else:
                score.wrong.append((spot.kind, text[spot.start : spot.end], text))
    return score


def _share(part: Counter[tuple[str, str]], whole: Counter[tuple[str, str]], language: str) -> float:
    total = sum(count for (of, _), count in whole.items() if of == language)
    return sum(count for (of, _), count in part.items() if of == language) / total
