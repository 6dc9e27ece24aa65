"""A policy of our own, named first in the demo's config: it takes its time, so that a node can be killed while it answers."""

from __future__ import annotations

import asyncio
import os

from holdfast.assistant.context import Context
from holdfast.assistant.parts import Parts


class Pause:
    """`Policy` that takes no turn, ``seconds`` late; it announces itself with the event ``status: writing``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def respond(self, context: Context) -> bool:
        context.turn.emit("status", stage="writing")
        await asyncio.sleep(self._seconds)
        return False


def pause(parts: Parts) -> Pause:
    """A pause before the answer."""
    return Pause(float(os.environ.get("HOLDFAST_DEMO_PACE", "0.6")))
