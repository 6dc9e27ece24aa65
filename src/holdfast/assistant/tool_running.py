"""A user's function is called, and given up when its time is over."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from holdfast.errors import ToolError

MOST_THREADS: Final = 64
"""Plain functions that run at once in one process, those that were given up too: a tool that hangs takes no more than that."""

_threads = threading.BoundedSemaphore(MOST_THREADS)


async def run(function: Callable[..., Any], arguments: Mapping[str, Any], timeout: float) -> Any:
    """The function's result. Raises `TimeoutError`, or whatever it raises.

    A plain function runs in a thread of its own, so that it may block; one that overruns its time is left behind there, and its
    result is dropped. An async function is cancelled; one that will not be cancelled is left behind too.
    """
    work = asyncio.ensure_future(_called(function, arguments))
    try:
        done, _ = await asyncio.wait([work], timeout=timeout)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if not done:
        work.cancel()
        work.add_done_callback(_looked_at)
        raise TimeoutError
    if work.cancelled():
        raise RuntimeError("it was cancelled from inside")
    return work.result()


async def _called(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        result = await _in_thread(function, arguments)
        return await result if inspect.isawaitable(result) else result
    except SystemExit as error:
        raise _harmless(error) from error


def _in_thread(function: Callable[..., Any], arguments: Mapping[str, Any]) -> asyncio.Future[Any]:
    """A daemon thread for each call: neither a server that stops nor anybody else's work in a pool waits for one that hangs."""
    if not _threads.acquire(blocking=False):
        raise ToolError(f"{MOST_THREADS} tools run at once already", "timeout")
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def tell(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function, **arguments)
        except BaseException as raised:  # noqa: BLE001  (told to whoever waits)
            error = _harmless(raised)
        finally:
            _threads.release()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, name=f"tool-{getattr(function, '__name__', '')}", daemon=True).start()
    return future


def _harmless(error: BaseException) -> BaseException:
    """The error, but for those that would end the event loop, or mean something else in it."""
    return error if isinstance(error, Exception) and not isinstance(error, StopIteration) else RuntimeError(repr(error))


def _looked_at(work: asyncio.Future[Any]) -> None:
    if not work.cancelled():
        work.exception()
