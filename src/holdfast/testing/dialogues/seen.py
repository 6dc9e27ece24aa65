"""What a turn did, as far as a dialogue can ask for it, and what came of a dialogue."""

from __future__ import annotations

from typing import Any

import msgspec


class ToolCalled(msgspec.Struct, frozen=True):
    """A call, whatever came of it."""

    name: str
    arguments: dict[str, Any]


class Seen(msgspec.Struct, frozen=True):
    """A turn after its commit. ``flow``: the one that runs; ``slots`` are in the ``state``."""

    reply: str
    flow: str | None
    started: tuple[str, ...]
    ended: tuple[str, ...]
    state: dict[str, Any]
    calls: tuple[ToolCalled, ...]
    cited: tuple[str, ...]
    intent: str
    language: str
    handed_over: bool


class Failure(msgspec.Struct, frozen=True):
    """Something that was not as expected. ``key``: of the expectation; "" where the turn itself failed. ``nearest``: of what came,
    the part that comes closest."""

    line: int
    key: str
    expected: str
    came: str
    nearest: str = ""


class Result(msgspec.Struct, frozen=True):
    """What came of a dialogue. ``said``: who said what, up to the turn that failed."""

    file: str
    line: int
    name: str
    seconds: float
    said: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures
