"""An answer stage for served processes that writes down each call: ``slow S`` takes S seconds; else an echo."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from holdfast import Turn
from holdfast.assistant.building import Parts
from holdfast.assistant.contract import Finding, Understanding
from holdfast.assistant.speaker import Speaker


class CountedAnswer:
    """`Answer` by script; a line for each call in ``$COUNTED_CALLS``."""

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
        with Path(os.environ["COUNTED_CALLS"]).open("a") as calls:  # noqa: ASYNC230 (a line)
            calls.write(f"{turn.id} {turn.text}\n")
        what, _, rest = turn.text.partition(" ")
        if what == "slow":
            await asyncio.sleep(float(rest))
        speaker.say(f"echo: {turn.text}")


def make(parts: Parts) -> CountedAnswer:
    """The factory that the config names."""
    return CountedAnswer()
