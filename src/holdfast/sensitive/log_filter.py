"""Logs without sensitive values."""

from __future__ import annotations

import logging
from collections.abc import Collection

from holdfast.sensitive.finding import detector_of

_ROOT = "holdfast"


class MaskingFilter(logging.Filter):
    """Masks what is found in the messages and tracebacks of Holdfast's own loggers: ``handler.addFilter(MaskingFilter())``.

    It belongs on handlers: a filter on a logger does not see what its children log.

    Args:
        looked_for: kinds; without it, all.
        loggers: whose records; also those of their children.
    """

    def __init__(self, looked_for: Collection[str] | None = None, loggers: Collection[str] = (_ROOT,)) -> None:
        super().__init__()
        self._detector = detector_of(looked_for)
        self._loggers = tuple(loggers)

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: the record is changed, not dropped."""
        if any(record.name == name or record.name.startswith(f"{name}.") for name in self._loggers):
            message = record.getMessage()
            shown = self._detector.mask(message)
            if shown is not message:
                record.msg, record.args = shown, ()
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            if record.exc_text:
                record.exc_text = self._detector.mask(record.exc_text)
        return True
