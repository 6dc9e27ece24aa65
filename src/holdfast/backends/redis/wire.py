"""One connection to Redis: calls of many callers sent together, replies handed out in order.

A reply is read and dropped where its caller was cancelled, so no caller can ever see another's. One timer watches the
deadlines; when the oldest call passes its own the connection is given up with all that is under way on it, because replies
come in order and nothing behind it can be known either.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

import hiredis

from holdfast.errors import OutcomeUnknown, StoreError, StoreTimeout, StoreUnavailable

Arg = str | bytes | int
"""What a command is made of."""

ReplyError: Final = hiredis.ReplyError
"""The class of a reply that is an error; a reply is handed out as it is, errors too."""

_pack = hiredis.pack_command

# What waits for a reply: its future (None: a reply that is only looked at for errors), its deadline by the loop's clock,
# whether it writes, and where the errors of a transaction's parts are kept (None outside a transaction).
_Waiting = tuple[asyncio.Future[Any] | None, float, bool, list[Any] | None]


class Traffic:
    """Counts over all connections to one server: bytes and commands answered, connections made."""

    __slots__ = ("answered", "connects", "received", "sent")

    def __init__(self) -> None:
        self.sent = self.received = self.answered = self.connects = 0


class Wire(asyncio.Protocol):
    """Takes over a connected transport. Not used any more once `closed` is set.

    Args:
        where: the server's address, for messages.
        keep: objects that must live as long as the connection.
        on_silence: called when a deadline passed without any answer.
        traffic: counts what goes over it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        where: str,
        keep: object = None,
        on_silence: Callable[[], None] | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self._loop = loop
        self._where = where
        self._keep = keep
        self._on_silence = on_silence
        self._traffic = traffic or Traffic()
        self._reader = hiredis.Reader()
        self.waiting: deque[_Waiting] = deque()
        self._buffer: list[bytes] = []
        self._unsent = 0
        self._flush_due = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._transport: asyncio.Transport | None = None
        self.closed = False

    def take_over(self, transport: asyncio.Transport, already_read: bytes = b"") -> None:
        """Becomes the transport's protocol; ``already_read`` is what its former reader had not handed out."""
        self._transport = transport
        transport.set_protocol(self)
        transport.resume_reading()
        if already_read:
            self.data_received(already_read)

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def oldest(self) -> object | None:
        """What has waited longest for a reply: the same object for as long as no reply comes."""
        return self.waiting[0] if self.waiting else None

    # --- sending ---

    def send(self, args: Sequence[Arg], deadline: float, write: bool) -> asyncio.Future[Any]:
        """Queues one command; the future gets its reply, or a `StoreError` where none came."""
        future: asyncio.Future[Any] = Future(loop=self._loop)
        self._buffer.append(_pack(args))  # type: ignore[arg-type]  # hiredis names tuple, and takes any tuple of these
        self.waiting.append((future, deadline, write, None))
        self._unsent += 1
        if not self._flush_due or deadline < self._due:
            self._schedule(deadline)
        return future

    def send_atomic(self, commands: Sequence[Sequence[Arg]], deadline: float) -> asyncio.Future[Any]:
        """Queues commands that only read as one transaction; the future gets the list of their replies, or an error."""
        future: asyncio.Future[Any] = self._loop.create_future()
        errors: list[Any] = []
        skip: _Waiting = (None, deadline, False, errors)
        packed = [b"*1\r\n$5\r\nMULTI\r\n"]
        packed += [_pack(args) for args in commands]  # type: ignore[arg-type]  # as above
        packed.append(b"*1\r\n$4\r\nEXEC\r\n")
        self._buffer.append(b"".join(packed))
        self.waiting.extend([skip] * (len(commands) + 1))
        self.waiting.append((future, deadline, False, errors))
        self._unsent += len(commands) + 2
        if not self._flush_due or deadline < self._due:
            self._schedule(deadline)
        return future

    def _schedule(self, deadline: float) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        if deadline < self._due:
            self._watch(deadline)

    def _watch(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = deadline
        self._timer = self._loop.call_at(deadline, self._look_for_late)

    def _flush(self) -> None:
        self._flush_due = False
        if self._paused or not self._buffer or self._transport is None:
            return
        data = self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)
        self._buffer.clear()
        self._unsent = 0
        self._traffic.sent += len(data)
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    # --- receiving ---

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self.waiting
        self._traffic.received += len(data)
        before = len(waiting)
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                future, _, _, errors = waiting.popleft()
                if errors is not None:
                    if future is None:
                        if reply.__class__ is ReplyError:
                            errors.append(reply)
                        continue
                    if errors:
                        reply = errors[0]
                if future is not None and not future.done():
                    future.set_result(reply)
            self._traffic.answered += before - len(waiting)
        except (hiredis.ProtocolError, IndexError) as error:
            self.give_up(f"sent something that is not a reply ({type(error).__name__})")

    def connection_lost(self, exc: Exception | None) -> None:
        self.give_up("closed the connection" if exc is None else f"was lost ({type(exc).__name__}: {exc})")

    def eof_received(self) -> bool:
        return False

    # --- the end ---

    def _look_for_late(self) -> None:
        self._timer, self._due = None, inf
        if not self.waiting:
            return
        now = self._loop.time()
        if self.waiting[0][1] <= now:
            if self._on_silence is not None:
                self._on_silence()
            self.give_up("did not answer by the deadline", late=True)
            return
        # A call behind the oldest may have less time left than that one: it ends alone, and its reply is dropped.
        sent = len(self.waiting) - self._unsent
        soonest = inf
        for position, (future, deadline, write, _) in enumerate(self.waiting):
            if future is None or future.done():
                continue
            if deadline <= now:
                future.set_exception(self._ending("did not answer by the deadline", position < sent, write, True))
            elif deadline < soonest:
                soonest = deadline
        self._watch(min(soonest, self.waiting[0][1]))

    def give_up(self, why: str, *, late: bool = False) -> None:
        """Closes the connection; every call that waits on it ends now."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._due = None, inf
        if self._transport is not None:
            self._transport.abort()
        sent = len(self.waiting) - self._unsent
        self._buffer.clear()
        for position, (future, _, write, _) in enumerate(self.waiting):
            if future is not None and not future.done():
                future.set_exception(self._ending(why, position < sent, write, late))
        self.waiting.clear()
        self._unsent = 0

    def _ending(self, why: str, sent: bool, write: bool, late: bool) -> StoreError:
        who = f"Redis at {self._where} {why}"
        if not sent:
            return StoreUnavailable(f"{who}; this call was not sent")
        if write:
            return OutcomeUnknown(f"{who}; this write was sent and may have been applied: resolve it")
        if late:
            return StoreTimeout(f"{who}; this read is safe to repeat")
        return StoreUnavailable(f"{who}; this read is safe to repeat")
