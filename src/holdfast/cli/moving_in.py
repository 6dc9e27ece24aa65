"""``holdfast store import``: sessions that another application keeps in Redis, brought into a store while it goes on working."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

import typer

from holdfast import Store
from holdfast.cli.moving_mapping import Form, Mapping, Unusable, load_mapping
from holdfast.cli.moving_messages import Moved, moved
from holdfast.cli.moving_report import Rejects, Tally, print_preview, print_round, print_trouble, stopping
from holdfast.cli.moving_source import Found, Missed, Source
from holdfast.cli.moving_target import Target
from holdfast.cli.options import Debug, Json, StoreUrl, Tenant, with_store
from holdfast.cli.progress import Progress
from holdfast.errors import InvalidInput, StoreError
from holdfast.sessions.codec import Codec
from holdfast.sessions.message import MessageCodec

_MAX_BYTES: Final = 64 << 20


def import_(
    source: Annotated[
        str, typer.Argument(metavar="URL", show_default=False, help="The Redis server to read: redis://host:6379/0.")
    ],
    store: StoreUrl = "",
    tenant: Tenant = "",
    pattern: Annotated[
        str, typer.Option("--pattern", metavar="GLOB", show_default=False, help="Which keys, like 'chat:*'.")
    ] = "",
    form: Annotated[Form, typer.Option("--from", help="Who wrote them; json: an application of your own.")] = "json",
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", metavar="FILE", show_default=False, help="How keys and values are read (TOML)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what the first sessions would be; write nothing.")
    ] = False,
    first: Annotated[int, typer.Option("--first", min=1, help="How many sessions --dry-run shows.")] = 20,
    follow: Annotated[
        float,
        typer.Option(
            "--follow", metavar="SECONDS", min=0, show_default=False, help="Go round again after so long, until Ctrl-C."
        ),
    ] = 0,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace sessions that were used in Holdfast since, too: their turns are lost."
        ),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            show_default=False,
            help="Write what could not be taken over, and why (JSON lines).",
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, max=1024, help="Sessions written at the same time.")
    ] = 32,
    max_bytes: Annotated[int, typer.Option("--max-bytes", min=1, help="Larger values are not read.")] = _MAX_BYTES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring sessions over that another application keeps in Redis, while it goes on working. The source is only read.

    Run it as often as you like: it takes what has changed since, and leaves alone what was used in Holdfast since.

    Exit code: 0 all is there, 1 something could not be taken over, 2 a wrong call or mapping, 130 interrupted.
    """
    plan = load_mapping(mapping, form, pattern)
    if dry_run:
        asyncio.run(_preview(_source(source, plan, max_bytes), plan, first, as_json))
        return
    with Rejects(rejects) as refused:
        run = _Import(refused, parallel=parallel, follow=follow, as_json=as_json)

        async def work(opened: Store) -> None:
            async with _source(source, plan, max_bytes, store) as reader:
                await run.rounds(reader, Target(opened, plan, overwrite=overwrite))

        with_store(store, tenant, work, may_be_new=True)
    if run.stopped and not follow:
        raise typer.Exit(130)
    if run.failed:
        raise typer.Exit(1)


def _source(url: str, plan: Mapping, max_bytes: int, store: str = "") -> Source:
    companion = plan.settings.companion

    def beside(key: bytes) -> bytes | None:
        with suppress(InvalidInput):
            return companion.replace("{id}", plan.identity_of(key).id).encode() if companion else None
        return None

    prefix = parse_qs(urlsplit(store).query).get("prefix", ["hf"])[0]
    own = f"{prefix}:{{".encode()  # the target's keys, where it is the same server
    return Source(url, plan.pattern, companion=beside, max_bytes=max_bytes, own=own)


class _Import:
    """Rounds over the source, and what came of them."""

    def __init__(self, rejects: Rejects, *, parallel: int, follow: float, as_json: bool) -> None:
        self._rejects = rejects
        self._parallel = parallel
        self._follow = follow
        self._as_json = as_json
        self.stopped = False
        self.failed = False

    async def rounds(self, source: Source, target: Target) -> None:
        """One round; with ``follow``, again so many seconds after each, until somebody stops it."""
        async with stopping() as stop:
            number = 0
            while True:
                number += 1
                try:
                    await self._round(number, source, target, stop)
                except StoreError as error:
                    if not self._follow:
                        raise
                    self.failed = True
                    print_trouble(number, error)
                self.stopped = stop.is_set()
                if not self._follow or self.stopped:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._follow)
                if stop.is_set():
                    return

    async def _round(self, number: int, source: Source, target: Target, stop: asyncio.Event) -> None:
        tally = Tally()
        self._rejects.begin()
        with Progress("moving in", total=await source.size() or None) as progress:
            async with aclosing(source.pages()) as pages:
                async for page, looked_at in pages:
                    await self._bring_all(page, target, tally, stop)
                    progress.says(f"moving in, {tally.seen / (time.monotonic() - tally.started):.0f}/s")
                    progress.add(looked_at)
                    if stop.is_set():
                        break
        self._rejects.end()
        tally.stopped = stop.is_set()
        self.failed = tally.rejected > 0
        print_round(number, tally, self._rejects, as_json=self._as_json, follows=self._follow > 0)

    async def _bring_all(self, page: list[Found | Missed], target: Target, tally: Tally, stop: asyncio.Event) -> None:
        """One page, so many sessions at the same time."""
        waiting = iter(page)

        async def worker() -> None:
            for item in waiting:
                if stop.is_set():
                    return
                await self._bring(item, target, tally)

        tasks = [asyncio.create_task(worker()) for _ in range(min(self._parallel, len(page)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(self, item: Found | Missed, target: Target, tally: Tally) -> None:
        if isinstance(item, Missed):
            if not item.reason:
                tally.counts["expired"] += 1
            else:
                tally.reject(item.reason)
                self._rejects.add(item.key, item.reason, item.why)
            return
        try:
            fate = await target.take(item)
        except Unusable as error:
            tally.reject(error.reason)
            self._rejects.add(item.key, error.reason, str(error))
        else:
            tally.counts[fate] += 1


async def _preview(source: Source, plan: Mapping, first: int, as_json: bool) -> None:
    """What the first sessions would be."""
    shown: list[tuple[Found | Missed, Moved | Unusable]] = []
    async with source, aclosing(source.pages()) as pages:
        async for page, _ in pages:
            shown += [(item, _previewed(plan, item)) for item in page[: first - len(shown)]]
            if len(shown) >= first:
                break
    print_preview(shown, plan, as_json=as_json)
    if any(isinstance(made, Unusable) for _, made in shown):
        raise typer.Exit(1)


def _previewed(plan: Mapping, item: Found | Missed) -> Moved | Unusable:
    if isinstance(item, Missed):
        return Unusable(item.reason or "expired", item.why or "it has expired just now")
    codec = Codec()
    try:
        made = moved(plan, plan.identity_of(item.key), item.value, item.companion)
        for name, value in made.state.items():
            codec.encode(value, name)
        for message in made.messages:
            MessageCodec(codec).encode(message)
    except InvalidInput as error:
        return error if isinstance(error, Unusable) else Unusable("bad_value", str(error))
    return made
