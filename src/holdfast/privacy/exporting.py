"""All that is kept of a user, as one document: what a person may ask to see."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from holdfast.sessions.ids import checked_id
from holdfast.sessions.message import Message
from holdfast.sessions.session import Session
from holdfast.turns.tenants import USAGE

if TYPE_CHECKING:
    from holdfast.sessions.store import SessionStore
    from holdfast.turns.store import TurnStore

_PAGE = 100


async def export_user(store: TurnStore, user: str) -> AsyncIterator[tuple[str, Any]]:
    """Part by part, each a name and its content, of the codec's types: ``about``, then a ``session`` each with its state and
    all messages, a ``delivery`` each, ``usage``. Values are in clear: it is the user who asks.

    Raises `InvalidId`, `Erased`, and the store's errors.
    """
    user = checked_id("user", user)
    yield "about", {"tenant": store.settings.tenant, "user": user, "exported_at": round(time.time(), 3)}
    async for session in _sessions(store, user):
        messages = [_message(message) async for message in store.messages(session.id)]
        yield "session", {**_session(session), "messages": messages, "traces": await _traces(store, session)}
    async for session in _sessions(store.deliveries, user):
        messages = [_message(message) async for message in store.deliveries.messages(session.id)]
        yield "delivery", {**_session(session), "messages": messages}
    if usage := await store.beside(USAGE).get(user):
        yield "usage", usage


async def _sessions(store: SessionStore, user: str) -> AsyncIterator[Session]:
    cursor = ""
    while True:
        page = await store.by_user(user, cursor=cursor, limit=_PAGE)
        for session_id in page.ids:
            session = await store.load(session_id, tail=0)
            if session is not None and session.user == user:
                yield session
        if not (cursor := page.cursor):
            return


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "state": dict(session.state),
    }


async def _traces(store: TurnStore, session: Session) -> list[dict[str, Any]]:
    return [document async for document in store.traces.documents(session.id, session.user)]


def _message(message: Message) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message.role, "content": message.content, "created_at": message.created_at}
    if message.turn_id:
        shown["turn_id"] = message.turn_id
    if message.tool_calls:
        calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls]
        shown["tool_calls"] = calls
    if message.citations:
        shown["citations"] = [{"document": one.document, "quote": one.quote} for one in message.citations]
    if message.metadata:
        shown["metadata"] = message.metadata
    return shown
