"""An answer stage for P14's nodes, named in their config: a recorded step, then words, one every so often.

Every effect of the step is a line in ``$P14_EFFECTS``, and every time that its record is known another one: what was run again
although it was recorded shows as an effect behind a record.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from holdfast import Turn
from holdfast.assistant.building import Parts
from holdfast.assistant.contract import Finding, Understanding
from holdfast.assistant.speaker import Speaker


def noted(*what: str) -> None:
    """One line, whole, though other processes write too."""
    with Path(os.environ["P14_EFFECTS"]).open("a") as file:
        file.write(" ".join(what) + "\n")


class StreamingAnswer:
    """``answer``: the words say which attempt said them, so that two attempts never look alike."""

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
        def look_up(idempotency_key: str) -> str:
            noted("effect", turn.id, idempotency_key)
            return turn.text

        found = await turn.step("look up", look_up)
        noted("recorded", turn.id)
        turn.emit("status", stage="writing", node=os.environ["HOLDFAST_SERVER__NODE"])
        words, seconds = int(os.environ["P14_WORDS"]), float(os.environ["P14_SECONDS"])
        speaker.say(f"{found}, attempt {turn.attempt}: ")
        for number in range(words):
            speaker.say(f"w{number} ")
            await asyncio.sleep(seconds / words)


def make(parts: Parts) -> StreamingAnswer:
    """The factory that the config names."""
    return StreamingAnswer()
