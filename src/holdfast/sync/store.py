"""The blocking store: every method is its namesake on the async store, run on the process's loop thread."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack
from urllib.parse import quote

from holdfast import wiring
from holdfast.backends.records import Finding, Version
from holdfast.sessions.durations import Duration
from holdfast.sessions.ids import checked_tenant
from holdfast.sessions.message import Message
from holdfast.sessions.session import Session
from holdfast.sessions.settings import OptionsBesideTtl, StoreOptions, settings_from
from holdfast.sessions.store import Changes, MessagePage, SessionPage
from holdfast.sync.connection import Connection
from holdfast.sync.contract import SessionStore
from holdfast.sync.loop_thread import Caller, LoopThread
from holdfast.sync.turn import CALLER, BlockingHandler, TurnBlock, TurnOptions, on_loop
from holdfast.turns.outcome import Outcome
from holdfast.turns.store import TurnStore
from holdfast.turns.traces import TurnTrace
from holdfast.turns.turn import Handler

if TYPE_CHECKING:
    from holdfast.encryption import Encryption

T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Any])

_BATCH = 200
"""Items that one hop to the loop brings to an iterator."""


class Store(SessionStore):
    """`holdfast.Store` for blocking code: the same methods, promises and errors.

    Made without touching the network or a file; it connects on first use (or by `open`, or by entering ``with``). May be used
    from many threads, and by each process after a fork.
    """

    def __init__(self, url: str, *, encryption: Encryption | None = None, **options: Unpack[StoreOptions]) -> None:
        wiring.open_store(url, **options)  # a wrong URL or option is an error now, not at the first call
        settings = settings_from(options)
        self._connection = Connection(url, settings, encryption)
        self._tenant = settings.tenant

    def for_tenant(self, tenant: str) -> Self:
        """The same store, for another tenant's sessions; closing either closes both."""
        other = object.__new__(type(self))
        other._connection = self._connection
        other._tenant = checked_tenant(tenant)
        return other

    def open(self) -> Self:
        """Connects now. Raises `ConfigError`, `MissingExtra` and `StoreUnavailable` as `holdfast.open_store` does."""
        self._run(lambda store: store.exists("-"))
        return self

    def __enter__(self) -> Self:
        return self.open()

    def close(self) -> None:
        """Closes this process's connection; in a forked child the parent's is left alone. Safe to call twice."""
        self._connection.close(lambda life: Caller(life.home).run(life.close))

    # --- the everyday verbs ---

    def get(self, session_id: str, *, user: str = "") -> dict[str, Any]:
        """The session's state as a plain dict; ``{}`` where there is none."""
        return self._run(lambda store: store.get(session_id, user=user))

    def set(self, session_id: str, data: Mapping[str, Any], ttl: Duration | None = None, *, user: str = "") -> Version:
        """Makes the state exactly ``data`` (created if need be); messages stay. ``ttl`` replaces the session's own."""
        return self._run(lambda store: store.set(session_id, data, ttl=ttl, user=user))

    def delete(self, session_id: str) -> bool:
        """Ends the session with all that belongs to it; True if it was there."""
        return self._run(lambda store: store.delete(session_id))

    def exists(self, session_id: str) -> bool:
        """Is there such a session, not expired?"""
        return self._run(lambda store: store.exists(session_id))

    def touch(self, session_id: str, ttl: Duration | None = None) -> bool:
        """Moves the expiry as a commit would (with a new ``ttl`` if given); False where there is no session."""
        return self._run(lambda store: store.touch(session_id, ttl))

    def create(
        self,
        session_id: str | None = None,
        state: Mapping[str, Any] | None = None,
        *,
        user: str = "",
        ttl: Duration | None = None,
    ) -> Session:
        """A new session, with an id that cannot be guessed unless one is given. Raises `SessionExists`."""
        return self._run(lambda store: store.create(session_id, state, user=user, ttl=ttl))

    # --- snapshots and updates ---

    def load(
        self, session_id: str, *, tail: int | None = None, user: str = "", allow_stale: bool = False
    ) -> Session | None:
        """One atomic snapshot with the last ``tail`` messages; None where there is none. ``allow_stale`` as in
        `holdfast.Store.load`."""
        return self._run(lambda store: store.load(session_id, tail=tail, user=user, allow_stale=allow_stale))

    def save(self, session: Session, *, append: Iterable[Message] = (), strict: bool = False) -> Version:
        """Commits what was changed in a loaded session. Raises `TurnConflict`, `SessionNotFound`."""
        return self._run(lambda store: store.save(session, append=append, strict=strict))

    def update(
        self,
        session_id: str,
        changes: Changes,
        *,
        remove: Iterable[str] = (),
        append: Iterable[Message] = (),
        user: str = "",
        ttl: Duration | None = None,
        create: bool = True,
        strict: bool = False,
    ) -> Version:
        """Changes single keys, and appends messages, outside a turn; see `holdfast.Store.update`.

        A function given as ``changes`` runs on the loop's thread: keep it short, and call no blocking store in it.
        """
        return self._run(
            lambda store: store.update(
                session_id, changes, remove=remove, append=append, user=user, ttl=ttl, create=create, strict=strict
            )
        )

    # --- turns ---

    def handler(self, name: str) -> Callable[[H], H]:
        """Decorator: registers a handler, blocking or async, by name."""

        def register(function: H) -> H:
            known = self._connection.handlers.get(name)
            if known is None or known[0] is not function:
                runner = on_loop(function, self._home)
                self._run(lambda store: _registered(store, name, runner))
                self._connection.handlers[name] = (function, runner)
            return function

        return register

    def run_turn(
        self, session_id: str, handler: str | BlockingHandler | Handler, **options: Unpack[TurnOptions]
    ) -> Outcome:
        """Runs one turn exactly once; see `holdfast.Store.run_turn` for options and errors.

        A plain ``handler`` gets a blocking `Turn` and runs in this thread, so that thread-locals and database sessions work;
        an async one gets a `holdfast.Turn` and runs on the loop.
        """
        return self._with_handler(handler, lambda store, runner: store.run_turn(session_id, runner, **options))

    def join_turn(
        self,
        session_id: str,
        turn_id: str,
        handler: str | BlockingHandler | Handler,
        *,
        wait: Duration | None = None,
    ) -> Outcome:
        """The outcome of a turn that was accepted before; see `holdfast.Store.join_turn`."""
        return self._with_handler(
            handler, lambda store, runner: store.join_turn(session_id, turn_id, runner, wait=wait)
        )

    def cancel_turn(
        self, session_id: str, turn_id: str, handler: str | BlockingHandler | Handler, *, wait: Duration = 5
    ) -> Outcome:
        """Has a turn end with what it has said until now; see `holdfast.Store.cancel_turn`. A plain handler that is cancelled runs
        to its end in its thread, and what it does is dropped."""
        return self._with_handler(
            handler, lambda store, runner: store.cancel_turn(session_id, turn_id, runner, wait=wait)
        )

    def signal(self, session_id: str, name: str, value: Any = None, *, turn_id: str = "") -> str:
        """Tells a turn what it waits for, and returns its id; see `holdfast.Store.signal`."""
        return self._run(lambda store: store.signal(session_id, name, value, turn_id=turn_id))

    def read_trace(self, session_id: str, turn_id: str) -> TurnTrace | None:
        """What the attempts of a turn noted; see `holdfast.Store.read_trace`."""
        return self._run(lambda store: store.read_trace(session_id, turn_id))

    def turn(self, session_id: str, **options: Unpack[TurnOptions]) -> TurnBlock:
        """The short form for scripts: ``with store.turn("s-1", input="hello") as turn:``. It commits at the end.

        An exception in the body gives the turn back and writes nothing. Errors as in `holdfast.Store.turn`.
        """
        return TurnBlock(self._home(), lambda: self._connection.store(self._tenant).turn(session_id, **options))

    # --- the log, listings ---

    def read_log(self, session_id: str, *, start: int | None = None, limit: int = 100) -> MessagePage:
        """Messages from position ``start`` on (0 is the oldest; None: the last ``limit``). Raises `SessionNotFound`."""
        return self._run(lambda store: store.read_log(session_id, start=start, limit=limit))

    def messages(self, session_id: str, *, start: int = 0, page: int = _BATCH) -> Iterator[Message]:
        """All messages from position ``start``, oldest first, read by page: constant memory."""
        return self._iterate(lambda store: store.messages(session_id, start=start, page=page), page)

    def scan(self) -> Iterator[str]:
        """Ids of the tenant's sessions, in no order; one that lives all the while comes at least once."""
        return self._iterate(lambda store: store.scan(), _BATCH)

    def by_user(self, user: str, *, cursor: str = "", limit: int = 50) -> SessionPage:
        """A page of a user's own sessions, newest first."""
        return self._run(lambda store: store.by_user(user, cursor=cursor, limit=limit))

    def check(self) -> list[Finding]:
        """What the store is and what it can promise; see `holdfast store check`."""
        return self._run(lambda store: store.check())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({wiring.shown_url(self._connection.url)!r})"

    # --- inside ---

    def _home(self) -> LoopThread:
        return self._connection.home

    def _run(self, use: Callable[[TurnStore], Awaitable[T]]) -> T:
        async def work() -> T:
            return await use(self._connection.store(self._tenant))

        return Caller(self._home()).run(work)

    def _with_handler(
        self,
        handler: str | BlockingHandler | Handler,
        use: Callable[[TurnStore, str | Handler], Awaitable[Outcome]],
    ) -> Outcome:
        runner = self._runner(handler)
        caller = Caller(self._home())

        async def work() -> Outcome:
            CALLER.set(caller)
            return await use(self._connection.store(self._tenant), runner)

        return caller.run(work)

    def _iterate(self, make: Callable[[TurnStore], AsyncIterator[T]], batch: int) -> Iterator[T]:
        source: AsyncIterator[T] | None = None

        async def more(store: TurnStore) -> list[T]:
            nonlocal source
            source = source or make(store)
            found: list[T] = []
            async for item in source:
                found.append(item)
                if len(found) >= batch:
                    break
            return found

        while items := self._run(more):
            yield from items

    def _runner(self, handler: str | BlockingHandler | Handler) -> str | Handler:
        if isinstance(handler, str):
            return handler
        for name, (function, _) in self._connection.handlers.items():
            if function is handler:
                return name
        return on_loop(handler, self._home)


