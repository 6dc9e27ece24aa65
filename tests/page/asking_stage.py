"""A policy for served processes, named in their config: ``slow N S`` streams N words, one every S seconds; ``ask`` waits for
approval; else an echo."""

from __future__ import annotations

import asyncio

from holdfast.assistant.context import Context
from holdfast.assistant.parts import Parts


class AskingPolicy:
    """`Policy` by what the user says."""

    async def respond(self, context: Context) -> bool:
        turn, speaker = context.turn, context.speaker
        match turn.text.split():
            case ["slow", words, pause]:
                for number in range(int(words)):
                    speaker.say(f"w{number} ")
                    await asyncio.sleep(float(pause))
            case ["ask"]:
                speaker.say("One moment. ")
                told = await turn.wait_for("approval", timeout="1h")
                speaker.say("Approved." if told["approved"] else "Declined.")
            case _:
                speaker.say(f"echo: {turn.text}")
        return True


def make(parts: Parts) -> AskingPolicy:
    """The factory that the config names."""
    return AskingPolicy()
