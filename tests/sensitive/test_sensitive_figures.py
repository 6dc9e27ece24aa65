"""How much is found, and how much of what is found is right: on generated sentences, and on real text."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scoring import scored
from sentences import KINDS, sentences

from holdfast.sensitive import find

DATA = Path(__file__).parents[2].parent / "shared" / "data"
_MOST: dict[str, float] = {"name": 4.0, "address": 2.0}
"""At the most, of what is found in 1 000 sentences of real text: persons and places, but of no customer. Of others, none."""


def test_recall_and_precision_on_sentences_with_known_values() -> None:
    score = scored(sentences(20_000, 20261))
    assert {kind for _, kind in score.there} == set(KINDS)
    for language in ("zh", "en"):
        assert score.recall(language) >= 0.995, score.missed[:20]
        assert score.precision(language) >= 0.98, score.wrong[:20]


def test_next_to_nothing_is_found_in_real_text() -> None:
    found: Counter[str] = Counter()
    total = 0
    for sentence in _real_sentences():
        total += 1
        found.update(spot.kind for spot in find(sentence))
    assert total > 15_000
    for kind, count in found.items():
        assert 1000 * count / total <= _MOST.get(kind, 0.0), (kind, count)


def _real_sentences() -> Iterator[str]:
    names = ("xquad/xquad.en.json", "xquad/xquad.zh.json", "cmrc2018/cmrc2018_trial.json", "banking77/train.csv")
    for name in names:
        if not (DATA / name).is_file():
            pytest.skip(f"the sets of real text are not here (looked for {name} in {DATA})")
    for name in names[:3]:
        for text in _texts(json.loads((DATA / name).read_text(encoding="utf-8"))):
            yield from (part for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？；])", text) if part.strip())
    with (DATA / names[3]).open(encoding="utf-8", newline="") as file:
        yield from (row[0] for row in list(csv.reader(file))[1:])


def _texts(data: Any) -> Iterator[str]:
    """Whatever is a passage or a question."""
    if isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, str) and name in ("context", "context_text", "question", "query_text"):
                yield value
            else:
                yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)
