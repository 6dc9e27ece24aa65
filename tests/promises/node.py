"""A node in a process of its own, for tests that kill, freeze or mislead one. Started by `workload.node_process`.

It prints one JSON list for each event: ["ready"], ["sent", id], ["ack", id, reply], ["error", id, type], ["holding"], ...
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from holdfast import Store, Turn, open_store
from holdfast.encryption import Encryption, KeyRing
from holdfast.errors import HoldfastError
from holdfast.turns.turn import Handler


def say(*event: Any) -> None:
    print(json.dumps(event), flush=True)


async def count(turn: Turn) -> None:
    number = turn.state.get("n", 0) + 1
    await asyncio.sleep(0)
    turn.state["n"] = number
    turn.reply(f"{number}")


async def turns(store: Store, config: dict[str, Any]) -> None:
    """Turns in a loop over some sessions, several at a time, until killed (or until ``rounds`` are through)."""

    async def loop(lane: int) -> None:
        for number in range(config.get("rounds", 10**9)):
            session = config["sessions"][(number + lane) % len(config["sessions"])]
            turn_id = f"{config['name']}-{lane}-{number}"
            say("sent", session, turn_id)
            try:
                outcome = await store.run_turn(session, count, input=f"input of {turn_id}", turn_id=turn_id)
            except HoldfastError as error:
                say("error", session, turn_id, type(error).__name__)
            else:
                say("ack", session, turn_id, outcome.reply)

    await asyncio.gather(*[loop(lane) for lane in range(config.get("lanes", 4))])


async def updates(store: Store, config: dict[str, Any]) -> None:
    """Counts a key up, ``rounds`` times."""

    def add(state: Any) -> None:
        state["u"] = state.get("u", 0) + 1

    for number in range(config["rounds"]):
        await store.update(config["session"], add)
        say("ack", number)


async def hold(store: Store, config: dict[str, Any]) -> None:
    """One turn that holds its session until the wall clock says so; then a step and a commit."""

    async def handler(turn: Turn) -> None:
        say("holding", turn.attempt)
        await asyncio.sleep(config["seconds"])
        if config.get("step"):
            await turn.step("late", say, "effect", turn.attempt)
        turn.state["by"] = config["name"]
        turn.reply(config["name"])

    try:
        outcome = await store.run_turn(config["session"], handler, input="x", turn_id="t")
    except HoldfastError as error:
        say("error", type(error).__name__)
    else:
        say("outcome", outcome.reply, outcome.replayed, outcome.attempts)


async def expiring(store: Store, config: dict[str, Any]) -> None:
    """Writes sessions with a ttl, and says what this node's wall clock was."""
    for number in range(config["rounds"]):
        await store.set(f"{config['name']}-{number}", {"n": number}, ttl=config["ttl"])
        say("wrote", f"{config['name']}-{number}", time.time())
    say("done")


def recovered_handler(config: dict[str, Any]) -> Handler:
    """Two steps, each of which leaves a line in a file; the second may last."""
    file = Path(config["effects"])

    def effect(what: str) -> str:
        with file.open("a") as lines:
            lines.write(f"{what}\n")
        return str(config["name"])

    async def handler(turn: Turn) -> None:
        say("holding", turn.session.id, turn.attempt)
        first = await turn.step("first", effect, f"{turn.session.id} first")
        say("recorded", turn.session.id)
        await asyncio.sleep(config["seconds"])
        second = await turn.step("second", effect, f"{turn.session.id} second")
        turn.reply(f"{first} {second}")

    return handler


async def recovering(store: Store, config: dict[str, Any]) -> None:
    """Runs the turns of its sessions, if it has any, and takes over those of others, until killed."""
    store.handlers.register("work", recovered_handler(config))

    async def one(session: str) -> None:
        try:
            outcome = await store.run_turn(session, "work", input=f"input of {session}", turn_id="t")
        except HoldfastError as error:
            say("error", session, type(error).__name__)
        else:
            say("outcome", session, outcome.reply, outcome.attempts)

    async with store.recovering(**config.get("recovery", {})):
        await asyncio.gather(*[one(session) for session in config.get("sessions", [])])
        await asyncio.Event().wait()


def counted_handler(config: dict[str, Any]) -> Handler:
    """A tool that counts its calls: a line for each, with its key, and one whenever its record is known."""
    file = Path(config["effects"])

    def note(*what: str) -> None:
        with file.open("a") as lines:
            lines.write(" ".join(what) + "\n")

    async def handler(turn: Turn) -> None:
        async def tool(idempotency_key: str) -> int:
            note("call", turn.id, idempotency_key)
            await asyncio.sleep(config["seconds"])
            return turn.attempt

        made_by = await turn.step("tool", tool)
        note("recorded", turn.id, str(made_by))
        await asyncio.sleep(config["seconds"])
        turn.reply(f"{turn.text}: {made_by}")

    return handler


async def counting(store: Store, config: dict[str, Any]) -> None:
    """Takes over whatever turns there are, until killed."""
    store.handlers.register("counted", counted_handler(config))
    async with store.recovering(**config["recovery"]):
        await asyncio.Event().wait()


async def agent(store: Store, config: dict[str, Any]) -> None:
    """Takes over the turns of an agent, until killed."""
    from agent_stage import assistant  # takes a second, that the other works need not wait for

    store.handlers.register("assistant", await assistant())
    async with store.recovering(**config["recovery"]):
        say("looking")
        await asyncio.Event().wait()


def _encryption() -> Encryption | None:
    """As all nodes of the tests (store_nodes.py)."""
    ring, vault = os.environ.get("HOLDFAST_TEST_RING"), os.environ.get("HOLDFAST_TEST_VAULT", "")
    return Encryption(KeyRing.read({"test": ring}, {}), vault) if ring else None


async def main() -> None:
    config = json.loads(sys.argv[1])
    options: dict[str, Any] = {"tenant": config["tenant"], "encryption": _encryption(), **config.get("options", {})}
    async with open_store(config["url"], **options) as store:
        say("ready", time.time())
        works = {"turns": turns, "updates": updates, "hold": hold, "expiring": expiring, "recovering": recovering}
        works |= {"counting": counting, "agent": agent}
        await works[config["work"]](store, config)


if __name__ == "__main__":
    asyncio.run(main())
