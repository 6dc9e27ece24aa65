"""Intents from example sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from typing import Final

import msgspec

from holdfast.understanding.intents.cache import digest_of, load, save
from holdfast.understanding.intents.classifier import Classifier, Verdict
from holdfast.understanding.intents.examples import Examples, folds, sorted_out
from holdfast.understanding.intents.threshold import GIVEN, chosen_threshold

_log: Final = logging.getLogger(__name__)
_RANKED: Final = 5


class Prediction(msgspec.Struct, frozen=True):
    """What one sentence means.

    Attributes:
        intent: "" where the score is under the model's threshold: out of scope.
        score: 0 to 1, how sure the model is of the best intent, also where it is refused. Of one model, not comparable between
            models: look at it beside the threshold.
        ranked: the best five intents and the share of each (all intents' shares add up to 1), best first, refused or not.
    """

    intent: str
    score: float
    ranked: tuple[tuple[str, float], ...]


class IntentModel:
    """Which of its intents a sentence has, or none of them. Make it with `train`.

    Attributes:
        intents: in alphabetical order.
        threshold: the score under which a sentence has none.
    """

    def __init__(self, classifier: Classifier, threshold: float) -> None:
        self._classifier = classifier
        self.threshold = threshold
        self.intents = classifier.intents

    @classmethod
    def train(
        cls,
        examples: Sequence[tuple[str, str]],
        *,
        cache: Path | None = None,
        threshold: float | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> IntentModel:
        """A model of ``examples``, pairs of a sentence and its intent; the intent ``oos`` marks sentences that have none.

        The threshold is found on sentences held back (`folds`, `chosen_threshold`), or on the ``oos`` ones if there are any;
        give ``threshold`` to set it. The same examples, whatever their order, give the same model; with ``cache`` (a folder) it
        is read from there if it was trained before, without scikit-learn. A damaged file is trained anew and written over.

        ``progress`` is called with the models trained so far and in all.

        Raises:
            ExamplesUnusable: an empty text, or fewer than two intents.
            MissingExtra: numpy or scikit-learn is not installed.
        """
        sorted_examples = sorted_out(examples)
        digest = digest_of(examples, [threshold, seed])
        if cache is not None and (kept := load(cache, digest)) is not None:
            return cls(*kept)
        classifier, found = _trained(sorted_examples, threshold, seed, progress or (lambda done, total: None))
        if cache is not None:
            try:
                save(cache, digest, classifier, found)
            except OSError as error:
                _log.warning("the intent model could not be kept in %s, and will be trained again: %s", cache, error)
        return cls(classifier, found)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """What each text means; a text alone takes about a tenth of a millisecond."""
        return [self._predicted(text) for text in texts]

    def _predicted(self, text: str) -> Prediction:
        verdict = self._classifier.judge(self._classifier.features.row(text))
        score = score_of(verdict)
        order = (-verdict.shares).argsort(kind="stable")[:_RANKED].tolist()
        ranked = tuple((self.intents[place], float(verdict.shares[place])) for place in order)
        accepted = score > 0 and score >= self.threshold
        return Prediction(ranked[0][0] if accepted else "", score, ranked)


def score_of(verdict: Verdict) -> float:
    """How sure: the root of the best intent's share, times the nearness of its nearest example.

    The share alone is high for any sentence that has one telling word, the nearness alone for sentences between two intents.
    """
    return sqrt(float(verdict.shares[verdict.best])) * verdict.nearness


def _trained(
    examples: Examples, threshold: float | None, seed: int, progress: Callable[[int, int], None]
) -> tuple[Classifier, float]:
    held_back = [] if threshold is not None else list(folds(examples, seed))
    total = len(held_back) + 1
    right: list[float] = []
    strange: list[float] = []
    for done, fold in enumerate(held_back):
        progress(done, total)
        classifier = Classifier.trained(fold.train)
        for text, intent in fold.known:
            verdict = classifier.judge(classifier.features.row(text))
            if classifier.intents[verdict.best] == intent:
                right.append(score_of(verdict))
        strange += (score_of(classifier.judge(row)) for row in classifier.features.rows(fold.strange))
    progress(total - 1, total)
    classifier = Classifier.trained(examples.pairs())
    progress(total, total)
    if threshold is not None:
        return classifier, threshold
    if examples.out_of_scope:  # nothing was learned from them: they need not be held back
        given = [score_of(classifier.judge(row)) for row in classifier.features.rows(examples.out_of_scope)]
        return classifier, chosen_threshold(right, given, GIVEN)
    return classifier, chosen_threshold(right, strange)
