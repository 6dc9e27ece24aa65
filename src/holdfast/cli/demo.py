"""`holdfast demo`: things to watch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from holdfast.errors import MissingExtra

if TYPE_CHECKING:
    from holdfast.demo.failover import Report


def failover(
    store: Annotated[
        str | None, typer.Option(help="A store to use instead of a redis-server of the demo's own.")
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="Kill the answering node in every turn.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Three nodes behind a proxy, a conversation, and kill -9 on the nodes that answer. Exit code 0 only if nothing was lost."""
    try:
        from holdfast.demo import failover as failover_demo
    except ImportError as error:
        raise MissingExtra(
            "the demo serves over HTTP; install what it needs: pip install 'holdfast[server]'"
        ) from error
    progress = Console(stderr=True)
    report = asyncio.run(
        failover_demo.run(store, "every" if every else "some", lambda text: progress.print(f"  {text}", style="dim"))
    )
    if json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        _show(report)
    if report.faults:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    table = Table(
        "", "said", "killed -9", "answered", "version", "tries", "s", "remembered", box=box.SIMPLE, pad_edge=False
    )
    for line in report.lines:
        answered = line.answered
        table.add_row(
            *(str(line.number), line.said, line.killed or "-", answered.node, str(answered.version)),
            *(
                str(answered.attempts),
                f"{answered.seconds:.1f}",
                line.remembers.replace("order_number ", "").replace("phone ", ""),
            ),
        )
    out = Console()
    out.print(table)
    kills = sum(1 for line in report.lines if line.killed)
    out.print(
        f"{kills} nodes killed while answering; {report.messages} messages in the log, of {2 * len(report.lines)}"
    )
    for fault in report.faults:
        out.print(f"LOST: {fault}", style="bold red")
    if not report.faults:
        out.print("nothing was lost, nothing was said twice", style="bold green")
