"""``holdfast parts``: what an assistant can be made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from holdfast.cli.options import Debug, Json
from holdfast.cli.output import cell, console, print_json
from holdfast.cli.serve import ConfigFile
from holdfast.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from holdfast.assistant.parts import Listed
    from holdfast.config import Config

app = typer.Typer(name="parts", help="What an assistant can be made of.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """What an assistant can be made of."""  # a group, though it has one command


@app.command()
def ls(
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", show_default=False, help="model, memory, knowledge, ... alone.")
    ] = "",
    config: ConfigFile = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the parts by kind: Holdfast's own, those of installed packages, and those that the config names by path.

    The config uses what has a mark. A part that cannot be used says why.
    """
    try:
        from holdfast.assistant.parts import KINDS, available, misnamed, own
        from holdfast.config import load_config
        from holdfast.config.fields import nearest
    except ImportError as error:
        raise MissingExtra("parts need the server extra: pip install 'holdfast[server]'") from error
    if kind and kind not in KINDS:
        raise ConfigError(f"--kind {kind}: there is no such kind{nearest(kind, KINDS)}")
    used = chosen(load_config(config))
    found = list(available())
    names = {(one.kind, one.name) for one in found}
    found += [own(of, name) for of, name in used if (of, name) not in names and ":" in name]
    found = [one for one in sorted(found, key=lambda one: KINDS.index(one.kind)) if kind in ("", one.kind)]
    strange = misnamed() if not kind else []
    if as_json:
        print_json(
            {
                "parts": [_plain(one, used) for one in found],
                "misnamed": [{"name": name, "package": package} for name, package in strange],
            }
        )
        return
    _print(found, used)
    for name, package in strange:
        print(f"{name} of {package or 'a package'} is no part: entry points are named KIND.NAME, like policy.mine")


def chosen(config: Config) -> dict[tuple[Any, str], int]:
    """The parts that a config uses, by kind and name: at which place those of a kind are asked."""
    assistant = config.assistant
    single = {kind: getattr(assistant, kind) for kind in ("model", "memory", "knowledge", "tools", "answer")}
    used: dict[tuple[Any, str], int] = dict.fromkeys(single.items(), 1)
    for kind in ("understanding", "policy"):
        used |= {(kind, name): place for place, name in enumerate(getattr(assistant, kind), 1)}
    return used


def _plain(one: Listed, used: dict[tuple[Any, str], int]) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "from": one.package or "your own",
        "where": one.where,
        "used": _is_used(one, used),
        "sentence": one.sentence,
        **({"error": one.error} if one.error else {}),
    }


def _is_used(one: Listed, used: dict[tuple[Any, str], int]) -> bool:
    return (one.kind, one.name) in used and not one.hidden


def _print(found: Iterable[Listed], used: dict[tuple[Any, str], int]) -> None:
    table = Table("kind", "", "name", "from", "", box=None, pad_edge=False)
    before = ""
    for one in found:
        place = used.get((one.kind, one.name), 0) if _is_used(one, used) else 0
        mark = "" if not place else f"*{place}" if one.kind in ("understanding", "policy") else "*"
        says = cell(f"cannot be used: {one.error}", "red") if one.error else cell(one.sentence)
        shown = one.kind if one.kind != before else ""
        table.add_row(shown, mark, cell(one.name), cell(one.package or "your own"), says)
        before = one.kind
    out = console()
    out.print(table)
    out.print("* used by the config, *1 asked first")
