"""Trying a step again, before its turn fails."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import msgspec


class Retry(msgspec.Struct, frozen=True):
    """When a step is tried again.

    Attributes:
        times: how often, after the first try.
        on: after which errors.
        first, longest: seconds of the first pause, and of the longest; each is twice the one before, give or take.
    """

    times: int = 3
    on: type[Exception] | tuple[type[Exception], ...] = Exception
    first: float = 0.1
    longest: float = 5.0

    @classmethod
    def of(cls, retry: Retry | int) -> Retry:
        """Itself, or so many times."""
        return retry if isinstance(retry, Retry) else cls(retry)


async def tried(call: Callable[[], Any], retry: Retry, timeout: float | None) -> Any:
    """What ``call`` returns, awaited for at most ``timeout`` seconds a try. Raises what the last try raised."""
    if retry.times <= 0:
        return await _once(call, timeout)
    import stamina  # not needed by turns that try once

    async for attempt in stamina.retry_context(
        on=retry.on,
        attempts=retry.times + 1,
        timeout=None,
        wait_initial=retry.first,
        wait_max=retry.longest,
        wait_jitter=retry.first,
    ):
        with attempt:
            result = await _once(call, timeout)
    return result


async def _once(call: Callable[[], Any], timeout: float | None) -> Any:
    result = call()
    if not inspect.isawaitable(result):
        return result
    async with asyncio.timeout(timeout):
        return await result
