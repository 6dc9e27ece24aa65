"""Measured on real question sets; the bounds are the figures of docs/decisions/knowledge-retrieval.md less .01."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

import pytest
from knowledge_documents import question_set

from holdfast.errors import KnowledgeMissing, UnreadableDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.eval import evaluate, load
from holdfast.knowledge.ranking import Statistics, search
from holdfast.knowledge.storage import IndexFile


@pytest.mark.parametrize(
    ("name", "hit_1", "hit_5", "quoted_1", "quoted_3"),
    [
        ("xquad/xquad.en.json", 0.935, 0.977, 0.790, 0.918),
        ("xquad/xquad.zh.json", 0.927, 0.979, 0.753, 0.903),
        ("cmrc2018/cmrc2018_trial.json", 0.971, 0.985, 0.737, 0.839),
    ],
)
async def test_hits_and_quotes(name: str, hit_1: float, hit_5: float, quoted_1: float, quoted_3: float) -> None:
    found = await evaluate(question_set(name))
    print(name, found)
    assert found.hit_1 >= hit_1
    assert found.hit_5 >= hit_5
    assert found.quoted_1 >= quoted_1
    assert found.quoted_3 >= quoted_3
    assert found.p50_ms < 50


@pytest.mark.parametrize(
    ("name", "least"),
    [("xquad/xquad.en.json", 0.923), ("xquad/xquad.zh.json", 0.923), ("cmrc2018/cmrc2018_trial.json", 0.969)],
)
def test_coverage_tells_whether_a_question_can_be_answered(tmp_path: Path, name: str, least: float) -> None:
    """Every question is asked of the whole collection, and of the collection without its own document."""
    questions = question_set(name)
    file = IndexFile(tmp_path / "x.db", write=True)
    for key, text in questions.documents.items():
        file.put(key, "", Extracted(text))
    db = file._connection()
    statistics = Statistics(db, -1)
    ids: dict[str, int] = dict(db.execute("SELECT name, id FROM document").fetchall())

    def best(question: str, exclude: int | None) -> float:
        return max((r.coverage for r in search(db, statistics, question, 5, exclude)), default=0.0)

    sample = questions.questions[::2]
    answered = [best(q.text, None) for q in sample]
    unanswerable = [best(q.text, ids[q.document]) for q in sample]
    file.close()
    auroc = area(answered, unanswerable)
    print(name, "AUROC", round(auroc, 4))
    assert auroc >= least


def area(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Area under the ROC curve: how often a positive value is above a negative one, ties counted half."""
    ordered = sorted(negative)
    wins = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in positive)
    return wins / (2 * len(positive) * len(negative))


def test_what_is_no_question_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeMissing):
        load(tmp_path / "none.json")
    for text in ("", "[]", "{}", '{"data": [{"paragraphs": [{"context": "x"}]}]}', '{"data": []}', '{"data": 3}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UnreadableDocument, match=r"x\.json"):
            load(tmp_path / "x.json")


async def test_a_small_set_in_another_language(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(
        '{"data": [{"paragraphs": ['
        '{"context": "Die Lieferung dauert drei Tage. Sie kostet nichts.", "qas": ['
        '{"question": "Wie lange dauert die Lieferung?", "answers": [{"text": "drei Tage", "answer_start": 21}]},'
        '{"question": "Unbeantwortbar?", "answers": []}]},'
        '{"context": "Доставка занимает два дня.", "qas": ['
        '{"question": "Сколько занимает доставка?", "answers": [{"text": "два дня", "answer_start": 18}]}]}]}]}'
    )
    found = await evaluate(load(tmp_path / "x.json"))
    assert (found.questions, found.documents, found.hit_1, found.quoted_1) == (2, 2, 1.0, 1.0)
