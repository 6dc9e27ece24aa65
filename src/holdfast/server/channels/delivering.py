"""The turn behind a platform's message: the conversation's turn, then its reply delivered, tried again until it has arrived.

It is accepted before the platform is answered, in a session of its own for each message, so that one that is sent again is known.
Any node goes on with it where another stopped: what was said and which tries were made stands in its journal, and between two
tries it is parked.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Final

import msgspec

from holdfast.assistant.context import CHANNEL
from holdfast.assistant.persons import Persons
from holdfast.assistant.texts import Texts
from holdfast.config import ChannelSection
from holdfast.errors import InvalidInput, SessionExists, StoreError, TurnAbandoned, TurnFailed, TurnMismatch, WrongUser
from holdfast.server.channels.contract import Channel, Inbound, Outbound
from holdfast.server.desk import HANDLER
from holdfast.sessions.ids import new_id
from holdfast.sessions.message import Message
from holdfast.sessions.state import State
from holdfast.turns.outcome import Outcome
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Turn

_REMEMBERED_S: Final = 24 * 3600.0
"""A message that is sent again within this time is known, at least."""

_FIRST_LOOK_S: Final = 1.0
_LONGEST_LOOK_S: Final = 60.0

_WAITS: Final = "waiting"
"""For a turn without a reply, because a person has the conversation: there is nothing to deliver."""

_log: Final = logging.getLogger(__name__)


class Delivering:
    """One channel of this node: accepts messages, and is the handler of their delivery turns.

    Args:
        turn_timeout: seconds that the conversation's turn may take in one go.
        stored: what users write, as it is stored.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        config: ChannelSection,
        store: TurnStore,
        *,
        turn_timeout: float,
        stored: Callable[[str], str] = str,
    ) -> None:
        self.channel = channel
        self.config = config
        self._name = name
        self._handler = f"channel:{name}"
        self._store = store
        self._deliveries = store.deliveries
        self._turn_timeout = turn_timeout
        self._stored = stored
        self._remembered = max(_REMEMBERED_S, store.settings.outcome_age_ms / 1000)
        store.handlers.register(self._handler, self)

    async def accept(self, inbound: Inbound) -> None:
        """Once this returns, the message is durable and will be answered; sent again, it is the same one.

        Raises `TurnMismatch` where its id was used for another message, `InvalidInput`, and the store's errors.
        """
        await self._deliveries.accept_turn(
            self._digest("delivery", inbound.session, inbound.message_id),
            self._handler,
            input=_message_of(msgspec.structs.replace(inbound, text=self._stored(inbound.text))),
            turn_id=inbound.message_id,
            ttl=self._remembered,
        )

    async def __call__(self, turn: Turn) -> None:
        assert turn.input is not None
        inbound = _inbound_of(turn.input)
        if turn.input.role == "assistant":  # what a person said: there already
            text, status = inbound.text, "completed"
        else:
            text, status = await self._answered(turn, inbound)
            if status == _WAITS and not text:
                return
        for number, part in enumerate(self.channel.parts(text)):
            key = self._digest("key", inbound.session, inbound.message_id, str(number))
            await self._delivered(turn, f"part-{number}", Outbound(inbound, part, status, key))

    # --- the conversation's turn ---

    async def _answered(self, turn: Turn, inbound: Inbound) -> tuple[str, str]:
        """The reply, and the status of its turn; parked while that waits for something itself, or for its next attempt."""
        session_id = await turn.step("session", self._session_of, inbound)
        for number in count(1):
            reply = await turn.step(f"turn-{number}", self._run, session_id, inbound)
            if reply is not None:
                if reply.get("person"):
                    await turn.step("link", self._link, session_id, inbound)
                    return reply["text"], reply["status"] if reply["text"] else _WAITS
                return reply["text"], reply["status"]
            await turn.sleep(f"look-{number}", _grown(_FIRST_LOOK_S, _LONGEST_LOOK_S, number))
        raise AssertionError

    async def _session_of(self, inbound: Inbound) -> str:
        """The conversation's session: its id cannot be guessed from what the platform calls it."""
        link, found = self._digest("session", inbound.session), ""

        def linked(state: State) -> None:
            nonlocal found
            found = state.setdefault("session", new_id())

        await self._deliveries.update(link, linked)  # lives as long as the conversation
        return found

    async def _run(self, session_id: str, inbound: Inbound) -> dict[str, Any] | None:
        """The outcome, by whoever ran the turn; None where it is not there yet."""
        store = self._store
        try:
            if not await store.exists(session_id):
                with suppress(SessionExists):
                    await store.create(session_id, {CHANNEL: self._name}, user=inbound.user)
            async with asyncio.timeout(self._turn_timeout):
                outcome = await store.run_turn(
                    session_id,
                    HANDLER,
                    input=inbound.text,
                    turn_id=inbound.message_id,
                    user=inbound.user,
                    wait=self._turn_timeout,
                )
        except TurnFailed as failed:
            assert isinstance(failed.outcome, Outcome)
            outcome = failed.outcome
        except (InvalidInput, WrongUser, TurnMismatch) as error:
            raise TurnAbandoned(f"channel {self._name}: {type(error).__name__}: {error}") from error
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (the assistant's own: its turn counts the attempts, this one does not)
            _log.info("channel %s: a turn is not answered yet: %s", self._name, type(error).__name__)
            return None
        return {"text": outcome.reply, "status": outcome.status, "person": _with_a_person(outcome)}

    async def _link(self, session_id: str, inbound: Inbound) -> None:
        """So that a person's replies find their way."""
        place = {"session": inbound.session, "user": inbound.user, "reply_to": inbound.reply_to}
        await Persons(self._store, Texts({})).link(session_id, self._handler, place)

    # --- its delivery ---

    async def _delivered(self, turn: Turn, part: str, outbound: Outbound) -> None:
        """Returns once it has arrived. Raises `TurnAbandoned` where it will not."""
        config = self.config
        for number in range(1, config.tries + 1):
            tried = await turn.step(f"{part}-try-{number}", self._try, outbound)
            if tried["ok"]:
                return
            if tried["final"]:
                break
            if number < config.tries:
                pause = max(_grown(config.first_pause, config.longest_pause, number), tried["after"])
                await turn.sleep(f"{part}-pause-{number}", min(pause, config.longest_pause))
        raise TurnAbandoned(f"channel {self._name}: not delivered after {number} tries; the last one: {tried['told']}")

    async def _try(self, outbound: Outbound) -> dict[str, Any]:
        delivery = await self.channel.deliver(outbound)
        if not delivery.ok:
            _log.warning("channel %s: a reply was not taken: %s", self._name, delivery.told)
        return {"ok": delivery.ok, "final": delivery.final, "told": delivery.told, "after": delivery.after}

    def _digest(self, what: str, *parts: str) -> str:
        digest = hashlib.blake2b(digest_size=24)
        for part in (what, self._name, *parts):
            raw = part.encode()
            digest.update(len(raw).to_bytes(4) + raw)
        return digest.hexdigest()


def _grown(first: float, longest: float, number: int) -> float:
    """The pause after try ``number``: twice the one before, give or take a tenth, so that a platform is not met by all at once."""
    grown: float = min(longest, first * 2.0 ** min(number - 1, 30)) * (0.9 + random.random() / 5)
    return grown


def _with_a_person(outcome: Outcome) -> bool:
    return any(message.metadata.get("handover") in ("begun", "waiting") for message in outcome.messages)


def _message_of(inbound: Inbound) -> Message:
    return Message.user(
        inbound.text,
        message_id=inbound.message_id,
        session=inbound.session,
        user=inbound.user,
        reply_to=inbound.reply_to,
    )


def _inbound_of(message: Message) -> Inbound:
    """By the message, not by the turn: one that is tried anew has another id (``retry``)."""
    known = message.metadata
    return Inbound(known["message_id"], known["session"], message.content, known["user"], known["reply_to"])
