"""``holdfast serve``: the server, from a config to a URL."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from holdfast import __version__, open_store
from holdfast.cli.options import Debug
from holdfast.cli.progress import Progress
from holdfast.errors import MissingExtra
from holdfast.wiring import shown_url

if TYPE_CHECKING:
    from holdfast.config import Config


def _this_folders(given: Path | None) -> Path | None:
    """The config that was named, else that of the folder one is in; None is the sample."""
    here = Path("holdfast.toml")
    return given if given is not None or not here.is_file() else here


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        show_default=False,
        callback=_this_folders,
        help="The config; holdfast.toml of this folder if not given, or else the sample.",
    ),
]
_SILENT: Final = ("httpx", "httpx2", "httpcore", "openai", "asyncio")


def serve(
    config: ConfigFile = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="URL", show_default=False, help="Where the sessions are; the config's if not given."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(show_default=False, help="Where to listen; 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, show_default=False, help="8080; 0 is any that is free.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
    debug: Debug = False,
) -> None:
    """Serve the assistant over HTTP, with its chat page."""
    given = {"host": host, "port": port}
    overrides: dict[str, Any] = {"server": {name: value for name, value in given.items() if value is not None}}
    if store:
        overrides["store"] = store
    settings, origin = loaded(config, overrides)
    _log_to_stderr(quiet)
    _mask_logs(settings)
    with _runner() as runner:
        runner.run(_serve(settings, origin))


def loaded(file: Path | None, overrides: dict[str, Any]) -> tuple[Config, str]:
    try:
        import fastapi  # noqa: F401  (asked for here, where it can be explained)
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401

        from holdfast.config import load_config
    except ImportError as error:
        raise MissingExtra("`holdfast serve` needs the server extra: pip install 'holdfast[server]'") from error
    if file is not None:
        return load_config(file, overrides), str(file)
    folder = data_folder()
    overrides = sample_overrides(overrides, folder, os.environ)
    folder.mkdir(parents=True, exist_ok=True)
    return load_config(None, overrides), f"the sample (its data in {folder})"


def data_folder() -> Path:
    """Where the sample keeps its data: a folder of the user's, ``$XDG_DATA_HOME/holdfast``."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "holdfast"


def sample_overrides(overrides: Mapping[str, Any], folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The overrides, with the sample's files in this folder where nobody said otherwise."""
    files: dict[str, Any] = {}
    if not any(name in environment for name in ("HOLDFAST_STORE", "HOLDFAST_STORE__URL")):
        files["store"] = {"url": f"sqlite:///{folder / 'sessions.db'}"}
    if not any(name in environment for name in ("HOLDFAST_KNOWLEDGE", "HOLDFAST_KNOWLEDGE__INDEX")):
        files["knowledge"] = {"index": str(folder / "knowledge.db")}
    return {**files, **overrides}


async def _serve(config: Config, origin: str) -> None:
    from holdfast.server.app import node_of
    from holdfast.server.building import opened_app
    from holdfast.server.serving import serve as serve_app

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_store(config.store.url, encryption=config.encryption.opened(), **config.store.options)
        )
        with Progress("reading documents", None) as bar:
            app = await stack.enter_async_context(opened_app(config, store, lambda done, _: bar.at(done)))
        node = node_of(app)
        model = node.assistant.model

        def announce(url: str) -> None:
            lines = {
                "config": origin,
                "store": shown_url(config.store.url),
                "documents": config.knowledge.index or "none",
                "answers": f"written by {model.name}" if model else "quoted from the documents; no model is set",
                "API": f"{url}docs",
            }
            print(f"holdfast {__version__} · node {node.name}")
            print("".join(f"  {name:<10} {value}\n" for name, value in lines.items()), end="")
            print(f"\n  Open {url}\n", flush=True)

        await serve_app(app, config.server, announce)


def _runner() -> asyncio.Runner:
    """An event loop; uvloop's where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        pass
    return asyncio.Runner(loop_factory=factory)


def _mask_logs(config: Config) -> None:
    """What Holdfast logs to the terminal names no sensitive values, whatever an error of the user's own parts says."""
    from holdfast.assistant.masking import Masker
    from holdfast.sensitive.log_filter import MaskingFilter

    for handler in logging.getLogger().handlers:
        handler.addFilter(MaskingFilter(Masker.of(config).kinds))


def _log_to_stderr(quiet: bool) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if quiet:
        logging.getLogger("holdfast.access").setLevel(logging.WARNING)
