"""Example sentences that an intent model is made from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from holdfast.errors import ExamplesUnusable

OUT_OF_SCOPE: Final = "oos"
"""The category of sentences that belong to no intent."""

_FEWEST_TO_LEAVE_OUT: Final = 4
_LEFT_OUT: Final = 0.15
_MANY: Final = 1_500


class Examples(NamedTuple):
    """Sentences by intent, and those that belong to none; sorted, so that the order they came in decides nothing."""

    by_intent: Mapping[str, Sequence[str]]
    out_of_scope: Sequence[str]

    def pairs(self) -> list[tuple[str, str]]:
        """(text, intent), in scope."""
        return [(text, intent) for intent, texts in self.by_intent.items() for text in texts]


class Fold(NamedTuple):
    """What to train on, and what was held back: of the same intents, and of intents that the training does not know."""

    train: list[tuple[str, str]]
    known: list[tuple[str, str]]
    strange: list[str]


def sorted_out(examples: Sequence[tuple[str, str]]) -> Examples:
    """Raises `ExamplesUnusable` for an empty text or intent, and for fewer than two intents."""
    by_intent: dict[str, list[str]] = {}
    for place, (text, intent) in enumerate(examples, 1):
        if not text.strip() or not intent.strip():
            raise ExamplesUnusable(f"example {place} has no {'text' if not text.strip() else 'intent'}")
        by_intent.setdefault(intent, []).append(text)
    out_of_scope = sorted(by_intent.pop(OUT_OF_SCOPE, []))
    if len(by_intent) < 2:
        raise ExamplesUnusable(f"intents are told apart by examples of at least two; there are {len(by_intent)}")
    return Examples({intent: sorted(by_intent[intent]) for intent in sorted(by_intent)}, out_of_scope)


def folds(examples: Examples, seed: int) -> Iterator[Fold]:
    """Cross-validation: four folds of a quarter each; of many examples one fold of a fifth.

    With four intents or more each fold leaves some 15 % of them (at least one) out altogether, to see how strange intents score.
    """
    chance = random.Random(seed)
    many = sum(map(len, examples.by_intent.values())) > _MANY
    parts, rounds = (5, 1) if many else (4, 4)
    intents = list(examples.by_intent)
    chance.shuffle(intents)
    shuffled = {intent: chance.sample(list(texts), len(texts)) for intent, texts in examples.by_intent.items()}
    size = max(1, round(_LEFT_OUT * len(intents))) if len(intents) >= _FEWEST_TO_LEAVE_OUT else 0
    for fold in range(rounds):
        left_out = {intents[(fold * size + place) % len(intents)] for place in range(size)}
        train: list[tuple[str, str]] = []
        known: list[tuple[str, str]] = []
        strange: list[str] = []
        for intent, texts in shuffled.items():
            for place, text in enumerate(texts):
                if intent in left_out:
                    strange.append(text)
                elif place % parts == fold and len(texts) > 1:
                    known.append((text, intent))
                else:
                    train.append((text, intent))
        yield Fold(train, known, strange)
