"""A conversation that survives its nodes: every turn is begun on a node that is killed half-way, and finished on another.

    python examples/survive.py                            # two processes over one SQLite file
    python examples/survive.py redis://localhost:6379/0   # or over your Redis

Exit code 0 only if nothing was lost and nothing was done twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from holdfast import Turn, open_store

QUESTIONS = ["Where is my order 17?", "And what about 42?", "Please send both to my office.", "Thank you!"]
SESSION = "demo-" + os.urandom(4).hex()


async def answer(turn: Turn) -> None:
    """Looks an order up (a journaled step), thinks for a moment, replies."""
    looked_up = await turn.step("look_up", look_up, turn.text)
    print("thinking", flush=True)
    await asyncio.sleep(0.4)  # the model writes; this is where the first node dies
    asked = turn.state["asked"] = turn.state.get("asked", 0) + 1
    turn.reply(f"({asked}) You wrote: {turn.text!r}. Looked up by process {looked_up}.")


def look_up(text: str) -> int:
    """Stands for a call that must not be made twice; leaves a mark that the demo counts."""
    with Path(os.environ["SURVIVE_CALLS"]).open("a") as calls:
        calls.write(text + "\n")
    return os.getpid()


async def node(url: str, question: str, turn_id: str) -> None:
    """One node process: runs one turn, and prints what came of it."""
    async with open_store(url, lease="1s", poll="200ms") as store:
        outcome = await store.run_turn(SESSION_OF_NODE, answer, input=question, turn_id=turn_id)
        print(f"{outcome.attempts}|{outcome.version.counter}|{outcome.reply}", flush=True)


SESSION_OF_NODE = os.environ.get("SURVIVE_SESSION", SESSION)


async def start(url: str, question: str, turn_id: str, calls: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "SURVIVE_SESSION": SESSION, "SURVIVE_CALLS": str(calls)}
    return await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--node", url, question, turn_id, stdout=asyncio.subprocess.PIPE, env=environment
    )


async def demo(url: str, calls: Path) -> bool:
    table = Table(
        "turn", "killed node", "finished by", "attempts", "version", "answer", title="every first node is killed -9"
    )
    fine = True
    for number, question in enumerate(QUESTIONS, 1):
        turn_id = f"message-{number}"
        first = await start(url, question, turn_id, calls)
        assert first.stdout is not None
        await first.stdout.readline()  # "thinking": the step is journaled, the reply is not there yet
        first.send_signal(signal.SIGKILL)
        await first.wait()
        second = await start(url, question, turn_id, calls)
        output, _ = await second.communicate()
        attempts, version, reply = output.decode().splitlines()[-1].split("|", 2)
        fine &= attempts == "2" and f"process {first.pid}" in reply
        table.add_row(str(number), str(first.pid), str(second.pid), attempts, version, reply)
    Console().print(table)
    async with open_store(url) as store:
        messages = [message.content async for message in store.messages(SESSION)]
        state = await store.get(SESSION)
        await store.delete(SESSION)
    made = calls.read_text().splitlines()  # noqa: ASYNC240 -- a few lines, at the end
    fine &= messages[::2] == QUESTIONS and state == {"asked": len(QUESTIONS)} and made == QUESTIONS
    print(
        f"messages in the log: {len(messages)} (of {2 * len(QUESTIONS)}), look-ups made: {len(made)} (of {len(QUESTIONS)})"
    )
    print("nothing was lost, nothing was done twice" if fine else "SOMETHING WAS LOST OR DONE TWICE")
    return fine


def main() -> int:
    if sys.argv[1:2] == ["--node"]:
        asyncio.run(node(*sys.argv[2:5]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/conversations.db"
        return 0 if asyncio.run(demo(url, Path(folder) / "calls")) else 1


if __name__ == "__main__":
    raise SystemExit(main())
