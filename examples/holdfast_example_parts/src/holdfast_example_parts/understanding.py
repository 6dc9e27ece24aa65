"""Flows by their titles."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from holdfast.assistant.contract import Understanding
from holdfast.assistant.parts import Parts
from holdfast.config import Language
from holdfast.turns.turn import Turn

_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")


class Titles:
    """A flow's title in the user's words starts the flow."""

    def __init__(self, parts: Parts) -> None:
        self._titles = [
            (title.lower(), program.name) for program in parts.flows.startable for title in program.flow.title.values()
        ]

    async def understand(self, turn: Turn, before: Understanding | None) -> Understanding:
        """See `Understand.understand`. What the parts before it have found stays; it only adds."""
        if before is None:
            language: Language = "zh" if _CHINESE.search(turn.text) else "en"
            before = Understanding(turn.text, language)
        if before.flow:
            return before
        low = before.text.lower()
        found = next((flow for title, flow in self._titles if title in low), "")
        return msgspec.structs.replace(before, flow=found)
