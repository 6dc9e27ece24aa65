"""``holdfast knowledge``: documents into collections, questions to them, and how well they answer a question set."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from holdfast.cli.knowledge_places import ConfigFile, IndexFile, OneCollection, Place, known, place_of
from holdfast.cli.options import Debug, Json
from holdfast.cli.output import cell, clean, console, print_json
from holdfast.cli.progress import Progress
from holdfast.errors import ConfigError, KnowledgeMissing
from holdfast.knowledge import KnowledgeIndex
from holdfast.knowledge.adding import AddReport, add_files, files_in, vanished
from holdfast.knowledge.collection_files import DEFAULT, collection_file, collections_beside
from holdfast.knowledge.collections import Collection, Collections
from holdfast.knowledge.contract import SearchResult
from holdfast.knowledge.eval import Evaluation, evaluate, evaluate_in, load
from holdfast.knowledge.extractive import extract

app = typer.Typer(name="knowledge", help="Documents that answers are made from.", no_args_is_help=True)


class Added(msgspec.Struct, frozen=True):
    """What ``add`` did to a collection: the report's fields, its name, and documents removed because their file is gone."""

    collection: str
    report: AddReport
    removed: list[str] = []

    def plain(self) -> dict[str, Any]:
        """As one JSON object."""
        return {"collection": self.collection, **msgspec.to_builtins(self.report), "removed": self.removed}


@app.command()
def add(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR|FILE...", show_default=False, help="What to read.")
    ] = None,
    collection: OneCollection = DEFAULT,
    index: IndexFile = None,
    config: ConfigFile = None,
    under: Annotated[
        list[Path] | None,
        typer.Option("--under", metavar="DIR", show_default=False, help="Single files are named by their path in it."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents whose file is in none of the folders any more.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a file had to be skipped.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read Markdown, text, HTML and PDF files into a collection; files that did not change are left alone.

    A single file updates that document only. Without paths, the folders of --config are read: each into its collection.
    """
    place = place_of(index, config)
    if paths:
        known(place, collection)
        work = {collection: files_in(paths, [*(under or ()), *place.folders(collection)])}
    else:
        names = [known(place, collection)] if collection != DEFAULT else list(place.sections)
        work = {name: files_in(place.folders(name)) for name in names if place.folders(name)}
    if not work:
        raise ConfigError("what to read? name folders or files, or a --config whose [knowledge] has folders")
    if prune and not all(path.is_dir() for path in paths or ()):
        raise ConfigError("--prune compares whole folders with the collection: name folders only")
    done = [_added(place, name, files, prune) for name, files in work.items()]
    if as_json:
        plain = [item.plain() for item in done]
        print_json(plain[0] if paths else plain)
    else:
        for item in done:
            print(_summary(item, named=len(done) > 1 or item.collection != DEFAULT))
    if strict and any(item.report.skipped or item.report.degraded for item in done):
        raise typer.Exit(1)


def _added(place: Place, name: str, files: list[tuple[Path, str]], prune: bool) -> Added:
    with Progress("reading" if name == DEFAULT else f"reading {name}", len(files)) as bar:

        def embedded(made: int) -> None:
            bar.says(f"vectors: {made}")

        async def work(opened: KnowledgeIndex) -> Added:
            removed = [gone for gone in await vanished(opened, files) if await opened.remove(gone)] if prune else []
            report = await add_files(opened, files, lambda done, _: bar.at(done), embedded)
            if removed:
                await opened.calibrate()
            return Added(name, report, removed)

        done = place.run(name, work, write=True)
    for item in done.report.skipped:
        print(f"skipped {clean(item.document, one_line=True)}: {clean(item.reason, one_line=True)}", file=sys.stderr)
    if done.report.degraded:
        print(f"without vectors: {clean(done.report.degraded, one_line=True)}", file=sys.stderr)
    return done


def _summary(item: Added, *, named: bool) -> str:
    report = item.report
    text = f"added: {len(report.added)} ({report.passages} passages), unchanged: {report.unchanged}, skipped: {len(report.skipped)}"
    if item.removed:
        text += f", removed: {len(item.removed)}"
    if report.vectors:
        text += f", vectors: {report.vectors}"
    return f"{item.collection}: {text}" if named else text


@app.command()
def collections(
    index: IndexFile = None, config: ConfigFile = None, as_json: Json = False, debug: Debug = False
) -> None:
    """List the collections: how many documents and passages each has, and its threshold."""
    place = place_of(index, config)
    there = collections_beside(place.index)
    found = [_described(place, name) for name in dict.fromkeys([*place.names(), *there]) if name in there]
    missing = [name for name in place.names() if name not in there]
    if as_json:
        print_json(found)
    else:
        table = Table(
            "collection", "documents", "passages", "threshold", "file", "description", box=None, pad_edge=False
        )
        for item in found:
            table.add_row(
                cell(item["name"]),
                str(item["documents"]),
                str(item["passages"]),
                f"{item['threshold']:.2f}",
                cell(item["file"]),
                cell(item["description"]),
            )
        console().print(table)
    for name in missing:
        print(f"not there yet: {name} (holdfast knowledge add --config ...)", file=sys.stderr)


def _described(place: Place, name: str) -> dict[str, Any]:
    async def work(opened: KnowledgeIndex) -> dict[str, Any]:
        documents = await opened.documents()
        section = place.sections.get(name)
        own = section.threshold if section is not None else None
        return {
            "name": name,
            "documents": len(documents),
            "passages": sum(document.passages for document in documents),
            "threshold": opened.threshold if own is None else own,
            "file": str(collection_file(place.index, name)),
            "description": section.description if section is not None else "",
        }

    return Place(place.index).run(name, work)


@app.command()
def ls(
    collection: OneCollection = DEFAULT,
    index: IndexFile = None,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the documents of a collection."""
    place = Place(place_of(index, config).index)
    documents = place.run(collection, lambda opened: opened.documents())
    if as_json:
        print_json([{**msgspec.to_builtins(item), "collection": collection} for item in documents])
        return
    table = Table("document", "title", "characters", "passages", box=None, pad_edge=False)
    for item in documents:
        table.add_row(cell(item.name), cell(item.title), str(item.characters), str(item.passages))
    console().print(table)


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="DOCUMENT...", show_default=False, help="As listed by ls.")],
    collection: OneCollection = DEFAULT,
    index: IndexFile = None,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove documents from a collection; the rest is not read again."""

    async def work(opened: KnowledgeIndex) -> list[str]:
        removed = [name for name in names if await opened.remove(name)]
        if removed:
            await opened.calibrate()
        return removed

    place = Place(place_of(index, config).index)
    file = collection_file(place.index, collection)
    if not file.is_file():
        raise KnowledgeMissing(f"there is no knowledge index at {file}")
    removed = place.run(collection, work, write=True)
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
    collection: Annotated[
        list[str] | None,
        typer.Option("--collection", metavar="NAME", show_default=DEFAULT, help="Which collection; may be repeated."),
    ] = None,
    index: IndexFile = None,
    config: ConfigFile = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=50, help="Passages at most.")] = 5,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find passages for a question, and quote the sentences that answer it best."""
    query = " ".join(" ".join(question).split())
    place = place_of(index, config)
    found = asyncio.run(_retrieved(place, list(dict.fromkeys(collection or [DEFAULT])), query, limit))
    answer = extract(query, found.hits, found.weights, threshold=found.threshold)
    if as_json:
        built = {"hits": found.hits, "answer": answer, "threshold": found.threshold, "degraded": found.degraded}
        print_json(msgspec.to_builtins(built))
        return
    for reason in found.degraded:
        print(f"left out: {clean(reason, one_line=True)}", file=sys.stderr)
    if not answer.relevant:
        print(f"Nothing relevant found (coverage {answer.coverage:.2f}, needed {found.threshold:.2f}).")
    for quote in answer.quotes:
        page = "" if quote.page is None else f", page {quote.page}"
        where = _where(quote.collection, quote.document)
        print(f"“{clean(quote.text, one_line=True)}”\n  {clean(where)}{page} [{quote.start}:{quote.end}]")
    table = Table("score", "coverage", "document", "title", box=None, pad_edge=False)
    for hit in found.hits:
        passage = hit.passage
        document = _where(passage.collection, passage.document)
        table.add_row(f"{hit.score:.2f}", f"{hit.coverage:.2f}", cell(document), cell(passage.title))
    if found.hits:
        print()
        console().print(table)


