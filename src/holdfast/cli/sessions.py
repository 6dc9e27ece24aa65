"""``holdfast sessions ls``, ``show`` and ``rm``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast import Message, Store
from holdfast.backends.records import Record, Unchanged
from holdfast.cli.audited import audited
from holdfast.cli.export_format import message_parts, tagged
from holdfast.cli.options import Config, Debug, Json, StoreUrl, Tenant, with_store
from holdfast.cli.output import cell, clean, console, iso, moment, print_json, span
from holdfast.cli.shown import Clear, Shown, shown_by
from holdfast.cli.traces import print_traces, traces_of
from holdfast.errors import ConfigError, SessionNotFound, UnreadableRecord

_TOGETHER: Final = 50
"""Sessions that are asked for at the same time, and rows of one table."""

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of sessions.", show_default=False)]


async def record_of(store: Store, session_id: str, *, tail: int = 0) -> Record | None:
    """The stored record. Raises `UnreadableRecord`, naming the session."""
    try:
        found = await store.backend.load(store.key(session_id), tail=tail)
    except UnreadableRecord as error:
        raise type(error)(f"session {session_id!r}: {error}") from None
    assert not isinstance(found, Unchanged)
    return found


# --- ls --------------------------------------------------------------------------------------------------------------


def ls(
    store: StoreUrl = "",
    tenant: Tenant = "",
    user: Annotated[str, typer.Option("--user", metavar="ID", show_default=False, help="Only this user's.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many; 0 is all.")] = 50,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List sessions. A user's come newest first, all others in no order."""
    more, damaged = with_store(store, tenant, lambda opened: _list(opened, user, limit, as_json))
    if more and not as_json:
        print(f"There are more: --limit {limit * 4}, or --limit 0 for all.", file=sys.stderr)
    if damaged:
        raise typer.Exit(1)


async def _list(store: Store, user: str, limit: int, as_json: bool) -> tuple[bool, bool]:
    """Prints; returns whether there are more, and whether one of them is damaged."""
    shown, damaged = 0, False
    page: list[str] = []
    out = console()

    async def flush() -> None:
        nonlocal shown, damaged
        rows = await asyncio.gather(*[_row(store, id_) for id_ in page])
        page.clear()
        living = [row for row in rows if row is not None]
        damaged = damaged or any("error" in row for row in living)
        if as_json:
            for row in living:
                print_json(row)
        elif living:
            out.print(_table(living, out, header=shown == 0))
        shown += len(living)

    async for session_id in _ids(store, user):
        if limit and shown + len(page) >= limit:
            await flush()
            if shown >= limit:
                return True, damaged
        page.append(session_id)
        if len(page) >= _TOGETHER:
            await flush()
    await flush()
    if not shown and not as_json:
        print("No sessions.", file=sys.stderr)
    return False, damaged


async def _ids(store: Store, user: str) -> AsyncIterator[str]:
    if not user:
        async for session_id in store.scan():
            yield session_id
        return
    cursor = ""
    while True:
        page = await store.by_user(user, cursor=cursor, limit=_TOGETHER)
        for session_id in page.ids:
            yield session_id
        if not (cursor := page.cursor):
            return


async def _row(store: Store, session_id: str) -> dict[str, Any] | None:
    try:
        record = await record_of(store, session_id)
    except UnreadableRecord as error:
        return {"id": session_id, "error": str(error)}
    return None if record is None else {"id": session_id, **_meta(record)}


def _meta(record: Record) -> dict[str, Any]:
    return {
        "user": record.user,
        "version": record.version.counter,
        "messages": record.total,
        "created_at": iso(record.created_ms),
        "expires_at": iso(record.expires_ms) if record.expires_ms else None,
        "ttl_s": record.ttl_ms / 1000 if record.ttl_ms else None,
    }


def _table(rows: list[dict[str, Any]], out: Console, *, header: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_header=header, header_style="bold")
    table.add_column("id", overflow="fold", ratio=3, min_width=12)
    table.add_column("user", overflow="fold", ratio=2)
    table.add_column("version", justify="right", min_width=7)
    table.add_column("messages", justify="right", min_width=8)
    table.add_column("expires in", justify="right", min_width=10)
    table.expand = True
    table.width = min(out.width, 120)
    for row in rows:
        if "error" in row:
            table.add_row(cell(row["id"]), cell("damaged", "red"), "", "", "")
        else:
            table.add_row(
                cell(row["id"]), cell(row["user"]), str(row["version"]), str(row["messages"]), _ends(row["expires_at"])
            )
    return table


def _ends(expires_at: str | None) -> str:
    return "never" if expires_at is None else span(datetime.fromisoformat(expires_at).timestamp() - time.time())


