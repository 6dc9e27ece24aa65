"""A policy for served processes that writes down each call: ``slow S`` takes S seconds; else an echo."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from holdfast.assistant.context import Context
from holdfast.assistant.parts import Parts


class CountedPolicy:
    """`Policy` by script; a line for each call in ``$COUNTED_CALLS``."""

    async def respond(self, context: Context) -> bool:
        turn, speaker = context.turn, context.speaker
        with Path(os.environ["COUNTED_CALLS"]).open("a") as calls:  # noqa: ASYNC230 (a line)
            calls.write(f"{turn.id} {turn.text}\n")
        what, _, rest = turn.text.partition(" ")
        if what == "slow":
            await asyncio.sleep(float(rest))
        speaker.say(f"echo: {turn.text}")
        return True


def make(parts: Parts) -> CountedPolicy:
    """The factory that the config names."""
    return CountedPolicy()
