"""What a task's policy decides, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from holdfast.assistant.contract import Retrieval


class Say(msgspec.Struct, frozen=True):
    """Say a built-in text (see `texts`)."""

    text: str
    values: dict[str, Any] = {}


class Ask(msgspec.Struct, frozen=True):
    """Ask for the slot that the task's position names; ``because`` the answer was wrong, or after a digression."""

    because: Literal["", "invalid", "return"] = ""


class Search(msgspec.Struct, frozen=True):
    """Look the question up. ``insist=False``: say nothing where nothing relevant is found."""

    question: str
    insist: bool = True


class Call(msgspec.Struct, frozen=True):
    """Call the tool of the running task."""


class Found(msgspec.Struct, frozen=True):
    """The finding of a `Search`."""

    retrieval: Retrieval


class Told(msgspec.Struct, frozen=True):
    """The finding of a `Call`: the task, its tool's outcome, and the values that the reply's template may show."""

    task: str
    outcome: str
    values: dict[str, Any]


Action = Say | Ask | Search | Call
Finding = Say | Ask | Found | Told
