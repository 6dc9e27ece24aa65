"""``holdfast store init``: an administrator's one step before the nodes run with few rights."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from holdfast import wiring
from holdfast.cli.options import Debug, Json
from holdfast.cli.output import clean, console, print_json
from holdfast.errors import ConfigError

_PASSWORD: Final = "HOLDFAST_NODE_PASSWORD"
_USER: Final = "holdfast"
_GENERATED_BYTES: Final = 32


def init(
    url: Annotated[
        str,
        typer.Argument(
            envvar="HOLDFAST_STORE",
            metavar="URL",
            show_default=False,
            help="The Redis server's URL, with an administrator's user and password.",
        ),
    ],
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="The nodes' user, for the printed line.")] = _USER,
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", show_default=False, help="What keys begin with; else the URL's.")
    ] = "",
    apply: Annotated[
        str,
        typer.Option(
            "--apply",
            metavar="NAME",
            show_default=False,
            help=f"Create this user, or set its rights anew. Its password comes from {_PASSWORD}, --password-file or a "
            "prompt; a user that is there keeps its own unless one is given.",
        ),
    ] = "",
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", show_default=False, help="Its first line is taken."),
    ] = None,
    generate: Annotated[
        bool, typer.Option("--generate-password", help="Make a password up, and print it this once.")
    ] = False,
    prune: Annotated[
        str,
        typer.Option(
            "--prune",
            metavar="LIBRARY",
            show_default=False,
            help="Delete another release's functions, once no node of it is left; `store check` lists them.",
        ),
    ] = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Load the functions with an administrator's rights, and print the line that gives the nodes theirs."""
    if (password_file or generate) and not apply:
        raise ConfigError("a password is for --apply NAME")
    if apply and user not in (_USER, apply):
        raise ConfigError("--user and --apply name two users: give one")
    password = _password(password_file, generate=generate, ask=not as_json) if apply else ""
    done = wiring.init_redis(url, apply or user, password, create=bool(apply), prefix=prefix, prune=prune)
    if as_json:
        made = {"password": password} if generate else {}
        found = [{**one._asdict(), **made} for one in done]
        print_json(found[0] if len(found) == 1 else found)
        return
    out = console()
    for one in done:
        state = "loaded now" if one.loaded else "there already"
        out.print(f"{one.where}: {one.library} is {state} and works ({one.form})")
    if prune:
        out.print(f"{clean(prune, one_line=True)} is deleted")
    if apply:
        out.print(f"user {apply} has its rights")
    if generate:
        out.print(f"its password, shown this once: {password}", soft_wrap=True)
    for line in dict.fromkeys(one.line for one in done):  # one for each form in which the servers run our Lua
        out.print(f"\n{line}\n", soft_wrap=True)
    for note in dict.fromkeys(note for one in done for note in one.notes):
        out.print(f"note: {note}")


def _password(file: Path | None, *, generate: bool, ask: bool) -> str:
    """The new password, or "" where none is given."""
    if generate:
        return secrets.token_urlsafe(_GENERATED_BYTES)
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the password's file {file} cannot be read: {error}") from None
        if not lines or not lines[0]:
            raise ConfigError(f"the first line of {file} is empty: it should be the password")
        return lines[0]
    if given := os.environ.get(_PASSWORD):
        return given
    if ask and sys.stdin.isatty():
        text = "The user's new password (empty: keep the one it has)"
        return str(typer.prompt(text, default="", hide_input=True, confirmation_prompt=True, show_default=False))
    return ""
