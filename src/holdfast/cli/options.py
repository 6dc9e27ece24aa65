"""Options that every command has, and the store that they name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from holdfast import Store, open_store, wiring
from holdfast.errors import ConfigError
from holdfast.sessions.settings import StoreOptions

T = TypeVar("T")

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="HOLDFAST_STORE",
        metavar="URL",
        show_default=False,
        help="Where the sessions are: redis://host:6379/0, sqlite:///file.db.",
    ),
]
Tenant = Annotated[str, typer.Option("--tenant", metavar="NAME", show_default=False, help="Whose sessions.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]

_READS_ALL: Final[StoreOptions] = {
    "cache_bytes": 0,
    "max_value_bytes": 64 << 20,
    "max_decoded_bytes": 256 << 20,
    "max_keys": 1_000_000,
    "max_depth": 200,
}
"""What an application was allowed to write, these tools can read, and write back."""


def with_store(url: str, tenant: str, work: Callable[[Store], Awaitable[T]], *, may_be_new: bool = False) -> T:
    """Runs ``work`` on the store of the command's options; a mistyped file name is an error unless it ``may_be_new``."""
    if not url:
        raise ConfigError(
            "which store? give --store URL, or set HOLDFAST_STORE (redis://host:6379/0, sqlite:///file.db)"
        )

    if not may_be_new:
        _check_there(url)

    async def main() -> T:
        options: StoreOptions = {**_READS_ALL, "tenant": tenant}
        async with open_store(url, **options) as store:
            return await work(store)

    return asyncio.run(main())


def _check_there(url: str) -> None:
    open_store(url)  # is it a store's URL at all?
    if wiring.lives_in_process(url):
        raise ConfigError(f"{url} is the memory of one process, and empty in this one; name a file or a server")
    if (path := wiring.file_of(url)) is not None and not Path(path).exists():
        raise ConfigError(f"there is no file {path}; look at the path in --store, relative paths count from here")
