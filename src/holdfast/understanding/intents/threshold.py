"""The score under which a sentence belongs to no intent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ALONE: Final = 0.05
GUESSED: Final = 0.2
GIVEN: Final = 0.3
"""Share of sentences understood rightly that a threshold may refuse at most: where nothing is known of strange sentences, where
intents that were left out stand for them, and where examples of them were given."""


def chosen_threshold(right: Sequence[float], strange: Sequence[float], most: float = GUESSED) -> float:
    """From the scores of held-back sentences: those that were understood rightly, and those that belong to no intent.

    The threshold accepts most of the first and refuses most of the second (the highest sum of both shares: Youden's J), but
    refuses at most a share of ``most`` of the first; of several the lowest. With no strange sentences it refuses `ALONE` of the
    first. 0 if nothing was understood rightly.
    """
    if not right:
        return 0.0
    right, strange = sorted(right), sorted(strange)
    if not strange:
        return right[int(ALONE * len(right))]
    allowed = right[int(most * len(right))]
    candidates = sorted({0.0, *(score for score in right if score <= allowed)})
    best, highest = 0.0, -1.0
    refused_right = refused_strange = 0
    for candidate in candidates:
        while refused_right < len(right) and right[refused_right] < candidate:
            refused_right += 1
        while refused_strange < len(strange) and strange[refused_strange] < candidate:
            refused_strange += 1
        gain = refused_strange / len(strange) - refused_right / len(right)
        if gain > highest:
            best, highest = candidate, gain
    return best
