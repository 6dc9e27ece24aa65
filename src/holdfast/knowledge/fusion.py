"""Two rankings made one, by reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

K: Final = 60
"""The constant of Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009."""


def fused(rankings: Sequence[Sequence[int]], weights: Sequence[float]) -> list[tuple[float, int]]:
    """What the rankings hold, best first, with the sum of ``weight / (K + rank)`` over those that hold it; ranks count from 1.

    Equal sums keep the order of the first ranking that holds them.
    """
    scores: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + weight / (K + rank)
    return sorted(((score, item) for item, score in scores.items()), key=lambda pair: -pair[0])
