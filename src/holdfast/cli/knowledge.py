"""``holdfast knowledge``: documents into an index, questions to it, and how well it answers a question set."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.table import Table

from holdfast.cli.options import Debug, Json
from holdfast.cli.output import cell, clean, console, print_json
from holdfast.cli.progress import Progress
from holdfast.errors import KnowledgeMissing
from holdfast.knowledge import KnowledgeIndex
from holdfast.knowledge.adding import AddReport, add_files, files_in
from holdfast.knowledge.contract import Hit
from holdfast.knowledge.eval import Evaluation, evaluate, load
from holdfast.knowledge.extractive import Extract, extract

T = TypeVar("T")

app = typer.Typer(name="knowledge", help="Documents that answers are made from.", no_args_is_help=True)

IndexFile = Annotated[
    Path,
    typer.Option("--index", envvar="HOLDFAST_KNOWLEDGE", metavar="FILE", help="The index file."),
]
_DEFAULT = Path("holdfast-knowledge.db")


def _with_index(path: Path, work: Callable[[KnowledgeIndex], Awaitable[T]], *, write: bool = False) -> T:
    async def main() -> T:
        async with await KnowledgeIndex.open(path, write=write) as index:
            return await work(index)

    return asyncio.run(main())


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR|FILE...", show_default=False, help="What to read.")],
    index: IndexFile = _DEFAULT,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a file had to be skipped.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read Markdown, text, HTML and PDF files into the index; files that did not change are left alone."""
    files = files_in(paths)
    with Progress("reading", len(files)) as bar:
        report = _with_index(index, lambda opened: add_files(opened, files, lambda done, _: bar.at(done)), write=True)
    for item in report.skipped:
        print(f"skipped {clean(item.document, one_line=True)}: {clean(item.reason, one_line=True)}", file=sys.stderr)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        print(_summary(report))
    if strict and report.skipped:
        raise typer.Exit(1)


def _summary(report: AddReport) -> str:
    return f"added: {len(report.added)} ({report.passages} passages), unchanged: {report.unchanged}, skipped: {len(report.skipped)}"


@app.command()
def ls(index: IndexFile = _DEFAULT, as_json: Json = False, debug: Debug = False) -> None:
    """List the documents of the index."""
    documents = _with_index(index, lambda opened: opened.documents())
    if as_json:
        print_json(msgspec.to_builtins(documents))
        return
    table = Table("document", "title", "characters", "passages", box=None, pad_edge=False)
    for item in documents:
        table.add_row(cell(item.name), cell(item.title), str(item.characters), str(item.passages))
    console().print(table)


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False, help="As listed by ls.")],
    index: IndexFile = _DEFAULT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove documents from the index."""

    async def work(opened: KnowledgeIndex) -> list[str]:
        removed = [name for name in names if await opened.remove(name)]
        if removed:
            await opened.calibrate()
        return removed

    if not index.is_file():
        raise KnowledgeMissing(f"there is no knowledge index at {index}")
    removed = _with_index(index, work, write=True)
    missing = [name for name in names if name not in removed]
    if as_json:
        print_json({"removed": removed, "missing": missing})
    else:
        print(f"removed: {len(removed)}")
    if missing:
        raise KnowledgeMissing(f"not in the index: {', '.join(missing)}")


@app.command()
def search(
    question: Annotated[list[str], typer.Argument(metavar="QUESTION", show_default=False, help="What to look for.")],
    index: IndexFile = _DEFAULT,
    limit: Annotated[int, typer.Option("--limit", min=1, max=50, help="Passages at most.")] = 5,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find passages for a question, and quote the sentences that answer it best."""
    query = " ".join(" ".join(question).split())

    async def work(opened: KnowledgeIndex) -> tuple[list[Hit], Extract, float]:
        found = await opened.retrieve(query, limit=limit)
        return list(found.hits), extract(query, found.hits, found.weights, threshold=found.threshold), found.threshold

    hits, answer, threshold = _with_index(index, work)
    if as_json:
        built: dict[str, Any] = {"hits": hits, "answer": answer, "threshold": threshold}
        print_json(msgspec.to_builtins(built))
        return
    if not answer.relevant:
        print(f"Nothing relevant found (coverage {answer.coverage:.2f}, needed {threshold:.2f}).")
    for quote in answer.quotes:
        page = "" if quote.page is None else f", page {quote.page}"
        print(f"“{clean(quote.text, one_line=True)}”\n  {clean(quote.document)}{page} [{quote.start}:{quote.end}]")
    table = Table("score", "coverage", "document", "title", box=None, pad_edge=False)
    for hit in hits:
        passage = hit.passage
        table.add_row(f"{hit.score:.2f}", f"{hit.coverage:.2f}", cell(passage.document), cell(passage.title))
    if hits:
        print()
        console().print(table)


@app.command("eval")
def eval_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="Questions in SQuAD's format.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure retrieval on a question set, in a collection of its own that is built for it and removed."""
    questions = load(file)
    with Progress("asking", len(questions.documents) + len(questions.questions)) as bar:
        found = asyncio.run(evaluate(questions, bar.at))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for name, value in _lines(found):
        print(f"{name:<34}{value}")


def _lines(found: Evaluation) -> list[tuple[str, str]]:
    return [
        ("documents / passages / questions", f"{found.documents} / {found.passages} / {found.questions}"),
        ("hit@1", f"{found.hit_1:.3f}"),
        ("hit@5", f"{found.hit_5:.3f}"),
        ("answer in the best quote", f"{found.quoted_1:.3f}"),
        ("answer in the best three quotes", f"{found.quoted_3:.3f}"),
        ("retrieval p50 / p99", f"{found.p50_ms:.1f} / {found.p99_ms:.1f} ms"),
        ("build", f"{found.build_s:.2f} s"),
        ("threshold / questions above it", f"{found.threshold:.2f} / {found.relevant:.3f}"),
    ]
