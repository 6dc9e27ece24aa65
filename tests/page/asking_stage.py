"""An answer stage for served processes, named in their config: ``slow N S`` streams N words, one every S seconds; ``ask`` waits for
approval; else an echo."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast import Turn
from holdfast.assistant.building import Parts
from holdfast.assistant.contract import Finding, Understanding
from holdfast.assistant.speaker import Speaker


class AskingAnswer:
    """`Answer` by what the user says."""

    async def answer(
        self, turn: Turn, understood: Understanding, findings: Sequence[Finding], speaker: Speaker
    ) -> None:
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


def make(parts: Parts) -> AskingAnswer:
    """The factory that the config names."""
    return AskingAnswer()
