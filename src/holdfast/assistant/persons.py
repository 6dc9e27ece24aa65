"""What a person does in a conversation that was handed over: answers, and gives it back.

Each is a turn of the session, accepted under an id of its own: two persons at once, or one beside the user, follow each other, and
none is lost or entered twice. Its input is what the person said, a message of the assistant's side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any, Final

from holdfast.assistant.texts import Texts
from holdfast.assistant.waiting import KEY, WaitingList
from holdfast.backends.records import StoredOutcome
from holdfast.config import Language
from holdfast.errors import HoldfastError, InvalidInput, NotHandedOver, SessionNotFound, StoreError
from holdfast.sessions.message import Message
from holdfast.sessions.session import Session
from holdfast.turns.outcome import Outcome
from holdfast.turns.store import TurnStore
from holdfast.turns.tenants import HANDOVERS
from holdfast.turns.turn import Turn

HANDLER: Final = "assistant"
"""The name under which the assistant is registered: whoever recovers its turns recovers these."""

_NAME: Final = 80
_LINK: Final = ("handler", "session", "user", "reply_to")


def is_persons(turn: Turn) -> bool:
    """Whether a turn is a person's, and not for the assistant to answer."""
    return turn.input is not None and turn.input.role != "user"


class Persons:
    """What persons do over one store.

    Args:
        texts: what the user is told. leaves: replies to channels are left to nodes that serve those; else only this node's count.
    """

    def __init__(self, store: TurnStore, texts: Texts, *, leaves: bool = False) -> None:
        self._store = store
        self._texts = texts
        self._leaves = leaves

    async def waiting(self, *, cursor: str = "", limit: int = 50) -> tuple[list[Session], str]:
        """A page of the conversations that wait, the longest first, each with its last message; and the next page's cursor."""
        return await self._list().sessions(after=cursor, limit=limit)

    async def reply(self, session_id: str, text: str, *, name: str = "", turn_id: str = "") -> Outcome:
        """A person's words: they enter the log, and go to wherever the user is. May be repeated under its ``turn_id``.

        Raises `NotHandedOver`, `SessionNotFound`, `InvalidInput`, and the errors of `run_turn`.
        """
        if not text.strip():
            raise InvalidInput("a reply needs a text")
        return await self._turn(session_id, Message.assistant(text, **_by(name)), turn_id)

    async def end(self, session_id: str, *, name: str = "", turn_id: str = "") -> Outcome:
        """Gives the conversation back: the assistant answers from the next message on, and goes on with the flow that it was in.

        Raises as `reply`.
        """
        return await self._turn(session_id, Message("system", metadata=_by(name)), turn_id)

    async def _turn(self, session_id: str, message: Message, turn_id: str) -> Outcome:
        store, turn_id = self._store, turn_id or os.urandom(16).hex()
        session = await store.load(session_id, tail=0)
        if session is None:
            raise SessionNotFound(f"there is no session {session_id!r}")
        line = session.state.get(KEY)
        if line is None:
            known = await store.backend.resolve(store.key(session_id), turn_id, fence=0)  # with fence 0 it only looks
            if not isinstance(known, StoredOutcome):
                raise NotHandedOver(f"session {session_id!r} is not handed over to a person")
        outcome = await store.run_turn(session_id, HANDLER, input=message, turn_id=turn_id)
        if line is not None and message.role == "system":
            await self._list().leave(session_id, line)  # if not, whoever reads the list takes it out
        return outcome

    # --- the turn's handler ---

    async def handle(self, turn: Turn) -> None:
        """Runs a person's turn."""
        assert turn.input is not None
        text = turn.input.content if turn.input.role == "assistant" else end(turn, self._texts)
        if text:
            await turn.step("deliver", self._deliver, turn.key.id, turn.id, text)

    # --- channels ---

    async def link(self, session_id: str, handler: str, place: Mapping[str, str]) -> None:
        """Remembers where the user is: a channel's handler of deliveries, and its names of session, user and place."""
        found = {name: place[name] for name in _LINK[1:]}
        await self._store.deliveries.update(_digest("link", session_id), {"handler": handler, **found})

    async def _deliver(self, session_id: str, turn_id: str, text: str) -> bool:
        """Has the reply brought to the user's channel, if that is where the user is."""
        deliveries = self._store.deliveries
        link = await deliveries.get(_digest("link", session_id))
        if not link:
            return False
        handler = str(link["handler"])
        if not deliveries.handlers.knows(handler):
            if not self._leaves:
                raise StoreError(f"this node does not serve {handler}, where the user of session {session_id!r} is")
            deliveries.handlers.register(handler, _left)
        place = {name: link[name] for name in _LINK[1:]}
        message = Message.assistant(text, message_id=turn_id, **place)
        known = self._store.settings.outcome_age_ms / 1000
        await deliveries.accept_turn(
            _digest("reply", session_id, turn_id), handler, input=message, turn_id=turn_id, ttl=max(24 * 3600.0, known)
        )
        return True

    def _list(self) -> WaitingList:
        return WaitingList(self._store.beside(HANDOVERS), self._store)


def end(turn: Turn, texts: Texts) -> str:
    """Gives the conversation back, where that is what the person's turn is for; what the user is told then, else ""."""
    if turn.input is None or turn.input.role != "system" or turn.state.pop(KEY, None) is None:
        return ""
    language: Language = "en" if turn.state.get("language") == "en" else "zh"
    text = texts.get("handover_ended", language)
    turn.reply(text, handover="ended")
    return text


def _by(name: str) -> dict[str, Any]:
    return {"by": "person", "name": name.strip()[:_NAME]}


def _digest(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=24)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4) + raw)
    return digest.hexdigest()


def _left(turn: Turn) -> None:
    raise HoldfastError("deliveries are left to nodes that serve the channel")
