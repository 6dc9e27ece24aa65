"""The turn as its handler sees it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from holdfast.backends.records import SessionKey
from holdfast.errors import ConfigError, SignalTimeout, StepMisuse, TurnError
from holdfast.sessions.codec import Codec
from holdfast.sessions.durations import Duration, milliseconds
from holdfast.sessions.ids import checked_text
from holdfast.sessions.message import Citation, Message, MessageCodec
from holdfast.sessions.session import Messages, Session
from holdfast.sessions.state import State
from holdfast.sessions.store import SessionStore
from holdfast.turns import marks
from holdfast.turns.events import Emit
from holdfast.turns.outcome import Outcome
from holdfast.turns.retry import Retry, tried
from holdfast.turns.traces import Traced

Record = Callable[[str, bytes], Awaitable[None]]
"""Writes one step to the journal. Raises `TurnOvertaken`, `OutcomeUnknown`, ..."""

Park = Callable[[str, int], Awaitable[bytes | None]]
"""Parks the turn for a signal's journal name, so many milliseconds; bytes: it has come already."""

Handler = Callable[["Turn"], Any]
"""An async (or plain) function that runs one turn; what it returns is ignored."""


def _no_clock() -> int:
    raise TurnError("this turn has no clock")


class Parking(BaseException):
    """Leaves the handler of a turn that was parked just now. Not to be caught: another run of the handler goes on from there."""

    def __init__(self, name: str, left_ms: int) -> None:
        super().__init__(f"parked until {name!r} is signalled")
        self.name = name
        self.left_ms = left_ms


