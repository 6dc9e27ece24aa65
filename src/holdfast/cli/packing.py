"""``holdfast store pack``: older messages of all sessions into compressed pages, at once."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from holdfast import Store, wiring
from holdfast.backends.contract import Packs
from holdfast.cli.options import Debug, Json, Tenant, with_store
from holdfast.cli.output import clean, print_json
from holdfast.cli.progress import Progress
from holdfast.errors import ConfigError, UnreadableRecord


class _Report(msgspec.Struct):
    sessions: int = 0
    packed: int = 0
    messages: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    left_out: list[dict[str, str]] = []


def pack(
    target: Annotated[
        str,
        typer.Argument(envvar="HOLDFAST_STORE", metavar="URL", show_default=False, help="A Redis store's URL."),
    ],
    tenant: Tenant = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Pack older messages now, for sessions from before packing or with ?pack=no. Turns may go on meanwhile.

    It can be stopped and run again at any time. Exit code: 1 if a session is damaged and was left out.
    """
    report = with_store(target, tenant, lambda store: _pack_all(store, wiring.shown_url(target)))
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        _print(report)
    if report.left_out:
        raise typer.Exit(1)


async def _pack_all(store: Store, name: str) -> _Report:
    backend = store.backend
    if not isinstance(backend, Packs):
        raise ConfigError(f"{name} does not pack: only a Redis store keeps older messages in pages")
    report = _Report()
    with Progress("packing", total=None) as progress:
        async for session_id in store.scan():
            report.sessions += 1
            try:
                done = await backend.pack(store.key(session_id))
            except UnreadableRecord as error:
                report.left_out.append({"id": session_id, "why": str(error)})
            else:
                report.packed += done.entries > 0
                report.messages += done.entries
                report.bytes_before += done.entry_bytes
                report.bytes_after += done.page_bytes
            progress.step()
    return report


def _print(report: _Report) -> None:
    print(f"{report.packed} of {report.sessions} sessions had something to pack")
    if report.messages:
        share = report.bytes_after / max(1, report.bytes_before)
        print(
            f"{report.messages} messages: {report.bytes_before / 2**20:.1f} MiB are {report.bytes_after / 2**20:.1f} MiB now "
            f"({share:.0%})"
        )
    for item in report.left_out:
        print(f"left out {clean(item['id'], one_line=True)}: {clean(item['why'], one_line=True)}")
