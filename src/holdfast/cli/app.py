"""The commands put together, and what becomes of their errors."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from holdfast import __version__
from holdfast.cli import (
    access,
    chat,
    check,
    checking,
    demo,
    dialogues,
    exporting,
    handover,
    importing,
    keys,
    knowledge,
    moving_in,
    nlu,
    packing,
    parts,
    privacy,
    serve,
    sessions,
    store_init,
    turns,
)
from holdfast.cli.output import clean
from holdfast.errors import ConfigError, HoldfastError

_UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]  # typer brings click with it, or under another name

app = typer.Typer(
    name="holdfast",
    help="Serve an assistant, and look after its sessions, documents and stores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("chat")(chat.chat)
app.command("check")(check.check)
app.command("test")(dialogues.test)
_demo = typer.Typer(name="demo", help="Things to watch.", no_args_is_help=True)
_demo.command("failover")(demo.failover)
app.add_typer(knowledge.app)
app.add_typer(keys.app)
app.add_typer(privacy.app)
app.add_typer(nlu.app)
app.add_typer(parts.app)
app.add_typer(access.app)
app.add_typer(_demo)


@_demo.callback()
def _demo_root() -> None:
    """Things to watch."""  # a group, though it has one command so far


_sessions = typer.Typer(name="sessions", help="List, show, delete, export and import sessions.", no_args_is_help=True)
_sessions.command("ls")(sessions.ls)
_sessions.command("show")(sessions.show)
_sessions.command("rm")(sessions.rm)
_sessions.command("export")(exporting.export)
_sessions.command("import")(importing.import_)
_store = typer.Typer(name="store", help="Set up a store, check it, pack it, or move into it.", no_args_is_help=True)
_store.command("check")(checking.check)
_store.command("import")(moving_in.import_)
_store.command("pack")(packing.pack)
_store.command("init")(store_init.init)
_turns = typer.Typer(
    name="turns", help="List turns that need somebody; try them anew, drop them, or answer.", no_args_is_help=True
)
_turns.command("ls")(turns.ls)
_turns.command("retry")(turns.retry)
_turns.command("discard")(turns.discard)
_turns.command("reply")(handover.reply)
_turns.command("resume")(handover.resume)
app.add_typer(_sessions)
app.add_typer(_turns)
app.add_typer(_store)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdfast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def run(args: Sequence[str]) -> int:
    """One command; returns the exit code. Errors are one line (with ``--json`` one JSON object) on stderr."""
    given = list(args)
    flags = given[: given.index("--")] if "--" in given else given
    try:
        code = app(given, standalone_mode=False, prog_name="holdfast")
        sys.stdout.flush()
    except BrokenPipeError:  # holdfast ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (typer.Abort, KeyboardInterrupt):
        return _failed("interrupted", "Interrupted", 130, flags)
    except _UsageError as error:
        return _misused(error, flags)
    except HoldfastError as error:
        if "--debug" in flags:
            traceback.print_exc()
        code = 2 if isinstance(error, ConfigError | checking.Unreachable) else 1
        return _failed(str(error), type(error).__name__, code, flags)
    except OSError as error:
        if "--debug" in flags:
            traceback.print_exc()
        return _failed(str(error), type(error).__name__, 1, flags)
    return code if isinstance(code, int) else 0


def _failed(message: str, kind: str, code: int, flags: Sequence[str]) -> int:
    if "--json" in flags:
        print(json.dumps({"error": kind, "message": message}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"holdfast: {clean(message, one_line=True)}", file=sys.stderr)
    return code


def _misused(error: Exception, flags: Sequence[str]) -> int:
    if "--json" in flags:
        message = getattr(error, "format_message", error.__str__)()
        return _failed(f"{message} See --help.", "UsageError", 2, flags)
    error.show(file=sys.stderr)  # type: ignore[attr-defined]  # click's
    return 2
