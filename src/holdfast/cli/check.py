"""``holdfast check``: is everything right with an assistant, before it serves anybody?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from holdfast import open_store
from holdfast.cli.options import Debug, Json
from holdfast.cli.output import clean, print_json
from holdfast.cli.serve import ConfigFile, data_folder, sample_overrides
from holdfast.errors import ConfigError, HoldfastError, MissingExtra
from holdfast.wiring import vault_of

if TYPE_CHECKING:
    from holdfast.assistant.checking import Findings
    from holdfast.config import Config
    from holdfast.config.problems import Problem
    from holdfast.config.toml_lines import TomlLines


def check(
    config: ConfigFile = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check config, parts, flows, tools and documents; nothing is written, called or asked.

    Every problem is a line: file, line, what is wrong. Exit code: 0 nothing is wrong (warnings apart), 1 something is, 2 the config
    cannot be read at all.
    """
    try:
        from holdfast.config import check_config
    except ImportError as error:
        raise MissingExtra("`holdfast check` needs the server extra: pip install 'holdfast[server]'") from error
    overrides = sample_overrides({}, data_folder(), os.environ) if config is None else {}
    settings, problems, lines = check_config(config, overrides)
    found = None
    if settings is not None:
        from holdfast.assistant.checking import check_assistant

        found = asyncio.run(check_assistant(settings, lines))
        problems = sorted(
            {
                *problems,
                *found.problems,
                *_store(settings, lines),
                *_encryption(settings, lines),
                *_access(settings, lines),
                *_channels(settings, lines),
                *_limits(settings, lines),
            }
        )
    errors = sum(problem.level == "error" for problem in problems)
    failed = bool(errors or (strict and problems))
    if as_json:
        print_json(_plain(lines.file, failed, problems, found))
    else:
        for problem in problems:
            print(clean(str(problem), one_line=True))
        print(_summary(errors, len(problems) - errors, found))
        if config is None:
            print("this was the sample: there is no holdfast.toml here, and no --config", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _store(config: Config, lines: TomlLines) -> Iterator[Problem]:
    """A URL that no store has. It is not opened: `holdfast store check` does that."""
    try:
        open_store(config.store.url, **config.store.options)
    except HoldfastError as error:
        yield lines.problem(("store", "url"), f"store.url: {error}")


def _encryption(config: Config, lines: TomlLines) -> Iterator[Problem]:
    """Keys that are none, and what a ring cannot do where it is."""
    try:
        encryption = config.encryption.opened()
    except HoldfastError as error:
        yield lines.problem(("encryption",), f"encryption: {error}")
        return
    if encryption is not None and vault_of(config.store.url, encryption) == config.store.url != "memory:":
        yield lines.problem(
            ("encryption",),
            "encryption.vault: users' keys lie in the same store as the sessions: its backups keep what an erased user said; name "
            "another store",
            "warning",
        )
    if encryption is None and config.sensitive and not config.server.on_loopback:
        yield lines.problem(
            ("sensitive",),
            "sensitive values are masked, but rest in clear: set [encryption] keys (holdfast keys new)",
            "warning",
        )


def _access(config: Config, lines: TomlLines) -> Iterator[Problem]:
    """A file of keys that cannot be read."""
    access = config.access
    if access.key_file is not None:
        try:
            from holdfast.server.identities.keys import read_keys

            read_keys(access.key_file)
        except HoldfastError as error:
            yield lines.problem(("access", "key_file"), f"access.key_file: {error}")


def _channels(config: Config, lines: TomlLines) -> Iterator[Problem]:
    """Adapters that are not there. They are not made: that would need the server's HTTP client."""
    if not config.channels:
        return
    try:
        from holdfast.assistant.dotted import imported
        from holdfast.server.channels.building import BUILT_IN
    except ImportError as error:
        yield lines.problem(("channels",), f"channels need the server extra: {error}")
        return
    for name, section in config.channels.items():
        key = f"channels.{name}.kind"
        if section.kind in BUILT_IN:
            continue
        try:
            if ":" not in section.kind:
                known = ", ".join(sorted(BUILT_IN))
                raise ConfigError(
                    f'{key} = "{section.kind}" is no channel; there are: {known}, or package.module:factory'
                )
            imported(section.kind, key)
        except ConfigError as error:
            yield lines.problem(("channels", name, "kind"), str(error))


def _limits(config: Config, lines: TomlLines) -> Iterator[Problem]:
    """Those that contradict each other."""
    from holdfast.config.limit_findings import limit_findings

    for place, message in limit_findings(config):
        yield lines.problem(place, message, "warning")


def _summary(errors: int, warnings: int, found: Findings | None) -> str:
    told = [
        f"{count} {word}{'s' if count != 1 else ''}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    if found is None:
        return f"{', '.join(told)}; the rest is checked once the config is right"
    if errors:
        return ", ".join(told)
    counts = {
        "flows": len(found.flows),
        "slots": len(found.slots),
        "responses": len(found.responses),
        "tools": len(found.tools),
        "documents": found.documents,
    }
    lines = [", ".join(told) or "nothing is wrong", ", ".join(f"{name}: {count}" for name, count in counts.items())]
    lines += [f"{kind}: {', '.join(names)}" for kind, names in found.parts.items()]
    return clean("\n".join(lines))


def _plain(file: str, failed: bool, problems: list[Problem], found: Findings | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "config": file,
        "ok": not failed,
        "problems": [msgspec.to_builtins(problem) for problem in problems],
    }
    if found is not None:
        names = ("flows", "slots", "responses", "tools", "documents", "parts")
        plain["found"] = {name: getattr(found, name) for name in names}
    return plain
