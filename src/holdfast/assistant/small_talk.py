"""Greetings and thanks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.assistant.context import Context
from holdfast.config.fields import Localized

_SHORT: Final = 20
"""Characters of a "yes" or "no" that answers nothing in particular."""


class SmallTalk:
    """`Policy` for what asks for nothing. ``titles``: of what the assistant can do, told where it is greeted."""

    def __init__(self, titles: Sequence[Localized]) -> None:
        self._titles = tuple(titles)

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        signals = context.understood.signals
        if not context.understood.text:
            context.say("unclear")
        elif "question" in signals:
            return False
        elif "greet" in signals and self._titles:
            context.say("greeting", tasks=list(self._titles))
        elif "greet" in signals:
            context.say("greeting_plain")
        elif "thanks" in signals:
            context.say("thanks")
        elif signals & {"affirm", "deny"} and len(context.understood.text) < _SHORT:
            context.say("ready")
        else:
            return False
        return True
