"""``holdfast keys``: the ring that wraps users' keys, and what is wrapped with which of its keys."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from holdfast import Store
from holdfast.cli.audited import audited
from holdfast.cli.options import Config, Debug, Json, StoreUrl, with_store
from holdfast.cli.output import cell, console, print_json
from holdfast.cli.progress import Progress
from holdfast.errors import ConfigError

app = typer.Typer(name="keys", help="Make, list and rotate the keys that encrypt.", no_args_is_help=True)


@app.command("new")
def new(
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Write it there, for its owner only, and print nothing."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print a new key for \\[encryption] keys or key_files: 32 random bytes, in base64."""
    from holdfast.encryption import new_key

    key = new_key()
    if file is not None:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(key + "\n", encoding="utf-8")
        return
    if as_json:
        print_json({"key": key})
    else:
        print(key)


@app.command("ls")
def ls(store: StoreUrl = "", config: Config = None, as_json: Json = False, debug: Debug = False) -> None:
    """List the ring's keys, and how many users' keys each of them wraps."""
    rows = with_store(store, "", _rows, config=config)
    if as_json:
        print_json({"keys": rows})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("key", "state"):
        table.add_column(name, overflow="fold")
    table.add_column("wraps", justify="right")
    for row in rows:
        table.add_row(cell(row["key"]), row["state"], f"{row['wraps']:,}")
    console().print(table)


async def _rows(store: Store) -> list[dict[str, Any]]:
    vault = _vault(store)
    wraps: Counter[str] = Counter()
    with Progress("looking at users' keys", None) as bar:
        async for owner in vault.owners():
            record = await vault.record(owner)
            wraps.update([] if record is None else record.keys.values())
            bar.step()
    names = [*getattr(vault.kms, "names", [vault.kms.current])]
    names += sorted(set(wraps) - set(names))
    known = set(getattr(vault.kms, "names", wraps))
    return [
        {
            "key": name,
            "state": "current" if name == vault.kms.current else "old" if name in known else "missing in the ring",
            "wraps": wraps[name],
        }
        for name in names
    ]


@app.command("rotate")
def rotate(
    store: StoreUrl = "",
    config: Config = None,
    users: Annotated[
        bool, typer.Option("--users", help="Give each user a new key too, for what is written from now on.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Wrap all users' keys with the ring's current key, while nodes run. It may be interrupted and run again.

    Before: put the new key into \\[encryption] keys, name it in current, and restart the nodes one by one. After: take the old key
    out of the ring, and destroy it. Exit code: 1 if some could not be rotated.
    """
    report = with_store(store, "", lambda opened: _rotate(opened, users), config=config)
    if as_json:
        print_json(report)
    else:
        print(
            f"{report['rotated']:,} of {report['owners']:,} rotated to {report['current']!r}, {report['failed']:,} failed"
        )
        if not report["owners"]:
            print("the vault is empty: is it the one that the nodes use (encryption.vault)?")
        for name in report["unused"]:
            print(
                f"nothing is wrapped with {name!r} any more. Once no node has it as current look again (holdfast keys ls); then "
                "take it out of the ring and destroy it"
            )
    if report["failed"]:
        raise typer.Exit(1)


async def _rotate(store: Store, users: bool) -> dict[str, Any]:
    vault = _vault(store)
    owners, rotated, failed = 0, 0, []
    total = 0
    async for _ in vault.owners():
        total += 1
    async with audited(store, "keys.rotate", vault.kms.current):
        with Progress("rotating", total) as bar:
            async for owner in vault.owners():
                owners += 1
                try:
                    rotated += await vault.rewrap(owner, new_key=users)
                except Exception as error:  # noqa: BLE001 -- a key service's own; the others are not concerned
                    failed.append(f"{owner.hex()}: {error}")
                bar.step()
    rows = await _rows(store)
    unused = [row["key"] for row in rows if owners and row["state"] == "old" and not row["wraps"]]
    return {
        "current": vault.kms.current,
        "owners": owners,
        "rotated": rotated,
        "failed": len(failed),
        "errors": failed[:20],
        "unused": unused,
    }


def _vault(store: Store) -> Any:
    from holdfast.privacy.erasing import vault_of

    vault = vault_of(store)
    if vault is None:
        raise ConfigError(
            "there is no key ring: set [encryption] keys (or HOLDFAST_ENCRYPTION__KEYS) in the config, and name it with --config"
        )
    return vault
