"""What the log says of an error: its class and place, never its text, which may hold what a user said."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path

from holdfast.errors import ConfigError, KnowledgeError, StoreError


def log_fault(log: logging.Logger, what: str, error: BaseException) -> None:
    """One line: what happened, the error's class, and where it was raised. Only the store's and the index's errors are told
    in their own words: they hold no input."""
    named = [_named(error)]
    cause = error.__cause__ or error.__context__
    if cause is not None:
        named.append(_named(cause))
    log.error("%s: %s", what, ", from ".join(named))


class Seldom:
    """Logs a trouble that many requests meet at once, once in a while.

    Args:
        every: seconds between two lines of one class of error.
    """

    def __init__(self, log: logging.Logger, every: float) -> None:
        self._log = log
        self._every = every
        self._last: dict[type[BaseException], float] = {}

    def fault(self, what: str, error: BaseException) -> None:
        """`log_fault`, unless an error of this class was logged a short while ago."""
        now = time.monotonic()
        if now - self._last.get(type(error), -self._every) >= self._every:
            self._last[type(error)] = now
            log_fault(self._log, what, error)


def _named(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    place = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    text = f" ({error})" if isinstance(error, StoreError | KnowledgeError | ConfigError) else ""
    return f"{type(error).__module__}.{type(error).__qualname__}{text} at {place or 'unknown place'}"