async def _registered(store: TurnStore, name: str, runner: Handler) -> None:
    store.handlers.register(name, runner)


class InMemorySessionStore(Store):
    """Sessions in this process's memory, for tests and single processes: every promise but survival.

    It belongs to the process that made it: in a forked child every call raises `ConfigError`, because the child's sessions
    would silently differ from the parent's. Make it after the fork, or use a store that processes share.

    Args:
        ttl: seconds, or text like "2h", after its last write at which a session expires; None is never.
        options: as of `holdfast.open_store`.
    """

    def __init__(self, ttl: Duration | None = None, **options: Unpack[OptionsBesideTtl]) -> None:
        super().__init__("memory:", **_with_ttl(options, ttl))


class RedisSessionStore(Store):
    """Sessions in a Redis server (6.2 or newer), for many processes and machines.

    Args:
        redis_url: ``redis://user:password@host:6379/0``.
        ttl: seconds, or text like "2h", after its last write at which a session expires; None is never.
        options: as of `holdfast.open_store`.
    """

    def __init__(
        self,
        redis_url: str = "redis://localhost:6379/0",
        ttl: Duration | None = 3600,
        **options: Unpack[OptionsBesideTtl],
    ) -> None:
        super().__init__(redis_url, **_with_ttl(options, ttl))


