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
from holdfast.knowledge.embedding import Embedder
from holdfast.knowledge.extractive import Quote, rank_sentences
from holdfast.knowledge.index import KnowledgeIndex

_Judge = Callable[["Question", str, Sequence[Hit], Sequence[Quote]], tuple[list[bool], list[bool]]]


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
        degraded: questions at which a part of the search was left out (see `SearchResult.degraded`).
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
    degraded: int = 0


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
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnreadableDocument(
            str(path), f"not a question set in SQuAD's format ({type(error).__name__}: {error})"
        ) from error
    if not questions:
        raise UnreadableDocument(str(path), "it holds no question with an answer")
    return QuestionSet(documents, questions)


def _question(qa: dict[str, Any], document: str) -> Question | None:
    answers = tuple((int(a["answer_start"]), int(a["answer_start"]) + len(a["text"])) for a in qa.get("answers") or ())
    return Question(str(qa["question"]), document, answers) if answers else None


async def evaluate(
    questions: QuestionSet,
    progress: Callable[[int], None] | None = None,
    *,
    embedder: Embedder | None = None,
    embed_timeout: float = 2.0,
) -> Evaluation:
    """Builds a collection in a temporary folder and asks every question; ``progress`` is told documents and questions done.

    Raises `EmbeddingError` where the ``embedder`` makes no vectors of the documents.
    """
    done = progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="holdfast-eval-") as folder:
        began = time.perf_counter()
        async with await KnowledgeIndex.open(
            Path(folder) / "eval.db", write=True, embedder=embedder, embed_timeout=embed_timeout
        ) as index:
            for count, (name, text) in enumerate(questions.documents.items(), 1):
                await index.put(name, "", Extracted(text))
                done(count)
            await index.calibrate()
            await index.embed()
            build = time.perf_counter() - began
            before = len(questions.documents)
            return await _asked(index, questions, build, lambda count: done(before + count), _right_document)


async def evaluate_in(
    index: KnowledgeIndex, questions: QuestionSet, progress: Callable[[int], None] | None = None
) -> Evaluation:
    """Asks every question of an index as it is: a passage is right if it holds one of the answers' texts."""
    return await _asked(index, questions, 0.0, progress or (lambda _: None), _holds_text)


async def _asked(
    index: KnowledgeIndex, questions: QuestionSet, build: float, done: Callable[[int], None], right: _Judge
) -> Evaluation:
    counts = [0, 0, 0, 0, 0]
    times: list[float] = []
    degraded = 0
    for count, question in enumerate(questions.questions, 1):
        began = time.perf_counter()
        found = await index.retrieve(question.text, limit=5)
        times.append(time.perf_counter() - began)
        degraded += bool(found.degraded)
        quotes = rank_sentences(question.text, found.hits, found.weights)[:3]
        hits, holds = right(question, questions.documents[question.document], found.hits, quotes)
        relevant = bool(found.hits) and max(hit.coverage for hit in found.hits) >= found.threshold
        for i, good in enumerate((any(hits[:1]), any(hits), any(holds[:1]), any(holds), relevant)):
            counts[i] += good
        done(count)
    documents = await index.documents()
    times.sort()
    hit_1, hit_5, quoted_1, quoted_3, share = (round(count / len(times), 4) for count in counts)
    return Evaluation(
        documents=len(documents),
        passages=sum(document.passages for document in documents),
        questions=len(times),
        hit_1=hit_1,
        hit_5=hit_5,
        quoted_1=quoted_1,
        quoted_3=quoted_3,
        p50_ms=round(times[len(times) // 2] * 1000, 3),
        p99_ms=round(times[len(times) * 99 // 100] * 1000, 3),
        build_s=round(build, 3),
        threshold=round(index.threshold, 4),
        relevant=share,
        degraded=degraded,
    )


def _right_document(
    question: Question, _: str, hits: Sequence[Hit], quotes: Sequence[Quote]
) -> tuple[list[bool], list[bool]]:
    """Of each hit, whether it is from the question's document; of each quote, whether an answer lies inside it."""
    return [hit.passage.document == question.document for hit in hits], [_holds(quote, question) for quote in quotes]


def _holds_text(
    question: Question, paragraph: str, hits: Sequence[Hit], quotes: Sequence[Quote]
) -> tuple[list[bool], list[bool]]:
    """Of each hit and quote, whether an answer's text stands in it."""
    answers = [paragraph[start:end] for start, end in question.answers]

    def holds(text: str) -> bool:
        return any(answer in text for answer in answers)

    return [holds(hit.passage.text) for hit in hits], [holds(quote.text) for quote in quotes]


def _holds(quote: Quote, question: Question) -> bool:
    return quote.document == question.document and any(
        quote.start <= start and end <= quote.end for start, end in question.answers
    )
