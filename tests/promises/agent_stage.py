"""An agent whose nodes are killed: two tools and a scripted model. Each call and each question to the model is a line in
``$AGENT_EFFECTS``: what, whose, and the idempotency key."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from holdfast.assistant.assistant import Assistant
from holdfast.assistant.building import build_assistant
from holdfast.config import Config
from holdfast.testing import ModelRequest, ScriptedAnswer, ScriptedModel
from holdfast.tools import tool

SECONDS = 0.25
"""Of each tool and each answer: long enough to be killed in."""


def noted(what: str, which: str, key: str = "-") -> None:
    """One line, whole, though other processes write too."""
    with Path(os.environ["AGENT_EFFECTS"]).open("a") as file:
        file.write(f"{what} {which} {key}\n")


@tool
def find(number: str, idempotency_key: str) -> dict[str, str]:
    """Finds a trip."""
    noted("2-find", number, idempotency_key)
    time.sleep(SECONDS)
    return {"number": number, "trip": "by train"}


@tool(asks=True)
def pay(number: str, idempotency_key: str) -> dict[str, str]:
    """Pays for a trip."""
    noted("4-pay", number, idempotency_key)
    time.sleep(SECONDS)
    return {"number": number, "paid": "yes"}


def number_in(request: ModelRequest) -> str:
    """Whose conversation this is."""
    return str(re.findall(r"P\d{3}", str(request.prompts))[-1])


def answer(what: str, after: str, name: str = "") -> ScriptedAnswer:
    """The model's answer to a last message like ``after``: a call of the tool of this name, or the last words."""

    def calls(request: ModelRequest) -> list[tuple[str, dict[str, str]]]:
        noted(what, number_in(request))
        return [(name, {"number": number_in(request)})] if name else []

    text = "" if name else "All of it is booked, as you wanted."
    return ScriptedAnswer(text, calls=calls, after=after, delay=SECONDS, pause=SECONDS / 8, times=None)


def model() -> ScriptedModel:
    """Finds, pays, and tells."""
    return ScriptedModel(
        [
            answer("1-model", "^book ", "find"),
            answer("3-model", "^Result of find", "pay"),
            answer("5-model", "^Result of pay"),
        ]
    )


async def assistant() -> Assistant:
    """The agent."""
    config: dict[str, Any] = {
        "knowledge": {"index": ""},
        "tools": {"functions": ["agent_stage"]},
        "assistant": {"policy": ["agent"], "languages": ["en"]},
    }
    return await build_assistant(Config(**config), model=model())
