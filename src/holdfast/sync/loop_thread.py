"""The one event-loop thread of a process, and the way of blocking calls into it.

A fork copies the memory but not the thread. So nothing of a parent's loop is used in a child: `this_process` tells them apart,
the child starts a loop of its own, and its copies of the parent's descriptors are pointed at /dev/null, which says nothing to
any server and leaves the parent's own alone.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from holdfast.errors import ConfigError, OutcomeUnknown, StoreClosed, StoreUnavailable
from holdfast.turns.turn import Parking

T = TypeVar("T")

_CLOSING_S: Final = 10.0
"""How long the end of the interpreter waits for open stores to close."""
_LEAVING_S: Final = 2.0
"""How long an interrupted call waits for its cancelled work to end."""
_QUIET_S: Final = 10.0
"""How long a fork waits for calls to SQLite to end; each of them ends by its own, shorter deadline."""


class Process(NamedTuple):
    """One process of a tree of forks. ``forks`` tells a grandchild from an ancestor whose pid it was given again."""

    pid: int
    forks: int


class Member(Protocol):
    """What lives on the loop and has to know of its end, and of forks."""

    async def before_fork(self) -> None:
        """Lets go of what must not be open in two processes; nothing more is begun until `after_fork`."""
        ...

    def after_fork(self) -> None:
        """In the parent: go on."""
        ...

    async def close(self) -> None: ...


_forks = 0
_hooked = False
_homes: dict[Process, LoopThread] = {}


def this_process() -> Process:
    return Process(os.getpid(), _forks)


def loop_thread() -> LoopThread:
    """This process's loop thread (not started before its first use)."""
    process = this_process()
    return _homes.get(process) or _homes.setdefault(process, LoopThread(process))


class LoopThread:
    """An event loop in a daemon thread, for all blocking stores of one process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.members: set[Member] = set()
        self._lock = threading.Lock()
        self._selector: selectors.BaseSelector | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.ending = False

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises `StoreClosed` at the interpreter's end, `StoreUnavailable` in another process."""
        if self._loop is None or self.ending or self.process != this_process():
            self._start()
        assert self._loop is not None
        return self._loop

    def is_current(self) -> bool:
        return self._thread is threading.current_thread()

    def _start(self) -> None:
        if self.process != this_process():
            raise StoreUnavailable("this call was begun before a fork: its process goes on with it, this one cannot")
        with self._lock:
            if self.ending:
                raise StoreClosed("the interpreter is ending, and this process's stores are closed")
            if self._loop is not None:
                return
            _watch_forks()
            self._selector = selectors.DefaultSelector()
            self._loop = asyncio.SelectorEventLoop(self._selector)
            self._thread = threading.Thread(target=self._live, args=(self._loop,), name="holdfast-sync", daemon=True)
            self._thread.start()
            atexit.register(self._end)

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _end(self) -> None:
        with self._lock:
            self.ending = True
        loop = self._loop
        if self.process != this_process() or loop is None or self._thread is None:
            return  # a child inherits the exit handler, not the thread
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._close_all(), loop).result(_CLOSING_S)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(_LEAVING_S)

    async def _close_all(self) -> None:
        await asyncio.gather(*[member.close() for member in list(self.members)], return_exceptions=True)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()

    # --- forks ---

    def before_fork(self) -> None:
        """In the thread that forks. A fork from the loop's own thread cannot wait for it: the child's stores then refuse."""
        if self._loop is None or self.ending or self.is_current() or not self.members:
            return

        async def quiet() -> None:
            await asyncio.gather(*[member.before_fork() for member in list(self.members)])

        waiting = asyncio.run_coroutine_threadsafe(quiet(), self._loop)
        with contextlib.suppress(TimeoutError):
            waiting.result(_QUIET_S)

    def after_fork(self) -> None:
        if self._loop is None or self.ending or self.is_current():
            return

        def go_on() -> None:
            for member in list(self.members):
                member.after_fork()

        self._loop.call_soon_threadsafe(go_on)

    def disown(self) -> None:
        """In a child: its copies of the parent's sockets now lead nowhere, so that only the parent keeps them open."""
        if self._selector is None:
            return
        files: list[int] = [key.fd for key in list((self._selector.get_map() or {}).values())]
        with contextlib.suppress(AttributeError, ValueError):
            files.append(self._selector.fileno())  # type: ignore[attr-defined]  # epoll and kqueue have one
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_RDWR)
            for fd in files:
                os.dup2(nowhere, fd, inheritable=False)
            os.close(nowhere)


def _watch_forks() -> None:
    global _hooked  # forks are a process's, not a store's
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _before() -> None:
    if home := _homes.get(this_process()):
        home.before_fork()


def _after_in_parent() -> None:
    if home := _homes.get(this_process()):
        home.after_fork()


def _after_in_child() -> None:
    global _forks
    _forks += 1
    for home in list(_homes.values()):
        home.disown()


class _Job:
    __slots__ = ("future", "run")

    def __init__(self, run: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.run = run
        self.future = future


class Caller:
    """One blocking call. Its thread waits for the loop, and meanwhile runs what the work asks to have run `here`."""

    def __init__(self, home: LoopThread) -> None:
        self._home = home
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._task: asyncio.Task[Any] | None = None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs the work on the loop until it ends. An interrupt (Ctrl-C, a signal's exception) cancels the work first."""
        home = self._home
        if home.is_current():
            raise ConfigError(
                "a blocking store was called on its own event loop, which would wait for itself for ever; in an async handler use "
                "the turn that it is given, or make the handler a plain function"
            )
        loop = home.loop()
        try:
            loop.call_soon_threadsafe(self._begin, make)
            while (job := self._jobs.get()) is not None:
                self._do(job, loop)
        except BaseException:
            self._leave(loop)
            raise
        result: T = self._result()
        return result

    async def here(self, run: Callable[[], T]) -> T:
        """On the loop: has ``run`` called in the thread that waits, and returns what it returned."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(run, future))
        return await future

    def _begin(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._task = asyncio.get_running_loop().create_task(make())
        self._task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        # at the interpreter's end only daemon threads still wait here: they end where they stand, and print nothing
        if not self._home.ending:
            self._jobs.put(None)
        elif not task.cancelled():
            task.exception()  # seen

    def _do(self, job: _Job, loop: asyncio.AbstractEventLoop) -> None:
        if job.future.done():
            return  # nobody waits for it any more
        value: Any = None
        error: Exception | Parking | None = None
        try:
            value = job.run()
        except StopIteration as stopped:
            error = RuntimeError("the function raised StopIteration")
            error.__cause__ = stopped
        except (Exception, Parking) as raised:  # noqa: BLE001 -- handed to the work, which decides
            error = raised
        if self._home.process != this_process():
            raise StoreUnavailable("this process was forked inside a handler: the turn goes on in the parent, not here")
        loop.call_soon_threadsafe(_settle, job.future, value, error)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._home.process != this_process():
            return
        loop.call_soon_threadsafe(lambda: self._task is not None and self._task.cancel())
        with contextlib.suppress(queue.Empty):
            while self._jobs.get(timeout=_LEAVING_S) is not None:
                pass

    def _result(self) -> Any:
        task, self._task = self._task, None
        assert task is not None
        if task.cancelled():
            raise OutcomeUnknown("the call was cut off before it ended; repeat it (a turn: with the same turn id)")
        return task.result()


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
