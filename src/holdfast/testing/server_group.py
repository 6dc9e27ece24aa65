"""Several servers that start together, and waiting for what they agree on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from holdfast.testing.server_process import RedisProcess

_POLL_S: Final = 0.02


def start_all(servers: Iterable[RedisProcess]) -> None:
    """Starts them at the same time; returns when all answer."""
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(server._start) for server in servers]:
            started.result()


def close_all(servers: Iterable[RedisProcess]) -> None:
    """Kills them and removes their folders."""
    for server in servers:
        server._close()


def wait_until(trouble: Callable[[], str], within: float) -> None:
    """Polls until there is no trouble ('').

    Raises:
        TimeoutError: there still is some after ``within`` seconds; the message is the last one.
    """
    ends = time.monotonic() + within
    while why := trouble():
        if time.monotonic() > ends:
            raise TimeoutError(f"not within {within:g} s: {why}")
        time.sleep(_POLL_S)
