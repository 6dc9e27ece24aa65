"""Turns of blocking code: the handler runs in the thread that called, the store's work on the loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypedDict

from holdfast.backends.records import SessionKey
from holdfast.errors import ConfigError
from holdfast.sessions.durations import Duration
from holdfast.sessions.message import Citation, Message
from holdfast.sessions.session import Messages, Session
from holdfast.sessions.state import State
from holdfast.sync.loop_thread import Caller, LoopThread
from holdfast.turns import turn as async_turn
from holdfast.turns.accepting import Policy
from holdfast.turns.observing import Block
from holdfast.turns.outcome import Outcome

BlockingHandler = Callable[["Turn"], Any]
"""A plain function that runs one turn; what it returns is ignored."""


class TurnOptions(TypedDict, total=False):
    """Keyword arguments of `run_turn` and `turn`; `holdfast.Store.run_turn` says what they mean."""

    input: str | Message | None
    turn_id: str | None
    user: str
    on_busy: Policy
    wait: Duration | None
    tail: int | None
    strict: bool


class Turn:
    """`holdfast.Turn` for blocking code; only `step`, `wait_for` and `sleep` differ."""

    def __init__(self, turn: async_turn.Turn, home: LoopThread) -> None:
        self._turn = turn
        self._home = home

    @property
    def id(self) -> str:
        """The turn id."""
        return self._turn.id

    @property
    def key(self) -> SessionKey:
        """Tenant and session id."""
        return self._turn.key

    @property
    def session(self) -> Session:
        """The snapshot that the turn runs on."""
        return self._turn.session

    @property
    def input(self) -> Message | None:
        """The user's message."""
        return self._turn.input

    @property
    def text(self) -> str:
        """The text of the input."""
        return self._turn.text

    @property
    def attempt(self) -> int:
        """1, or more where an earlier attempt died or failed."""
        return self._turn.attempt

    @property
    def state(self) -> State:
        """The session's named values; what is changed here is committed with the reply."""
        return self._turn.state

    @property
    def messages(self) -> Messages:
        """The last messages before this turn, oldest first, without its input."""
        return self._turn.messages

    @property
    def outcome(self) -> Outcome | None:
        """After ``with store.turn(...)`` has ended: what was committed."""
        return self._turn.outcome

    def reply(self, content: str, *, citations: tuple[Citation, ...] = (), **metadata: Any) -> None:
        """Adds an assistant's message, to be committed at the end of the turn. Raises `UnsupportedValue`, `LimitExceeded`."""
        self._turn.reply(content, citations=citations, **metadata)

    def append(self, message: Message) -> None:
        """Adds any message (a tool's result, say) after the input, in order of the calls."""
        self._turn.append(message)

    def idempotency_key(self, name: str) -> str:
        """A key for outside services, the same on every attempt of this turn."""
        return self._turn.idempotency_key(name)

    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs ``fn`` once for this turn, in this thread (an async function on the loop), and journals its result.

        As `holdfast.Turn.step` in all else.
        """
        caller = Caller(self._home)
        return caller.run(lambda: self._turn.step(name, _in_thread_of(caller, fn), *args, **kwargs))

    def wait_for(self, name: str, *, timeout: Duration = "24h") -> Any:
        """What is signalled to this turn under ``name``; until then it is parked. As `holdfast.Turn.wait_for`."""
        return Caller(self._home).run(lambda: self._turn.wait_for(name, timeout=timeout))

    def sleep(self, name: str, duration: Duration) -> None:
        """Parks the turn for so long, or until ``name`` is signalled."""
        Caller(self._home).run(lambda: self._turn.sleep(name, duration))

    def __repr__(self) -> str:
        return repr(self._turn)


def _in_thread_of(caller: Caller, fn: Callable[..., Any]) -> Callable[..., Any]:
    if is_async(fn):
        return fn

    @functools.wraps(fn)  # `step` looks at the signature for `idempotency_key`
    async def there(*args: Any, **kwargs: Any) -> Any:
        result = await caller.here(lambda: fn(*args, **kwargs))
        return await result if inspect.isawaitable(result) else result

    return there


def is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004 -- is it async, not: is it callable


# --- run_turn: the handler runs in the caller's thread ---------------------------------------------------------------

CALLER: Final[ContextVar[Caller]] = ContextVar("holdfast_caller")
"""Set inside the work of one `run_turn`: whose thread its handler runs in."""


def on_loop(handler: Callable[..., Any], home: Callable[[], LoopThread]) -> async_turn.Handler:
    """What the async store runs for a handler: an async one as it is, a plain one in the thread of the call."""
    if is_async(handler):
        return handler

    @functools.wraps(handler)
    async def runner(turn: async_turn.Turn) -> None:
        facade = Turn(turn, home())
        result = await CALLER.get().here(lambda: handler(facade))
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise ConfigError(
                "the handler is a plain function that returned an awaitable; pass the async function itself"
            )

    return runner


# --- turn(): the body runs in the caller's thread --------------------------------------------------------------------


class _BodyFailed(Exception):
    """Stands, on the loop, for whatever the body of the ``with`` raised."""


class TurnBlock:
    """What `Store.turn` returns; entered once. Its work stays one task on the loop from the entry to the commit."""

    def __init__(self, home: LoopThread, context: Callable[[], Block]) -> None:
        self._home = home
        self._context = context
        self._left: asyncio.Future[None] | None = None
        self._ended: asyncio.Task[None] | None = None

    def __enter__(self) -> Turn:
        try:
            return Turn(Caller(self._home).run(self._enter), self._home)
        except BaseException:
            self._home.loop().call_soon_threadsafe(self._give_back)  # interrupted when it was entered already
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            Caller(self._home).run(lambda: self._leave(failed=error is not None))
        except _BodyFailed:
            pass  # the body's own error goes on
        except Exception as other:
            if error is None:
                raise
            error.add_note(f"(and the turn ended with {type(other).__name__}: {other})")

    async def _enter(self) -> async_turn.Turn:
        loop = asyncio.get_running_loop()
        entered: asyncio.Future[async_turn.Turn] = loop.create_future()
        self._left = loop.create_future()
        self._ended = loop.create_task(self._live(entered, self._left))
        self._ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            await asyncio.wait((entered, self._ended), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._ended.cancel()
            await asyncio.gather(self._ended, return_exceptions=True)
            raise
        if not entered.done():
            await self._ended  # raises why it was not entered
        return entered.result()

    async def _leave(self, *, failed: bool) -> None:
        assert self._left is not None
        assert self._ended is not None
        if failed:
            self._give_back()
        elif not self._left.done():
            self._left.set_result(None)
        await self._ended

    def _give_back(self) -> None:
        if self._left is not None and not self._left.done():
            self._left.set_exception(_BodyFailed())

    async def _live(self, entered: asyncio.Future[async_turn.Turn], left: asyncio.Future[None]) -> None:
        async with self._context() as turn:
            entered.set_result(turn)
            await left
