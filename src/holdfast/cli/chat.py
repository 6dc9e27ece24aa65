"""`holdfast chat`: the assistant in a terminal, over the same store as the server."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from holdfast import Outcome, Store, open_store
from holdfast.cli.options import Debug
from holdfast.cli.output import clean
from holdfast.cli.serve import ConfigFile, loaded
from holdfast.errors import SessionNotFound, StoreError, TurnError
from holdfast.sessions.ids import new_id

_HELP = "Ctrl-D or /quit ends; the conversation stays: holdfast chat --session {id}"


def chat(
    config: ConfigFile = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", show_default=False, help="Where the sessions are.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="ID", show_default=False, help="Go on with this conversation.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Talk to the assistant in the terminal."""
    settings, _ = loaded(config, {"store": store} if store else {})
    asyncio.run(_chat(settings, session))


async def _chat(settings: Any, session: str | None) -> None:
    from holdfast.assistant.building import build_assistant

    out = Console(highlight=False)
    assistant = await build_assistant(settings)
    try:
        async with open_store(
            settings.store.url, encryption=settings.encryption.opened(), **settings.store.options
        ) as store:
            store.handlers.register("assistant", assistant)
            session_id = await _joined(store, assistant.masker, session, out)
            out.print(_HELP.format(id=session_id), style="dim")
            while (said := await _read()) is not None:
                if said.strip():
                    await _turn(store, session_id, assistant.masker.accepted(said), out)
    finally:
        await assistant.aclose()


async def _joined(store: Store, masker: Any, session: str | None, out: Console) -> str:
    """A new conversation, or the named one with its last messages shown."""
    if session is None:
        return (await store.create(new_id())).id
    found = await store.load(session)
    if found is None:
        raise SessionNotFound(f"there is no conversation {session!r} (any more); start a new one without --session")
    for message in found.messages:
        text = masker.message(message, dict(found.state)).content
        out.print(("> " if message.role == "user" else "") + clean(text), markup=False)
    return session


async def _turn(store: Store, session_id: str, said: str, out: Console) -> None:
    def show(kind: str, data: dict[str, Any]) -> None:
        if kind == "token":
            out.print(clean(data["text"]), end="", markup=False)

    try:
        outcome: Outcome = await store.run_turn(session_id, "assistant", input=said, on_event=show)
    except (TurnError, StoreError) as error:
        out.print(f"\n{error}", style="red", markup=False)
        return
    out.print()
    for message in outcome.messages:
        for number, citation in enumerate(message.citations, 1):
            page = f", page {citation.page}" if citation.page else ""
            out.print(f"  [{number}] {clean(citation.title or citation.document)}{page}", style="dim", markup=False)


async def _read() -> str | None:
    """A line from the terminal (or the pipe); None at its end."""
    prompt = "\n> " if sys.stdin.isatty() else ""
    try:
        line = await asyncio.to_thread(input, prompt)
    except EOFError:
        return None
    return None if line.strip() in ("/quit", "/exit") else line
