"""``python -m bench [NAMES...]``: runs the benchmarks and prints their tables."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape

from bench import (
    absolute,
    capacity,
    durable_turn,
    encryption,
    engine,
    history_cost,
    http_turn,
    identities,
    json_baseline,
    masking,
    rate_limits,
    redis_client,
    redis_commit,
    redis_memory,
    redis_rate,
    sqlite_bare,
    wire,
)
from bench.dialogue import DATA, DataMissing
from bench.figures import Figure
from bench.peers import comparison
from bench.report import markdown, print_tables, write_json
from bench.setting import Setting


class Topic(NamedTuple):
    title: str
    measure: Callable[[Setting], Awaitable[list[Figure]]]
    only_named: bool = False
    """Left out where no names are given: it downloads what it compares with."""


TOPICS: Final = {
    "history": Topic("A turn with 2000 messages behind it / with 40", history_cost.measure),
    "wire": Topic("What passes between a node and Redis", wire.measure),
    "json": Topic("Against the whole session as JSON (GET, SETEX, redis-py)", json_baseline.measure),
    "redis": Topic("What a commit costs Redis", redis_commit.measure),
    "rate": Topic("Commits a second, against redis-benchmark", redis_rate.measure),
    "memory": Topic("What a message costs in Redis's memory, before and after packing", redis_memory.measure),
    "capacity": Topic("What to plan a Redis for: memory a session, turns a second a core", capacity.measure),
    "client": Topic("The client's wire, against redis-py and a link's own round trip", redis_client.measure),
    "sqlite": Topic("SQLite (synchronous=FULL) against its own statements, bare", sqlite_bare.measure),
    "http": Topic("A turn over HTTP, with the extractive answer, beside a bare FastAPI echo", http_turn.measure),
    "durable": Topic("A streamed turn with journal and kept events, against the same without", durable_turn.measure),
    "engine": Topic("The engine's own work in a turn, without a model", engine.measure),
    "encryption": Topic("A turn with encryption (and masking), against the same without", encryption.measure),
    "identities": Topic("Who asks: what it costs to know, and whether its time tells anything", identities.measure),
    "masking": Topic("Sensitive values: found, found wrongly, and how fast", masking.measure),
    "limits": Topic("What limits cost a request, and their check beside the limits package's", rate_limits.measure),
    "peers": Topic("A turn beside the peers' (2 messages of 0.8 KB, in one run)", comparison.measure, only_named=True),
    "absolute": Topic("Absolute figures, of this run on this machine only", absolute.measure),
}


def main() -> int:
    options = _parser().parse_args()
    progress = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=options.dir) as folder,
        progress.status("") as status,
    ):
        say = (lambda text: status.update(escape(text))) if progress.is_terminal else (lambda text: None)
        figures: list[Figure] = []
        for name in options.names or [name for name, topic in TOPICS.items() if not topic.only_named]:
            place = Path(folder) / name
            place.mkdir()
            setting = Setting(options.quick, place, say, options.data, tuple(filter(None, options.peers.split(","))))
            try:
                figures += asyncio.run(TOPICS[name].measure(setting))  # type: ignore[arg-type]
            except DataMissing as error:
                print(f"{name}: left out: {error}", file=sys.stderr)
    show(figures, as_markdown=options.markdown)
    if options.json is not None:
        write_json(figures, options.json)
    return 0


def show(figures: Sequence[Figure], *, as_markdown: bool) -> None:
    titles = {name: topic.title for name, topic in TOPICS.items()}
    if as_markdown:
        print(markdown(figures, titles))
    else:
        wide = None if sys.stdout.isatty() else 180
        print_tables(figures, titles, Console(width=wide))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run (all but peers): {', '.join(TOPICS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--quick", action="store_true", help="only see that all works: the times mean nothing")
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="folder with the sets of real text (default: $HOLDFAST_DATA, or beside the project; here %(default)s)",
    )
    parser.add_argument(
        "--peers",
        default="",
        metavar="A,B",
        help=f"which systems `peers` compares with (all): {', '.join(comparison.PEERS)}",
    )
    parser.add_argument(
        "--dir", type=Path, help="folder for SQLite files, on the disk to be measured (default: temporary)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
