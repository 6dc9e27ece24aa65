"""``holdfast privacy``: what people may ask for, what is kept how long, and who read what."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import msgspec
import typer
from rich.table import Table

from holdfast import Store
from holdfast.cli.audited import audited, check_ring
from holdfast.cli.export_format import tagged
from holdfast.cli.options import Config, Debug, Json, StoreUrl, Tenant, config_of, with_store
from holdfast.cli.output import cell, clean, console, iso, print_json
from holdfast.cli.progress import Progress
from holdfast.errors import ConfigError
from holdfast.privacy.audit import UNREADABLE, AuditEntry, AuditLog
from holdfast.privacy.erasing import ERASED_FOR_S, Erasure, erase_user, readmit_user
from holdfast.privacy.exporting import export_user
from holdfast.privacy.retention import Swept, sweep
from holdfast.sessions.durations import milliseconds

app = typer.Typer(
    name="privacy", help="Export or erase what is kept of a user; see who read what.", no_args_is_help=True
)
_LISTS: Final = {"session": "sessions", "delivery": "deliveries"}
User = Annotated[str, typer.Option("--user", metavar="USER", show_default=False, help="Whose data.")]


@app.command("erase")
def erase(
    user: User,
    store: StoreUrl = "",
    tenant: Tenant = "",
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Forget a user for good: sessions, messages, journals, notes, counts; and the key, so that backups are dead too.

    It may be interrupted and run again. Exit code: 1 if something is left that this could not reach; it says what.
    """
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise ConfigError("nobody is there to ask: give --yes to erase for good")
        typer.confirm(f"Erase all that is kept of user {clean(user, one_line=True)}?", abort=True, err=True)
    settings = config_of(config)
    keep = ERASED_FOR_S if settings is None else settings.privacy.erased_for
    done = with_store(store, tenant, lambda opened: _erase(opened, user, keep), config=config)
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        print(f"erased: {done.sessions} sessions, {done.notes} notes beside them")
        if not (done.sessions or done.notes or done.key_destroyed):
            print(
                f"nothing was kept of user {clean(user, one_line=True)} in tenant {done.tenant!r}: is it another --tenant?"
            )
        else:
            print("the user's key is destroyed" if done.key_destroyed else "there was no key to destroy")
        for rest in done.left:
            print(f"left: {clean(rest, one_line=True)}")
    if done.left:
        raise typer.Exit(1)


async def _erase(store: Store, user: str, keep: float) -> Erasure:
    async with audited(store, "user.erase", user):
        with Progress("erasing", None) as bar:

            def tell(what: str, done: int) -> None:
                bar.says(what)
                bar.at(done)

            return await erase_user(store, user, keep=keep, tell=tell)


