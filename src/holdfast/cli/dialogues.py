"""``holdfast test``: dialogues in YAML, played against the assistant, and how much of its flows they reach."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table

from holdfast import open_store
from holdfast.cli.options import Debug, Json
from holdfast.cli.output import cell, clean, console, print_json
from holdfast.cli.progress import Progress
from holdfast.cli.serve import ConfigFile
from holdfast.errors import ConfigError
from holdfast.sessions.settings import StoreOptions

if TYPE_CHECKING:
    from holdfast.config import Config
    from holdfast.testing.dialogues import Coverage, Report, Result, Script


def test(
    dialogues: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIALOGUES...",
            show_default=False,
            help="Files, or folders of *.yaml; the folder `dialogues` beside the config if not given.",
        ),
    ] = None,
    config: ConfigFile = None,
    store: Annotated[
        str, typer.Option("--store", metavar="URL", help="Where the dialogues' sessions are while they run.")
    ] = "memory:",
    only: Annotated[
        str,
        typer.Option("-k", metavar="TEXT", show_default=False, help="Only those with it in their or the file's name."),
    ] = "",
    at_once: Annotated[int, typer.Option("--jobs", "-j", min=1, max=256, help="Dialogues at the same time.")] = 8,
    min_coverage: Annotated[
        float | None,
        typer.Option(
            "--min-coverage", min=0, max=100, show_default=False, help="Fail below so many per cent of steps."
        ),
    ] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", show_default=False, help="Write JUnit XML.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Play dialogues against the assistant, offline, and say which steps of its flows they reach."""
    from holdfast.config import load_config
    from holdfast.testing.dialogues import read_dialogues

    if not debug:  # what goes wrong on purpose is logged as if it were not
        logging.getLogger("holdfast").addHandler(logging.NullHandler())
    settings = load_config(config)
    scripts = read_dialogues(dialogues or [_beside(config)], only=only)
    if not scripts:
        raise ConfigError(f"no dialogue has {only!r} in its name" if only else "there is no dialogue")
    report = asyncio.run(_run(scripts, settings, store, at_once))
    if junit_file is not None:
        from holdfast.testing.dialogues.junit import junit

        junit_file.write_bytes(junit(report))
    enough = min_coverage is None or report.coverage.percent >= min_coverage
    if as_json:
        print_json({**_document(report), "enough_coverage": enough})
    else:
        _print(report, min_coverage, with_coverage=not only or min_coverage is not None)
    if report.failed or not enough:
        raise typer.Exit(1)


def _beside(config: Path | None) -> Path:
    from importlib import resources

    folder = Path(str(resources.files("holdfast.samples"))) if config is None else config.parent
    if not (folder / "dialogues").is_dir():
        raise ConfigError(f"which dialogues? there is no folder {folder / 'dialogues'}; name files or folders")
    return folder / "dialogues"


async def _run(scripts: Sequence[Script], config: Config, url: str, at_once: int) -> Report:
    from holdfast.testing.dialogues import run_dialogues

    with Progress("reading documents", len(scripts)) as bar:

        def playing(done: int, of: int) -> None:
            bar.says("dialogues")
            bar.at(done)

        options: StoreOptions = {**config.store.options, "ttl": "1h"}
        async with open_store(url, **options) as store:
            return await run_dialogues(scripts, config, store, at_once=at_once, playing=playing)


def _document(report: Report) -> dict[str, Any]:
    coverage = report.coverage
    return {
        "passed": len(report.results) - len(report.failed),
        "failed": len(report.failed),
        "seconds": report.seconds,
        "dialogues": [{**msgspec.to_builtins(result), "passed": result.passed} for result in report.results],
        "coverage": {
            "reached": coverage.reached,
            "steps": coverage.steps,
            "percent": coverage.percent,
            "flows": msgspec.to_builtins(coverage.flows),
        },
    }


def _print(report: Report, min_coverage: float | None, *, with_coverage: bool) -> None:
    from holdfast.testing.dialogues.telling import told

    out = console()
    for result in report.failed:
        out.print(clean(told(result)), end="\n\n", soft_wrap=True)
    out.print(_dialogues(report.results))
    print()
    if with_coverage:
        out.print(_coverage(report.coverage))
        for line in _missing(report.coverage):
            out.print(clean(line, one_line=True), soft_wrap=True)
        print()
    passed = len(report.results) - len(report.failed)
    print(
        f"{passed} passed, {len(report.failed)} failed in {report.seconds:.1f} s; flow coverage {report.coverage.percent:g} %"
    )
    if min_coverage is not None and report.coverage.percent < min_coverage:
        print(f"that is less than the {min_coverage:g} % that were asked for")


def _dialogues(results: Sequence[Result]) -> Table:
    table = Table("dialogue", "turns", "ms", "", box=None, pad_edge=False)
    for file, group in groupby(results, key=lambda result: result.file):
        table.add_row(cell(_shown(file), "bold"), "", "", "")
        for result in group:
            turns = sum(who == "user" for who, _ in result.said)
            verdict = cell("passed", "green") if result.passed else cell("FAILED", "red")
            table.add_row(cell(f"  {result.name}"), str(turns), f"{result.seconds * 1000:.0f}", verdict)
    return table


def _coverage(coverage: Coverage) -> Table:
    from holdfast.testing.dialogues.coverage import percent

    table = Table("flow", "steps reached", "of", "%", box=None, pad_edge=False)
    for flow in coverage.flows:
        table.add_row(cell(flow.flow), str(flow.reached), str(flow.steps), f"{percent(flow.reached, flow.steps):g}")
    table.add_row(cell("total", "bold"), str(coverage.reached), str(coverage.steps), f"{coverage.percent:g}")
    return table


def _missing(coverage: Coverage) -> Iterator[str]:
    for flow in coverage.flows:
        for step in flow.missing:
            place = f"{_shown(flow.file)}:{step.line}" if step.line else flow.file
            yield f"not reached: {place}: {flow.flow}, step {step.step} ({step.kind})"


def _shown(file: str) -> str:
    """Relative to the working directory where it is below that."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
