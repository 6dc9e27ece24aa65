"""``holdfast sessions export``: sessions as JSON lines, in constant memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from holdfast import Store, __version__
from holdfast.backends.records import Record
from holdfast.cli.audited import audited
from holdfast.cli.export_format import FORMAT, PAGE, VERSION, line, message_parts, tagged
from holdfast.cli.long_sessions import HALF
from holdfast.cli.options import Debug, Json, StoreUrl, Tenant, with_store
from holdfast.cli.output import clean, iso, print_json
from holdfast.cli.progress import Progress
from holdfast.cli.sessions import record_of
from holdfast.errors import ConfigError, SessionNotFound, UnreadableRecord


class _Report(msgspec.Struct):
    exported: int = 0
    messages: int = 0
    left_out: list[dict[str, str]] = []


def export(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", show_default=False, help="Ids of sessions; all if none.")
    ] = None,
    store: StoreUrl = "",
    tenant: Tenant = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="Write here, not to stdout.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write sessions, with all their messages, as JSON lines that import restores exactly.

    The expiry itself is not kept, but its length is: an imported session's time begins anew.
    """
    if out is None and sys.stdout.isatty():
        print("Writing to the terminal; --out FILE writes to a file.", file=sys.stderr)
    with _target(out) as file:
        report = with_store(store, tenant, lambda opened: _export(opened, ids or [], tenant, file))
    for item in report.left_out:
        print(f"left out {clean(item['id'], one_line=True)}: {clean(item['why'], one_line=True)}", file=sys.stderr)
    if as_json and out is not None:
        print_json(msgspec.to_builtins(report))
    elif not as_json:
        print(f"{report.exported} sessions, {report.messages} messages exported", file=sys.stderr)
    if report.left_out:
        raise typer.Exit(1)


@contextmanager
def _target(out: Path | None) -> Iterator[BinaryIO]:
    """The file gets its name when it is whole; only its owner may read it."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if out.exists():
        raise ConfigError(f"{out} exists already; remove it, or choose another name")
    part = out.with_name(out.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


async def _export(store: Store, ids: list[str], tenant: str, file: BinaryIO) -> _Report:
    report = _Report()
    now = iso(round(time.time() * 1000))
    file.write(line("header", format=FORMAT, version=VERSION, holdfast=__version__, tenant=tenant, exported_at=now))
    async with audited(store, "sessions.export", ", ".join(ids) or "all"):
        with Progress("exporting", total=len(ids) or None) as progress:
            async for session_id in _wanted(store, ids):
                try:
                    report.messages += await _write_session(store, session_id, file)
                    report.exported += 1
                except (SessionNotFound, UnreadableRecord) as error:
                    report.left_out.append({"id": session_id, "why": str(error)})
                progress.step()
    file.write(line("trailer", sessions=report.exported))
    return report


async def _wanted(store: Store, ids: list[str]) -> AsyncIterator[str]:
    """Each id once; those of a whole store as the index gives them."""
    if ids:
        for session_id in dict.fromkeys(ids):
            yield session_id
        return
    async for session_id in store.scan():
        yield session_id


async def _write_session(store: Store, session_id: str, file: BinaryIO) -> int:
    """One session's lines; the number of its messages.

    State and count come from one atomic snapshot. The log only grows, so that its first entries, read later, belong to it.
    """
    record = await record_of(store, session_id, tail=PAGE)
    if record is None:
        raise SessionNotFound("it does not exist (any more)")
    session = store.session(store.key(session_id), record, PAGE)
    if HALF in session.state:
        raise SessionNotFound("its import broke off; run the import again, or delete it")
    state = {name: tagged(session.state[name]) for name in session.state}
    head = line(
        "session",
        id=session_id,
        user=record.user,
        version=record.version.counter,
        messages=record.total,
        created_at=iso(record.created_ms),
        expires_at=iso(record.expires_ms) if record.expires_ms else None,
        ttl_s=record.ttl_ms / 1000 if record.ttl_ms else None,
        state=state,
    )
    if record.total <= PAGE:
        page = [message_parts(message) for message in session.messages]
        body = line("messages", id=session_id, start=0, messages=page) if page else b""
        file.write(head + body + line("end", id=session_id, messages=record.total))
        return record.total
    file.write(head)
    try:
        await _write_pages(store, session_id, record, file)
    except (SessionNotFound, UnreadableRecord) as error:
        file.write(line("abandoned", id=session_id, why=str(error)))
        raise
    file.write(line("end", id=session_id, messages=record.total))
    return record.total


async def _write_pages(store: Store, session_id: str, record: Record, file: BinaryIO) -> None:
    start = 0
    while start < record.total:
        page = await store.read_log(session_id, start=start, limit=min(PAGE, record.total - start))
        if not page.messages:
            raise SessionNotFound("it was deleted while it was read")
        file.write(line("messages", id=session_id, start=start, messages=[message_parts(m) for m in page.messages]))
        start += len(page.messages)
    still = await record_of(store, session_id)
    if still is None or still.incarnation != record.incarnation:
        raise SessionNotFound("it was deleted while it was read")
