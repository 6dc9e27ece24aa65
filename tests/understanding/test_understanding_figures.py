"""Measured on BANKING77; the bounds are the figures of docs/decisions/understanding.md, less what chance does."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.understanding import IntentModel
from holdfast.understanding.intents.evaluating import evaluate
from holdfast.understanding.intents.rows import LabelledRow, rows_of, sampled

pytestmark = pytest.mark.timeout(900)  # seconds of work, minutes where other work takes the processors

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "banking77"


def rows(name: str) -> list[LabelledRow]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"BANKING77 is not here (looked in {DATA})")
    return rows_of(path.read_bytes(), name)


def accuracy(train: list[LabelledRow], test: list[LabelledRow]) -> float:
    model = IntentModel.train([(row.text, row.category) for row in train], threshold=0)
    predictions = model.predict([row.text for row in test])
    return sum(each.intent == row.category for each, row in zip(predictions, test, strict=True)) / len(test)


def test_five_examples_an_intent() -> None:
    """One draw of five; the worst of them had .693."""
    figure = accuracy(sampled(rows("train.csv"), 5, 0), rows("test.csv"))
    print(figure)
    assert figure >= 0.68


def test_all_examples() -> None:
    train, test = rows("train.csv"), rows("test.csv")
    figure = accuracy(train, test)
    print(figure)
    assert figure >= 0.91


def test_ten_intents_left_out() -> None:
    train, test = rows("train.csv"), rows("test.csv")
    some = sorted({row.category for row in train})[::3]
    train = sampled([row for row in train if row.category in some], 8, 0)
    found = evaluate(train, [row for row in test if row.category in some], leave_out=10)
    print(found)
    assert found.accuracy >= 0.8
    assert found.auroc is not None
    assert found.auroc >= 0.75
    assert found.false_rejection_rate <= 0.3
