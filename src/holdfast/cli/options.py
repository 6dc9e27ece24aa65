"""Options that every command has, and the store that they name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from holdfast import Store, open_store, wiring
from holdfast.errors import ConfigError
from holdfast.sessions.settings import StoreOptions

if TYPE_CHECKING:
    from holdfast.config import Config as Settings
    from holdfast.encryption import Encryption

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

_ENVIRONMENT: Final = "HOLDFAST_ENCRYPTION__"
_READS_ALL: Final[StoreOptions] = {
    "cache_bytes": 0,
    "max_value_bytes": 64 << 20,
    "max_decoded_bytes": 256 << 20,
    "max_keys": 1_000_000,
    "max_depth": 200,
}
"""What an application was allowed to write, these tools can read, and write back."""


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        show_default=False,
        help="The config with \\[encryption] and \\[sensitive]; holdfast.toml of this folder if not given.",
    ),
]


def config_of(config: Path | None) -> Settings | None:
    """The config that is named, that of this folder, or what the environment says of encryption; None where there is none."""
    here = Path("holdfast.toml")
    file = config if config is not None else here if here.is_file() else None
    if file is None and not any(name.startswith(_ENVIRONMENT) for name in os.environ):
        return None
    from holdfast.config import load_config  # needs the server extra

    return load_config(file)


def encryption_of(config: Path | None) -> Encryption | None:
    """How the store is encrypted, by the config: without its keys an encrypted store cannot be read."""
    settings = config_of(config)
    return None if settings is None else settings.encryption.opened()


def with_store(
    url: str,
    tenant: str,
    work: Callable[[Store], Awaitable[T]],
    *,
    may_be_new: bool = False,
    config: Path | None = None,
) -> T:
    """Runs ``work`` on the store of the command's options; a mistyped file name is an error unless it ``may_be_new``.

    ``config``: whose keys open it, as in `encryption_of`.
    """
    if not url:
        raise ConfigError(
            "which store? give --store URL, or set HOLDFAST_STORE (redis://host:6379/0, sqlite:///file.db)"
        )

    if not may_be_new:
        _check_there(url)

    encryption = encryption_of(config)
    if encryption is not None and not may_be_new:
        _check_vault(wiring.vault_of(url, encryption))

    async def main() -> T:
        options: StoreOptions = {**_READS_ALL, "tenant": tenant}
        async with open_store(url, encryption=encryption, **options) as store:
            return await work(store)

    return asyncio.run(main())


def _check_there(url: str) -> None:
    open_store(url)  # is it a store's URL at all?
    if wiring.lives_in_process(url):
        raise ConfigError(f"{url} is the memory of one process, and empty in this one; name a file or a server")
    if (path := wiring.file_of(url)) is not None and not Path(path).exists():
        raise ConfigError(f"there is no file {path}; look at the path in --store, relative paths count from here")


def _check_vault(url: str) -> None:
    """A vault made here by mistake would be empty: nothing could be read, and an erasure would destroy no key."""
    if (path := wiring.file_of(url)) is not None and not Path(path).exists():
        raise ConfigError(
            f"there is no vault {path}: look at encryption.vault, relative paths count from here; the first node that runs with "
            "these keys makes it"
        )
