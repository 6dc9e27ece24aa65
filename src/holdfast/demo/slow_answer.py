"""A stage of our own, named in the demo's config: it takes its time, so that a node can be killed while it answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from holdfast.assistant.answering import WrittenAnswer
from holdfast.assistant.building import Parts
from holdfast.assistant.contract import Answer, Finding, Understanding
from holdfast.assistant.speaker import Speaker
from holdfast.turns.turn import Turn


class SlowAnswer:
    """The built-in answer, ``seconds`` later; it announces itself with the event ``status: writing``."""

    def __init__(self, inner: Answer, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
        turn.emit("status", stage="writing")
        await asyncio.sleep(self._seconds)
        await self._inner.answer(turn, understood, findings, speaker)


def slow_answer(parts: Parts) -> SlowAnswer:
    inner = WrittenAnswer(parts.config.tasks, parts.texts, parts.masker, None)
    return SlowAnswer(inner, float(os.environ.get("HOLDFAST_DEMO_PACE", "0.6")))
