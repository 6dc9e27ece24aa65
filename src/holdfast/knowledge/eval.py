"""Measuring retrieval on a question set in SQuAD's format, in a collection of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import KnowledgeMissing, UnreadableDocument
from holdfast.knowledge.contract import Extracted, Hit
from holdfast.knowledge.extractive import Quote, rank_sentences
from holdfast.knowledge.index import KnowledgeIndex


class Question(msgspec.Struct, frozen=True):
    """A question, the name of the document that answers it, and where: half-open offsets, any of which will do."""

    text: str
    document: str
    answers: tuple[tuple[int, int], ...]


class QuestionSet(msgspec.Struct, frozen=True):
    """Documents (a paragraph of the set each) by name, and the questions on them."""

    documents: dict[str, str]
    questions: list[Question]


class Evaluation(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        documents, passages, questions: how many there were.
        hit_1, hit_5: share of questions whose document is the first hit's, or one of the first five's.
        quoted_1, quoted_3: share of questions whose answer lies whole inside the best quoted sentence, or one of the best three.
        p50_ms, p99_ms: milliseconds of one retrieval, as its caller waits for it.
        build_s: seconds to build the index, calibration included.
        threshold: coverage under which this collection calls a hit not relevant.
        relevant: share of questions whose best hit reaches it.
    """

    documents: int
    passages: int
    questions: int
    hit_1: float
    hit_5: float
    quoted_1: float
    quoted_3: float
    p50_ms: float
    p99_ms: float
    build_s: float
    threshold: float
    relevant: float


def load(path: Path) -> QuestionSet:
    """Reads a SQuAD-format file (versions 1 and 2; questions without an answer are left out). Equal paragraphs are one document.

    Raises `KnowledgeMissing` and `UnreadableDocument`.
    """
    if not path.is_file():
        raise KnowledgeMissing(f"there is no file {path}")
    documents: dict[str, str] = {}
    names: dict[str, str] = {}
    questions: list[Question] = []
    try:
        for article in msgspec.json.decode(path.read_bytes())["data"]:
            for paragraph in article["paragraphs"]:
                text = str(paragraph["context"])
                name = names.setdefault(text, f"{len(names):06d}")
                documents[name] = text
                questions.extend(q for q in (_question(qa, name) for qa in paragraph["qas"]) if q is not None)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableDocument(
            str(path), f"not a question set in SQuAD's format ({type(error).__name__}: {error})"
        ) from error
    if not questions:
        raise UnreadableDocument(str(path), "it holds no question with an answer")
    return QuestionSet(documents, questions)


def _question(qa: dict[str, Any], document: str) -> Question | None:
    answers = tuple((int(a["answer_start"]), int(a["answer_start"]) + len(a["text"])) for a in qa.get("answers") or ())
    return Question(str(qa["question"]), document, answers) if answers else None


async def evaluate(questions: QuestionSet, progress: Callable[[int], None] | None = None) -> Evaluation:
    """Builds a collection in a temporary folder and asks every question; ``progress`` is told documents and questions done."""
    done = progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="holdfast-eval-") as folder:
        began = time.perf_counter()
        async with await KnowledgeIndex.open(Path(folder) / "eval.db", write=True) as index:
            passages = 0
            for count, (name, text) in enumerate(questions.documents.items(), 1):
                passages += await index.put(name, "", Extracted(text))
                done(count)
            threshold = await index.calibrate()
            build = time.perf_counter() - began
            counts = [0, 0, 0, 0, 0]
            times: list[float] = []
            for count, question in enumerate(questions.questions, len(questions.documents) + 1):
                began = time.perf_counter()
                found = await index.retrieve(question.text, limit=5)
                times.append(time.perf_counter() - began)
                hits = found.hits
                quotes = rank_sentences(question.text, hits, found.weights)
                for i, right in enumerate(_judged(question, hits, quotes, threshold)):
                    counts[i] += right
                done(count)
    times.sort()
    hit_1, hit_5, quoted_1, quoted_3, relevant = (round(count / len(times), 4) for count in counts)
    return Evaluation(
        documents=len(questions.documents),
        passages=passages,
        questions=len(times),
        hit_1=hit_1,
        hit_5=hit_5,
        quoted_1=quoted_1,
        quoted_3=quoted_3,
        p50_ms=round(times[len(times) // 2] * 1000, 3),
        p99_ms=round(times[len(times) * 99 // 100] * 1000, 3),
        build_s=round(build, 3),
        threshold=round(threshold, 4),
        relevant=relevant,
    )


def _judged(question: Question, hits: Sequence[Hit], quotes: Sequence[Quote], threshold: float) -> tuple[bool, ...]:
    found = [hit.passage.document == question.document for hit in hits]
    holds = [_holds(quote, question) for quote in quotes[:3]]
    return (
        any(found[:1]),
        any(found),
        any(holds[:1]),
        any(holds),
        bool(hits) and max(h.coverage for h in hits) >= threshold,
    )


def _holds(quote: Quote, question: Question) -> bool:
    return quote.document == question.document and any(
        quote.start <= start and end <= quote.end for start, end in question.answers
    )
