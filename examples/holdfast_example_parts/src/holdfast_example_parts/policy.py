"""Office hours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from holdfast.assistant.context import Context
from holdfast.assistant.parts import Parts
from holdfast.config import Language
from holdfast.errors import ConfigError

HOURS: Final = "EXAMPLE_PARTS_HOURS"
"""The variable with the hours, like ``9-18``, in ``assistant.timezone``."""

_CLOSED: Final[Mapping[Language, str]] = {
    "zh": "现在没有人工客服，我们的服务时间是 {first} 点到 {last} 点。",
    "en": "Nobody is here just now: we are in from {first} to {last} o'clock.",
}


class OfficeHours:
    """Tells users who ask for a person outside of office hours when somebody is there."""

    def __init__(self, parts: Parts) -> None:
        given = os.environ.get(HOURS, "9-18")
        first, _, last = given.partition("-")
        if not (first.isdigit() and last.isdigit() and int(first) <= int(last) <= 24):
            raise ConfigError(f"{HOURS}={given} has to be like 9-18")
        self._first, self._last = int(first), int(last)
        self._now = parts.now

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        if "person" not in context.understood.signals:
            return False
        # another attempt of this turn may run hours later; what it decides must not depend on that: the clock is read in a step
        hour = await context.turn.step("example_office_hours", lambda: self._now().hour)
        if self._first <= hour < self._last:
            return False
        context.speaker.paragraph()
        context.speaker.say(_CLOSED[context.language].format(first=self._first, last=self._last))
        return True
