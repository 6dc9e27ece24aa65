"""Two rankings made one, by reciprocal rank fusion; and whether the second is worth it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

K: Final = 60
"""The constant of Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009."""

DECISIVE: Final = 1.2
"""How many times the second passage's score the best one's must be for it to stay the best whatever the vectors say. Ranks forget
by how much a passage won: without this, weak vectors cost 7 to 24 points of hit@1, with it 1 to 2, and good ones gain as much."""

AGREES: Final = 0.9
"""Share of the decisive passages that must be among the vectors' first five for vectors to be fused. A passage that wins
decisively by its terms is nearly always right, so this measures the vectors on the very questions that users ask."""

_SEEN: Final = 200
_FEWEST: Final = 25


def fused(scored: Sequence[tuple[float, int]], neighbours: Sequence[int]) -> list[tuple[float, int]]:
    """Terms' ranking (scores and passages, best first) and vectors' (passages) in one, best first.

    The score is the sum of ``1 / (K + rank)`` over the rankings that hold a passage, ranks counted from 1, scaled to the terms'
    best score, so that it compares with those of a search without vectors. Equal ones keep the terms' order.
    """
    sums: dict[int, float] = {}
    for ranking in ([item for _, item in scored], neighbours):
        for rank, item in enumerate(ranking, 1):
            sums[item] = sums.get(item, 0.0) + 1 / (K + rank)
    if (first := decisive(scored)) is not None:
        sums[first] = 2 / (K + 1)  # the most that there is
    scale = scored[0][0] * (K + 1) / 2 if scored else 1.0
    return sorted(((scale * each, item) for item, each in sums.items()), key=lambda pair: (-pair[0], pair[1] != first))


def decisive(scored: Sequence[tuple[float, int]]) -> int | None:
    """The best passage where it wins by far, else None."""
    if len(scored) == 1 or (len(scored) > 1 and scored[0][0] >= DECISIVE * scored[1][0]):
        return scored[0][1]
    return None


class Agreement:
    """How often the vectors have found what the terms found decisively, over the last questions."""

    def __init__(self) -> None:
        self._seen: deque[bool] = deque(maxlen=_SEEN)

    def note(self, scored: Sequence[tuple[float, int]], neighbours: Sequence[int]) -> None:
        """Looks at one question's rankings."""
        if len(scored) > 1 and (first := decisive(scored)) is not None:
            self._seen.append(first in neighbours[:5])

    @property
    def share(self) -> float | None:
        """Share of the decisive passages that vectors found too; None while too few questions were asked to say."""
        seen = tuple(self._seen)  # other threads add to it
        return sum(seen) / len(seen) if len(seen) >= _FEWEST else None
