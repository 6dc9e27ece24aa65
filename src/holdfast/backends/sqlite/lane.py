"""A thread that owns one connection, and the way of calls into it and of their results back to their event loops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

from holdfast.backends.sqlite.rows import Rows
from holdfast.errors import HoldfastError, OutcomeUnknown, StoreClosed, StoreTimeout, StoreUnavailable

T = TypeVar("T")


class Op:
    """One call: what to run, and whom to tell."""

    __slots__ = ("future", "loop", "reads", "run", "taken")

    def __init__(self, run: Callable[[Rows], Any], reads: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.run = run
        self.reads = reads
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.taken = False
        """From now on the call may have been applied."""


class Result(NamedTuple):
    """What became of a call: ``error``, or else ``value``."""

    op: Op
    value: Any
    error: BaseException | None = None


class Worker(Protocol):
    """What a lane's thread does. Every method is called in that thread."""

    def open(self) -> None:
        """Opens the connection; what it raises is `Lane.start`'s error."""
        ...

    def serve(self, waiting: list[Op]) -> None:
        """Runs these calls, and more of the lane's if it likes (`Lane.drain`), and settles them."""
        ...

    def idle(self) -> float | None:
        """Called when nothing waits; seconds until it wants to be called again, None for never."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


class Lane:
    """Hands calls from any event loop to one worker thread.

    Args:
        name: the thread's name.
        path: the file, for messages.
        timeout: seconds after which a call ends, whatever its thread is stuck in.
    """

    def __init__(self, name: str, path: str, timeout: float) -> None:
        self._name = name
        self._path = path
        self._timeout = timeout
        self._pid = os.getpid()
        self._queue: queue.SimpleQueue[Op | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.closing = False
        self.batches = 0
        self.batched = 0
        """How many batches of calls were begun, and how many calls they held."""
        self.obstacle = ""
        """Why calls are waiting, where the worker knows it."""

    async def start(self, worker: Worker) -> None:
        """Starts the thread and waits until its connection is open."""
        loop = asyncio.get_running_loop()
        ready = Op(lambda rows: None, reads=False, loop=loop)
        self._thread = threading.Thread(target=self._live, args=(worker, ready), name=self._name, daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self._timeout + 1):
                await ready.future
        except TimeoutError:
            self.closing = True
            raise StoreUnavailable(f"{self._path} could not be opened within {self._timeout} s") from None
        except asyncio.CancelledError:
            self.closing = True
            raise

    async def call(self, run: Callable[[Rows], T], *, reads: bool) -> T:
        """Runs ``run`` in the lane's thread and returns what it returned, once that is committed.

        Raises:
            StoreUnavailable: it was not begun by the deadline, and never will be.
            StoreTimeout, OutcomeUnknown: it was begun, and has not ended by the deadline.
        """
        self.must_be_open()
        loop = asyncio.get_running_loop()
        op = Op(run, reads, loop)
        with self._lock:
            if self.closing:
                raise self._closed()
            self._queue.put(op)
        timer = loop.call_later(self._timeout, self._expire, op)
        try:
            result: T = await op.future
        finally:
            timer.cancel()
        return result

    @property
    def depth(self) -> int:
        """Calls that the thread has not taken yet."""
        return self._queue.qsize()

    def must_be_open(self) -> None:
        if os.getpid() != self._pid:
            raise StoreUnavailable(
                "this store was opened before a fork, which SQLite does not survive: close it before forking, open it afterwards"
            )
        if self.closing:
            raise self._closed()

    def send(self, run: Callable[[Rows], object]) -> None:
        """Runs ``run`` some time, and tells nobody."""
        op = Op(run, reads=True, loop=asyncio.get_running_loop())
        op.future.add_done_callback(lambda future: future.cancelled() or future.exception())
        with self._lock:
            if not self.closing:
                self._queue.put(op)

    def poke(self) -> None:
        """Has the worker's `idle` called soon."""
        self._queue.put(None)

    async def close(self) -> None:
        """Ends the thread; calls that have not begun end now. Gives a stuck thread up after the lane's timeout."""
        with self._lock:
            self.closing = True
        self.fail(self._drained(), self._closed())
        self._queue.put(None)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        while self._thread is not None and self._thread.is_alive() and loop.time() < until:  # noqa: ASYNC110 -- a thread
            await asyncio.sleep(0.001)  # has no event to wait for, and may be stuck in the kernel for good

    # --- for the worker ---

    def drain(self, waiting: list[Op]) -> None:
        """Adds what has come in meanwhile."""
        waiting.extend(self._drained())

    def still_wanted(self, waiting: list[Op]) -> list[Op]:
        """Those whose callers still wait; none of them, and an end to all, once the lane is closing."""
        if self.closing:
            self.fail(waiting, self._closed())
            return []
        return [op for op in waiting if not op.future.done()]

    def take(self, waiting: list[Op]) -> list[Op]:
        """Those that still wait, now marked as begun."""
        with self._lock:
            batch = [op for op in waiting if not op.future.done()]
            for op in batch:
                op.taken = True
        self.batches += 1
        self.batched += len(batch)
        return batch

    def settle(self, results: Iterable[Result]) -> None:
        """Gives the results to their callers: one wake-up for each event loop."""
        loops: dict[asyncio.AbstractEventLoop, list[Result]] = {}
        for result in results:
            loops.setdefault(result.op.loop, []).append(result)
        for loop, part in loops.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed, and nobody waits there any more
                loop.call_soon_threadsafe(_hand_over, part)

    def fail(self, ops: Iterable[Op], error: HoldfastError) -> None:
        self.settle([Result(op, None, error) for op in ops])

    # --- inside ---

    def _live(self, worker: Worker, ready: Op) -> None:
        try:
            worker.open()
        except HoldfastError as error:
            self.settle([Result(ready, None, error)])
            return
        self.settle([Result(ready, None)])
        while not self.closing:
            patience = worker.idle()
            try:
                first = self._queue.get(timeout=patience)
            except queue.Empty:
                continue
            if first is not None:
                worker.serve([first])
        worker.close()
        self.fail(self._drained(), self._closed())

    def _drained(self) -> list[Op]:
        found: list[Op] = []
        with contextlib.suppress(queue.Empty):
            while self._queue.qsize():
                op = self._queue.get_nowait()
                if op is not None:
                    found.append(op)
        return found

    def _expire(self, op: Op) -> None:
        with self._lock:  # with `take`: either it was begun, or its caller hears that it never will be
            if not op.future.done():
                op.future.set_exception(self._too_late(op))

    def _too_late(self, op: Op) -> HoldfastError:
        if op.reads:
            return StoreTimeout(f"{self._path} gave no answer within {self._timeout} s")
        if op.taken:
            return OutcomeUnknown(f"a write to {self._path} has not ended within {self._timeout} s: resolve it")
        why = self.obstacle or "its writer is held up by the write before"
        return StoreUnavailable(f"{self._path} took no write within {self._timeout} s: {why}; nothing was written")

    def _closed(self) -> StoreUnavailable:
        return StoreClosed(f"the store on {self._path} is closed")


def _hand_over(results: list[Result]) -> None:
    for op, value, error in results:
        if op.future.done():
            continue
        if error is None:
            op.future.set_result(value)
        else:
            op.future.set_exception(error)
