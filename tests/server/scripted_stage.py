"""A policy for served processes, named in their config: ``slow N S`` streams N words, one every S seconds;
``fail`` raises; else an echo."""

from __future__ import annotations

import asyncio

from holdfast.assistant.context import Context
from holdfast.assistant.parts import Parts


class ScriptedPolicy:
    """`Policy` by script."""

    async def respond(self, context: Context) -> bool:
        turn, speaker = context.turn, context.speaker
        what, *rest = turn.text.split()
        if what == "fail":
            raise RuntimeError("as the script says")
        if what != "slow":
            speaker.say(f"echo: {turn.text}")
            return True
        for number in range(int(rest[0])):
            speaker.say(f"w{number} ")
            await asyncio.sleep(float(rest[1]))
        return True


def make(parts: Parts) -> ScriptedPolicy:
    """The factory that the config names."""
    return ScriptedPolicy()
