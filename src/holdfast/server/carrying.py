"""A visitor's conversation goes on as that of whoever logged in: under a new id, because the old one was known before."""

from __future__ import annotations

from typing import Final

from holdfast.assistant.waiting import KEY as HANDED_OVER
from holdfast.errors import SessionNotFound
from holdfast.server.guard import Guarded
from holdfast.sessions.message import Message
from holdfast.sessions.session import Session

_TOGETHER: Final = 200
_ROUNDS: Final = 3


async def carried(visitor: Guarded, user: Guarded, session_id: str) -> str:
    """Copies a conversation of the visitor's, deletes it, and returns the copy's id. "" where there is none, or where a person has
    it: that person knows it by its id.

    Raises the store's errors; then the visitor still has it.
    """
    try:
        session = await visitor.read(session_id)
    except SessionNotFound:
        return ""
    if session.user != visitor.caller.user or HANDED_OVER in session.state:
        return ""
    copy = await user.store.create(state=dict(session.state), user=user.caller.user)
    try:
        await _copied(visitor, user, session, copy.id)
    except BaseException:
        await user.store.delete(copy.id)
        raise
    await visitor.store.delete(session_id)
    user.note("session.carry", copy.id, detail="from a visitor")
    return copy.id


async def _copied(visitor: Guarded, user: Guarded, session: Session, copy_id: str) -> None:
    """All messages, and once more what came meanwhile."""
    done = 0
    for _ in range(_ROUNDS):
        batch: list[Message] = []
        async for message in visitor.store.messages(session.id, start=done):
            batch.append(message)
            if len(batch) == _TOGETHER:
                await user.store.update(copy_id, {}, append=batch)
                done += len(batch)
                batch = []
        if batch:
            await user.store.update(copy_id, {}, append=batch)
            done += len(batch)
        now = await visitor.store.load(session.id, tail=0)
        if now is None or now.version == session.version:
            return
        session = now
        await user.store.update(copy_id, dict(session.state))
