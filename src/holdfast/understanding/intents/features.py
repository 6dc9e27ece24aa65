"""What a sentence is made of for the classifier: words and pieces of words, each with its weight.

Chinese has no blanks between words: its characters and pairs of characters stand for the words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Final, NamedTuple

_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN: Final = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+(?:'[a-z]+)?")
_RUN: Final = re.compile(r"[^\W_]+(?:'[a-z]+)?")
_LONG_NUMBER: Final = re.compile(r"\d{3,}")
_LONGEST: Final = 1_000


def words(text: str) -> list[str]:
    """Words (Chinese: characters) and pairs of neighbours, of `normal` text."""
    single = _TOKEN.findall(text)
    return [*single, *(f"{one} {other}" for one, other in pairwise(single))]


def pieces(text: str) -> list[str]:
    """Runs of one to four characters within words, a blank for the word's edge, of `normal` text."""
    found: list[str] = []
    for word in _RUN.findall(text):
        run = f" {word} "
        length = len(run)
        found += run
        found += [run[at : at + 2] for at in range(length - 1)]
        found += [run[at : at + 3] for at in range(length - 2)]
        found += [run[at : at + 4] for at in range(length - 3)]
    return found


def normal(text: str) -> str:
    """Lower case, full-width characters plain, numbers of three digits and more all the same; at most 1000 characters."""
    text = unicodedata.normalize("NFKC", text[:_LONGEST]).lower().replace("’", "'")
    return _LONG_NUMBER.sub("0", text)


KINDS: Final[tuple[tuple[Callable[[str], list[str]], float], ...]] = ((words, 0.6), (pieces, 1.0))
"""What a sentence is split into, and how much each way counts (see docs/decisions/understanding.md)."""


class Row(NamedTuple):
    """A sentence as a vector of length 1.

    Attributes:
        columns, values: what is known of it.
        known: 0 to 1, the length that the vector would have if its new words counted, as rare as any.
    """

    columns: list[int]
    values: list[float]
    known: float


class Features:
    """Which features there are, and how rare each is: ``columns`` and ``rarity``, one mapping and one list for each of `KINDS`."""

    def __init__(self, columns: Sequence[Mapping[str, int]], rarity: Sequence[Sequence[float]]) -> None:
        self.columns = [dict(kind) for kind in columns]
        self.rarity = [list(kind) for kind in rarity]
        self.count = sum(map(len, self.columns))
        self._unknown = [max(kind, default=1.0) for kind in self.rarity]

    @classmethod
    def of(cls, texts: Sequence[str], least: int = 1) -> Features:
        """The features that stand in at least ``least`` of the texts, with TF-IDF's smoothed rarity as scikit-learn has it."""
        columns: list[dict[str, int]] = []
        rarity: list[list[float]] = []
        normals = [normal(text) for text in texts]
        for split, _ in KINDS:
            seen = Counter(feature for text in normals for feature in set(split(text)))
            kept = sorted(feature for feature, texts_with in seen.items() if texts_with >= least)
            columns.append({feature: place for place, feature in enumerate(kept)})
            rarity.append([log((1 + len(texts)) / (1 + seen[feature])) + 1 for feature in kept])
        return cls(columns, rarity)

    def row(self, text: str) -> Row:
        """The vector of a text."""
        text = normal(text)
        columns: list[int] = []
        values: list[float] = []
        first, all_squares, known_squares = 0, 0.0, 0.0
        for (split, weight), places, rarity, unknown in zip(
            KINDS, self.columns, self.rarity, self._unknown, strict=True
        ):
            at, squares, new = len(values), 0.0, 0.0
            for feature, times in Counter(split(text)).items():
                place = places.get(feature)
                often = 1.0 if times == 1 else 1 + log(times)
                if place is None:
                    new += (often * unknown) ** 2
                    continue
                value = often * rarity[place]
                squares += value * value
                columns.append(first + place)
                values.append(value)
            if squares:
                scale = weight / sqrt(squares)
                values[at:] = [value * scale for value in values[at:]]
                known_squares += weight * weight
            if squares or new:
                all_squares += weight * weight * (squares + new) / (squares or new)
            first += len(places)
        length = sqrt(known_squares) or 1.0
        known = sqrt(known_squares / all_squares) if all_squares else 0.0
        return Row(columns, [value / length for value in values], known)

    def rows(self, texts: Sequence[str]) -> Iterator[Row]:
        """One after the other."""
        return map(self.row, texts)
