"""An answer stage for served processes, named in their config: ``slow N S`` streams N words, one every S seconds;
``fail`` raises; else an echo."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast import Turn
from holdfast.assistant.building import Parts
from holdfast.assistant.contract import Finding, Understanding
from holdfast.assistant.speaker import Speaker


class ScriptedAnswer:
    """`Answer` by script."""

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
        what, *rest = turn.text.split()
        if what == "fail":
            raise RuntimeError("as the script says")
        if what != "slow":
            speaker.say(f"echo: {turn.text}")
            return
        for number in range(int(rest[0])):
            speaker.say(f"w{number} ")
            await asyncio.sleep(float(rest[1]))


def make(parts: Parts) -> ScriptedAnswer:
    """The factory that the config names."""
    return ScriptedAnswer()
