"""The score under which a sentence belongs to no intent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_FALSE_REJECTIONS: Final = 0.15
"""Share of sentences understood rightly that a threshold may refuse at most."""

_ALONE: Final = 0.05
"""The same where nothing is known of strange sentences."""


def chosen_threshold(right: Sequence[float], strange: Sequence[float]) -> float:
    """From the scores of held-back sentences: those that were understood rightly, and those that belong to no intent.

    The threshold accepts most of the first and refuses most of the second (the highest sum of both shares: Youden's J), but
    refuses at most 15 % of the first; of several the lowest. With no strange sentences it refuses 5 % of the first. 0 if
    nothing was understood rightly.
    """
    if not right:
        return 0.0
    right, strange = sorted(right), sorted(strange)
    if not strange:
        return right[int(_ALONE * len(right))]
    allowed = right[int(_FALSE_REJECTIONS * len(right))]
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
