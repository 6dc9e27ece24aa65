"""``holdfast turns ls``, ``retry`` and ``discard``: turns that need somebody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from holdfast import Store
from holdfast.cli import handover
from holdfast.cli.options import Config, Debug, Json, StoreUrl, Tenant, with_store
from holdfast.cli.output import cell, clean, console, iso, moment, print_json
from holdfast.cli.shown import shown_by
from holdfast.errors import ConfigError, TurnNotFound
from holdfast.turns.failures import Failures

_MOST: Final = 10_000
"""Overdue turns that are looked through."""

Session = Annotated[str, typer.Argument(metavar="SESSION", show_default=False, help="The session's id.")]
TurnId = Annotated[str, typer.Argument(metavar="TURN", show_default=False, help="The turn's id.")]


def ls(
    store: StoreUrl = "",
    tenant: Tenant = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed for good.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that nobody holds.")] = False,
    handed_over: Annotated[bool, typer.Option("--handover", help="Conversations that wait for a person.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of each kind.")] = 50,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List turns that failed for good, and accepted ones that no node holds now; deliveries of replies too."""
    if failed and overdue:
        raise ConfigError("give --failed or --overdue, or neither for both")
    if handed_over and (failed or overdue):
        raise ConfigError("--handover lists conversations, not turns: give it alone")
    if handed_over:
        _list_handovers(store, tenant, limit, as_json, config)
        return
    kinds = [kind for kind, other in (("failed", overdue), ("overdue", failed)) if not other]
    shown = shown_by(config)
    rows = with_store(store, tenant, lambda opened: _rows(opened, kinds, limit), config=config)
    rows = [row | {"error": shown.text(row["error"])} if row.get("error") else row for row in rows]
    if as_json:
        for row in rows:
            print_json(row)
    elif rows:
        console().print(_table(rows))
    else:
        print("No such turns.")


def _list_handovers(store: str, tenant: str, limit: int, as_json: bool, config: Path | None) -> None:
    shown = shown_by(config)
    rows = with_store(store, tenant, lambda opened: handover.rows(opened, limit), config=config)
    rows = [row | {"reason": shown.text(row["reason"])} for row in rows]
    if as_json:
        for row in rows:
            print_json(row)
    elif rows:
        console().print(handover.table(rows))
    else:
        print("Nobody waits for a person.")


async def _rows(store: Store, kinds: list[str], limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if "failed" in kinds:
        for failures in (store.failures, store.deliveries.failures):
            rows += await _failed(failures, limit - len(rows))
    if "overdue" in kinds:
        found = await store.backend.overdue(limit=_MOST)
        tenants = (store.settings.tenant, store.deliveries.settings.tenant)
        mine = [turn for turn in found if turn.key.tenant in tenants][:limit]
        rows += [_row("overdue", turn.key.id, turn.turn_id, turn.handler, turn.attempt, turn.since_ms) for turn in mine]
    return rows


async def _failed(failures: Failures, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async for one in failures.list():
        if len(rows) >= limit:
            break
        row = _row("failed", one.session_id, one.turn_id, one.handler, one.attempts, one.at * 1000)
        rows.append(row | {"error": one.error})
    return rows


def _row(kind: str, session_id: str, turn_id: str, handler: str, attempts: int, since_ms: float) -> dict[str, Any]:
    return {
        "state": kind,
        "session": session_id,
        "turn": turn_id,
        "handler": handler,
        "attempts": attempts,
        "since": iso(round(since_ms)),
        "since_ms": round(since_ms),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("state", "session", "turn", "handler"):
        table.add_column(name, overflow="fold")
    table.add_column("attempts", justify="right")
    table.add_column("since")
    table.add_column("error", overflow="fold")
    for row in rows:
        table.add_row(
            row["state"],
            *(cell(row[name]) for name in ("session", "turn")),
            cell(row["handler"] or "-"),
            str(row["attempts"]),
            moment(row["since_ms"]),
            cell(row.get("error", "")),
        )
    return table


def retry(
    session_id: Session,
    turn_id: TurnId,
    store: StoreUrl = "",
    tenant: Tenant = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Have the input of a failed turn answered anew, under another turn id, by whichever node takes it."""
    again = with_store(
        store, tenant, lambda opened: _either(opened, lambda failures: failures.retry(session_id, turn_id))
    )
    if as_json:
        print_json({"session": session_id, "turn": again, "instead_of": turn_id})
    else:
        print(f"accepted anew as turn {clean(again, one_line=True)}")


def discard(
    session_id: Session,
    turn_id: TurnId,
    store: StoreUrl = "",
    tenant: Tenant = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Drop a turn: an accepted one that nobody holds, with its input, or a failed one from the list."""
    was = with_store(
        store, tenant, lambda opened: _either(opened, lambda failures: failures.discard(session_id, turn_id))
    )
    if as_json:
        print_json({"session": session_id, "turn": turn_id, "was": was})
    else:
        print(f"discarded {clean(turn_id, one_line=True)} ({was})")


async def _either(store: Store, call: Callable[[Failures], Awaitable[str]]) -> str:
    """The turn is one of a conversation, or else of a delivery."""
    try:
        return await call(store.failures)
    except TurnNotFound:
        return await call(store.deliveries.failures)
