"""``holdfast sessions import``: every session of an export whole, or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from holdfast import Store, Version
from holdfast.backends.records import Birth, Delta
from holdfast.cli.long_sessions import HALF, first_delta, half_mark, new_commit_id, write_parts
from holdfast.cli.options import Debug, Json, StoreUrl, Tenant, with_store
from holdfast.cli.output import clean, print_json
from holdfast.cli.progress import Progress
from holdfast.cli.reading import Damaged, ExportReader, Head, Whole
from holdfast.errors import (
    ConfigError,
    InvalidInput,
    SessionExists,
    SessionNotFound,
    TurnConflict,
    UnreadableRecord,
    WrongUser,
)


class _Options:
    def __init__(self, replace: bool, expired: bool) -> None:
        self.replace = replace
        self.expired = expired


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="An export; - reads stdin.")],
    store: StoreUrl = "",
    tenant: Tenant = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete sessions that exist, and write the file's in their place.")
    ] = False,
    expired: Annotated[
        bool, typer.Option("--expired", help="Also those whose time ran out since the export; it begins anew.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Restore sessions from an export. Those that exist are left alone, so it may be run again.

    A session of up to 2000 messages and 4 MB is written in one atomic commit. A larger one is written in parts and marked
    until it is whole; if that breaks off, the same import goes on where it stopped.
    """
    options = _Options(replace, expired)
    with _seekable(file) as source:
        counts, problems = with_store(store, tenant, lambda opened: _import(opened, source, options), may_be_new=True)
    if as_json:
        print_json({**counts, "problems": [{"id": problem.id, "why": problem.why} for problem in problems]})
    else:
        for problem in problems:
            name = f"{clean(problem.id, one_line=True)}: " if problem.id else ""
            print(f"not imported: {name}{clean(problem.why, one_line=True)}", file=sys.stderr)
        print(", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to import")
        if counts["exist"] and not replace:
            print("Those that exist were left as they are; --replace writes over them.", file=sys.stderr)
    if problems:
        raise typer.Exit(1)


@contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    """The file; a pipe's content in a temporary one, because long sessions are read twice."""
    if str(path) == "-":
        with tempfile.TemporaryFile() as spooled:
            shutil.copyfileobj(sys.stdin.buffer, spooled)
            spooled.seek(0)
            yield spooled
        return
    if not path.exists():
        raise ConfigError(f"there is no file {path}; give the path of an export, or - for stdin")
    with path.open("rb") as file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as spooled:
            shutil.copyfileobj(file, spooled)
            spooled.seek(0)
            yield spooled


async def _import(store: Store, file: BinaryIO, options: _Options) -> tuple[Counter[str], list[Damaged]]:
    counts: Counter[str] = Counter(dict.fromkeys(("imported", "replaced", "resumed", "exist", "expired", "damaged"), 0))
    problems: list[Damaged] = []
    reader = ExportReader(file, store)
    with Progress("importing", total=_size(file), of_bytes=True) as progress:
        for found in reader.sessions():
            progress.at(reader.position)
            if isinstance(found, Damaged):
                counts["damaged"] += 1
                problems.append(found)
                continue
            try:
                counts[await _restore(store, reader, found, options)] += 1
            except (InvalidInput, TurnConflict, SessionNotFound, UnreadableRecord) as error:
                counts["damaged"] += 1
                problems.append(Damaged(found.head.id, str(error)))
    return counts, problems


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


async def _restore(store: Store, reader: ExportReader, whole: Whole, options: _Options) -> str:
    """Writes one session; what became of it."""
    head = whole.head
    if head.expires_ms and head.expires_ms <= time.time() * 1000 and not options.expired:
        return "expired"
    begun = await _begun(store, head)
    if begun is not None:
        await _write_rest(store, reader, whole, *begun)
        return "resumed"
    done = "imported"
    if options.replace and await store.delete(head.id):
        done = "replaced"
    try:
        if whole.entries is not None:
            await store.write(store.key(head.id), _first(store, head, whole.entries, half=False), None, [])
        else:
            parts = reader.parts(whole, 0)
            first = next(parts)
            parts.close()
            version = await store.write(store.key(head.id), _first(store, head, first, half=True), None, [])
            await _write_rest(store, reader, whole, version, len(first))
    except (SessionExists, WrongUser):
        return "exist"
    return done


def _first(store: Store, head: Head, entries: list[bytes], *, half: bool) -> Delta:
    ttl_ms = 0 if head.ttl_s is None else round(head.ttl_s * 1000)
    # without a sliding ttl, the expiry came from a greatest age, and that can be kept to the moment
    rest_ms = max(0, head.expires_ms - round(time.time() * 1000)) if not ttl_ms else 0
    birth = Birth(head.user, ttl_ms, rest_ms)
    half_of = head.digest if half else ""
    return first_delta(store, head.state, entries, birth, commit_id=new_commit_id(), half_of=half_of)


async def _begun(store: Store, head: Head) -> tuple[Version, int] | None:
    """Where an earlier import of this very session broke off: its version, and how many messages are there."""
    session = await store.load(head.id, tail=0)
    if session is None or HALF not in session.state:
        return None
    mark = session.state[HALF]
    if mark != half_mark(head.digest, session.total) or session.version is None:
        raise TurnConflict(
            f"session {head.id!r} was begun by another import, or used since: delete it (holdfast sessions rm), then import again"
        )
    return session.version, session.total


async def _write_rest(store: Store, reader: ExportReader, whole: Whole, version: Version, done: int) -> None:
    head, parts = whole.head, reader.parts(whole, done)
    await write_parts(store, store.key(head.id), parts, version, source=head.digest, done=done, total=head.messages)
