"""A client of its own process that writes until its input is closed, and says what it was told only after it was told.

It prints one JSON list for each event: ["ran", session, turn, base], ["effect", turn, token], ["recorded", turn, token],
["ack", session, turn, reply, replayed], ["error", turn, type], ["updated", session, key], ["refused" or "unsure", session, key].
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from typing import Any, Final

from holdfast import Store, Turn, open_store
from holdfast.errors import HoldfastError, OutcomeUnknown, StoreUnavailable, TurnConflict

ENDS_S: Final = 60.0
"""How long a turn that is under way at the end may be sent again."""
KEYS: Final = 100
"""State keys that one session of updates gets."""


def say(*event: Any) -> None:
    print(json.dumps(event), flush=True)


class Crash(Exception):
    """What a handler raises on purpose after its step."""


class Client:
    def __init__(self, store: Store, config: dict[str, Any]) -> None:
        self.store = store
        self.name: str = config["name"]
        self.sessions: list[str] = config["sessions"]
        self.pause: float = config.get("pause", 0.02)
        self.ending = asyncio.Event()

    async def turns(self, lane: int) -> None:
        """One turn after another, each sent with its id until it is answered."""
        number = 0
        while not self.ending.is_set():
            session = self.sessions[(number + lane) % len(self.sessions)]
            await self.turn(session, f"{self.name}-{lane}-{number}", crashes=number % 3 == 0)
            number += 1
            await asyncio.sleep(self.pause * random.random() * 2)

    async def turn(self, session: str, turn_id: str, crashes: bool) -> None:
        async def handler(turn: Turn) -> None:
            nonlocal crashes
            base = turn.state.get("n", 0)
            say("ran", session, turn_id, base)
            token = await turn.step("charge", charge)
            say("recorded", turn_id, token)
            await asyncio.sleep(self.pause * random.random())
            if crashes:
                crashes = False
                raise Crash
            turn.state["n"] = base + 1
            turn.reply(f"{base + 1}:{token}")

        def charge() -> str:
            token = os.urandom(4).hex()
            say("effect", turn_id, token)
            return token

        give_up = 0.0
        now = asyncio.get_running_loop().time
        while True:
            if self.ending.is_set():
                give_up = give_up or now() + ENDS_S
                if now() > give_up:
                    say("never", session, turn_id)
                    return
            try:
                outcome = await self.store.run_turn(session, handler, input=turn_id, turn_id=turn_id)
            except (HoldfastError, Crash) as error:
                say("error", turn_id, type(error).__name__)
                await asyncio.sleep(0.05)
            else:
                say("ack", session, turn_id, outcome.reply, outcome.replayed)
                return

    async def updates(self, lane: int) -> None:
        """Sets one key after another, each once: what an update that is not in would leave out shows."""
        number = 0
        while not self.ending.is_set():
            session, key = f"u-{self.name}-{lane}-{number // KEYS}", f"k{number % KEYS}"
            number += 1
            try:
                await self.store.update(session, {key: number})
            except (StoreUnavailable, TurnConflict):
                say("refused", session, key)
                await asyncio.sleep(0.05)
            except OutcomeUnknown:
                say("unsure", session, key)
            except HoldfastError as error:
                say("error", key, type(error).__name__)
            else:
                say("updated", session, key)
            await asyncio.sleep(self.pause * random.random() * 2)


async def main() -> None:
    config = json.loads(sys.argv[1])
    loop = asyncio.get_running_loop()
    async with open_store(config["url"], **config["options"]) as store:
        client = Client(store, config)
        loop.add_reader(0, client.ending.set)  # its end of file
        say("ready")
        turns = [client.turns(lane) for lane in range(config["writers"])]
        ending = client.ending.wait()
        work = asyncio.gather(*turns, *[client.updates(lane) for lane in range(config["updaters"])])
        await ending
        loop.remove_reader(0)
        await work
    say("end")


if __name__ == "__main__":
    asyncio.run(main())
