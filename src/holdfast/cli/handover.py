"""``holdfast turns reply`` and ``resume``: a person in a conversation that was handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from holdfast import Store, Turn
from holdfast.assistant.waiting import KEY, WaitingList
from holdfast.cli.options import Debug, Json, StoreUrl, Tenant, with_store
from holdfast.cli.output import cell, clean, iso, moment, print_json
from holdfast.errors import TurnError
from holdfast.turns.outcome import Outcome
from holdfast.turns.tenants import HANDOVERS

if TYPE_CHECKING:  # what it imports is an extra
    from holdfast.assistant.persons import Persons

_PAGE: Final = 100
Session = Annotated[str, typer.Argument(metavar="SESSION", show_default=False, help="The session's id.")]
Name = Annotated[str, typer.Option("--name", metavar="NAME", show_default=False, help="Who does; the user sees it.")]
TurnId = Annotated[
    str, typer.Option("--turn-id", metavar="ID", show_default=False, help="The same id again is the same turn.")
]


def persons_of(store: Store) -> Persons:
    """Persons over a store that runs no assistant: its turns of users, and replies to channels, are left to servers."""
    from holdfast.assistant.persons import HANDLER, Persons, is_persons
    from holdfast.assistant.texts import Texts

    persons = Persons(store, Texts({}), leaves=True)

    async def handle(turn: Turn) -> None:
        if not is_persons(turn):
            raise TurnError("a user's turn is for a server to answer")
        await persons.handle(turn)

    store.handlers.register(HANDLER, handle)
    return persons


async def rows(store: Store, limit: int) -> list[dict[str, Any]]:
    """Conversations that wait for a person, or are with one, the longest first."""
    waiting, found, cursor = WaitingList(store.beside(HANDOVERS), store), [], ""
    while True:
        page, cursor = await waiting.sessions(after=cursor, limit=_PAGE)
        found += page
        if not cursor or len(found) >= limit:
            break
    shown = []
    for session in found[:limit]:
        line, last = session.state[KEY], session.messages[-1] if len(session.messages) else None
        since = round(float(line["since"]) * 1000)
        shown.append(
            {
                "state": "handover",
                "session": session.id,
                "user": session.user,
                "reason": line["reason"],
                "since": iso(since),
                "since_ms": since,
                "messages": session.total,
                "answered": last is not None and last.metadata.get("by") == "person",
            }
        )
    return shown


def table(rows: list[dict[str, Any]]) -> Table:
    """The same for people."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("session", "user", "reason"):
        shown.add_column(name, overflow="fold")
    shown.add_column("since")
    shown.add_column("messages", justify="right")
    shown.add_column("answered")
    for row in rows:
        shown.add_row(
            *(cell(row[name] or "-") for name in ("session", "user", "reason")),
            moment(row["since_ms"]),
            str(row["messages"]),
            "yes" if row["answered"] else "no",
        )
    return shown


def reply(
    session_id: Session,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="What the user is told.")],
    name: Name = "",
    turn_id: TurnId = "",
    store: StoreUrl = "",
    tenant: Tenant = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer a user whose conversation was handed over to a person."""
    outcome = with_store(
        store, tenant, lambda opened: persons_of(opened).reply(session_id, text, name=name, turn_id=turn_id)
    )
    _told(outcome, as_json, "said")


def resume(
    session_id: Session,
    name: Name = "",
    turn_id: TurnId = "",
    store: StoreUrl = "",
    tenant: Tenant = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Give a conversation back to the assistant, which goes on with the user's next message."""
    outcome = with_store(store, tenant, lambda opened: persons_of(opened).end(session_id, name=name, turn_id=turn_id))
    _told(outcome, as_json, "given back")


def _told(outcome: Outcome, as_json: bool, what: str) -> None:
    if as_json:
        print_json({"session": outcome.session_id, "turn": outcome.turn_id, "version": outcome.version.counter})
    else:
        print(f"{what}, as turn {clean(outcome.turn_id, one_line=True)}")
