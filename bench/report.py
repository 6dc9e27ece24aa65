"""The figures as tables: for the terminal, as Markdown, as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench.figures import Figure

_COLUMNS = ("figure", "value", "quartiles", "target", "", "measured")


def print_tables(figures: Sequence[Figure], titles: dict[str, str], console: Console) -> None:
    for topic, lines in _by_topic(figures).items():
        table = Table(title=titles[topic], title_justify="left", title_style="bold")
        for column in _COLUMNS:
            table.add_column(column, justify="right" if column in ("value", "quartiles", "target") else "left")
        for line in lines:
            style = {"short": "bold red", "ok": "green", "": ""}[line.verdict]
            table.add_row(*_cells(line), style=style)
        console.print(table)
    console.print(summary(figures))


def markdown(figures: Sequence[Figure], titles: dict[str, str]) -> str:
    parts = []
    for topic, lines in _by_topic(figures).items():
        parts += [f"### {titles[topic]}", ""]
        parts.append("| " + " | ".join(_COLUMNS) + " |")
        parts.append("|---|---:|---:|---:|---|---|")
        parts += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(line)) + " |" for line in lines]
        parts.append("")
    return "\n".join([*parts, summary(figures), ""])


def write_json(figures: Sequence[Figure], path: Path) -> None:
    rows = [
        {**msgspec.to_builtins(line), "target": str(line.target) if line.target else "", "verdict": line.verdict}
        for line in figures
    ]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")


def summary(figures: Sequence[Figure]) -> str:
    judged = [line for line in figures if line.target is not None]
    short = [line for line in judged if line.verdict == "short"]
    text = f"{len(judged) - len(short)} of {len(judged)} targets met"
    return text + (f"; short: {'; '.join(line.name for line in short)}" if short else "")


def _by_topic(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    topics: dict[str, list[Figure]] = {}
    for line in figures:
        topics.setdefault(line.topic, []).append(line)
    return topics


def _cells(line: Figure) -> tuple[str, ...]:
    unit = "" if line.unit == "x" or math.isnan(line.value) else f" {line.unit}".rstrip()
    spread = "" if line.low == line.high or math.isnan(line.value) else f"{_number(line.low)} to {_number(line.high)}"
    target = str(line.target) if line.target else ""
    return line.name, _number(line.value) + unit, spread, target, line.verdict, line.note


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 3 else f"{value:.1f}"
