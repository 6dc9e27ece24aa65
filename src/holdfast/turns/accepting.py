"""Having a turn accepted: `begin`, asked until it is heard, and the wait behind other turns."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from holdfast.backends.contract import Watch
from holdfast.backends.records import (
    Absent,
    BeginReply,
    BeginRequest,
    Busy,
    Granted,
    Mismatch,
    Parked,
    Queued,
    Record,
    Replay,
    Running,
    SessionKey,
    Unchanged,
    WrongUserFound,
)
from holdfast.errors import (
    OutcomeUnknown,
    QueueTimeout,
    SessionGone,
    StoreError,
    StoreUnavailable,
    TurnBusy,
    TurnMismatch,
    TurnParked,
    WrongUser,
)
from holdfast.sessions.forks import contradicts
from holdfast.sessions.message import Message, MessageCodec
from holdfast.turns import marks
from holdfast.turns.events import EventTail
from holdfast.turns.observing import WaitEnd

Policy = Literal["queue", "reject", "interrupt"]
"""What a turn does that meets another of its session: waits, is refused, or has the other one cancelled and then runs."""

_PARKED_POLL_S: Final = 5.0

if TYPE_CHECKING:  # the store makes runs, a run works on its store
    from holdfast.turns.store import TurnStore


class Accepting:
    """One runner's way to its grant.

    Args:
        wait_ms: how long to wait for the session, from now.
        withdraws: a turn that waited in vain is forgotten, because its caller does not know its id.
        interrupts: turns that stand before this one are cancelled.
        joins: waits for a parked turn too; else that is told at once.
        waiting_for: what a parked turn waits for, where this runner has parked it.
        cancels: has a turn end that was parked before it heard that it is to.
        tail: passes on what the turn tells while it runs elsewhere.
    """

    __slots__ = (
        "_deadline",
        "_followed",
        "_withdraws",
        "cancels",
        "interrupts",
        "joins",
        "key",
        "request",
        "store",
        "tail",
        "wait_ms",
        "waiting_for",
    )

    def __init__(
        self,
        store: TurnStore,
        key: SessionKey,
        request: BeginRequest,
        *,
        wait_ms: int,
        withdraws: bool,
        interrupts: bool = False,
    ) -> None:
        self.store = store
        self.key = key
        self.request = request
        self.wait_ms = wait_ms
        self._withdraws = withdraws
        self.interrupts = interrupts
        self.joins = False
        self.cancels = False
        self.waiting_for = ""
        self.tail: EventTail | None = None
        self._followed = False
        self._deadline = time.monotonic() + wait_ms / 1000

    async def ask(self) -> BeginReply:
        """`begin`, repeated while its reply is lost: the token makes that harmless."""
        cached = self.store.cache.get(self.key, self.request.tail)
        self.request.known = cached.version if cached is not None else None
        seen = cached if cached is not None else self.store.cache.witness(self.key)
        give_up = 0.0
        while True:
            try:
                reply = await self.store.backend.begin(self.key, self.request)
            except (OutcomeUnknown, StoreUnavailable) as error:
                now = time.monotonic()
                if not give_up and isinstance(error, StoreUnavailable):
                    raise  # nothing was accepted
                give_up = give_up or now + self.store.settings.settle_ms / 1000
                if now >= give_up:
                    raise OutcomeUnknown(
                        f"session {self.key.id!r}: turn {self.request.turn_id!r} may have been accepted, and the store has not "
                        f"told since ({error}); send it again with the same turn id"
                    ) from error
                await asyncio.sleep(0.05 + random.random() * 0.1)
                continue
            if isinstance(reply, Granted) and isinstance(reply.record, Unchanged):
                assert cached is not None
                cached.expires_ms = reply.record.expires_ms
                reply.record = cached
            elif isinstance(reply, Granted) and isinstance(reply.record, Record):
                self.store.keep(self.key, seen, reply.record)
            elif isinstance(reply, Replay) and seen is not None and contradicts(seen, reply.stored):
                with suppress(StoreError):
                    await self.reload(seen)
            return reply

    def must_wait(self, reply: BeginReply) -> bool:
        """Whether to ask again until there is another answer."""
        return isinstance(reply, Queued | Running) or (self.joins and isinstance(reply, Parked))

    async def wait(self) -> BeginReply:
        """The first answer that ends the wait. Raises `QueueTimeout`, `TurnParked`."""
        observer, started = self.store.observer, time.monotonic()
        end: WaitEnd = "gave_up"
        try:
            reply = await self._wait_until_due()
            end = "granted" if isinstance(reply, Granted) else "replayed" if isinstance(reply, Replay) else "gave_up"
            return reply
        finally:
            if observer is not None:
                observer.waited(time.monotonic() - started, end)

    async def _wait_until_due(self) -> BeginReply:
        """Asks again whenever the store hints, a lease may have ended, or the poll is due, until the deadline."""
        poll = self.store.settings.poll_ms / 1000
        parked = False
        async with self.store.backend.watch(self.key) as watch:
            while True:
                reply = await self.ask()
                if not self.must_wait(reply):
                    return reply
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise self._gave_up(reply)
                if isinstance(reply, Parked):
                    if self.cancels:
                        with suppress(StoreError):
                            await self.store.backend.signal(self.key, marks.CANCEL, b"", turn_id=self.request.turn_id)
                    if self.tail is not None and not parked:
                        await self.tail.read()  # what it said before
                        self.tail.parked(reply.left_ms / 1000, self.waiting_for)
                    parked = True
                    await self._pause(watch, min(left, _PARKED_POLL_S, reply.left_ms / 1000 + 0.005), b"events")
                    continue
                assert isinstance(reply, Queued | Running)
                parked, self.waiting_for = False, ""
                await self._tell(reply)
                # no lease means waiting for a place ahead to be taken or to run out: nothing to look for before the poll
                lease_left = reply.lease_left_ms / 1000 + 0.005 if reply.lease_left_ms else poll
                await self._pause(
                    watch, min(left, poll * (0.75 + random.random() / 2), lease_left), b"events", b"signal"
                )

    async def _tell(self, reply: Queued | Running) -> None:
        """Has those ahead cancelled, if this turn interrupts; has whoever runs this turn write its events, if they are wanted."""
        backend, turn_id = self.store.backend, self.request.turn_id
        with suppress(StoreError):
            if self.interrupts and isinstance(reply, Queued):
                await backend.signal(self.key, marks.CANCEL, b"", turn_id=turn_id, ahead=True)
            if self.tail is not None and isinstance(reply, Running) and not self._followed:
                self._followed = bool(await backend.signal(self.key, marks.FOLLOWED, b"", turn_id=turn_id))

    async def _pause(self, watch: Watch, seconds: float, *passing: bytes) -> None:
        """Until there is a reason to ask again, which ``passing`` hints are not; passes on what the turn tells meanwhile."""
        ends = time.monotonic() + seconds
        while True:
            if self.tail is not None and self._followed:
                await self.tail.read()
            hint = await watch.wait(max(0.0, ends - time.monotonic()))
            if hint not in passing or time.monotonic() >= ends:
                return

    def _gave_up(self, reply: BeginReply) -> Exception:
        name, waited = self.request.turn_id, self.wait_ms / 1000
        if isinstance(reply, Parked):
            return self.refused(reply)
        assert isinstance(reply, Queued | Running)
        if isinstance(reply, Running):
            return QueueTimeout(
                f"session {self.key.id!r}: turn {name!r} still runs elsewhere after {waited:g} s; ask again with the same id"
            )
        end = "was withdrawn" if self._withdraws else "has not run yet; send it again with the same turn id"
        return QueueTimeout(
            f"session {self.key.id!r}: turn {name!r} waited {waited:g} s behind {reply.ahead} other turn(s) and {end}"
        )

    def refused(self, reply: BeginReply) -> Exception:
        """The error that a refusal stands for."""
        name = f"session {self.key.id!r}: turn {self.request.turn_id!r}"
        match reply:
            case Busy():
                return TurnBusy(f"{name} was not accepted, because another turn is running")
            case Mismatch():
                return TurnMismatch(f"{name} was sent before with another input; give a new input a new turn id")
            case Parked():
                return TurnParked(
                    f"{name} waits for a signal, for {reply.left_ms / 1000:g} s at the longest",
                    self.request.turn_id,
                    self.waiting_for,
                    reply.left_ms / 1000,
                )
            case WrongUserFound():
                return WrongUser(f"session {self.key.id!r} belongs to another user")
            case Absent():
                return SessionGone(f"{name} is not known here (any more)")
        raise AssertionError(reply)

    async def reload(self, seen: Record | None) -> Record | None:
        """The current session, for another try of this turn, which still holds it, or to compare it with what was seen of it."""
        record = await self.store.backend.load(self.key, tail=self.request.tail)
        if isinstance(record, Record):
            self.store.keep(self.key, seen, record)
            return record
        return None


def fingerprint(message: Message | None, codec: MessageCodec) -> bytes:
    """8 bytes that stand for an input's meaning: the same whenever it is sent."""
    if message is None:
        raw = b"none"
    elif message.metadata or message.citations or message.tool_calls or message.tool_call_id or message.role != "user":
        raw = b"message" + codec.meaning(message)
    else:
        raw = b"text" + message.content.encode()
    return hashlib.blake2b(raw, digest_size=8).digest()