class Turn:
    """One user input on its way to a reply. Nothing of it is visible to others before its commit.

    Attributes:
        id: the turn id. key: tenant and session id. session: the snapshot that the turn runs on.
        input: the user's message. attempt: 1, or more where an earlier attempt died or failed.
    """

    outcome: Outcome | None = None
    """After ``async with store.turn(...)`` has ended: what was committed."""

    on_replayed_step: Callable[[], None] | None = None
    """Told of every step whose result came from the journal."""

    parking: Parking | None = None
    """What the handler left with, or should have."""

    trace: Traced | None = None
    """What this attempt notes while it runs, if anybody wants that: set by the handler, kept by the store when the attempt ends."""

    def __init__(
        self,
        key: SessionKey,
        turn_id: str,
        session: Session,
        input: Message | None,
        *,
        attempt: int,
        codec: Codec,
        message_codec: MessageCodec,
        journal: Mapping[str, bytes],
        record: Record,
        emit: Emit | None = None,
        park: Park | None = None,
        now_ms: Callable[[], int] = _no_clock,
        beside: Callable[[str], SessionStore] | None = None,
    ) -> None:
        self.key = key
        self.id = turn_id
        self.session = session
        self.input = input
        self.attempt = attempt
        self.entries: list[bytes] = []
        self._codec = codec
        self._message_codec = message_codec
        self._journal = journal
        self._record = record
        self._names: set[str] = set()
        self._emit = emit
        self._park = park
        self._now_ms = now_ms
        self._beside = beside

    @property
    def state(self) -> State:
        """The session's named values; what is changed here is committed with the reply."""
        return self.session.state

    @property
    def messages(self) -> Messages:
        """The last messages before this turn, oldest first, without its input."""
        return self.session.messages

    @property
    def text(self) -> str:
        """The text of the input."""
        return self.input.content if self.input is not None else ""

    def reply(self, content: str, *, citations: tuple[Citation, ...] = (), **metadata: Any) -> None:
        """Adds an assistant's message, to be committed at the end of the turn. Raises `UnsupportedValue`, `LimitExceeded`."""
        self.append(Message("assistant", content, citations=citations, metadata=metadata))

    def append(self, message: Message) -> None:
        """Adds any message (a tool's result, say) after the input, in order of the calls."""
        follows = self.input is not None or bool(self.entries)
        self.entries.append(self._message_codec.encode(message, self.id, follows=follows))

    def emit(self, kind: str, **data: Any) -> None:
        """Tells whoever follows this turn what is happening (a token, a status). Events are not kept with the session, and a
        later attempt emits its own; only what is committed counts."""
        if self._emit is not None:
            self._emit(kind, data)

    async def step(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        retry: Retry | int = 0,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Any:
        """Runs ``fn`` once for this turn and journals its result before going on.

        A later attempt of the turn gets the recorded result and does not call ``fn``. What ``fn`` does outside can still
        happen twice: when the node dies after the effect and before the record. If ``fn`` has a parameter named
        ``idempotency_key``, it gets `idempotency_key(name)`, the same on every attempt and every try, to pass on.

        Args:
            retry: how often ``fn`` is called again, with growing pauses, where it raises; a `Retry` says after which errors.
            timeout: for each try of an async ``fn``; a plain function runs to its end.

        The result has to be of the codec's types; it is returned as it will be read back (tuples as lists).
        Raises `StepMisuse` where two steps have one name or a result cannot be stored, `TurnOvertaken` where another
        holder has the turn, `TimeoutError`; whatever ``fn`` raises at last passes through, and nothing is recorded.
        """
        self._take_name(name)
        recorded = self._journal.get(name)
        if recorded is not None:
            if self.on_replayed_step is not None:
                self.on_replayed_step()
            return self._codec.decode(recorded)
        if "idempotency_key" not in kwargs and _takes_key(fn):
            kwargs["idempotency_key"] = self.idempotency_key(name)
        seconds = None if timeout is None else milliseconds("timeout", timeout) / 1000
        result = await tried(lambda: fn(*args, **kwargs), Retry.of(retry), seconds)
        try:
            value = self._codec.encode(result, f"the result of step {name!r}")
        except ValueError as error:
            raise StepMisuse(str(error)) from error
        await self._record(name, value)
        return self._codec.decode(value)

    async def wait_for(self, name: str, *, timeout: Duration = "24h") -> Any:
        """What is signalled to this turn under ``name`` (`holdfast.Store.signal`): a person's approval, a callback.

        Until that comes the turn is parked: no node holds it, others of its session run. Then any node calls the handler again,
        which gets here by its journal; so what stands before this has to be steps, or harmless to repeat. A signal that comes
        before the turn waits for it is kept. Each name may be waited for once in a turn.

        Raises `SignalTimeout` where nothing came within ``timeout``, `StepMisuse` in ``async with store.turn()``, which nobody
        could go on with.
        """
        signal, until = marks.signal(name), marks.until(name)
        self._take_name(name, signal)
        if self._park is None:
            raise StepMisuse(f"turn {self.id!r} cannot wait for {name!r} here: only `run_turn` can be gone on with")
        value = self._journal.get(signal)
        if value is None:
            if until not in self._journal:
                if not (longest := milliseconds("timeout", timeout)):
                    raise ConfigError(f"turn {self.id!r} cannot wait for {name!r} without a limit; say for how long")
                ends = self._now_ms() + longest
                await self._record(until, self._codec.encode(ends))
            left = self._codec.decode(self._journal[until]) - self._now_ms()
            value = marks.TIME_IS_UP
            if left <= 0:
                await self._record(signal, value)
            elif (value := await self._park(signal, left)) is None:
                self.parking = Parking(name, left)
                raise self.parking
        if value == marks.TIME_IS_UP:
            raise SignalTimeout(f"session {self.key.id!r}: turn {self.id!r} waited for {name!r} in vain")
        return self._codec.decode(value)

    async def sleep(self, name: str, duration: Duration) -> None:
        """Parks the turn for so long, or until ``name`` is signalled. As `wait_for` in all else."""
        with suppress(SignalTimeout):
            await self.wait_for(name, timeout=duration)

    def _take_name(self, name: str, kept: str = "") -> None:
        checked_text("step name", name)
        if name.startswith(marks.RESERVED):
            raise StepMisuse(f"a step's name cannot begin with {marks.RESERVED!r}")
        if (kept or name) in self._names:
            raise StepMisuse(f"turn {self.id!r} has two steps named {name!r}; give each its own name")
        self._names.add(kept or name)

    def beside(self, mark: str) -> SessionStore:
        """What Holdfast keeps for this tenant apart from its sessions (see `turns.tenants`). What is written there is written at
        once, not with the commit: in a step."""
        if self._beside is None:
            raise TurnError("this turn has no store")
        return self._beside(mark)

    def idempotency_key(self, name: str) -> str:
        """A key for outside services: 32 hex characters that depend on session, its incarnation, turn id and ``name`` alone."""
        parts = (self.key.tenant, self.key.id, self.session.incarnation.hex(), self.id, name)
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            raw = part.encode()
            digest.update(len(raw).to_bytes(4) + raw)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Turn({self.key.id!r}, {self.id!r}, attempt={self.attempt})"


def _takes_key(fn: Callable[..., Any]) -> bool:
    try:
        return "idempotency_key" in inspect.signature(fn).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False


class Handlers:
    """Handlers by name, so that another node can take a turn over."""

    def __init__(self) -> None:
        self._by_name: dict[str, Handler] = {}

    def register(self, name: str, handler: Handler) -> None:
        """Raises `TurnError` where the name has another handler already."""
        if self._by_name.setdefault(checked_text("handler name", name), handler) is not handler:
            raise TurnError(f"handler {name!r} is registered already, with another function")

    def knows(self, name: str) -> bool:
        """Whether a handler is registered under this name."""
        return name in self._by_name

    def find(self, handler: str | Handler) -> tuple[str, Handler]:
        """The name ("" where it has none) and the function."""
        if isinstance(handler, str):
            if handler not in self._by_name:
                known = ", ".join(sorted(self._by_name)) or "none"
                raise TurnError(f"no handler is registered as {handler!r} (registered: {known})")
            return handler, self._by_name[handler]
        for name, known_handler in self._by_name.items():
            if known_handler is handler:
                return name, handler
        return "", handler
