"""Durations as people write them: ``"2h"``, ``90``, ``timedelta(minutes=5)``."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

from holdfast.errors import ConfigError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TEXT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*")
_LONGEST_MS: Final = 2**45
"""Some 1 100 years; keeps every sum of times within exact floating point."""

Duration = str | float | timedelta


def milliseconds(name: str, value: Duration | None) -> int:
    """Whole milliseconds of a duration (a plain number counts seconds); None is 0, "without limit".

    Raises `ConfigError` where it is not a duration, not positive, or shorter than a millisecond.
    """
    if value is None:
        return 0
    seconds = _seconds(value)
    if seconds is None:
        raise ConfigError(f'{name}={value!r} is not a duration; write seconds, or text like "90s", "2h", "7d"')
    if not math.isfinite(seconds) or not 0.001 <= seconds <= _LONGEST_MS / 1000:
        raise ConfigError(f"{name}={value!r} is out of range: at least 1 ms; None means without limit")
    return round(seconds * 1000)


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        return float(match[1]) * _UNITS[match[2] or "s"]
    return None