class SqliteSessionStore(Store):
    """Sessions in one SQLite file, for the processes of one machine.

    Args:
        path: the file, made if it is not there; ":memory:" for one that belongs to this process.
        ttl: seconds, or text like "2h", after its last write at which a session expires; None is never.
        synchronous: "full" has every commit on the disk before it is acknowledged; with "normal" a power cut may take
            back the last ones (a killed process never does).
        options: as of `holdfast.open_store`.
    """

    def __init__(
        self,
        path: str | Path,
        ttl: Duration | None = None,
        *,
        synchronous: Literal["full", "normal"] = "full",
        **options: Unpack[OptionsBesideTtl],
    ) -> None:
        place = ":memory:" if str(path) == ":memory:" else "///" + quote(os.path.abspath(path))  # noqa: PTH100 -- no disk access
        super().__init__(f"sqlite:{place}?synchronous={synchronous}", **_with_ttl(options, ttl))


def open_store(url: str, *, encryption: Encryption | None = None, **options: Unpack[StoreOptions]) -> Store:
    """The blocking store behind a URL; URLs and options as of `holdfast.open_store`.

    It connects on first use, or at once where it is entered: ``with open_store(url) as store``. Raises `UnknownScheme` and
    `ConfigError` here; what the server says comes with the first use.
    """
    return Store(url, encryption=encryption, **options)


def _with_ttl(options: OptionsBesideTtl, ttl: Duration | None) -> StoreOptions:
    return {**options, "ttl": ttl}
