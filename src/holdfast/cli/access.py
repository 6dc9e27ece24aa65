"""``holdfast access``: access keys made, listed and revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from holdfast.cli.options import Debug, Json
from holdfast.cli.output import cell, console, print_json
from holdfast.cli.serve import ConfigFile
from holdfast.errors import ConfigError

app = typer.Typer(name="access", help="Make, list and revoke access keys.", no_args_is_help=True)

KeyFile = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", show_default=False, help="The key file: `\\[access] key_file`."),
]


@app.command("new-key")
def new_key(
    name: Annotated[str, typer.Option("--name", metavar="NAME", show_default=False, help="What it is called.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="user, operator or admin.")] = "user",
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", show_default=False, help="Whose sessions.")] = "",
    user: Annotated[
        str,
        typer.Option(
            "--user", metavar="USER", show_default=False, help="Who has it; without, an application for all users."
        ),
    ] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", show_default=False, help="What it may do alone, like sessions:read."),
    ] = None,
    expires: Annotated[str, typer.Option("--expires", metavar="TIME", help="90d, 12h, a date, or never.")] = "90d",
    file: KeyFile = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key. It is shown once: what is kept is its digest.

    With --file it is added there, and servers that read that file take it at once; else its lines are shown, for the config.
    """
    from holdfast.server.identities import keys

    key = keys.new_key()
    section = _section(
        {
            "name": name,
            "hash": keys.hash_of(key),
            "role": role,
            "tenant": tenant,
            "user": user,
            "scopes": tuple(scope or ()),
            "expires": _moment(expires),
        }
    )
    if file is not None:
        known = keys.read_keys(file) if file.exists() else []
        if any(one.name == name for one in known):
            raise ConfigError(f"{file}: there is a key {name!r} already; revoke it, or take another name")
        keys.write_keys(file, [*known, section])
    if as_json:
        print_json({"key": key, **section.model_dump(mode="json")})
        return
    typer.echo(f"The key, shown only now:\n\n  {key}\n")
    if file is not None:
        typer.echo(f"Added to {file}.")
    else:
        typer.echo(f"For the config:\n\n[[access.keys]]\n{keys.lines_of(section)}")


@app.command("ls")
def ls(config: ConfigFile = None, file: KeyFile = None, as_json: Json = False, debug: Debug = False) -> None:
    """List the keys of a file, or of the config and its file. A key itself is nowhere to be read."""
    from holdfast.server.identities import keys

    found = keys.read_keys(file) if file is not None else _configured(config)
    rows = [_row(one, keys.expired(one)) for one in found]
    if as_json:
        print_json(rows)
        return
    table = Table("name", "role", "tenant", "user", "scopes", "expires", box=None, pad_edge=False)
    for row in rows:
        until = f"{row['expires'] or 'never'}{' (over)' if row['over'] else ''}"
        shown = (row["name"], row["role"], row["tenant"], row["user"], " ".join(row["scopes"]) or "all", until)
        table.add_row(*(cell(str(one)) for one in shown))
    console().print(table)


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The key's.")],
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", show_default=False, help="The key file: `\\[access] key_file`.")
    ],
    debug: Debug = False,
) -> None:
    """Take a key out of a file: servers that read it refuse the key at once, and the cookies of who logged in with it."""
    from holdfast.server.identities import keys

    known = keys.read_keys(file)
    left = [one for one in known if one.name != name]
    if len(left) == len(known):
        raise ConfigError(f"{file}: there is no key {name!r}")
    keys.write_keys(file, left)
    typer.echo(f"Revoked {name}.")


def _section(given: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from holdfast.config.access import KeySection

    try:
        return KeySection.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"--{str(first['loc'][0]).replace('scopes', 'scope')}: {first['msg'].removeprefix('Value error, ')}"
        ) from None


def _moment(expires: str) -> Any:
    if expires == "never":
        return None
    if expires[:4].isdigit() and "-" in expires:
        return expires
    from holdfast.sessions.durations import milliseconds

    seconds = milliseconds("expires", expires) / 1000
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def _configured(file: Path | None) -> list[Any]:
    from holdfast.config import load_config
    from holdfast.server.identities.keys import read_keys

    access = load_config(file).access
    return [*access.keys, *(read_keys(access.key_file) if access.key_file is not None else [])]


def _row(key: Any, over: bool) -> dict[str, Any]:
    shown: dict[str, Any] = key.model_dump(mode="json", exclude={"hash"})
    return {**shown, "over": over}