async def _retrieved(place: Place, names: list[str], query: str, limit: int) -> SearchResult:
    async with AsyncExitStack() as stack:
        members = {}
        for name in names:
            section = place.sections.get(known(place, name))
            threshold = section.threshold if section is not None else None
            members[name] = Collection(await place.opened(stack, name), threshold, limit)
        return await Collections(members).retrieve(query, limit=limit)


def _where(collection: str, document: str) -> str:
    return f"{collection}: {document}" if collection else document


@app.command("eval")
def eval_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="Questions in SQuAD's format.")],
    collection: Annotated[
        str, typer.Option("--collection", metavar="NAME", show_default=False, help="Ask this collection as it is.")
    ] = "",
    index: IndexFile = None,
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure retrieval on a question set, in a collection of its own that is built for it and removed.

    With --collection the set is asked of documents that are there: a passage is right if it holds an answer's text. With a --config
    that has embeddings, vectors take part.
    """
    questions = load(file)
    place = place_of(index, config)
    steps = len(questions.questions) + (0 if collection else len(questions.documents))

    async def work() -> Evaluation:
        async with AsyncExitStack() as stack:
            if collection:
                return await evaluate_in(await place.opened(stack, known(place, collection)), questions, bar.at)
            embedder, timeout = place.embedder(stack)
            return await evaluate(questions, bar.at, embedder=embedder, embed_timeout=timeout)

    with Progress("asking", steps) as bar:
        found = asyncio.run(work())
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
        *([("degraded questions", str(found.degraded))] if found.degraded else []),
    ]