# --- show ------------------------------------------------------------------------------------------------------------


def show(
    session_id: Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The session's id.")],
    store: StoreUrl = "",
    tenant: Tenant = "",
    messages: Annotated[int, typer.Option("--messages", min=0, help="How many of the last messages.")] = 10,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also how their turns were answered, while that is kept.")
    ] = False,
    config: Config = None,
    clear: Clear = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show one session: who and when, its state, its last messages. What the config calls sensitive is masked."""
    shown = shown_by(config, clear=clear)

    async def work(opened: Store) -> None:
        if clear:
            async with audited(opened, "session.show_clear", session_id):
                await _show(opened, session_id, messages, trace, as_json, shown)
        else:
            await _show(opened, session_id, messages, trace, as_json, shown)

    with_store(store, tenant, work, config=config)


async def _show(store: Store, session_id: str, count: int, traced: bool, as_json: bool, shown: Shown) -> None:
    record = await record_of(store, session_id, tail=count)
    if record is None:
        raise SessionNotFound(f"there is no session {session_id!r}; it may have expired, or belong to another --tenant")
    session = store.session(store.key(session_id), record, count)
    whole = dict(session.state)
    masked = shown.state(whole)
    state = {name: tagged(masked[name]) for name in sorted(masked)}
    said = [shown.message(message, whole) for message in session.messages]
    traces = await traces_of(store, session_id, list(session.messages)) if traced else []
    if as_json:
        last = [message_parts(message) for message in said]
        more = {"traces": traces} if traced else {}
        print_json({"id": session_id, **_meta(record), "state": state, "last_messages": last, **more})
        return
    out = console()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim", min_width=8)
    facts.add_column(overflow="fold")
    facts.add_row("id", cell(session_id, "bold"))
    facts.add_row("user", cell(record.user or "-"))
    facts.add_row("version", str(record.version.counter))
    facts.add_row("created", f"{moment(record.created_ms)} ({span(time.time() - record.created_ms / 1000)} ago)")
    facts.add_row("expires", _expiry(record))
    out.print(facts)
    out.print(f"\nState: {len(state)} key{'s' * (len(state) != 1)}", style="bold")
    if state:
        out.print(_two_columns([(name, json.dumps(value, ensure_ascii=False), "") for name, value in state.items()]))
    out.print(f"\nMessages: the last {len(session.messages)} of {record.total}", style="bold")
    if len(session.messages):
        out.print(_two_columns([_said(message) for message in said]))
    if traced:
        print_traces(traces, out)


def _expiry(record: Record) -> str:
    if not record.expires_ms:
        return "never"
    sliding = f", {span(record.ttl_ms / 1000)} after its last change" if record.ttl_ms else ""
    return f"in {span(record.expires_ms / 1000 - time.time())} ({moment(record.expires_ms)}{sliding})"


def _two_columns(rows: list[tuple[str, str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", style="cyan", max_width=24)
    table.add_column(overflow="fold")
    for left, right, style in rows:
        table.add_row(cell(left), Text(clean(right), style=style, overflow="fold"))
    return table


def _said(message: Message) -> tuple[str, str, str]:
    text = message.content
    if message.tool_calls:
        text += " [calls " + ", ".join(call.name for call in message.tool_calls) + "]"
    if message.citations:
        text += " [cites " + ", ".join(citation.document for citation in message.citations) + "]"
    return message.role, text, "" if message.role in ("user", "assistant") else "dim"


# --- rm --------------------------------------------------------------------------------------------------------------


def rm(
    ids: Ids,
    store: StoreUrl = "",
    tenant: Tenant = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete sessions, with their messages, for good."""
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise ConfigError("nobody is there to ask: give --yes to delete for good")
        what = "this session" if len(ids) == 1 else f"these {len(ids)} sessions"
        typer.confirm(f"Delete {what} for good: {clean(', '.join(ids), one_line=True)}?", abort=True, err=True)

    async def delete(opened: Store) -> dict[str, bool]:
        found = {}
        for id_ in ids:
            async with audited(opened, "session.delete", id_):
                found[id_] = await opened.delete(id_)
        return found

    found = with_store(store, tenant, delete)
    deleted = [id_ for id_, there in found.items() if there]
    missing = [id_ for id_, there in found.items() if not there]
    if as_json:
        print_json({"deleted": deleted, "missing": missing})
    else:
        for id_ in deleted:
            print(f"deleted {clean(id_, one_line=True)}")
        for id_ in missing:
            print(f"there is no session {clean(id_, one_line=True)}", file=sys.stderr)
    if missing:
        raise typer.Exit(1)
