"""How well intents are told apart, and told from what is none: measured on labelled sentences."""

from __future__ import annotations

import random
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from holdfast.errors import ExamplesUnusable
from holdfast.understanding.intents.classifier import load_libraries
from holdfast.understanding.intents.examples import OUT_OF_SCOPE, sorted_out
from holdfast.understanding.intents.model import IntentModel, Prediction
from holdfast.understanding.intents.rows import LabelledRow, sampled

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it goes."""

_LEFT_OUT: Final = 10
_ENOUGH_INTENTS: Final = 20
_TIMED: Final = 2_000
_PAIRS: Final = 10


class Confused(msgspec.Struct, frozen=True):
    """Sentences of one intent that were taken for another."""

    intent: str
    taken_for: str
    times: int


class Evaluation(msgspec.Struct, frozen=True):
    """What was measured; the JSON of ``holdfast nlu eval``. A figure that the data does not allow is null.

    Attributes:
        train_examples, test_examples, intents: how many: examples in scope, and intents of the training.
        out_of_scope_examples: rows of the test that belong to no intent, or to one that was left out.
        per_intent, seed, left_out: the settings; ``left_out`` names the intents that were left out to measure what is strange.
        accuracy: share of the test's rows in scope whose best intent is the right one, refused or not.
        macro_f1: F1 of each intent of the test, their mean, over the same rows and predictions.
        auroc: chance that a row in scope scores higher than one out of scope (1 is perfect, .5 is chance).
        threshold: the calibrated score under which a sentence has no intent.
        rejection_rate: share of the rows out of scope that are refused.
        false_rejection_rate: share of the rows in scope that are refused.
        train_seconds: of one model, its calibration included.
        predictions_per_second: one after the other, on one core.
        p50_ms, p99_ms: milliseconds of one prediction.
        confused: the pairs that were confused most often.
    """

    train_examples: int
    test_examples: int
    intents: int
    out_of_scope_examples: int
    per_intent: int | None
    seed: int
    left_out: list[str]
    accuracy: float
    macro_f1: float
    auroc: float | None
    threshold: float
    rejection_rate: float | None
    false_rejection_rate: float
    train_seconds: float
    predictions_per_second: float
    p50_ms: float
    p99_ms: float
    confused: list[Confused]


def evaluate(
    train: Sequence[LabelledRow],
    test: Sequence[LabelledRow],
    *,
    per_intent: int | None = None,
    seed: int = 0,
    leave_out: int | None = None,
    cache: Path | None = None,
    tell: Tell | None = None,
) -> Evaluation:
    """Trains on ``train`` and measures on ``test``.

    Where the test has rows of the category ``oos``, they measure what is out of scope. Else a second model is trained without
    ``leave_out`` of the intents (None: ten if there are 20 or more, else none), whose test rows are then out of scope; the
    rates and the threshold are that model's.

    Raises `ExamplesUnusable`: fewer than two intents, a test without rows in scope, or with an intent that the training does
    not know, more intents to leave out than would leave two.
    """
    tell = tell or (lambda what, done, total: None)
    if per_intent is not None:
        train = sampled(train, per_intent, seed)
    in_scope = [row for row in test if row.category != OUT_OF_SCOPE]
    _check(train, in_scope)
    load_libraries()
    began = time.perf_counter()
    model = _model(train, seed, cache, tell, "training")
    train_seconds = time.perf_counter() - began
    predicted, seconds = _predicted(model, in_scope, tell)
    strange = [row for row in test if row.category == OUT_OF_SCOPE]
    left_out: list[str] = []
    judge, known, known_predicted = model, in_scope, predicted
    if not strange and (left_out := _left_out(model.intents, train, leave_out, seed)):
        judge = _model(
            [row for row in train if row.category not in left_out], seed, cache, tell, "training without some"
        )
        strange = [row for row in in_scope if row.category in left_out]
        known = [row for row in in_scope if row.category not in left_out]
        known_predicted = judge.predict([row.text for row in known])
    strange_predicted = judge.predict([row.text for row in strange])
    return Evaluation(
        train_examples=sum(row.category != OUT_OF_SCOPE for row in train),
        test_examples=len(in_scope),
        intents=len(model.intents),
        out_of_scope_examples=len(strange),
        per_intent=per_intent,
        seed=seed,
        left_out=left_out,
        accuracy=_accuracy(in_scope, predicted),
        macro_f1=macro_f1([row.category for row in in_scope], [_best(each) for each in predicted]),
        auroc=auroc([each.score for each in known_predicted], [each.score for each in strange_predicted]),
        threshold=judge.threshold,
        rejection_rate=_refused(strange_predicted),
        false_rejection_rate=_refused(known_predicted) or 0.0,
        train_seconds=train_seconds,
        predictions_per_second=len(seconds) / sum(seconds),
        p50_ms=1000 * _quantile(seconds, 0.5),
        p99_ms=1000 * _quantile(seconds, 0.99),
        confused=_confused(in_scope, predicted),
    )


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """The chance that one of the first is above one of the second, ties counting half (Mann and Whitney's U); None without any."""
    if not higher or not lower:
        return None
    ordered = sorted(lower)
    wins = sum(bisect_left(ordered, score) + bisect_right(ordered, score) for score in higher)
    return wins / 2 / len(higher) / len(lower)


def macro_f1(right: Sequence[str], given: Sequence[str]) -> float:
    """The mean over the labels that are right somewhere of 2 * hits / (rows of the label + rows given it)."""
    hits = Counter(one for one, other in zip(right, given, strict=True) if one == other)
    of_label, as_label = Counter(right), Counter(given)
    return sum(2 * hits[label] / (of_label[label] + as_label[label]) for label in of_label) / len(of_label)


def _check(train: Sequence[LabelledRow], in_scope: Sequence[LabelledRow]) -> None:
    sorted_out([(row.text, row.category) for row in train])
    if not in_scope:
        raise ExamplesUnusable("the test has no rows in scope")
    known = {row.category for row in train}
    for row in in_scope:
        if row.category not in known:
            raise ExamplesUnusable(f"test, line {row.line}: no training example has the category {row.category}")


def _model(train: Sequence[LabelledRow], seed: int, cache: Path | None, tell: Tell, what: str) -> IntentModel:
    pairs = [(row.text, row.category) for row in train]
    return IntentModel.train(pairs, cache=cache, seed=seed, progress=lambda done, total: tell(what, done, total))


def _predicted(model: IntentModel, rows: Sequence[LabelledRow], tell: Tell) -> tuple[list[Prediction], list[float]]:
    model.predict([rows[0].text])
    predicted: list[Prediction] = []
    seconds: list[float] = []
    for done, row in enumerate(rows):
        began = time.perf_counter()
        predicted += model.predict([row.text])
        if done < _TIMED:
            seconds.append(time.perf_counter() - began)
        if done % 100 == 0:
            tell("predicting", done, len(rows))
    return predicted, seconds


def _left_out(intents: Sequence[str], train: Sequence[LabelledRow], wanted: int | None, seed: int) -> list[str]:
    if wanted is None:
        strange = any(row.category == OUT_OF_SCOPE for row in train)
        wanted = _LEFT_OUT if len(intents) >= _ENOUGH_INTENTS and not strange else 0
    if wanted and len(intents) - wanted < 2:
        raise ExamplesUnusable(f"{wanted} of {len(intents)} intents cannot be left out: two have to stay")
    return sorted(random.Random(seed).sample(list(intents), wanted))


def _best(prediction: Prediction) -> str:
    return prediction.ranked[0][0]


def _accuracy(rows: Sequence[LabelledRow], predicted: Sequence[Prediction]) -> float:
    return sum(_best(each) == row.category for row, each in zip(rows, predicted, strict=True)) / len(rows)


def _refused(predicted: Sequence[Prediction]) -> float | None:
    return sum(not each.intent for each in predicted) / len(predicted) if predicted else None


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _confused(rows: Sequence[LabelledRow], predicted: Sequence[Prediction]) -> list[Confused]:
    pairs = Counter(
        (row.category, _best(each)) for row, each in zip(rows, predicted, strict=True) if _best(each) != row.category
    )
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Confused(intent, other, times) for (intent, other), times in ordered[:_PAIRS]]
