"""A policy for P14's nodes, named in their config: a recorded step, then words, one every so often.

Every effect of the step is a line in ``$P14_EFFECTS``, and every time that its record is known another one: what was run again
although it was recorded shows as an effect behind a record.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from holdfast.assistant.context import Context
from holdfast.assistant.parts import Parts


def noted(*what: str) -> None:
    """One line, whole, though other processes write too."""
    with Path(os.environ["P14_EFFECTS"]).open("a") as file:
        file.write(" ".join(what) + "\n")


class StreamingPolicy:
    """`Policy`: the words say which attempt said them, so that two attempts never look alike."""

    async def respond(self, context: Context) -> bool:
        turn, speaker = context.turn, context.speaker

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
        return True


def make(parts: Parts) -> StreamingPolicy:
    """The factory that the config names."""
    return StreamingPolicy()
