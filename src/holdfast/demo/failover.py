"""Holds a conversation behind a proxy while the nodes that answer it are killed, and checks that nothing was lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from holdfast.demo.conversation import Answered, Conversation
from holdfast.demo.nodes import Node, Redis
from holdfast.demo.proxy import RoundRobinProxy

SAID: Final = (
    "Where is my order?",
    "My number is 138 0000 1234",
    "By the way, how long do I have to return something?",
    "HF20931, please",
    "No, the other order",
    "订单 HF20931 到哪了?",
)
"""A task over several turns, a question in the middle of it, a correction, and another language."""

Kill = Literal["some", "every"]


class Line(msgspec.Struct, frozen=True):
    """One turn of the demo: what was said, who was killed while answering, who answered, what the session then held."""

    number: int
    said: str
    killed: str
    answered: Answered
    remembers: str


class Report(msgspec.Struct, frozen=True):
    """The whole run. ``faults`` says what was lost or doubled; empty when all held."""

    lines: list[Line]
    messages: int
    faults: list[str]


async def run(store: str | None, kill: Kill, tell: Callable[[str], None]) -> Report:
    """Starts everything, holds the conversation, stops everything. ``tell`` hears what is happening.

    ``kill``: ``some`` kills the answering node in turns 2 and 4 and starts the first again before turn 5; ``every`` kills the
    answering node in each turn and starts it again after it. Raises `StoreUnavailable`, `ConfigError`.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as name:
        folder = Path(name)
        redis = Redis(folder) if store is None else None
        nodes = [Node(f"node-{letter}", _config(folder), store or redis.url, folder) for letter in "abc"]  # type: ignore[union-attr]  # one of the two is there
        try:
            if redis is not None:
                tell("starting a redis-server of its own")
                await redis.start()
            tell(f"starting {', '.join(node.name for node in nodes)}")
            await asyncio.gather(*[node.start() for node in nodes])
            async with RoundRobinProxy([node.port for node in nodes]) as proxy:
                return await _hold(proxy.url, nodes, kill, tell)
        finally:
            for node in nodes:
                await node.stop()
            if redis is not None:
                await redis.stop()


async def _hold(url: str, nodes: list[Node], kill: Kill, tell: Callable[[str], None]) -> Report:
    by_name = {node.name: node for node in nodes}
    killed: list[str] = []
    number = 0

    async def while_writing(name: str) -> None:
        if (kill == "every" or number in (2, 4)) and name in by_name:
            tell(f"turn {number}: {name} is writing the answer; kill -9")
            killed.append(name)
            await by_name[name].kill()

    conversation = Conversation(url, while_writing)
    lines: list[Line] = []
    try:
        await conversation.start()
        for number, said in enumerate(SAID, 1):
            before = len(killed)
            answered = await conversation.say(said, f"demo-turn-{number}")
            tell(f"turn {number}: answered by {answered.node}")
            victim = killed[-1] if len(killed) > before else ""
            lines.append(Line(number, said, victim, answered, _remembered(await conversation.state())))
            if (kill == "every" and victim) or (kill == "some" and number == 4 and killed):
                again = by_name[victim if kill == "every" else killed[0]]
                tell(f"starting {again.name} again")
                await again.start()
        return _judged(lines, await conversation.messages(), await conversation.state())
    finally:
        await conversation.close()


def _judged(lines: list[Line], messages: list[dict[str, Any]], state: dict[str, Any]) -> Report:
    faults = []
    if [line.answered.version for line in lines] != [lines[0].answered.version + i for i in range(len(lines))]:
        faults.append("the versions do not follow one another: a turn was lost or doubled")
    if [message["content"] for message in messages if message["role"] == "user"] != [_shown(said) for said in SAID]:
        faults.append("what the user said is not in the log once each, in order")
    replies = [message["content"] for message in messages if message["role"] == "assistant"]
    if replies != [line.answered.reply for line in lines]:
        faults.append("the log's replies are not those that the user saw")
    faults += [
        f"turn {line.number} needed no second attempt" for line in lines if line.killed and line.answered.attempts < 2
    ]
    if not any(line.killed for line in lines):
        faults.append("no node was killed while it answered")
    if "phone" not in str(state):
        faults.append("the session forgot who the user is")
    if "13800001234" in str(state):
        faults.append("the phone number is shown in clear")
    return Report(lines, len(messages), faults)


def _shown(said: str) -> str:
    """As the API gives it back: masked."""
    return said.replace("138 0000 1234", "138****1234")


def _remembered(state: dict[str, Any]) -> str:
    """The values of the session that a person would ask about, as the API shows them."""
    found: dict[str, str] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("phone", "order_number") and isinstance(inner, str):
                    found[key] = inner
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(state)
    return ", ".join(f"{key} {value}" for key, value in sorted(found.items())) or "nothing yet"


def _config(folder: Path) -> Path:
    """The sample's config with the slow stage, a short lease, and the demo's own index."""
    sample = resources.files("holdfast.samples")
    text = (sample / "holdfast.toml").read_text(encoding="utf-8")
    for old, new in (
        ("policy = [", 'policy = ["holdfast.demo.slow_answer:pause", '),
        ('flows = ["flows"]', f'flows = ["{sample / "flows"}"]'),
        ('ttl = "30d"', 'ttl = "1h"\nlease = "1s"'),
        ('"holdfast-knowledge.db"', f'"{folder / "knowledge.db"}"'),
        ('folders = ["knowledge"]', f'folders = ["{sample / "knowledge"}"]'),
    ):
        assert old in text, f"the sample has no {old!r} any more"
        text = text.replace(old, new)
    path = folder / "demo.toml"
    path.write_text(text, encoding="utf-8")
    return path
