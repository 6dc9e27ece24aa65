"""One measured figure: its value and spread, its target, and whether it is met."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Verdict = Literal["ok", "short", ""]


class Target(NamedTuple):
    """What a figure has to be."""

    op: Literal["<=", ">=", "="]
    value: float

    def met(self, value: float) -> bool:
        if self.op == "=":
            return value == self.value
        return value <= self.value if self.op == "<=" else value >= self.value

    def __str__(self) -> str:
        return f"{self.op} {self.value:g}"


def at_most(value: float) -> Target:
    return Target("<=", value)


def at_least(value: float) -> Target:
    return Target(">=", value)


def exactly(value: float) -> Target:
    return Target("=", value)


class Spread(NamedTuple):
    """The median of all rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


class Figure(msgspec.Struct, frozen=True):
    """One line of a table.

    Attributes:
        unit: "x" is a ratio of two things measured in the same run; others depend on the machine.
        low, high: quartiles over the rounds; equal to the value for what was counted.
        note: the two sides of a ratio, or what else explains it.
    """

    topic: str
    name: str
    value: float
    unit: str = "x"
    target: Target | None = None
    low: float = 0.0
    high: float = 0.0
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.target is None:
            return ""
        return "ok" if self.target.met(self.value) else "short"


def figure(
    topic: str, name: str, value: Spread | float, *, unit: str = "x", target: Target | None = None, note: str = ""
) -> Figure:
    spread = value if isinstance(value, Spread) else Spread(value, value, value)
    return Figure(topic, name, spread.median, unit, target, spread.low, spread.high, note)