@app.command("readmit")
def readmit(
    user: User,
    store: StoreUrl = "",
    tenant: Tenant = "",
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let an erased user begin anew, with another key; until then whatever is written for the user is refused."""

    async def work(opened: Store) -> bool:
        async with audited(opened, "user.readmit", user):
            return await readmit_user(opened, user)

    done = with_store(store, tenant, work, config=config)
    if as_json:
        print_json({"user": user, "readmitted": done})
    else:
        print("readmitted" if done else "this user was not erased (or long ago): nothing is refused")


@app.command("export")
def export(
    user: User,
    store: StoreUrl = "",
    tenant: Tenant = "",
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it there, for its owner only; else it is printed."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write all that is kept of a user as one JSON document, in clear. Session by session: memory stays small."""
    if out is not None:
        out.touch(mode=0o600, exist_ok=True)
        with out.open("w", encoding="utf-8") as file:
            out.chmod(0o600)  # it may have been there, for others to read
            count = with_store(store, tenant, lambda opened: _export(opened, user, file), config=config)
        print(f"{count} sessions written to {out}", file=sys.stderr)
    else:
        with_store(store, tenant, lambda opened: _export(opened, user, sys.stdout), config=config)


class _Document:
    """One JSON object, written part by part; parts of a list's kind follow each other."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._list = ""
        self._before = "{"
        self.counts = dict.fromkeys(_LISTS.values(), 0)

    def add(self, kind: str, content: Any) -> None:
        name, text = _LISTS.get(kind, ""), json.dumps(tagged(content), ensure_ascii=False)
        if name and self._list == name:
            self._out.write(f",\n{text}")
        else:
            self._end_list()
            self._out.write(f"{self._before}{json.dumps(name or kind)}: {'[' if name else ''}{text}")
            self._list, self._before = name, ",\n"
        if name:
            self.counts[name] += 1

    def end(self) -> None:
        self._end_list()
        for name, count in self.counts.items():
            if not count:
                self._out.write(f'{self._before}"{name}": []')
        self._out.write("}\n")

    def _end_list(self) -> None:
        self._out.write("]" if self._list else "")
        self._list = ""


async def _export(store: Store, user: str, out: TextIO) -> int:
    document = _Document(out)
    async with audited(store, "user.export", user):
        with Progress("exporting", None) as bar:
            async for kind, content in export_user(store, user):
                document.add(kind, content)
                bar.step()
    document.end()
    return document.counts["sessions"]


@app.command("sweep")
def sweep_(
    store: StoreUrl = "",
    tenant: Tenant = "",
    config: Config = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only count what would be taken away.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Take away what is kept longer than \\[privacy.retention] says; nodes do so by themselves once an hour."""
    settings = config_of(config)
    own = "" if settings is None else str(settings.store.options.get("tenant", ""))
    rules = {} if settings is None else settings.privacy.retention.rules(own)
    if tenant not in rules or not rules[tenant].any:
        raise ConfigError(
            f"the config has no [privacy.retention] rules for tenant {tenant!r}; name the config with --config"
        )

    async def work(opened: Store) -> Swept:
        with Progress("looking at sessions", None) as bar:
            await check_ring(opened)
            return await sweep(opened, rules[tenant], dry=dry, step=bar.step)

    done = with_store(store, tenant, work, config=config)
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        what = "would be taken away" if dry else "taken away"
        print(
            f"{done.looked_at} sessions looked at; {what}: {done.sessions} sessions, {done.fields} fields, {done.traces} traces"
        )


@app.command("audit")
def audit(
    store: StoreUrl = "",
    tenant: Tenant = "",
    config: Config = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back: 7d, 12h.")] = "7d",
    target: Annotated[str, typer.Option("--target", metavar="ID", help="Only what was done to this one.")] = "",
    actor: Annotated[str, typer.Option("--actor", metavar="NAME", help="Only what this one did.")] = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show who read or did what, the oldest first."""
    start = time.time() - milliseconds("since", since) / 1000

    async def work(opened: Store) -> list[AuditEntry]:
        await check_ring(opened)
        entries = AuditLog(opened, ERASED_FOR_S).entries(tenant=opened.settings.tenant, since=start)
        return [
            entry
            async for entry in entries
            if entry.action == UNREADABLE or (target in ("", entry.target) and actor in ("", entry.actor))
        ]

    found = with_store(store, tenant, work, config=config)
    if as_json:
        for entry in found:
            print_json(msgspec.to_builtins(entry))
    elif found:
        console().print(_table(found))
    else:
        print("Nothing was noted.")
    if any(entry.action == UNREADABLE for entry in found):
        raise typer.Exit(1)


def _table(entries: list[AuditEntry]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("at", "who", "as", "did", "to", ""):
        table.add_column(name, overflow="fold")
    for entry in entries:
        outcome = entry.detail if entry.ok else f"refused or failed: {entry.detail}"
        table.add_row(
            iso(round(entry.at * 1000)),
            *(cell(text) for text in (entry.actor, entry.role, entry.action, entry.target, outcome)),
        )
    return table
